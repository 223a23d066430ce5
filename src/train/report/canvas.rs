//! A picture to draw on, with the one font and the colours of all reports.

use std::error::Error as StdError;
use std::io::Cursor;
use std::sync::Once;

use image::{ImageFormat, RgbImage};
use plotters::backend::BitMapBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontFamily, FontStyle, IntoTextStyle, RGBColor, TextStyle, register_font};

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

/// White paper of RGB pixels.
pub struct Canvas {
    name: &'static str,
    image: RgbImage,
}

impl Canvas {
    /// `name` is what error messages call it.
    pub fn new(name: &'static str, width: u32, height: u32) -> Self {
        register_fonts();
        Self { name, image: RgbImage::from_pixel(width, height, image::Rgb([255; 3])) }
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
        let mut bytes = Cursor::new(Vec::new());
        self.image
            .write_to(&mut bytes, ImageFormat::Png)
            .map_err(|error| Error::Drawing { name: self.name.into(), reason: error.to_string() })?;
        Ok(bytes.into_inner())
    }
}

/// Text of this height in pixels, put with this point of it.
pub fn text(size: u32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    (FONT, size).with_color(color).into_text_style(&(0, 0)).pos(Pos::new(h, v))
}

pub fn bold(size: u32, color: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    let style = text(size, color, h, v);
    TextStyle { font: style.font.style(FontStyle::Bold), ..style }
}

fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Both files are compiled in and sound, so that registering them can't fail.
        let _ = register_font("DejaVu Sans", FontStyle::Normal, dejavu::sans::regular());
        let _ = register_font("DejaVu Sans", FontStyle::Bold, dejavu::sans::bold());
    });
}
