//! A sheet of held-out pictures: the most confident mistakes, and right answers beside them.

use image::RgbImage;
use image::imageops::{self, FilterType};
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::Report;
use super::canvas::{self, Canvas, FAINT, FINE, GREEN, INK, RED};
use crate::model::Metadata;
use crate::train::data::dataset::Sample;
use crate::train::error::Result;

const COLUMNS: usize = 10;
const WRONG_ROWS: usize = 5;
const RIGHT_ROWS: usize = 3;
/// Side of a picture, thickness of its frame, and distance from one to the next.
const SIDE: u32 = 128;
const FRAME: u32 = 4;
const STEP: (u32, u32) = (SIDE + 22, SIDE + 62);
const MARGIN: u32 = 32;
const HEAD: u32 = 84;
const SECTION: u32 = 46;

/// A picture with its answer.
#[derive(Clone, Copy)]
struct Answer<'a> {
    sample: &'a Sample,
    probability: f32,
    right: bool,
}

/// A heading and the pictures beneath it.
struct Section<'a> {
    heading: String,
    color: RGBColor,
    answers: Vec<Answer<'a>>,
}

/// The sheet as a PNG.
pub fn draw(report: &Report) -> Result<Vec<u8>> {
    let sections = sections(report);
    let rows = |section: &Section| section.answers.len().div_ceil(COLUMNS) as u32;
    let height = HEAD + sections.iter().map(|section| SECTION + rows(section) * STEP.1).sum::<u32>();
    let mut canvas = Canvas::new("sheet.png", 2 * MARGIN + COLUMNS as u32 * STEP.0, height + MARGIN);
    let title = report.title();
    canvas.draw(|area| {
        let style = canvas::bold(26, INK, HPos::Left, VPos::Center);
        area.draw_text(&title, &style, canvas::at(MARGIN as i32, 36))?;
        let style = canvas::text(16, FAINT, HPos::Left, VPos::Center);
        let note = "Each picture with the answer and its probability. Green: right, red: wrong.";
        Ok(area.draw_text(note, &style, canvas::at(MARGIN as i32, 66))?)
    })?;
    let mut top = HEAD;
    for section in &sections {
        let heading = canvas::at(MARGIN as i32, (top + SECTION / 2) as i32);
        canvas.draw(|area| {
            let style = canvas::bold(19, section.color, HPos::Left, VPos::Center);
            Ok(area.draw_text(&section.heading, &style, heading)?)
        })?;
        for (index, answer) in section.answers.iter().enumerate() {
            let (column, row) = ((index % COLUMNS) as u32, (index / COLUMNS) as u32);
            let place = (MARGIN + column * STEP.0, top + SECTION + row * STEP.1);
            tile(&mut canvas, report.metadata, answer, place)?;
        }
        top += SECTION + rows(section) * STEP.1;
    }
    canvas.into_png()
}

fn sections<'a>(report: &Report<'a>) -> [Section<'a>; 2] {
    let threshold = report.metadata.threshold;
    let mut answers: Vec<Answer> = report
        .held_out
        .iter()
        .zip(report.probabilities)
        // There is nothing to see where no face was found.
        .filter(|(sample, _)| !sample.pixels.is_empty())
        .map(|(&sample, &probability)| Answer {
            sample,
            probability,
            right: (probability >= threshold) == sample.smiling,
        })
        .collect();
    let confidence = |answer: &Answer| (answer.probability - threshold).abs();
    answers.sort_by(|a, b| {
        confidence(b).total_cmp(&confidence(a)).then_with(|| a.sample.name.cmp(&b.sample.name))
    });
    let (right, wrong): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.right);
    let shown = wrong.len().min(COLUMNS * WRONG_ROWS);
    let which = if shown < wrong.len() { format!("the {shown} most confident of ") } else { String::new() };
    [
        Section {
            heading: format!("Wrong: {which}{}, most confident first", wrong.len()),
            color: RED,
            answers: wrong[..shown].to_vec(),
        },
        Section {
            heading: format!("Right: {}, from the most to the least confident", right.len()),
            color: GREEN,
            answers: spread(&right, COLUMNS * RIGHT_ROWS),
        },
    ]
}

/// At most `count` of the answers, evenly spread from the first to the last.
fn spread<'a>(answers: &[Answer<'a>], count: usize) -> Vec<Answer<'a>> {
    match answers.len() <= count {
        true => answers.to_vec(),
        false => (0..count).map(|index| answers[index * (answers.len() - 1) / (count - 1)]).collect(),
    }
}

fn tile(canvas: &mut Canvas, metadata: &Metadata, answer: &Answer, (x, y): (u32, u32)) -> Result<()> {
    let picture = picture(metadata, answer.sample);
    let picture = imageops::resize(&picture, FINE * SIDE, FINE * SIDE, FilterType::CatmullRom);
    let color = if answer.right { GREEN } else { RED };
    let smiling = answer.probability >= metadata.threshold;
    let probability = if smiling { answer.probability } else { 1.0 - answer.probability };
    let label = format!("{} {:.0} %", metadata.labels[usize::from(smiling)], 100.0 * probability);
    let (left, top) = (x as i32, y as i32);
    let side = (SIDE + 2 * FRAME) as i32;
    canvas.draw(|area| {
        area.draw(&canvas::filled((left, top), (left + side, top + side), color))?;
        let middle = left + side / 2;
        let style = canvas::bold(14, color, HPos::Center, VPos::Center);
        area.draw_text(&label, &style, canvas::at(middle, top + side + 13))?;
        let style = canvas::text(12, FAINT, HPos::Center, VPos::Center);
        let name = short_name(&answer.sample.name);
        Ok(area.draw_text(&name, &style, canvas::at(middle, top + side + 31))?)
    })?;
    let (x, y) = canvas::at((x + FRAME) as i32, (y + FRAME) as i32);
    imageops::replace(canvas.image_mut(), &picture, x.into(), y.into());
    Ok(())
}

/// The planes that the network saw, as a picture.
fn picture(metadata: &Metadata, sample: &Sample) -> RgbImage {
    let [_, height, width] = metadata.architecture.input;
    let area = width * height;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let index = y as usize * width + x as usize;
        image::Rgb([0, 1, 2].map(|plane| sample.pixels[plane * area + index]))
    })
}

/// The file's own name, shortened to fit beneath its picture.
pub(super) fn short_name(name: &str) -> String {
    const LONGEST: usize = 18;
    let name = name.rsplit('/').next().unwrap_or(name);
    match name.chars().count() > LONGEST {
        true => format!("{}…", name.chars().take(LONGEST - 1).collect::<String>()),
        false => name.into(),
    }
}
