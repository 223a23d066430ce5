//! How well a face detector finds faces: by their height and tilt, how often it sees some where there are none, and how
//! precise it is.

use serde::{Deserialize, Serialize};

use super::data::{Face, NEAR, Picture};
use crate::analysis::Landmarks;
use crate::analysis::crop::Rect;
use crate::train::data::plane::{Grey, Placement, Plane};
use crate::train::measure::metrics::wilson;

/// A box finds a face from this intersection over union on: tables come from detectors and people who cut faces
/// differently.
const FOUND: f32 = 0.3;
/// Lower ends of the bands of heights, as shares of the picture's, and of tilts in degrees either way.
const HEIGHTS: [f32; 7] = [0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.5];
const TILTS: [f32; 4] = [0.0, 15.0, 30.0, 45.0];

/// Which pictures have false boxes.
const WITH: &str = "pictures with faces";
const WITHOUT: &str = "pictures without one";
const QUARTERS: &str = "quarters of these";

/// A picture that is measured on.
pub struct View {
    /// Of the picture.
    pub name: String,
    /// Its brightness.
    pub plane: Plane,
    /// Those that are to be found.
    pub faces: Vec<Face>,
    /// What may be a face or not, and counts in neither way.
    pub unclear: Vec<Rect>,
    /// Whether it is a quarter of a picture.
    quarter: bool,
}

/// A box that was found, with its score.
pub type Found = (Rect, f32);

/// What was found of the faces of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Such as "height 10 to 15 %".
    pub group: String,
    /// How many there are.
    pub faces: usize,
    /// How many of them are found.
    pub found: usize,
    /// Mean intersection over union of the faces found.
    pub overlap: f64,
}

/// Boxes where there is no face, or one too many on one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarms {
    /// Of which pictures, in words.
    pub group: String,
    /// How many pictures these are.
    pub pictures: usize,
    /// How many false boxes there are in them.
    pub boxes: usize,
}

/// What can be said of a face detector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// By height and tilt.
    pub tallies: Vec<Tally>,
    /// False boxes by kinds of pictures.
    pub alarms: Vec<Alarms>,
    /// The area under the curve of precision over recall, of the faces that have to be found.
    pub average_precision: f64,
}

impl Recall {
    /// A table's rows: a group, how many faces or pictures it has, and what this and others found of it: shares of
    /// faces with their 95 % interval and mean overlap, false boxes, and average precision.
    pub fn rows<'a>(&'a self, others: impl Iterator<Item = &'a Self>) -> Vec<Vec<String>> {
        let others: Vec<&Self> = others.collect();
        let faces = self.tallies.iter().map(|tally| {
            let [low, high] = wilson(tally.found, tally.faces).map(|share| 100.0 * share);
            let own = format!("{} ({low:.1} to {high:.1})", tally.share());
            let theirs = others.iter().map(|other| {
                let same = other.tallies.iter().find(|other| other.group == tally.group);
                same.map_or("–".into(), Tally::share)
            });
            let row = [tally.group.clone(), tally.faces.to_string(), own, format!("{:.2}", tally.overlap)];
            row.into_iter().chain(theirs).collect()
        });
        let alarms = self.alarms.iter().map(|alarms| {
            let theirs = others.iter().map(|other| {
                // Others weren't asked about parts of pictures.
                let same =
                    other.alarms.iter().find(|other| other.group == alarms.group && alarms.group != QUARTERS);
                same.map_or("–".into(), |other| other.boxes.to_string())
            });
            let group = format!("false boxes in {}", alarms.group);
            let row = [group, alarms.pictures.to_string(), alarms.boxes.to_string(), String::new()];
            row.into_iter().chain(theirs).collect()
        });
        let precision = |of: &Self| format!("{:.3}", of.average_precision);
        let row = ["average precision".into(), String::new(), precision(self), String::new()];
        let precisions = row.into_iter().chain(others.iter().map(|other| precision(other))).collect();
        faces.chain(alarms).chain([precisions]).collect()
    }
}

impl Tally {
    fn share(&self) -> String {
        format!("{:.1} %", 100.0 * self.found as f64 / self.faces.max(1) as f64)
    }
}

impl View {
    /// A picture as it is.
    pub fn new(picture: &Picture) -> Self {
        Self {
            name: picture.name.clone(),
            plane: picture.grey.plane().clone(),
            faces: picture.faces.clone(),
            unclear: picture.unclear.clone(),
            quarter: false,
        }
    }

