//! Where labels go, so that they cover neither faces nor each other.

/// An upright rectangle in whole pixels of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

impl Area {
    pub fn right(self) -> i32 {
        self.x + self.width
    }

    pub fn bottom(self) -> i32 {
        self.y + self.height
    }

    fn shared(self, other: Self) -> i32 {
        let width = self.right().min(other.right()) - self.x.max(other.x);
        let height = self.bottom().min(other.bottom()) - self.y.max(other.y);
        width.max(0) * height.max(0)
    }

    fn contains(self, other: Self) -> bool {
        self.shared(other) == other.width * other.height
    }
}

/// What a covered label, another's face and one's own face count, for the share that is covered.
const LABEL: f32 = 3.0;
const OTHER: f32 = 2.0;
const OWN: f32 = 1.0;
/// What the next choice costs, and what a change from the last frame's does.
const CHOICE: f32 = 0.02;
const CHANGE: f32 = 0.2;
/// Where faces and labels are so dense that the best place covers others by more than this, there is none: a quarter
/// of the label over faces, or a sixth over labels. A face's box tells by its colour, too.
const DENSE: f32 = 0.5;

/// The best place for a label of `size` beside or else in `own`, and its number among the choices.
/// `last` was the choice in the frame before. `None` where the frame is too small, or too full.
pub fn place(
    size: (i32, i32),
    gap: i32,
    own: Area,
    last: Option<usize>,
    frame: Area,
    others: impl Iterator<Item = Area> + Clone,
    labels: impl Iterator<Item = Area> + Clone,
) -> Option<(usize, Area)> {
    let choices = choices(size, gap, own, frame).into_iter().enumerate();
    let fitting = choices.filter(|&(_, area)| frame.contains(area));
    let priced = fitting.map(|(choice, area)| {
        let share = |covered: i32| covered as f32 / (area.width * area.height) as f32;
        let cover =
            |areas: &mut dyn Iterator<Item = Area>| share(areas.map(|other| area.shared(other)).sum());
        let covered = LABEL * cover(&mut labels.clone()) + OTHER * cover(&mut others.clone());
        let price = covered
            + OWN * share(area.shared(own))
            + CHOICE * choice as f32
            + if last.is_some_and(|last| last != choice) { CHANGE } else { 0.0 };
        (price, covered, choice, area)
    });
    let best = priced.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(_, covered, ..)| *covered <= DENSE);
    best.map(|(_, _, choice, area)| (choice, area))
}

/// Above, below, to the right and left, and at the lower and upper edge within.
fn choices((width, height): (i32, i32), gap: i32, own: Area, frame: Area) -> [Area; 8] {
    let slide = |x: i32| x.min(frame.right() - width).max(frame.x);
    let (left, right) = (slide(own.x), slide(own.right() - width));
    let (above, below) = (own.y - gap - height, own.bottom() + gap);
    let inside = |y: i32| y.min(frame.bottom() - height).max(frame.y);
    let area = |x: i32, y: i32| Area { x, y, width, height };
    [
        area(left, above),
        area(left, below),
        area(right, above),
        area(right, below),
        area(own.right() + gap, inside(own.y)),
        area(own.x - gap - width, inside(own.y)),
        area(slide(own.x + (own.width - width) / 4 * 2), inside(own.bottom() - gap - height)),
        area(slide(own.x + (own.width - width) / 4 * 2), inside(own.y + gap)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Area = Area { x: 0, y: 0, width: 640, height: 480 };
    const SIZE: (i32, i32) = (100, 20);

    fn area(x: i32, y: i32, side: i32) -> Area {
        Area { x, y, width: side, height: side }
    }

    /// The label's place for a face among others.
    fn label(own: Area, others: &[Area], labels: &[Area]) -> Area {
        let (others, labels) = (others.iter().copied(), labels.iter().copied());
        let (_, area) = place(SIZE, 4, own, None, FRAME, others, labels).unwrap();
        assert!(FRAME.contains(area), "{area:?}");
        area
    }

    #[test]
    fn a_label_is_above_or_else_below_or_beside_or_else_inside() {
        assert_eq!(label(area(200, 200, 100), &[], &[]).bottom(), 196);
        assert_eq!(label(area(200, 10, 100), &[], &[]).y, 114);
        assert_eq!(label(area(600, 200, 40), &[], &[]).right(), 640, "slides along the frame's edge");
        let high = Area { x: 200, y: 0, width: 300, height: 480 };
        assert_eq!(label(high, &[], &[]).x, 504);
        assert!(FRAME.shared(label(FRAME, &[], &[])) > 0);
    }

    #[test]
    fn labels_keep_clear_of_faces_and_of_each_other() {
        let (lower, upper) = (area(200, 200, 100), area(210, 90, 100));
        assert_eq!(label(lower, &[upper], &[]).shared(upper), 0);
        let first = label(lower, &[], &[]);
        assert_eq!(label(area(230, 204, 90), &[], &[first]).shared(first), 0);
    }

    #[test]
    fn in_a_crowd_labels_step_back_before_they_cover_faces() {
        let dense: Vec<Area> = (0..40).map(|index| area(index % 8 * 80, index / 8 * 90, 76)).collect();
        let wide: Vec<Area> = (0..6).map(|index| area(index % 3 * 220, index / 3 * 240, 60)).collect();
        let labelled = |faces: &[Area]| {
            let mut labels = Vec::new();
            for (index, &own) in faces.iter().enumerate() {
                let others = faces[..index].iter().chain(&faces[index + 1..]).copied();
                let place = place(SIZE, 4, own, None, FRAME, others.clone(), labels.iter().copied());
                let Some((_, area)) = place else { continue };
                let over: i32 = others.map(|face| area.shared(face)).sum();
                assert!(4 * over <= area.width * area.height, "{area:?}");
                labels.push(area);
            }
            labels.len()
        };
        assert!(labelled(&dense) < 10);
        assert_eq!(labelled(&wide), 6);
    }

    #[test]
    fn a_label_stays_on_its_side_while_that_is_as_good() {
        let own = area(200, 200, 100);
        let none = || [].into_iter();
        let (choice, _) = place(SIZE, 4, own, Some(1), FRAME, none(), none()).unwrap();
        assert_eq!(choice, 1);
        let below = [area(200, 310, 100)].into_iter();
        let (choice, _) = place(SIZE, 4, own, Some(1), FRAME, below, none()).unwrap();
        assert_eq!(choice, 0);
    }

    #[test]
    fn a_frame_smaller_than_the_label_has_no_place() {
        let frame = Area { x: 0, y: 0, width: 80, height: 60 };
        assert_eq!(place(SIZE, 4, area(10, 10, 40), None, frame, [].into_iter(), [].into_iter()), None);
    }
}
