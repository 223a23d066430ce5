//! The part of frames that is looked at.

use std::fmt;
use std::str::FromStr;

use super::crop::{Picture, Rect};

/// A rectangle in shares of a frame's width and height. Nothing outside of it is looked at.
///
/// As a text it is `x,y,width,height`, such as `0.25,0.1,0.5,0.8`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    x: f32,
    y: f32,
    width: f32,
    height: f32,
}

/// Why a text is no [`Area`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no area: it takes x,y,width,height as fractions of the frame from 0 to 1, such as \
     0.25,0.1,0.5,0.8, of which nothing lies outside of the frame"
)]
pub struct AreaError(String);

impl Area {
    /// `None` where one is no number, there is nothing in it, or it reaches out of the frame.
    pub fn new([x, y, width, height]: [f32; 4]) -> Option<Self> {
        // Shares such as 0.7 and 0.3 don't quite add up to 1.
        let within = |start: f32, len: f32| start >= 0.0 && len > 0.0 && start + len <= 1.0 + 1e-6;
        (within(x, width) && within(y, height)).then_some(Self { x, y, width, height })
    }
}

impl FromStr for Area {
    type Err = AreaError;

    fn from_str(text: &str) -> Result<Self, AreaError> {
        let numbers: Option<Vec<f32>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
        let numbers = numbers.and_then(|numbers| numbers.try_into().ok());
        numbers.and_then(Self::new).ok_or_else(|| AreaError(text.into()))
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { x, y, width, height } = self;
        write!(f, "{x},{y},{width},{height}")
    }
}

/// What is looked at of a picture. Places in it are told in pixels of the picture.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The part as a picture of its own.
    pub part: Picture<'a>,
    /// Its first column and row.
    origin: [f32; 2],
    /// Rows of the whole picture.
    pub full_height: f32,
}

impl<'a> View<'a> {
    /// The area of a picture, or all of it. The area's edges are moved inwards to whole samples of colour, so that
    /// none belongs to pixels outside; something is always left.
    pub fn new(picture: &Picture<'a>, area: Option<Area>) -> Self {
        let full_height = picture.height as f32;
        let Some(Area { x, y, width, height }) = area else {
            return Self { part: *picture, origin: [0.0; 2], full_height };
        };
        let steps = |of: fn(&super::Component) -> f32| picture.components.iter().map(of).fold(1.0, f32::max);
        let across = span(x, width, picture.width, steps(|component| component.horizontal.step));
        let down = span(y, height, picture.height, steps(|component| component.vertical.step));
        let origin = [across.start as f32, down.start as f32];
        Self { part: picture.part(across, down), origin, full_height }
    }

    /// What of the picture is looked at.
    pub fn bounds(&self) -> Rect {
        self.back(self.part.bounds())
    }

    /// From pixels of the part to those of the picture.
    pub fn back(&self, rect: Rect) -> Rect {
        let [x, y] = self.origin;
        Rect { x: rect.x + x, y: rect.y + y, ..rect }
    }

    /// As [`View::back`], of a point (x, y).
    pub fn back_point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x + self.origin[0], y + self.origin[1]]
    }

    /// From pixels of the picture to those of the part.
    pub fn within(&self, rect: Rect) -> Rect {
        let [x, y] = self.origin;
        Rect { x: rect.x - x, y: rect.y - y, ..rect }
    }
}

/// The whole pixels between two shares of `len`, at multiples of `step` where they aren't the frame's own edge.
fn span(start: f32, share: f32, len: usize, step: f32) -> std::ops::Range<usize> {
    let (step, end) = (step as usize, start + share);
    // Shares that are meant for a whole pixel may miss it by a hair.
    let at = |share: f32| share * len as f32;
    let first = ((at(start) - 0.01).ceil() as usize).next_multiple_of(step).min((len - 1) / step * step);
    let last = ((at(end) + 0.01).floor() as usize).min(len);
    let last = if last == len { len } else { last / step * step };
    first..last.max(first + step).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Sampling;

    #[test]
    fn areas_are_read_and_what_is_none_is_refused() {
        for text in ["0.25,0.1,0.5,0.8", "0,0,1,1", "0.7,0.9,0.3,0.1"] {
            assert_eq!(text.parse::<Area>().unwrap().to_string(), text);
        }
        assert_eq!(" 0.5, .5 ,0.5,5e-1".parse::<Area>().unwrap().to_string(), "0.5,0.5,0.5,0.5");
        let bad =
            ["", "0.1", "0,0,1", "0,0,1,1,1", "0,0,0,1", "-0.1,0,1,1", "0.5,0,0.6,1", "0,0,nan,1", "a,b,c,d"];
        for text in bad.into_iter().chain(["0,0,inf,1", "0;0;1;1"]) {
            assert!(
                text.parse::<Area>().unwrap_err().to_string().contains("fractions of the frame"),
                "{text}"
            );
        }
    }

    #[test]
    fn edges_lie_on_whole_samples_within_the_area() {
        assert_eq!(span(0.25, 0.5, 100, 1.0), 25..75);
        assert_eq!(span(0.25, 0.5, 100, 2.0), 26..74);
        assert_eq!(span(0.0, 1.0, 101, 2.0), 0..101);
        assert_eq!(span(0.1, 0.3, 10, 1.0), 1..4);
        assert_eq!(span(0.7, 0.3, 10, 1.0), 7..10);
        // Something is always left.
        for (len, step) in [(1, 1.0), (1, 2.0), (2, 2.0), (3, 2.0), (100, 4.0)] {
            for start in [0.0, 0.3, 0.999] {
                let span = span(start, 1e-4, len, step);
                assert!(
                    !span.is_empty() && span.end <= len && span.start.is_multiple_of(step as usize),
                    "{span:?} of {len}"
                );
            }
        }
    }

    #[test]
    fn a_view_has_the_pixels_of_its_area_and_no_other() {
        let (width, height) = (20, 10);
        let data: Vec<u8> =
            (0..width * height).map(|index| (index % width + 20 * (index / width)) as u8).collect();
        let mut picture = Picture::grey(width, height, &data);
        // Colour that is shared by two pixels.
        for component in &mut picture.components[1..] {
            component.horizontal = Sampling { len: width / 2, step: 2.0, siting: 0.25 };
        }
        let area = Area::new([0.15, 0.2, 0.5, 0.5]);
        let view = View::new(&picture, area);
        assert_eq!(view.bounds(), Rect { x: 4.0, y: 2.0, width: 8.0, height: 5.0 });
        let [luma, chroma, _] = view.part.components;
        assert_eq!((luma.horizontal.len, luma.vertical.len), (8, 5));
        assert_eq!(luma.plane[luma.offset], 4 + 2 * 20);
        assert_eq!((chroma.horizontal.len, chroma.offset), (4, 2 + 2 * 20));
        assert_eq!(view.within(view.back(view.part.bounds())), view.part.bounds());
        assert_eq!(View::new(&picture, None).bounds(), picture.bounds());
    }
}
