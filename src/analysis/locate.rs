//! Where in a picture to look.

use super::crop::{Picture, Rect};
use crate::model::Region;

/// The part of `picture` that `region` means.
pub fn region(picture: &Picture, region: Region) -> Rect {
    match region {
        Region::Full => picture.bounds(),
        Region::Center => center(picture),
    }
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
