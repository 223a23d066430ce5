//! The picture of results as an overlay composition: a line around each face and a label beside it.

mod place;
mod shape;

use std::sync::Arc;

use gst_video::{VideoOverlayComposition, VideoOverlayRectangle};

use super::metas::regions;
use super::properties::{FrameSettings, Labels};
use super::{Display, frame};
use crate::analysis::Face;
use place::Area;
use shape::{Color, Fonts, Frame, Layout, PADDING, Plate};

/// Line height as a part of the frame's shorter side: of the label of a whole frame, and of those
/// beside faces.
const LINE_PER_SIDE: f32 = 1.0 / 13.0;
const FACE_LINE_PER_SIDE: f32 = 1.0 / 32.0;
/// Line heights in pixels: wanted at least where the frame is wide enough, and what letters need
/// to be read at ease; where one line can't have that, two lines can.
const SMALL_LINE: f32 = 14.0;
const READABLE_LINE: f32 = 9.0;
/// Below this line height, in pixels, letters are only dirt on the picture.
const UNREADABLE_LINE: f32 = 5.0;
/// Around the plate, in line heights.
const MARGIN: f32 = 0.25;
/// Thickness of the line around a face, as a part of the frame's shorter side.
const BOX_PER_SIDE: f32 = 1.0 / 360.0;
/// By how many pixels heights an edge may be off before a box is drawn at another place, as a part of
/// the frame's shorter side.
const STILL_PER_SIDE: f32 = 1.0 / 400.0;

/// How results are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    pub display: Display,
    /// Of neutral faces, and of those that smile: alpha, red, green and blue from the highest byte on.
    pub colors: [u32; 2],
    pub font_scale: f32,
}

impl From<&FrameSettings> for Style {
    fn from(settings: &FrameSettings) -> Self {
        Self {
            display: settings.display,
            colors: [settings.neutral_color, settings.smile_color],
            font_scale: settings.font_scale as f32,
        }
    }
}

/// A frame as the eye sees it, and what shall be drawn.
#[derive(Clone, Copy, PartialEq)]
struct Canvas {
    /// In pixel heights.
    width: f32,
    height: f32,
    /// Width of a pixel divided by its height.
    pixel_aspect: f32,
    /// In pixels, rounded down to whole chroma samples.
    area: Area,
    style: Style,
}

/// How one face is drawn; what looks the same isn't drawn again.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    id: u32,
    smiling: bool,
    /// Of smiling.
    percent: u8,
    area: Area,
    /// The number of the label's place among its choices, and the place.
    label: Option<(usize, Area)>,
}

/// Something drawn, to be put somewhere.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Label { layout: Layout, smiling: bool, percent: u8 },
    Rate { layout: Layout, rate: u32 },
    Side { frame: Frame, side: usize, smiling: bool },
}

/// Draws results, and keeps what it has drawn.
pub struct Overlay {
    fonts: Fonts,
    /// All that is written, so that the letters' size doesn't depend on the answer.
    labels: Labels,
    /// Widths of the widest label and of the widest percentage, for a line height of 1.
    widths: [f32; 2],
    canvas: Option<Canvas>,
    /// Frames in a second, where that is shown.
    rate: Option<u32>,
    looks: Vec<Look>,
    next: Vec<Look>,
    /// In which faces get their labels.
    order: Vec<usize>,
    shapes: Vec<(Shape, gst::Buffer)>,
    composition: Option<VideoOverlayComposition>,
}

impl Overlay {
    pub fn new() -> Self {
        Self {
            fonts: Fonts::new(),
            labels: Arc::default(),
            widths: [0.0; 2],
            canvas: None,
            rate: None,
            looks: Vec::new(),
            next: Vec::new(),
            order: Vec::new(),
            shapes: Vec::new(),
            composition: None,
        }
    }

