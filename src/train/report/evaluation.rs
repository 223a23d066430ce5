//! How good a network is, and what it bears, as pictures.

use plotters::chart::ChartBuilder;
use plotters::element::{Circle, Rectangle};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

use super::canvas::{self, Area, BLUE, Canvas, Drawn, FAINT, FINE, GRID, INK, ORANGE, WHITE};
use crate::train::error::Result;
use crate::train::measure::curves::Point;
use crate::train::measure::evaluation::Evaluation;
use crate::train::measure::metrics::Bin;
use crate::train::measure::perturb::Kind;
use crate::train::measure::robust::Level;

const SIZE: (u32, u32) = (1400, 680);
const HEAD: u32 = 70;
/// Panels of [`robustness`] in a row, and the size of one.
const ACROSS: usize = 5;
const PANEL: (u32, u32) = (320, 290);

/// A panel's axes.
struct Axes<'a> {
    title: &'a str,
    across: (&'a str, f64, f64),
    up: (&'a str, f64, f64),
}

/// The ROC curve and the reliability diagram as a PNG.
///
/// # Errors
/// Where drawing fails.
pub fn evaluation(title: &str, evaluation: &Evaluation) -> Result<Vec<u8>> {
    let mut canvas = Canvas::new("evaluation.png", SIZE.0, SIZE.1);
    canvas.draw(|area| {
        area.draw_text(title, &canvas::bold(26, INK, HPos::Left, VPos::Center), canvas::at(40, 38))?;
        let (_, below) = area.split_vertically(FINE * HEAD);
        let (left, right) = below.split_horizontally(FINE * SIZE.0 / 2);
        roc(&left, &evaluation.roc, evaluation.area_under_curve)?;
        reliability(&right, &evaluation.reliability, evaluation.calibration_error)
    })?;
    canvas.into_png()
}

fn roc(area: &Area, points: &[Point], below: f64) -> Drawn {
    let title = format!("ROC curve, area {below:.4}");
    let axes = Axes {
        title: &title,
        across: ("taken for smiles, of those that don't", 0.0, 1.0),
        up: ("smiles seen", 0.0, 1.0),
    };
    let line = points.iter().map(|point| (point.false_positives, point.true_positives)).collect();
    panel(area, &axes, &[(vec![(0.0, 0.0), (1.0, 1.0)], GRID), (line, BLUE)], &[], false)
}

fn reliability(area: &Area, bins: &[Bin], error: f64) -> Drawn {
    let title = format!("Reliability, calibration error {error:.3}");
    let axes = Axes {
        title: &title,
        across: ("probability said (bars: how often)", 0.0, 1.0),
        up: ("share that smiles", 0.0, 1.0),
    };
    let total: usize = bins.iter().map(|bin| bin.pictures).sum();
    let bar = |(index, bin): (usize, &Bin)| {
        let from = index as f64 / bins.len() as f64;
        (from, from + 1.0 / bins.len() as f64, bin.pictures as f64 / total.max(1) as f64)
    };
    let bars: Vec<_> = bins.iter().enumerate().map(bar).collect();
    let line = bins.iter().filter(|bin| bin.pictures > 0).map(|bin| (bin.said, bin.seen)).collect();
    panel(area, &axes, &[(vec![(0.0, 0.0), (1.0, 1.0)], GRID), (line, ORANGE)], &bars, true)
}

/// Accuracy at each level of each kind of perturbation as a PNG; the line across is that of pictures as
/// they are.
///
/// # Errors
/// Where drawing fails.
pub fn robustness(title: &str, levels: &[Level]) -> Result<Vec<u8>> {
    let rows = Kind::ALL.len().div_ceil(ACROSS);
    let (width, height) = (PANEL.0 * ACROSS as u32, HEAD + PANEL.1 * rows as u32);
    let plain =
        levels.iter().find(|level| level.perturbation.is_none()).map_or(0.0, |level| 100.0 * level.accuracy);
    let least = levels.iter().map(|level| 100.0 * level.accuracy).fold(plain, f64::min);
    let bottom = (least / 10.0).floor() * 10.0;
    let mut canvas = Canvas::new("robustness.png", width, height);
    canvas.draw(|area| {
        area.draw_text(title, &canvas::bold(26, INK, HPos::Left, VPos::Center), canvas::at(40, 38))?;
        let (_, below) = area.split_vertically(FINE * HEAD);
        for (kind, area) in Kind::ALL.into_iter().zip(below.split_evenly((rows, ACROSS))) {
            let point = |level: &Level| {
                let change = level.perturbation.filter(|change| change.kind == kind)?;
                Some((f64::from(change.level), 100.0 * level.accuracy))
            };
            let points: Vec<(f64, f64)> = levels.iter().filter_map(point).collect();
            let (mut from, mut to) = points
                .iter()
                .fold((f64::MAX, f64::MIN), |(from, to), point| (from.min(point.0), to.max(point.0)));
            if from >= to {
                (from, to) = (0.0, 2.0);
            }
            let room = 0.06 * (to - from);
            let axes =
                Axes { title: kind.name(), across: ("", from - room, to + room), up: ("", bottom, 100.0) };
            let base = vec![(from - room, plain), (to + room, plain)];
            panel(&area, &axes, &[(base, FAINT), (points, BLUE)], &[], true)?;
        }
        Ok(())
    })?;
    canvas.into_png()
}

fn panel(
    area: &Area,
    axes: &Axes,
    lines: &[(Vec<(f64, f64)>, RGBColor)],
    bars: &[(f64, f64, f64)],
    dots: bool,
) -> Drawn {
    let small = axes.up.0.is_empty();
    let size = if small { 13 } else { 16 };
    let mut chart = ChartBuilder::on(area)
        .margin(FINE * if small { 10 } else { 24 })
        .caption(axes.title, canvas::bold(size + 2, INK, HPos::Center, VPos::Top))
        .x_label_area_size(FINE * if small { 26 } else { 52 })
        .y_label_area_size(FINE * if small { 36 } else { 64 })
        .build_cartesian_2d(axes.across.1..axes.across.2, axes.up.1..axes.up.2)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(6)
        .y_labels(6)
        .x_desc(axes.across.0)
        .y_desc(axes.up.0)
        .label_style(canvas::text(size, FAINT, HPos::Left, VPos::Top))
        .axis_desc_style(canvas::text(size, FAINT, HPos::Left, VPos::Top))
        .draw()?;
    let bar = |&(from, to, height): &(f64, f64, f64)| {
        let room = 0.1 * (to - from);
        Rectangle::new([(from + room, axes.up.1), (to - room, height)], BLUE.mix(0.2).filled())
    };
    chart.draw_series(bars.iter().map(bar))?;
    for (line, color) in lines {
        chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(FINE * 2)))?;
        if dots && line.len() != 2 {
            chart.draw_series(line.iter().map(|&point| Circle::new(point, FINE * 4, color.filled())))?;
        }
    }
    Ok(())
}