    /// A picture turned clockwise by some degrees, on a canvas that shows all of it; its edges go on.
    pub fn turned(picture: &Picture, degrees: f32) -> Self {
        let bounds = picture.grey.bounds();
        let angle = degrees.to_radians();
        let (sin, cos) = (angle.sin().abs(), angle.cos().abs());
        let [width, height] =
            [bounds.width * cos + bounds.height * sin, bounds.width * sin + bounds.height * cos];
        let placement = Placement {
            from: [bounds.width / 2.0, bounds.height / 2.0],
            to: [width / 2.0, height / 2.0],
            scale: [1.0; 2],
            angle,
        };
        let mut plane = Plane::new(width.ceil() as usize, height.ceil() as usize, 0);
        picture.grey.draw(&mut plane, &placement, Grey::EVERYWHERE);
        let face = |face: &Face| Face {
            rect: placement.ellipse(face.rect),
            landmarks: face.landmarks.map(|points| points.map(|point| placement.point(point))),
        };
        Self {
            name: picture.name.clone(),
            plane,
            faces: picture.faces.iter().map(face).collect(),
            unclear: picture.unclear.iter().map(|&rect| placement.ellipse(rect)).collect(),
            quarter: false,
        }
    }

    /// What a picture without faces shows nearer by; nothing of others.
    pub fn quarters(picture: &Picture) -> Vec<Self> {
        let whole = picture.grey.plane();
        let (width, height) = (whole.width / 2, whole.height / 2);
        if !picture.faces.is_empty() || !picture.unclear.is_empty() || width.min(height) == 0 {
            return Vec::new();
        }
        let quarter = |(index, (x, y)): (usize, (usize, usize))| Self {
            name: format!("{index}-{}", picture.name),
            plane: whole.part([x, y], [width, height]),
            faces: Vec::new(),
            unclear: Vec::new(),
            quarter: true,
        };
        [(0, 0), (width, 0), (0, height), (width, height)].into_iter().enumerate().map(quarter).collect()
    }

    fn kind(&self) -> &'static str {
        match self {
            Self { quarter: true, .. } => QUARTERS,
            Self { faces, .. } if faces.is_empty() => WITHOUT,
            _ => WITH,
        }
    }

    /// The face that each box finds, of boxes with the surest first, and whether it is a false one if none: faces take
    /// the box that fits them best, the largest face first.
    fn match_boxes(&self, boxes: &[Rect]) -> (Vec<Option<usize>>, Vec<bool>) {
        let mut order: Vec<usize> = (0..self.faces.len()).collect();
        order.sort_by(|&a, &b| self.faces[b].rect.area().total_cmp(&self.faces[a].rect.area()));
        let mut of_boxes = vec![None; boxes.len()];
        for face in order {
            let free = (0..boxes.len()).filter(|&index| of_boxes[index].is_none());
            let overlap = |&index: &usize| boxes[index].overlap(self.faces[face].rect);
            let best = free.max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            if let Some(best) = best.filter(|best| overlap(best) >= FOUND) {
                of_boxes[best] = Some(face);
            }
        }
        let known = || self.faces.iter().map(|face| face.rect).chain(self.unclear.iter().copied());
        let is_false = |(rect, face): (&Rect, &Option<usize>)| {
            face.is_none() && known().all(|known| known.overlap(*rect) < NEAR)
        };
        let alarms = boxes.iter().zip(&of_boxes).map(is_false).collect();
        (of_boxes, alarms)
    }

    fn share(&self, face: &Face) -> f32 {
        face.rect.height / self.plane.height as f32
    }

    /// What a face is counted under.
    fn groups(&self, face: &Face, least_height: f32) -> Vec<String> {
        let share = self.share(face);
        let mut groups = Vec::new();
        if let Some(band) = HEIGHTS.iter().rposition(|&from| share >= from) {
            groups.push(height_band(band));
        }
        if share >= least_height {
            groups.push(from_height(least_height));
            groups.push(match face.landmarks {
                Some(points) => tilt_band(&points),
                None => DRAWN.into(),
            });
        }
        groups
    }
}

const DRAWN: &str = "drawn by people";

fn from_height(least: f32) -> String {
    format!("from {} % on", percent(least))
}

fn percent(share: f32) -> f32 {
    (1000.0 * share).round() / 10.0
}

fn height_band(band: usize) -> String {
    let from = percent(HEIGHTS[band]);
    match HEIGHTS.get(band + 1) {
        Some(&next) => format!("height {from} to {} %", percent(next)),
        None => format!("height {from} % and more"),
    }
}

