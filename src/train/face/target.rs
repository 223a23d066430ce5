//! What a face detector's heads are to say of a scene, and how wrong they are.

use super::scene::Scene;
use crate::analysis::crop::Rect;
use crate::model::FACE_VALUES;

/// One head of the network: a grid of places over the scene.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    pub stride: usize,
    pub columns: usize,
    pub rows: usize,
}

/// What one place is to say.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wanted {
    Nothing,
    /// Too near to a face to be background, not near enough to answer for it.
    Anything,
    /// The face with this index.
    Face(usize),
}

/// What all places of one head are to say, row by row.
struct Map {
    grid: Grid,
    places: Vec<Wanted>,
}

/// What a network is to say of one scene.
pub struct Target {
    maps: Vec<Map>,
    /// The faces' values from the second on, in pixels: middle, size and, where they are known, landmarks.
    faces: Vec<Known>,
}

/// What is known of a face, in the order of [`FACE_VALUES`]: without landmarks the first four values are.
struct Known {
    values: [f32; FACE_VALUES - 1],
    count: usize,
}

/// How wrong a network is about a batch.
pub struct Verdict {
    pub loss: f32,
    /// Derivative of the loss by each value of each head's answers.
    pub gradients: Vec<Vec<f32>>,
    /// Scenes with all faces found and nothing else.
    pub right: usize,
}

/// Of a face's size, the root of its area, in strides: the sizes that a head answers for. Heads
/// share the sizes between them, so that none falls into a gap.
const SIZES: [f32; 2] = [1.7, 4.3];
/// Distance of a place's middle from the face's, in strides, within which the place answers for it.
const NEAR: f32 = 0.75;
/// The same within which it may say anything.
const VAGUE: f32 = 1.5;

/// Weights of the parts of the loss.
const BOX_WEIGHT: f32 = 2.0;
const LANDMARK_WEIGHT: f32 = 0.5;
/// Errors up to this share of a face's size count by their square (Huber 1964).
const HUBER: f32 = 0.1;

impl Grid {
    pub fn new(stride: usize, [width, height]: [usize; 2]) -> Self {
        Self { stride, columns: width.div_ceil(stride), rows: height.div_ceil(stride) }
    }

    fn area(self) -> usize {
        self.columns * self.rows
    }

    /// The middle of a place, in pixels.
    fn middle(self, place: usize) -> [f32; 2] {
        let stride = self.stride as f32;
        [(place % self.columns) as f32 + 0.5, (place / self.columns) as f32 + 0.5].map(|x| x * stride)
    }
}

impl Target {
    pub fn new(scene: &Scene, grids: &[Grid]) -> Self {
        let faces = scene.faces.iter().map(|face| {
            let Rect { x, y, width, height } = face.rect;
            let mut values = [0.0; FACE_VALUES - 1];
            values[..4].copy_from_slice(&[x + width / 2.0, y + height / 2.0, width, height]);
            if let Some(points) = face.landmarks {
                values[4..].copy_from_slice(points.as_flattened());
            }
            Known { values, count: if face.landmarks.is_some() { FACE_VALUES - 1 } else { 4 } }
        });
        let maps = grids.iter().enumerate().map(|(index, &grid)| {
            let ends = [index == 0, index + 1 == grids.len()];
            let place = |place: usize| wanted(scene, grid, ends, grid.middle(place));
            Map { grid, places: (0..grid.area()).map(place).collect() }
        });
        Self { maps: maps.collect(), faces: faces.collect() }
    }
}

/// What the place with this middle is to say; `ends` tells whether the grid is the finest and
/// whether it is the coarsest.
fn wanted(scene: &Scene, grid: Grid, [finest, coarsest]: [bool; 2], [x, y]: [f32; 2]) -> Wanted {
    let stride = grid.stride as f32;
    let distance = |rect: Rect| {
        let (to_x, to_y) = (rect.x + rect.width / 2.0 - x, rect.y + rect.height / 2.0 - y);
        to_x.abs().max(to_y.abs()) / stride
    };
    let nearest = scene
        .faces
        .iter()
        .enumerate()
        .map(|(index, face)| (distance(face.rect), index))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((distance, index)) = nearest {
        let Rect { width, height, .. } = scene.faces[index].rect;
        let size = (width * height).sqrt() / stride;
        let fits = (finest || size >= SIZES[0]) && (coarsest || size <= SIZES[1]);
        let nearly = (finest || size >= SIZES[0] / 1.5) && (coarsest || size <= SIZES[1] * 1.5);
        if fits && distance <= NEAR {
            return Wanted::Face(index);
        }
        if nearly && distance <= VAGUE {
            return Wanted::Anything;
        }
    }
    let within = |rect: &Rect| {
        (rect.x..rect.x + rect.width).contains(&x) && (rect.y..rect.y + rect.height).contains(&y)
            || distance(*rect) <= VAGUE
    };
    if scene.unclear.iter().any(within) { Wanted::Anything } else { Wanted::Nothing }
}

