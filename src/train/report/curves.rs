//! Learning curves: loss and accuracy, training and held-out, epoch by epoch.

use plotters::chart::ChartBuilder;
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, RGBColor};

use super::canvas::{self, Area, BLUE, Canvas, Drawn, FAINT, FINE, GRID, INK, ORANGE, WHITE};
use crate::train::error::Result;
use crate::train::fit::trainer::EpochResult;

const SIZE: (u32, u32) = (1400, 640);
const HEAD: u32 = 96;
/// Above this many epochs a line says more than dots.
const DOTTED: usize = 30;

/// One panel: a name, its lines from top to bottom of the legend, and what the vertical axis spans.
struct Panel {
    name: &'static str,
    unit: &'static str,
    training: Vec<(f64, f64)>,
    held_out: Vec<(f64, f64)>,
    span: (f64, f64),
    decimals: usize,
}

/// Two panels as a PNG.
pub fn draw(title: &str, history: &[EpochResult]) -> Result<Vec<u8>> {
    let mut canvas = Canvas::new("curves.png", SIZE.0, SIZE.1);
    canvas.draw(|area| {
        area.draw_text(title, &canvas::bold(26, INK, HPos::Left, VPos::Center), canvas::at(40, 38))?;
        legend(area, history)?;
        let (_, below) = area.split_vertically(FINE * HEAD);
        let (left, right) = below.split_horizontally(FINE * SIZE.0 / 2);
        let epochs = history.len();
        panel(&left, &loss(history), epochs, None)?;
        panel(&right, &accuracy(history), epochs, super::best(history))
    })?;
    canvas.into_png()
}

fn loss(history: &[EpochResult]) -> Panel {
    let training = points(history, |result| Some(result.loss));
    let held_out = points(history, |result| result.held_out_loss);
    let most = training.iter().chain(&held_out).map(|point| point.1).fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.08 } else { 1.0 };
    Panel { name: "Loss", unit: "", training, held_out, span: (0.0, top), decimals: 2 }
}

fn accuracy(history: &[EpochResult]) -> Panel {
    let training = points(history, |result| Some(100.0 * result.accuracy));
    let held_out = points(history, |result| result.held_out_accuracy.map(|share| 100.0 * share));
    let least = training.iter().chain(&held_out).map(|point| point.1).fold(90.0, f64::min);
    let bottom = ((least - 2.0) / 5.0).floor() * 5.0;
    Panel { name: "Accuracy", unit: " %", training, held_out, span: (bottom.max(0.0), 100.5), decimals: 0 }
}

fn points(history: &[EpochResult], value: impl Fn(&EpochResult) -> Option<f64>) -> Vec<(f64, f64)> {
    let point = |result: &EpochResult| Some((result.epoch as f64, value(result)?));
    history.iter().filter_map(point).filter(|point| point.1.is_finite()).collect()
}

fn legend(area: &Area, history: &[EpochResult]) -> Drawn {
    let mut x = 40;
    let held_out = history.iter().any(|result| result.held_out_accuracy.is_some());
    let entries = [("training", BLUE), ("held out", ORANGE)];
    for (name, color) in entries.into_iter().take(if held_out { 2 } else { 1 }) {
        area.draw(&PathElement::new(
            [canvas::at(x, 74), canvas::at(x + 34, 74)],
            color.stroke_width(FINE * 3),
        ))?;
        area.draw_text(name, &canvas::text(18, INK, HPos::Left, VPos::Center), canvas::at(x + 44, 74))?;
        x += 160;
    }
    Ok(())
}

fn panel(area: &Area, panel: &Panel, epochs: usize, best: Option<&EpochResult>) -> Drawn {
    let last = epochs.max(2) as f64;
    let mut chart = ChartBuilder::on(area)
        .margin(FINE * 24)
        .margin_top(FINE * 8)
        .caption(panel.name, canvas::bold(20, INK, HPos::Center, VPos::Top))
        .x_label_area_size(FINE * 52)
        .y_label_area_size(FINE * 64)
        .build_cartesian_2d(1.0..last, panel.span.0..panel.span.1)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .x_labels(epochs.clamp(2, 11))
        .y_labels(8)
        .x_desc("epoch")
        .x_label_formatter(&|x| if x.fract() == 0.0 { format!("{x:.0}") } else { String::new() })
        .y_label_formatter(&|y| format!("{y:.*}{}", panel.decimals, panel.unit))
        .label_style(canvas::text(16, FAINT, HPos::Left, VPos::Top))
        .axis_desc_style(canvas::text(17, FAINT, HPos::Left, VPos::Top))
        .draw()?;
    let lines: [(&[_], RGBColor); 2] = [(&panel.training, BLUE), (&panel.held_out, ORANGE)];
    for (points, color) in lines {
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(FINE * 2)))?;
        if epochs <= DOTTED {
            chart.draw_series(points.iter().map(|&point| Circle::new(point, FINE * 4, color.filled())))?;
        }
    }
    let Some((best, accuracy)) = best.and_then(|best| Some((best, 100.0 * best.held_out_accuracy?))) else {
        return Ok(());
    };
    let point = (best.epoch as f64, accuracy);
    for (radius, color) in [(8, ORANGE), (6, WHITE), (4, ORANGE)] {
        chart.draw_series([Circle::new(point, FINE * radius, color.filled())])?;
    }
    let (pixel, base) = (chart.backend_coord(&point), area.get_base_pixel());
    let text = format!("best {accuracy:.1} % in epoch {}", best.epoch);
    label(area, &text, (pixel.0 - base.0, pixel.1 - base.1))
}

/// Text beside a point of the paper, on a ground that lines don't show through.
fn label(area: &Area, text: &str, (x, y): (i32, i32)) -> Drawn {
    let style = canvas::bold(16, ORANGE, HPos::Center, VPos::Center);
    let (width, height) = area.estimate_text_size(text, &style)?;
    let (width, height) = (width as i32 / 2 + 12, height as i32 / 2 + 8);
    let right = area.dim_in_pixel().0 as i32 - width - FINE as i32 * 24;
    let x = x.clamp(FINE as i32 * 92 + width, right);
    // Above the point, where the held-out line can't be, unless that is above the chart.
    let distance = FINE as i32 * 30;
    let y = if y > 3 * distance { y - distance } else { y + distance };
    let ground = [(x - width, y - height), (x + width, y + height)];
    area.draw(&Rectangle::new(ground, WHITE.mix(0.85).filled()))?;
    Ok(area.draw_text(text, &style, (x, y))?)
}