    /// The picture for `faces` on frames like `info`, made anew only if it looks different from the
    /// last. `None` where nothing is to be drawn.
    pub fn composition(
        &mut self,
        faces: &[Face],
        labels: &Labels,
        style: Style,
        rate: Option<u32>,
        info: &gst_video::VideoInfo,
    ) -> Result<Option<&VideoOverlayComposition>, glib::BoolError> {
        let canvas = Canvas::new(info, style);
        if self.canvas != Some(canvas) || self.labels != *labels {
            let width = |text: &str| self.fonts.width(text);
            let widest = labels.iter().map(|label| width(label)).fold(0.0, f32::max);
            self.widths = [widest, width("100 %")];
            self.labels = labels.clone();
            self.looks.clear();
            self.rate = None;
            self.shapes.clear();
            self.composition = None;
            self.canvas = Some(canvas);
        }
        self.look_at(faces, canvas);
        if self.next != self.looks || self.rate != rate {
            self.rate = rate;
            std::mem::swap(&mut self.next, &mut self.looks);
            self.composition = None;
            self.composition = self.draw(canvas)?;
        }
        Ok(self.composition.as_ref())
    }

    /// Decides how the faces are drawn now.
    fn look_at(&mut self, faces: &[Face], canvas: Canvas) {
        self.next.clear();
        if canvas.style.display.is_empty() {
            return;
        }
        for face in faces {
            let last = self.looks.iter().find(|last| last.id == face.id);
            let (x, y, width, height) = regions::pixels(face.rect);
            let area = canvas.even(Area { x, y, width, height });
            let area = last.map(|last| last.area).filter(|last| canvas.still(*last, area)).unwrap_or(area);
            let percent = (100.0 * face.probability).round() as u8;
            self.next.push(Look { id: face.id, smiling: face.smiling, percent, area, label: None });
        }
        // Where there isn't room for all labels, the larger faces have theirs.
        self.order.clear();
        self.order.extend(0..self.next.len());
        let size = |index: usize| self.next[index].area.width * self.next[index].area.height;
        self.order.sort_by_key(|&index| std::cmp::Reverse(size(index)));
        for place in 0..self.order.len() {
            let index = self.order[place];
            let Look { id, area, .. } = self.next[index];
            let Some(layout) = self.layout(canvas, id == 0) else { continue };
            let size = (layout.width as i32, layout.height as i32);
            self.next[index].label = if id == 0 {
                Some((0, canvas.corner(layout)))
            } else {
                let last = self.looks.iter().find(|last| last.id == id).and_then(|last| last.label);
                let others = self.next.iter().filter(|other| other.id != id).map(|other| other.area);
                let labels = self.next.iter().filter_map(|other| other.label).map(|(_, area)| area);
                let gap = canvas.gap(layout);
                place::place(size, gap, area, last.map(|(choice, _)| choice), canvas.area, others, labels)
            };
        }
    }

    /// Draws what isn't drawn yet, and puts it where it belongs.
    fn draw(&mut self, canvas: Canvas) -> Result<Option<VideoOverlayComposition>, glib::BoolError> {
        let before = std::mem::take(&mut self.shapes);
        let mut rectangles = Vec::new();
        for index in 0..self.looks.len() {
            let Look { id, smiling, percent, area, label } = self.looks[index];
            if id > 0 && canvas.style.display.contains(Display::BOX) {
                let frame = canvas.frame(area);
                for (side, [x, y, width, height]) in frame.sides().into_iter().enumerate() {
                    let place = Area { x: area.x + x, y: area.y + y, width, height };
                    let shape = Shape::Side { frame, side, smiling };
                    rectangles.extend(self.put(shape, place, &before)?);
                }
            }
            if let (Some((_, place)), Some(layout)) = (label, self.layout(canvas, id == 0)) {
                let shape = Shape::Label { layout, smiling, percent };
                rectangles.extend(self.put(shape, place, &before)?);
            }
        }
        if let Some((layout, rate)) = self.rate.and_then(|rate| Some((self.rate_layout(canvas)?, rate))) {
            let shape = Shape::Rate { layout, rate };
            rectangles.extend(self.put(shape, canvas.other_corner(layout), &before)?);
        }
        if rectangles.is_empty() {
            return Ok(None);
        }
        VideoOverlayComposition::new(&rectangles).map(Some)
    }

