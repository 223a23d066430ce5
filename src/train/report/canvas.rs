//! A picture to draw on, with the one font and the colours of all reports.

use std::error::Error as StdError;
use std::io::Cursor;
use std::sync::Once;

use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};
use plotters::backend::BitMapBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::Rectangle;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, RGBColor, TextStyle, register_font};

use crate::train::error::{Error, Result};

pub const WHITE: RGBColor = RGBColor(255, 255, 255);
pub const INK: RGBColor = RGBColor(36, 41, 47);
pub const FAINT: RGBColor = RGBColor(110, 119, 129);
pub const GRID: RGBColor = RGBColor(226, 230, 234);
pub const BLUE: RGBColor = RGBColor(46, 110, 180);
pub const ORANGE: RGBColor = RGBColor(222, 108, 34);
pub const GREEN: RGBColor = RGBColor(38, 148, 84);
pub const RED: RGBColor = RGBColor(205, 52, 62);

const FONT: FontFamily = FontFamily::Name("DejaVu Sans");

pub type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
pub type Drawn = std::result::Result<(), Box<dyn StdError>>;

/// Reports are drawn this many times larger and then shrunk, which smooths lines and letters that
/// plotters puts on whole pixels.
pub const FINE: u32 = 2;

/// White paper of RGB pixels, [`FINE`] of them for each one of the finished picture a side.
pub struct Canvas {
    name: &'static str,
    image: RgbImage,
}

impl Canvas {
    /// Paper for a picture of this size; `name` is what error messages call it.
    pub fn new(name: &'static str, width: u32, height: u32) -> Self {
        register_fonts();
        Self { name, image: RgbImage::from_pixel(FINE * width, FINE * height, image::Rgb([255; 3])) }
    }

    /// Pixels to be set directly.
    pub fn image_mut(&mut self) -> &mut RgbImage {
        &mut self.image
    }

    /// Draws lines and text over what is there.
    pub fn draw(&mut self, drawing: impl FnOnce(&Area) -> Drawn) -> Result<()> {
        let size = self.image.dimensions();
        let area = BitMapBackend::with_buffer(&mut self.image, size).into_drawing_area();
        let failed = |reason: String| Error::Drawing { name: self.name.into(), reason };
        drawing(&area).map_err(|error| failed(error.to_string()))?;
        area.present().map_err(|error| failed(error.to_string()))
    }

    /// The picture as a PNG file.
    pub fn into_png(self) -> Result<Vec<u8>> {
        let (width, height) = self.image.dimensions();
        let image = imageops::resize(&self.image, width / FINE, height / FINE, FilterType::Triangle);
        let mut bytes = Cursor::new(Vec::new());
        image
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(|error| Error::Drawing { name: self.name.into(), reason: error.to_string() })?;
        Ok(bytes.into_inner())
    }
}

/// Text of this height, put with this point of it.
pub fn text(size: u32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    styled(FontStyle::Normal, size, color, h, v)
}

pub fn bold(size: u32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    styled(FontStyle::Bold, size, color, h, v)
}

fn styled(style: FontStyle, size: u32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    let font = FontDesc::new(FONT, f64::from(FINE * size), style);
    TextStyle { font, color: color.to_backend_color(), pos: Pos::new(h, v) }
}

/// A place in the finished picture, on the paper.
pub fn at(x: i32, y: i32) -> (i32, i32) {
    (FINE as i32 * x, FINE as i32 * y)
}

/// A filled rectangle between two places in the finished picture.
pub fn filled(from: (i32, i32), to: (i32, i32), color: impl Color) -> Rectangle<(i32, i32)> {
    Rectangle::new([at(from.0, from.1), at(to.0, to.1)], color.filled())
}

fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Both files are compiled in and sound, so that registering them can't fail.
        let _ = register_font("DejaVu Sans", FontStyle::Normal, dejavu::sans::regular());
        let _ = register_font("DejaVu Sans", FontStyle::Bold, dejavu::sans::bold());
    });
}
