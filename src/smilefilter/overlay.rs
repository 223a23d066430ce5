//! The picture of a result: a label on a dark plate, as an overlay composition.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use gst_video::VideoOverlayComposition;

use super::{Display, frame};
use crate::analysis::Face;

const SMILING: [f32; 3] = [82.0, 232.0, 118.0];
const NOT_SMILING: [f32; 3] = [212.0, 212.0, 212.0];
const PLATE_ALPHA: f32 = 0.72;

/// Line height as a part of the frame's shorter side.
const LINE_PER_SIDE: f32 = 1.0 / 13.0;
/// Line heights in pixels: wanted at least where the frame is wide enough, and what letters need
/// to be read at ease; where one line can't have that, two lines can.
const SMALL_LINE: f32 = 14.0;
const READABLE_LINE: f32 = 9.0;
/// Below this line height, in pixels, letters are only dirt on the picture.
const UNREADABLE_LINE: f32 = 5.0;
/// Around the text inside the plate, and around the plate, in line heights.
const PADDING: f32 = 0.3;
const MARGIN: f32 = 0.25;

/// What is written, and on what kind of frame; another one needs another picture.
#[derive(Clone, PartialEq)]
struct Content {
    label: String,
    percent: String,
    smiling: bool,
    canvas: Canvas,
}

/// A frame as the eye sees it.
#[derive(Clone, Copy, PartialEq)]
struct Canvas {
    width: f32,
    height: f32,
    /// Width of a pixel divided by its height.
    pixel_aspect: f32,
}

/// Draws labels, and keeps the last one.
pub struct Overlay {
    font: FontRef<'static>,
    labels: [String; 2],
    /// Widths of the widest label and of the widest percentage, for a line height of 1.
    widths: [f32; 2],
    drawn: Option<(Content, Option<VideoOverlayComposition>)>,
}

impl Overlay {
    /// `labels` are all that will be written, so that the letters' size doesn't depend on the
    /// answer.
    pub fn new(labels: &[String; 2]) -> Self {
        let font = FontRef::try_from_slice(dejavu::sans::bold()).expect("the font is part of the program");
        let width = |text: &str| text_width(&font, text);
        let widest = labels.iter().map(|label| width(label)).fold(0.0, f32::max);
        let widths = [widest, width("100 %")];
        Self { font, labels: labels.clone(), widths, drawn: None }
    }

    /// The picture for `face` on frames like `info`, made anew only if it looks different from the
    /// last. `None` where the frame is too small for letters.
    pub fn composition(
        &mut self,
        faces: &[Face],
        display: Display,
        info: &gst_video::VideoInfo,
    ) -> Result<Option<&VideoOverlayComposition>, glib::BoolError> {
        let Some(face) = faces.first().filter(|_| display.contains(Display::LABEL)) else { return Ok(None) };
        let pixel_aspect = frame::pixel_aspect(info);
        let (width, height) = (info.width() as f32 * pixel_aspect, info.height() as f32);
        let content = Content {
            label: self.labels[usize::from(face.smiling)].clone(),
            percent: format!("{:.0} %", 100.0 * face.confidence()),
            smiling: face.smiling,
            canvas: Canvas { width, height, pixel_aspect },
        };
        if self.drawn.as_ref().is_none_or(|(drawn, _)| *drawn != content) {
            let composition = self.draw(&content)?;
            self.drawn = Some((content, composition));
        }
        Ok(self.drawn.as_ref().and_then(|(_, composition)| composition.as_ref()))
    }

    fn draw(&self, content: &Content) -> Result<Option<VideoOverlayComposition>, glib::BoolError> {
        let canvas = content.canvas;
        let (line, wrap) = self.line_height(canvas);
        if line < UNREADABLE_LINE {
            return Ok(None);
        }
        let joined = format!("{} {}", content.label, content.percent);
        let lines: &[&str] = if wrap { &[&content.label, &content.percent] } else { &[&joined] };
        let plate = Plate::new(&self.font, lines, line, canvas.pixel_aspect);
        let pixels = plate.pixels(if content.smiling { SMILING } else { NOT_SMILING });
        let (width, height) = (plate.width as u32, plate.height as u32);
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        // What compositions take: ARGB in the machine's byte order.
        let format = if cfg!(target_endian = "big") {
            gst_video::VideoFormat::Argb
        } else {
            gst_video::VideoFormat::Bgra
        };
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add(buffer.make_mut(), flags, format, width, height)?;
        // Whole chroma samples: a plate that begins between two would bleed into its surroundings.
        let even = |pixels: f32| (pixels / 2.0).round() as i32 * 2;
        let rectangle = gst_video::VideoOverlayRectangle::new_raw(
            &buffer,
            even(MARGIN * line / canvas.pixel_aspect),
            even(MARGIN * line),
            width,
            height,
            gst_video::VideoOverlayFormatFlags::empty(),
        );
        VideoOverlayComposition::new([&rectangle]).map(Some)
    }