    /// One shape at its place; `None` where that is empty.
    fn put(
        &mut self,
        shape: Shape,
        Area { x, y, width, height }: Area,
        before: &[(Shape, gst::Buffer)],
    ) -> Result<Option<VideoOverlayRectangle>, glib::BoolError> {
        if width <= 0 || height <= 0 {
            return Ok(None);
        }
        let (width, height) = (width as u32, height as u32);
        let kept = before.iter().chain(&self.shapes).find(|(kept, _)| *kept == shape);
        let buffer = match kept {
            Some((_, buffer)) => buffer.clone(),
            None => self.buffer(shape, width, height)?,
        };
        let flags = gst_video::VideoOverlayFormatFlags::empty();
        let rectangle = VideoOverlayRectangle::new_raw(&buffer, x, y, width, height, flags);
        self.shapes.push((shape, buffer));
        Ok(Some(rectangle))
    }

    fn buffer(&self, shape: Shape, width: u32, height: u32) -> Result<gst::Buffer, glib::BoolError> {
        let colors = self.canvas.map_or([0; 2], |canvas| canvas.style.colors);
        let color = |smiling: bool| Color::from_argb(colors[usize::from(smiling)]);
        let pixels = match shape {
            Shape::Label { layout, smiling, percent } => {
                self.plate(&layout, smiling, percent).pixels(color(smiling))
            }
            Shape::Rate { layout, rate } => {
                let mut plate = Plate::new(&layout);
                plate.write(&self.fonts, 0, &rate_text(rate));
                plate.pixels(color(false))
            }
            Shape::Side { frame, side, smiling } => frame.pixels(side, color(smiling)),
        };
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        // What compositions take: ARGB in the machine's byte order.
        let format = if cfg!(target_endian = "big") {
            gst_video::VideoFormat::Argb
        } else {
            gst_video::VideoFormat::Bgra
        };
        let flags = gst_video::VideoFrameFlags::empty();
        gst_video::VideoMeta::add(buffer.make_mut(), flags, format, width, height)?;
        Ok(buffer)
    }

    fn plate<'a>(&self, layout: &'a Layout, smiling: bool, percent: u8) -> Plate<'a> {
        let label = &self.labels[usize::from(smiling)];
        let sure = format!("{} %", if smiling { percent } else { 100 - percent });
        let mut plate = Plate::new(layout);
        match layout.lines {
            0 => {}
            1 => plate.write(&self.fonts, 0, &format!("{label} {sure}")),
            _ => {
                plate.write(&self.fonts, 0, label);
                plate.write(&self.fonts, 1, &sure);
            }
        }
        if layout.bar {
            plate.fill(f32::from(percent) / 100.0);
        }
        plate
    }

    /// How a label is laid out, of the whole frame or of a face. `None` where there is none or the
    /// frame is too small for letters.
    fn layout(&self, canvas: Canvas, whole: bool) -> Option<Layout> {
        let display = canvas.style.display;
        let (text, bar) = (display.contains(Display::LABEL), display.contains(Display::BAR));
        let bar = bar && !whole;
        let (line, wrap) = self.line_height(canvas, if whole { LINE_PER_SIDE } else { FACE_LINE_PER_SIDE });
        if line < UNREADABLE_LINE || !text && !bar {
            return None;
        }
        let [label, percent] = self.widths;
        let (lines, width) = match (text, wrap) {
            (false, _) => (0, label),
            (true, false) => (1, label + self.fonts.width(" ") + percent),
            (true, true) => (2, label.max(percent)),
        };
        Some(Layout::new(line, lines, bar, width, canvas.pixel_aspect))
    }

    /// How the number of frames in a second is laid out, if there is room for it.
    fn rate_layout(&self, canvas: Canvas) -> Option<Layout> {
        let width = self.fonts.width(&rate_text(99).replace('9', "0")).max(self.fonts.width(&rate_text(100)));
        let wanted = (canvas.side() * FACE_LINE_PER_SIDE).max(SMALL_LINE) * canvas.style.font_scale;
        let around = 2.0 * (PADDING + MARGIN);
        let line = wanted.min(canvas.width / (width + around)).min(canvas.height / (1.0 + around));
        (line >= UNREADABLE_LINE).then(|| Layout::new(line, 1, false, width, canvas.pixel_aspect))
    }

    /// The height of a line that suits the frame, and whether the percentage goes on a second line.
    fn line_height(&self, canvas: Canvas, line_per_side: f32) -> (f32, bool) {
        let [label, percent] = self.widths;
        let space = self.fonts.width(" ");
        let around = 2.0 * (PADDING + MARGIN);
        let wanted = (canvas.side() * line_per_side).max(SMALL_LINE) * canvas.style.font_scale;
        let one_line =
            (canvas.width / (label + space + percent + around)).min(canvas.height / (1.0 + around));
        if one_line >= READABLE_LINE.min(wanted) {
            return (wanted.min(one_line), false);
        }
        let two_lines = (canvas.width / (label.max(percent) + around)).min(canvas.height / (2.0 + around));
        (one_line.max(two_lines.min(READABLE_LINE)), two_lines > one_line)
    }
}