/// Compares the heads' `answers` (batch × values × rows × columns each) with what they are to be.
///
/// The score learns whether its place's box fits the face: 1 from an intersection over union of one
/// half on, less in proportion below. Places weigh by how wrong they are: quality focal loss (Li et
/// al. 2020, β = 2, weights taken as constants). Boxes and landmarks
/// learn by their error as a share of the face's size. All is divided by the number of places that
/// answer for a face.
pub fn judge(targets: &[Target], answers: &[Vec<f32>]) -> Verdict {
    let faces = |wanted: &&Wanted| matches!(wanted, Wanted::Face(_));
    let maps = targets.iter().flat_map(|target| &target.maps);
    let count = maps.map(|map| map.places.iter().filter(faces).count()).sum::<usize>().max(1);
    let mut verdict = Verdict {
        loss: 0.0,
        gradients: answers.iter().map(|values| vec![0.0; values.len()]).collect(),
        right: 0,
    };
    for (sample, target) in targets.iter().enumerate() {
        let mut best = vec![f32::NEG_INFINITY; target.faces.len()];
        let mut alarms = 0;
        for (head, map) in target.maps.iter().enumerate() {
            let len = FACE_VALUES * map.grid.area();
            let values = &answers[head][sample * len..][..len];
            let gradients = &mut verdict.gradients[head][sample * len..][..len];
            for (place, &wanted) in map.places.iter().enumerate() {
                let logit = values[place];
                match wanted {
                    Wanted::Anything => continue,
                    Wanted::Nothing => alarms += usize::from(logit > 0.0),
                    Wanted::Face(face) => best[face] = best[face].max(logit),
                }
                let mut place = Place { grid: map.grid, place, values, gradients, scale: 1.0 / count as f32 };
                verdict.loss += match wanted {
                    Wanted::Face(face) => {
                        let quality = (2.0 * place.overlap(&target.faces[face].values)).min(1.0);
                        place.judge_face(&target.faces[face]) + place.judge_score(quality)
                    }
                    _ => place.judge_score(0.0),
                };
            }
        }
        verdict.right += usize::from(alarms == 0 && best.iter().all(|&logit| logit > 0.0));
    }
    verdict
}

/// One place of one head's answer to one scene.
struct Place<'a> {
    grid: Grid,
    place: usize,
    values: &'a [f32],
    gradients: &'a mut [f32],
    /// What each term of the loss is multiplied by.
    scale: f32,
}

impl Place<'_> {
    fn value(&self, index: usize) -> f32 {
        self.values[index * self.grid.area() + self.place]
    }

    fn add(&mut self, index: usize, gradient: f32) {
        self.gradients[index * self.grid.area() + self.place] += gradient * self.scale;
    }

    /// Width and height that the place says, in pixels.
    fn size(&self) -> [f32; 2] {
        [3, 4].map(|index| self.value(index).clamp(-6.0, 6.0).exp() * self.grid.stride as f32)
    }

    fn overlap(&self, face: &[f32; FACE_VALUES - 1]) -> f32 {
        let stride = self.grid.stride as f32;
        let middle = self.grid.middle(self.place);
        let ([width, height], [x, y]) =
            (self.size(), [middle[0] + self.value(1) * stride, middle[1] + self.value(2) * stride]);
        let rect = |x: f32, y: f32, width: f32, height: f32| Rect {
            x: x - width / 2.0,
            y: y - height / 2.0,
            width,
            height,
        };
        rect(x, y, width, height).overlap(rect(face[0], face[1], face[2], face[3]))
    }

    /// Cross-entropy of the score with `quality`, weighted by the square of their difference.
    fn judge_score(&mut self, quality: f32) -> f32 {
        let logit = self.value(0);
        let score = 1.0 / (1.0 + (-logit).exp());
        let weight = (quality - score).powi(2);
        self.add(0, weight * (score - quality));
        let entropy = logit.max(0.0) - logit * quality + (-logit.abs()).exp().ln_1p();
        self.scale * weight * entropy
    }

    fn judge_face(&mut self, &Known { values: face, count }: &Known) -> f32 {
        let stride = self.grid.stride as f32;
        let middle = self.grid.middle(self.place);
        let size = (face[2] * face[3]).sqrt();
        let mut loss = 0.0;
        for (index, &wanted) in face.iter().enumerate().take(count) {
            let said = self.value(index + 1);
            let axis = index % 2;
            // The error as a share of the face's size, its derivative, and the part's weight.
            let (error, slope, weight) = match index {
                2 | 3 => (said - (wanted / stride).ln(), 1.0, BOX_WEIGHT),
                0 | 1 => ((middle[axis] + said * stride - wanted) / size, stride / size, BOX_WEIGHT),
                _ => ((middle[axis] + said * stride - wanted) / size, stride / size, LANDMARK_WEIGHT / 5.0),
            };
            let (value, derivative) = huber(error);
            loss += weight * value;
            self.add(index + 1, weight * derivative * slope);
        }
        self.scale * loss
    }
}