/// By the line between the eyes.
fn tilt_band(&[right, left, ..]: &Landmarks) -> String {
    let tilt = (left[1] - right[1]).atan2(left[0] - right[0]).to_degrees().abs();
    let band = TILTS.iter().rposition(|&from| tilt >= from).unwrap_or(0);
    tilt_name(band)
}

fn tilt_name(band: usize) -> String {
    match TILTS.get(band + 1) {
        Some(next) => format!("tilt {} to {next}°", TILTS[band]),
        None => format!("tilt {}° and more", TILTS[band]),
    }
}

/// Compares boxes with what is known of each picture. Boxes count from `threshold` on; for the average precision all
/// do. Faces of less than `least_height`, as a share of the picture's, don't have to be found.
pub fn measure<'a>(
    results: impl IntoIterator<Item = (&'a View, &'a [Found])>,
    threshold: f32,
    least_height: f32,
) -> Recall {
    let mut tallies: Vec<Tally> =
        group_names(least_height).map(|group| Tally { group, faces: 0, found: 0, overlap: 0.0 }).collect();
    let mut alarms =
        [WITH, WITHOUT, QUARTERS].map(|group| Alarms { group: group.into(), pictures: 0, boxes: 0 });
    let (mut ranked, mut wanted) = (Vec::new(), 0);
    for (view, found) in results {
        let boxes: Vec<Rect> =
            found.iter().filter(|(_, score)| *score >= threshold).map(|found| found.0).collect();
        let (of_boxes, is_false) = view.match_boxes(&boxes);
        for (index, face) in view.faces.iter().enumerate() {
            let hit = of_boxes.iter().position(|&of| of == Some(index));
            for group in view.groups(face, least_height) {
                let tally =
                    tallies.iter_mut().find(|tally| tally.group == group).expect("a group of the list");
                tally.faces += 1;
                tally.found += usize::from(hit.is_some());
                tally.overlap += hit.map_or(0.0, |hit| f64::from(boxes[hit].overlap(face.rect)));
            }
        }
        let alarm = alarms.iter_mut().find(|alarm| alarm.group == view.kind()).expect("a kind of the list");
        alarm.pictures += 1;
        alarm.boxes += is_false.iter().filter(|&&is_false| is_false).count();
        wanted += view.faces.iter().filter(|face| view.share(face) >= least_height).count();
        rank(view, found, least_height, &mut ranked);
    }
    for tally in &mut tallies {
        tally.overlap /= tally.found.max(1) as f64;
    }
    tallies.retain(|tally| tally.faces > 0);
    let alarms = alarms.into_iter().filter(|alarm| alarm.pictures > 0).collect();
    Recall { tallies, alarms, average_precision: average_precision(ranked, wanted) }
}

fn group_names(least_height: f32) -> impl Iterator<Item = String> {
    let heights = (0..HEIGHTS.len()).map(height_band);
    let tilts = (0..TILTS.len()).map(tilt_name);
    heights.chain([from_height(least_height)]).chain(tilts).chain([DRAWN.into()])
}

/// Adds the scores of a picture's boxes, each with whether it finds a face that has to be found. Those that find
/// another or something unclear count neither way, and the second on a face is false.
fn rank(view: &View, found: &[Found], least_height: f32, ranked: &mut Vec<(f32, bool)>) {
    let boxes: Vec<Rect> = found.iter().map(|found| found.0).collect();
    let (of_boxes, is_false) = view.match_boxes(&boxes);
    for (index, &(rect, score)) in found.iter().enumerate() {
        let face = of_boxes[index].map(|face| &view.faces[face]);
        match face {
            Some(face) if view.share(face) >= least_height => ranked.push((score, true)),
            Some(_) => {}
            None => {
                let large =
                    |face: &Face| view.share(face) >= least_height && face.rect.overlap(rect) >= FOUND;
                if is_false[index] || view.faces.iter().any(large) {
                    ranked.push((score, false));
                }
            }
        }
    }
}

