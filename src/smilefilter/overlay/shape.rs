//! Pixels of what is drawn: ARGB in the machine's byte order, colours not multiplied by alpha.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

/// What letters and lines are drawn with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Color {
    /// From 0 to 1.
    alpha: f32,
    /// From 0 to 255.
    rgb: [f32; 3],
}

impl Color {
    /// From alpha, red, green and blue, the highest byte first.
    pub fn from_argb(argb: u32) -> Self {
        let [alpha, red, green, blue] = argb.to_be_bytes().map(f32::from);
        Self { alpha: alpha / 255.0, rgb: [red, green, blue] }
    }
}

const PLATE_ALPHA: f32 = 0.72;
/// Of the dark rim along a box's line.
const RIM_ALPHA: f32 = 0.5;
/// How much the rest of a bar shows.
const BAR_REST: f32 = 0.25;

/// Around the text inside the plate, in line heights.
pub const PADDING: f32 = 0.3;
/// Of a bar, in line heights.
const BAR_HEIGHT: f32 = 0.2;

/// The letters that there are: of a bold face, and of a regular one for signs that it lacks.
pub struct Fonts([FontRef<'static>; 2]);

impl Fonts {
    pub fn new() -> Self {
        let font = |bytes| FontRef::try_from_slice(bytes).expect("the font is part of the program");
        Self([font(dejavu::sans::bold()), font(dejavu::sans::regular())])
    }

    /// The width of a text for a line height of 1.
    pub fn width(&self, text: &str) -> f32 {
        self.lay_out(text, PxScale::from(1.0)).1
    }

    /// Glyphs with their fonts side by side on a line whose top is at 0, and the width of them all.
    fn lay_out(&self, text: &str, scale: PxScale) -> (Vec<(&FontRef<'static>, Glyph)>, f32) {
        let mut x = 0.0;
        let mut glyphs: Vec<(&FontRef, Glyph)> = Vec::new();
        for character in text.chars().filter(|&character| !is_invisible(character)) {
            let has_it = |font: &&FontRef| font.glyph_id(character).0 != 0;
            let font = self.0.iter().find(has_it).unwrap_or(&self.0[0]);
            let (id, scaled) = (font.glyph_id(character), font.as_scaled(scale));
            x += match glyphs.last() {
                Some((last, glyph)) if std::ptr::eq(*last, font) => scaled.kern(glyph.id, id),
                _ => 0.0,
            };
            // All on the first font's base line.
            let base = self.0[0].as_scaled(scale).ascent();
            glyphs.push((font, id.with_scale_and_position(scale, point(x, base))));
            x += scaled.h_advance(id);
        }
        (glyphs, x)
    }
}

/// Signs that only say how others look, such as the one that asks for a coloured emoji.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// How a plate is laid out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// In pixels of the frame; both even.
    pub width: usize,
    pub height: usize,
    /// The height of a line of text, in pixel heights.
    pub line: f32,
    /// Lines of text, 0 to 2.
    pub lines: usize,
    pub bar: bool,
    pub pixel_aspect: f32,
}

impl Layout {
    /// A plate for text of `text_width` at a line height of 1.
    pub fn new(line: f32, lines: usize, bar: bool, text_width: f32, pixel_aspect: f32) -> Self {
        let even = |pixels: f32| 2 * (pixels / 2.0).ceil() as usize;
        let bar_height = if bar { 2.0 * BAR_HEIGHT * line } else { 0.0 };
        let padding = if lines > 0 { PADDING * line } else { BAR_HEIGHT * line };
        let height = even(lines as f32 * line + padding + bar_height);
        let width = even((text_width + 2.0 * PADDING) * line / pixel_aspect);
        Self { width, height, line, lines, bar, pixel_aspect }
    }
}

/// Text and a bar on a rounded plate.
pub struct Plate<'a> {
    layout: &'a Layout,
    /// How much of each pixel is text or bar, from 0 to 1.
    coverage: Vec<f32>,
}

impl<'a> Plate<'a> {
    pub fn new(layout: &'a Layout) -> Self {
        Self { layout, coverage: vec![0.0; layout.width * layout.height] }
    }

    /// Writes a line of text; rows count from 0.
    pub fn write(&mut self, fonts: &Fonts, row: usize, text: &str) {
        let Layout { line, pixel_aspect, .. } = *self.layout;
        let scale = PxScale { x: line / pixel_aspect, y: line };
        let (left, top) = (PADDING * line / pixel_aspect, (0.5 * PADDING + row as f32) * line);
        for (font, mut glyph) in fonts.lay_out(text, scale).0 {
            glyph.position.x += left;
            glyph.position.y += top;
            self.add(font, glyph);
        }
    }

    fn add(&mut self, font: &FontRef, glyph: Glyph) {
        let Some(outline) = font.outline_glyph(glyph) else { return };
        let Layout { width, height, .. } = *self.layout;
        let origin = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            let (x, y) = (origin.x as i32 + x as i32, origin.y as i32 + y as i32);
            if (0..width as i32).contains(&x) && (0..height as i32).contains(&y) {
                let pixel = &mut self.coverage[y as usize * width + x as usize];
                *pixel = (*pixel + coverage).min(1.0);
            }
        });
    }

    /// Draws a bar along the lower edge, `share` of it full.
    pub fn fill(&mut self, share: f32) {
        let Layout { width, height, line, pixel_aspect, .. } = *self.layout;
        let thickness = (BAR_HEIGHT * line).round().max(2.0) as usize;
        let below = (0.75 * BAR_HEIGHT * line).round().max(1.0) as usize;
        let left = (PADDING * line / pixel_aspect).round() as usize;
        let (left, right) = (left.min(width / 2), width - left.min(width / 2));
        let end = left as f32 + share * (right - left) as f32;
        let bottom = height.saturating_sub(below);
        for y in bottom.saturating_sub(thickness)..bottom {
            for x in left..right {
                let full = (end - x as f32).clamp(0.0, 1.0);
                self.coverage[y * width + x] = BAR_REST + (1.0 - BAR_REST) * full;
            }
        }
    }

    pub fn pixels(&self, color: Color) -> Vec<u8> {
        let &Layout { width, height, line, pixel_aspect, .. } = self.layout;
        let radius = (0.35 * line).min(height as f32 / 2.0);
        let size = [width as f32 * pixel_aspect, height as f32];
        let round = (radius / pixel_aspect.min(1.0)).ceil() as usize;
        let plain = argb(PLATE_ALPHA, [0.0; 3]);
        let pixel = |(index, &text): (usize, &f32)| {
            let (x, y) = (index % width, index / width);
            if text == 0.0 && (round..width.saturating_sub(round)).contains(&x) {
                return plain;
            }
            let at = [(x as f32 + 0.5) * pixel_aspect, y as f32 + 0.5];
            let plate = PLATE_ALPHA * (0.5 - outline(at, size, radius)).clamp(0.0, 1.0);
            let text = text * color.alpha;
            let alpha = text + plate * (1.0 - text);
            argb(alpha, color.rgb.map(|value| value * text / alpha.max(1e-6)))
        };
        self.coverage.iter().enumerate().flat_map(pixel).collect()
    }
}