    /// The height of a line that suits the frame, and whether the percentage goes on a second line.
    fn line_height(&self, canvas: Canvas) -> (f32, bool) {
        let [label, percent] = self.widths;
        let space = text_width(&self.font, " ");
        let around = 2.0 * (PADDING + MARGIN);
        let wanted = (canvas.width.min(canvas.height) * LINE_PER_SIDE).max(SMALL_LINE);
        let one_line =
            (canvas.width / (label + space + percent + around)).min(canvas.height / (1.0 + around));
        if one_line >= READABLE_LINE {
            return (wanted.min(one_line), false);
        }
        let two_lines = (canvas.width / (label.max(percent) + around)).min(canvas.height / (2.0 + around));
        (one_line.max(two_lines.min(READABLE_LINE)), two_lines > one_line)
    }
}

/// The width of a text for a line height of 1.
fn text_width(font: &FontRef, text: &str) -> f32 {
    lay_out(font, text, PxScale::from(1.0)).1
}

/// Glyphs side by side on a line whose top is at 0, and the width of them all.
fn lay_out(font: &FontRef, text: &str, scale: PxScale) -> (Vec<Glyph>, f32) {
    let font = font.as_scaled(scale);
    let mut x = 0.0;
    let mut glyphs: Vec<Glyph> = Vec::new();
    for character in text.chars() {
        let id = font.glyph_id(character);
        x += glyphs.last().map_or(0.0, |last| font.kern(last.id, id));
        glyphs.push(id.with_scale_and_position(scale, point(x, font.ascent())));
        x += font.h_advance(id);
    }
    (glyphs, x)
}

/// Text on a rounded plate, in pixels of the frame.
struct Plate {
    width: usize,
    height: usize,
    pixel_aspect: f32,
    /// How round the corners are, in pixel heights.
    radius: f32,
    /// How much of each pixel is text, from 0 to 1.
    coverage: Vec<f32>,
}

impl Plate {
    fn new(font: &FontRef, lines: &[&str], line: f32, pixel_aspect: f32) -> Self {
        let scale = PxScale { x: line / pixel_aspect, y: line };
        let lines: Vec<_> = lines.iter().map(|text| lay_out(font, text, scale)).collect();
        let widest = lines.iter().map(|(_, width)| *width).fold(0.0, f32::max);
        let (left, top) = (PADDING * line / pixel_aspect, PADDING * line / 2.0);
        let width = (widest + 2.0 * left).ceil() as usize;
        let height = (lines.len() as f32 * line + 2.0 * top).ceil() as usize;
        let mut plate =
            Self { width, height, pixel_aspect, radius: 0.35 * line, coverage: vec![0.0; width * height] };
        for (row, (glyphs, _)) in lines.into_iter().enumerate() {
            for mut glyph in glyphs {
                glyph.position.x += left;
                glyph.position.y += top + row as f32 * line;
                plate.add(font, glyph);
            }
        }
        plate
    }

    fn add(&mut self, font: &FontRef, glyph: Glyph) {
        let Some(outline) = font.outline_glyph(glyph) else { return };
        let origin = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            let (x, y) = (origin.x as i32 + x as i32, origin.y as i32 + y as i32);
            if (0..self.width as i32).contains(&x) && (0..self.height as i32).contains(&y) {
                let pixel = &mut self.coverage[y as usize * self.width + x as usize];
                *pixel = (*pixel + coverage).min(1.0);
            }
        });
    }

    /// ARGB in the machine's byte order, colours not multiplied by alpha.
    fn pixels(&self, color: [f32; 3]) -> Vec<u8> {
        let pixel = |(index, &text): (usize, &f32)| {
            let plate = PLATE_ALPHA * self.inside(index % self.width, index / self.width);
            let alpha = text + plate * (1.0 - text);
            let [red, green, blue] = color.map(|value| (value * text / alpha.max(1e-6)).round() as u8);
            u32::from_be_bytes([(255.0 * alpha).round() as u8, red, green, blue]).to_ne_bytes()
        };
        self.coverage.iter().enumerate().flat_map(pixel).collect()
    }

    /// How much of a pixel lies within the plate's rounded outline, from 0 to 1.
    fn inside(&self, x: usize, y: usize) -> f32 {
        let beyond = |position: usize, len: usize, unit: f32| {
            let half = len as f32 * unit / 2.0;
            (((position as f32 + 0.5) * unit - half).abs() - half + self.radius).max(0.0)
        };
        let distance = beyond(x, self.width, self.pixel_aspect).hypot(beyond(y, self.height, 1.0));
        (self.radius - distance + 0.5).clamp(0.0, 1.0)
    }
}