impl Canvas {
    fn new(info: &gst_video::VideoInfo, style: Style) -> Self {
        let pixel_aspect = frame::pixel_aspect(info);
        let even = |pixels: u32| (pixels / 2 * 2) as i32;
        let area = Area { x: 0, y: 0, width: even(info.width()), height: even(info.height()) };
        let (width, height) = (info.width() as f32 * pixel_aspect, info.height() as f32);
        Self { width, height, pixel_aspect, area, style }
    }

    fn side(&self) -> f32 {
        self.width.min(self.height)
    }

    /// Whole chroma samples: what begins between two would bleed into its surroundings.
    fn even(&self, area: Area) -> Area {
        let (x, y) = (area.x / 2 * 2, area.y / 2 * 2);
        let right = ((area.right() + 1) / 2 * 2).min(self.area.width);
        let bottom = ((area.bottom() + 1) / 2 * 2).min(self.area.height);
        Area { x, y, width: right - x, height: bottom - y }
    }

    /// Whether two areas are so near that the eye takes the one for the other.
    fn still(&self, a: Area, b: Area) -> bool {
        let most = (self.side() * STILL_PER_SIDE).max(2.0);
        let near = |a: i32, b: i32| (a - b).abs() as f32 <= most;
        near(a.x, b.x) && near(a.y, b.y) && near(a.right(), b.right()) && near(a.bottom(), b.bottom())
    }

    /// The line around a face.
    fn frame(&self, area: Area) -> Frame {
        let line = (self.side() * BOX_PER_SIDE).round().max(2.0);
        Frame { width: area.width, height: area.height, line, pixel_aspect: self.pixel_aspect }
    }

    /// Between a face and its label.
    fn gap(&self, layout: Layout) -> i32 {
        (MARGIN * layout.line / 2.0).round() as i32 * 2
    }

    /// Where a label of the whole frame is.
    fn corner(&self, layout: Layout) -> Area {
        let even = |pixels: f32| (pixels / 2.0).round() as i32 * 2;
        Area {
            x: even(MARGIN * layout.line / self.pixel_aspect),
            y: even(MARGIN * layout.line),
            width: layout.width as i32,
            height: layout.height as i32,
        }
    }

    /// Where the number of frames in a second is.
    fn other_corner(&self, layout: Layout) -> Area {
        let corner = self.corner(layout);
        Area { x: (self.area.width - corner.x - corner.width).max(0), ..corner }
    }
}

fn rate_text(rate: u32) -> String {
    format!("{rate} fps")
}