/// Huber's loss, scaled to a slope of 1 for large errors, and its derivative.
fn huber(error: f32) -> (f32, f32) {
    match error.abs() {
        size if size <= HUBER => (0.5 * error * error / HUBER, error / HUBER),
        size => (size - 0.5 * HUBER, error.signum()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::Face;
    use super::*;
    use crate::train::data::plane::Plane;

    fn scene(sizes: &[f32]) -> Scene {
        let face = |(index, &size): (usize, &f32)| Face {
            rect: Rect { x: 40.0 * index as f32 + 3.0, y: 20.0, width: 0.8 * size, height: size },
            landmarks: Some([[40.0 * index as f32 + 9.0, 25.0]; 5]),
        };
        Scene {
            plane: Plane::new(160, 128, 0),
            faces: sizes.iter().enumerate().map(face).collect(),
            unclear: vec![Rect { x: 100.0, y: 100.0, width: 20.0, height: 20.0 }],
        }
    }

    fn grids() -> Vec<Grid> {
        [8, 16, 32].map(|stride| Grid::new(stride, [160, 128])).into()
    }

    fn answers(value: impl Fn(usize) -> f32) -> Vec<Vec<f32>> {
        grids().iter().map(|grid| (0..FACE_VALUES * grid.area()).map(&value).collect()).collect()
    }

    #[test]
    fn every_size_of_face_has_a_place_that_answers() {
        for size in 12..160 {
            let target = Target::new(&scene(&[size as f32]), &grids());
            let heads = target.maps.iter().filter(|map| map.places.contains(&Wanted::Face(0)));
            assert!((1..=2).contains(&heads.count()), "{size}");
        }
    }

    #[test]
    fn unclear_faces_are_neither_wanted_nor_background() {
        let target = Target::new(&scene(&[]), &grids());
        let map = &target.maps[0];
        assert_eq!(map.places[13 * map.grid.columns + 13], Wanted::Anything);
        assert_eq!(map.places[2 * map.grid.columns + 2], Wanted::Nothing);
    }

    #[test]
    fn gradients_are_those_of_the_loss() {
        let targets = [Target::new(&scene(&[20.0, 50.0, 90.0]), &grids())];
        let value = |index: usize| ((index * 7919) % 1000) as f32 / 1000.0 - 0.5;
        let before = answers(value);
        let verdict = judge(&targets, &before);
        let place = targets[0].maps[0].places.iter().position(|&wanted| wanted == Wanted::Face(0)).unwrap();
        for index in 1..FACE_VALUES {
            let at = index * targets[0].maps[0].grid.area() + place;
            let moved = |by: f32| {
                let mut after = before.clone();
                after[0][at] += by;
                // The score's own loss changes with the overlap, which counts as a constant.
                let faces = |answers: &[Vec<f32>]| {
                    let map = &targets[0].maps[0];
                    let mut gradients = vec![0.0; answers[0].len()];
                    Place {
                        grid: map.grid,
                        place,
                        values: &answers[0],
                        gradients: &mut gradients,
                        scale: 1.0,
                    }
                    .judge_face(&targets[0].faces[0])
                };
                faces(&after)
            };
            let places = targets[0].maps.iter().flat_map(|map| &map.places);
            let count = places.filter(|wanted| matches!(wanted, Wanted::Face(_))).count() as f32;
            let slope = (moved(1e-3) - moved(-1e-3)) / 2e-3 / count;
            let gradient = verdict.gradients[0][at];
            assert!((slope - gradient).abs() < 0.02 * gradient.abs() + 1e-4, "{index}: {slope} {gradient}");
        }
    }

    #[test]
    fn perfect_answers_are_right_and_cost_nothing() {
        let scene = scene(&[20.0, 50.0]);
        let target = Target::new(&scene, &grids());
        let mut perfect = answers(|_| 0.0);
        for (map, values) in target.maps.iter().zip(&mut perfect) {
            let area = map.grid.area();
            for (place, wanted) in map.places.iter().enumerate() {
                values[place] = -30.0;
                let &Wanted::Face(face) = wanted else { continue };
                let (middle, stride) = (map.grid.middle(place), map.grid.stride as f32);
                values[place] = 30.0;
                for (index, &value) in target.faces[face].values.iter().enumerate() {
                    values[(index + 1) * area + place] = match index {
                        2 | 3 => (value / stride).ln(),
                        _ => (value - middle[index % 2]) / stride,
                    };
                }
            }
        }
        let targets = [target];
        let verdict = judge(&targets, &perfect);
        assert!(verdict.loss < 1e-4 && verdict.right == 1, "{} {}", verdict.loss, verdict.right);
        let blind = judge(&targets, &answers(|_| -30.0));
        assert!(blind.loss > 1.0 && blind.right == 0);
    }
}
