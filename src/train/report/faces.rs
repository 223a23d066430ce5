//! A sheet of pictures with the faces that were found in them.

use image::RgbImage;
use image::imageops::{self, FilterType};
use plotters::element::{Circle, Rectangle};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, VPos};

use super::canvas::{self, Canvas, FAINT, FINE, GREEN, INK, RED};
use super::sheet::short_name;
use crate::train::data::located::Located;
use crate::train::error::Result;

/// Pictures on a sheet, at most.
pub const MOST: usize = 120;

const COLUMNS: usize = 10;
const SIDE: u32 = 150;
const STEP: (u32, u32) = (SIDE + 12, SIDE + 34);
const MARGIN: u32 = 28;
const HEAD: u32 = 64;

/// An even choice of as many of `located` as a sheet has room for.
pub fn choose_for_sheet(located: &[Located]) -> Vec<&Located> {
    located.iter().step_by(located.len().div_ceil(MOST).max(1)).collect()
}

/// Draws pictures with boxes and landmarks as a PNG, beneath a title. `picture` decodes one; large ones must not
/// all be in memory at once.
///
/// # Errors
/// [`crate::train::Error::Drawing`].
pub fn faces_sheet(
    title: &str,
    pictures: &[&Located],
    picture: impl Fn(&Located) -> Option<RgbImage>,
) -> Result<Vec<u8>> {
    let rows = pictures.len().div_ceil(COLUMNS) as u32;
    let width = 2 * MARGIN + COLUMNS as u32 * STEP.0;
    let mut canvas = Canvas::new("sheet of faces", width, HEAD + rows * STEP.1 + MARGIN);
    canvas.draw(|area| {
        let style = canvas::bold(22, INK, HPos::Left, VPos::Center);
        Ok(area.draw_text(title, &style, canvas::at(MARGIN as i32, 34))?)
    })?;
    for (index, located) in pictures.iter().enumerate() {
        let Some(image) = picture(located) else { continue };
        let (column, row) = ((index % COLUMNS) as u32, (index / COLUMNS) as u32);
        tile(&mut canvas, located, &image, (MARGIN + column * STEP.0, HEAD + row * STEP.1))?;
    }
    canvas.into_png()
}

fn tile(canvas: &mut Canvas, located: &Located, image: &RgbImage, (left, top): (u32, u32)) -> Result<()> {
    let scale = (FINE * SIDE) as f32 / image.width().max(image.height()) as f32;
    let side = |length: u32| ((length as f32 * scale) as u32).max(1);
    let (width, height) = (side(image.width()), side(image.height()));
    let small = imageops::resize(image, width, height, FilterType::Triangle);
    let (x, y) = canvas::at(left as i32, top as i32);
    imageops::replace(canvas.image_mut(), &small, x.into(), y.into());
    canvas.draw(|area| {
        // What sticks out of its picture must not be drawn over the next one.
        let place = |px: f32, py: f32| {
            let along = |value: f32, length: u32| (value * scale).clamp(0.0, length as f32 - 1.0) as i32;
            (x + along(px, width), y + along(py, height))
        };
        for face in &located.faces {
            let rect = face.rect;
            let corners = [place(rect.x, rect.y), place(rect.x + rect.width, rect.y + rect.height)];
            area.draw(&Rectangle::new(corners, GREEN.stroke_width(2 * FINE)))?;
            for [px, py] in face.landmarks {
                area.draw(&Circle::new(place(px, py), FINE as i32, RED.filled()))?;
            }
        }
        let color = if located.faces.is_empty() { RED } else { FAINT };
        let style = canvas::text(12, color, HPos::Left, VPos::Center);
        let best = located.faces.first().map_or("no face".into(), |face| format!("{:.2}", face.score));
        let text = format!("{}  {best}", short_name(&located.name));
        Ok(area.draw_text(&text, &style, canvas::at(left as i32, (top + SIDE + 12) as i32))?)
    })
}