/// A rounded line around a face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// In pixels of the frame.
    pub width: i32,
    pub height: i32,
    /// Of the coloured line, in pixel heights; a dark rim of one more pixel is on its inner side. Outside
    /// there is none: a line of two pixels shall fill the chroma samples that it lies on.
    pub line: f32,
    pub pixel_aspect: f32,
}

impl Frame {
    /// Its upper, lower, left and right side, which together hold all that is drawn: x, y, width and
    /// height within it.
    pub fn sides(&self) -> [[i32; 4]; 4] {
        let even = |pixels: f32| 2 * (pixels / 2.0).ceil() as i32;
        let (across, down) = (even((self.line + 1.0) / self.pixel_aspect), even(self.radius()));
        let (across, down) = (across.min(self.width / 2), down.min(self.height / 2));
        let between = self.height - 2 * down;
        [
            [0, 0, self.width, down],
            [0, self.height - down, self.width, down],
            [0, down, across, between],
            [self.width - across, down, across, between],
        ]
    }

    /// Of the corners, in pixel heights.
    fn radius(&self) -> f32 {
        4.0 * self.line
    }

    /// One of the four sides.
    pub fn pixels(&self, side: usize, color: Color) -> Vec<u8> {
        let [left, top, width, height] = self.sides()[side];
        let upright = side >= 2;
        let round = (self.radius() / self.pixel_aspect.min(1.0)).ceil() as i32;
        let mut bytes = Vec::with_capacity(4 * (width * height) as usize);
        for y in 0..height {
            // Between the corners all rows of an upright side, and all columns of a level one, are the same.
            if y > 0 && upright {
                bytes.extend_from_within(..4 * width as usize);
                continue;
            }
            let mut last = [0; 4];
            for x in 0..width {
                if x <= round || x >= width - round {
                    last = self.pixel(left + x, top + y, color);
                }
                bytes.extend(last);
            }
        }
        bytes
    }

    fn pixel(&self, x: i32, y: i32, color: Color) -> [u8; 4] {
        let size = [self.width as f32 * self.pixel_aspect, self.height as f32];
        let radius = self.radius().min(size[0] / 2.0).min(size[1] / 2.0);
        let at = [(x as f32 + 0.5) * self.pixel_aspect, y as f32 + 0.5];
        let depth = -outline(at, size, radius);
        let within = |to: f32| (depth + 0.5).clamp(0.0, 1.0) - (depth - to + 0.5).clamp(0.0, 1.0);
        let line = within(self.line) * color.alpha;
        let alpha = line + RIM_ALPHA * color.alpha * within(self.line + 1.0) * (1.0 - line);
        argb(alpha, color.rgb.map(|value| value * line / alpha.max(1e-6)))
    }
}

/// How far outside of a rounded rectangle a place is, in its units; below 0 inside of it.
fn outline(at: [f32; 2], size: [f32; 2], radius: f32) -> f32 {
    let beyond = |at: f32, len: f32| (at - len / 2.0).abs() - len / 2.0 + radius;
    let (x, y) = (beyond(at[0], size[0]), beyond(at[1], size[1]));
    x.max(0.0).hypot(y.max(0.0)) + x.max(y).min(0.0) - radius
}

fn argb(alpha: f32, color: [f32; 3]) -> [u8; 4] {
    let [red, green, blue] = color.map(|value| value.round() as u8);
    u32::from_be_bytes([(255.0 * alpha).round() as u8, red, green, blue]).to_ne_bytes()
}
