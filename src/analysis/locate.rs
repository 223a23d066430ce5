//! Where in a picture to look.

use super::crop::{Picture, Rect};
use crate::model::Region;

/// The part of `picture` that `region` means.
pub fn region(picture: &Picture, region: Region) -> Rect {
    match region {
        Region::Full | Region::Faces => picture.bounds(),
        Region::Center => center(picture),
    }
}

/// What a face was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// In pixels of the picture; it may stick out of it.
    pub rect: Rect,
    /// How sure the locator is, from 0 to 1.
    pub score: f32,
    /// In pixels of the picture (x, y): right eye, left eye, nose, right and left corner of the
    /// mouth, as the person has them.
    pub landmarks: [[f32; 2]; 5],
}

/// The square, as displayed, around the middle of a face's box: its side is the box's longer one
/// and on each side `margin` times as much more.
pub fn face_square(face: Rect, margin: f32, pixel_aspect: f32) -> Rect {
    let side = face.height.max(face.width * pixel_aspect) * (1.0 + 2.0 * margin);
    let width = side / pixel_aspect;
    let (x, y) = (face.x + face.width / 2.0, face.y + face.height / 2.0);
    Rect { x: x - width / 2.0, y: y - side / 2.0, width, height: side }
}

/// The largest square in the middle, as displayed: pixels that aren't square make it a rectangle
/// in memory.
fn center(picture: &Picture) -> Rect {
    let bounds = picture.bounds();
    let side = bounds.height.min(bounds.width * picture.pixel_aspect);
    let width = side / picture.pixel_aspect;
    Rect { x: (bounds.width - width) / 2.0, y: (bounds.height - side) / 2.0, width, height: side }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_centred_square_is_square_on_the_screen() {
        let data = vec![0; 3 * 720 * 576];
        let mut picture = Picture::rgb(720, 576, &data);
        assert_eq!(center(&picture), Rect { x: 72.0, y: 0.0, width: 576.0, height: 576.0 });
        picture.pixel_aspect = 2.0;
        assert_eq!(center(&picture), Rect { x: 216.0, y: 0.0, width: 288.0, height: 576.0 });
        picture.pixel_aspect = 0.5;
        assert_eq!(center(&picture), Rect { x: 0.0, y: 108.0, width: 720.0, height: 360.0 });
        assert_eq!(region(&picture, Region::Full), picture.bounds());
    }
}