/// The mean over all faces of the highest precision at which at least so many of them are found (Everingham et al.,
/// "The Pascal Visual Object Classes Challenge: A Retrospective", 2015).
fn average_precision(mut ranked: Vec<(f32, bool)>, wanted: usize) -> f64 {
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut precisions = Vec::new();
    let mut found = 0;
    for (index, (_, hit)) in ranked.iter().enumerate() {
        found += usize::from(*hit);
        if *hit {
            precisions.push(found as f64 / (index + 1) as f64);
        }
    }
    let mut highest = 0.0f64;
    let sum: f64 = precisions
        .iter()
        .rev()
        .map(|&precision| {
            highest = highest.max(precision);
            highest
        })
        .sum();
    sum / wanted.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x: f32, side: f32) -> Rect {
        Rect { x, y: 0.0, width: side, height: side }
    }

    fn view(faces: &[Rect], unclear: &[Rect]) -> View {
        let face = |&rect: &Rect| Face { rect, landmarks: None };
        View {
            name: String::new(),
            plane: Plane::new(300, 100, 0),
            faces: faces.iter().map(face).collect(),
            unclear: unclear.to_vec(),
            quarter: false,
        }
    }

    #[test]
    fn boxes_find_faces_or_are_false_or_neither() {
        let with = view(&[rect(0.0, 20.0), rect(100.0, 8.0), rect(200.0, 60.0)], &[rect(50.0, 20.0)]);
        let without = view(&[], &[]);
        // On the first face, again on it, on the unclear one, on nothing, too unsure, beside the third.
        let found = [
            (rect(2.0, 20.0), 0.9),
            (rect(9.0, 20.0), 0.8),
            (rect(52.0, 20.0), 0.9),
            (rect(150.0, 20.0), 0.7),
            (rect(100.0, 8.0), 0.2),
            (rect(255.0, 60.0), 0.9),
        ];
        let results = [(&with, &found[..]), (&without, &[(rect(0.0, 9.0), 0.5)])];
        let measured = measure(results, 0.5, 0.1);
        let counts = |group: &str| {
            let tally = measured.tallies.iter().find(|tally| tally.group == group).unwrap();
            (tally.faces, tally.found)
        };
        assert_eq!(counts("height 6 to 10 %"), (1, 0));
        assert_eq!(counts("height 20 to 30 %"), (1, 1));
        assert_eq!(counts("height 50 % and more"), (1, 0));
        assert_eq!(counts("from 10 % on"), (2, 1));
        assert_eq!(counts(DRAWN), (2, 1));
        let alarms: Vec<_> =
            measured.alarms.iter().map(|alarm| (&*alarm.group, alarm.pictures, alarm.boxes)).collect();
        assert_eq!(alarms, [(WITH, 1, 2), (WITHOUT, 1, 1)]);
        let overlap = measured.tallies.iter().find(|tally| tally.group == "from 10 % on").unwrap().overlap;
        assert!((overlap - 18.0 / 22.0).abs() < 1e-6, "{overlap}");
    }

    #[test]
    fn precision_is_averaged_over_all_faces() {
        // Right, wrong, right, of three faces: precisions of 1 and 2/3, and none for the third.
        let ranked = vec![(0.7, true), (0.9, true), (0.8, false)];
        assert!((average_precision(ranked, 3) - (1.0 + 2.0 / 3.0) / 3.0).abs() < 1e-9);
        assert_eq!(average_precision(Vec::new(), 0), 0.0);
    }

    #[test]
    fn a_turned_picture_shows_its_faces_where_it_says() {
        let mut image = image::RgbImage::new(80, 60);
        for (x, y) in (58..63).flat_map(|x| (18..23).map(move |y| (x, y))) {
            image.put_pixel(x, y, image::Rgb([255; 3]));
        }
        let face = Face { rect: Rect { x: 50.0, y: 5.5, width: 21.0, height: 30.0 }, landmarks: None };
        let picture = Picture {
            name: String::new(),
            grey: Grey::new(&image),
            faces: vec![face],
            unclear: vec![],
            part: None,
        };
        for degrees in [-90.0, -30.0, 0.0, 45.0, 180.0] {
            let View { plane, faces, .. } = View::turned(&picture, degrees);
            let brightest = (0..plane.pixels.len()).max_by_key(|&index| plane.pixels[index]).unwrap();
            let rect = faces[0].rect;
            let (x, y) = (rect.x + rect.width / 2.0, rect.y + rect.height / 2.0);
            let away = ((brightest % plane.width) as f32 - x).hypot((brightest / plane.width) as f32 - y);
            assert!(away < 4.0, "{degrees}: {away}");
        }
        assert!(View::quarters(&picture).is_empty());
        let things = Picture { faces: vec![], ..picture };
        let [.., right, _, _] = &View::quarters(&things)[..] else { panic!() };
        assert_eq!((right.plane.width, right.plane.height, right.plane.pixels[20 * 40 + 20]), (40, 30, 255));
    }
}
