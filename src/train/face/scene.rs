//! Scenes made by chance: faces of any size, place and tilt before any background, in any light.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::data::{Face, Picture};
use crate::analysis::crop::Rect;
use crate::train::augment::{self, chance, log_uniform, normal};
use crate::train::plane::{Placement, Plane};

/// What a network is to see, and where the faces are.
pub struct Scene {
    pub plane: Plane,
    pub faces: Vec<Face>,
    /// Faces that are too small or covered too much to be asked for, but are no background either.
    pub unclear: Vec<Rect>,
}

/// Pictures to make scenes of.
pub struct Stock<'a> {
    pub faces: Vec<&'a Picture>,
    pub backgrounds: Vec<&'a Picture>,
}

/// Heights of faces in a scene, in pixels: below the first they are not asked for.
const LEAST_HEIGHT: f32 = 12.0;
const HEIGHTS: [f32; 2] = [12.0, 190.0];
/// Standard deviation of the strongest blur, as a share of the smallest face's height.
const MOST_BLUR: f32 = 0.06;
/// How often a picture without a face stands on its head.
const UPSIDE_DOWN: f32 = 0.25;

impl Stock<'_> {
    /// A scene that shows `main`, a picture with or without a face, among other things.
    pub fn scene(&self, main: &Picture, size: [usize; 2], rng: &mut ChaCha8Rng) -> Scene {
        if chance(rng, if main.face.is_some() { 0.25 } else { 0.5 }) {
            return Scene::picture(main, size, rng);
        }
        // Frames of other shapes are filled up to what the network wants, and second looks are small.
        let [width, height] = match chance(rng, 0.3) {
            true => size.map(|side| rng.random_range(3 * side / 8..=side)),
            false => size,
        };
        let mut scene =
            Scene { plane: Plane::new(width, height, rng.random()), faces: Vec::new(), unclear: Vec::new() };
        match main.face {
            Some(_) => self.background(&mut scene, rng),
            None => cover(&mut scene.plane, main, rng),
        }
        let decoys = if main.face.is_some() { [0, 0, 0, 1, 2] } else { [0, 0, 1, 3, 6] };
        for _ in 0..*decoys.choose(rng).unwrap_or(&0) {
            self.decoy(&mut scene, rng);
        }
        if main.face.is_some() {
            let others = *[0, 0, 0, 1, 2, 3, 4, 5].choose(rng).unwrap_or(&0);
            // The later ones may cover those before, so the main one comes last.
            for _ in 0..others {
                if let Some(other) = self.faces.choose(rng) {
                    scene.place(other, 60.0, rng);
                }
            }
            scene.place(main, HEIGHTS[1].min(1.5 * height as f32), rng);
            if chance(rng, 0.25) {
                self.occlude(&mut scene, rng);
            }
        }
        scene.expose(rng);
        scene.plane = scene.plane.padded(size);
        scene
    }

    fn background(&self, scene: &mut Scene, rng: &mut ChaCha8Rng) {
        if chance(rng, 0.15) {
            // A plain wall.
            return;
        }
        for _ in 0..=usize::from(chance(rng, 0.2)) {
            if let Some(picture) = self.backgrounds.choose(rng) {
                cover(&mut scene.plane, picture, rng);
            }
        }
    }

    /// A piece of a picture without a face in it, with hard edges as pasted faces have them. Beside
    /// faces there are hair, clothes and hands, which things don't have.
    fn decoy(&self, scene: &mut Scene, rng: &mut ChaCha8Rng) {
        let beside_a_face = chance(rng, 0.4);
        let stock = if beside_a_face { &self.faces } else { &self.backgrounds };
        let Some(picture) = stock.choose(rng) else { return };
        let mut bounds = picture.grey.bounds();
        if let Some(face) = picture.face {
            bounds = *beside(face.rect, bounds).choose(rng).unwrap_or(&bounds);
        }
        if bounds.width < 16.0 || bounds.height < 16.0 {
            return;
        }
        let (width, height) =
            (bounds.width * rng.random_range(0.2..0.8), bounds.height * rng.random_range(0.2..0.8));
        let clip = Rect {
            x: bounds.x + rng.random_range(0.0..bounds.width - width),
            y: bounds.y + rng.random_range(0.0..bounds.height - height),
            width,
            height,
        };
        let scale = log_uniform(rng, 12.0, 100.0) / height;
        let placement = Placement {
            from: [clip.x + width / 2.0, clip.y + height / 2.0],
            to: scene.anywhere(rng),
            scale: [if rng.random() { scale } else { -scale }, scale],
            angle: normal(rng, 0.3),
        };
        picture.grey.draw(&mut scene.plane, &placement, clip);
    }

    /// Covers part of a face: with a flat colour or a piece of a picture, from one side.
    fn occlude(&self, scene: &mut Scene, rng: &mut ChaCha8Rng) {
        let Some(Face { rect, .. }) = scene.faces.choose(rng).copied() else { return };
        let share = rng.random_range(0.1..0.4);
        let Rect { x, y, width, height } = rect;
        let cover = match rng.random_range(0..4) {
            0 => Rect { height: height * share, ..rect },
            1 => Rect { y: y + height * (1.0 - share), height: height * share, ..rect },
            2 => Rect { width: width * share, ..rect },
            _ => Rect { x: x + width * (1.0 - share), width: width * share, ..rect },
        };
        let grown = Rect {
            x: cover.x - 0.1 * width,
            y: cover.y - 0.1 * height,
            width: cover.width + 0.2 * width,
            height: cover.height + 0.2 * height,
        };
        let placement = Placement {
            from: [0.0; 2],
            to: [grown.x + grown.width / 2.0, grown.y + grown.height / 2.0],
            scale: [1.0; 2],
            angle: normal(rng, 0.2),
        };
        let clip = |x: f32, y: f32| Rect {
            x: x - grown.width / 2.0,
            y: y - grown.height / 2.0,
            width: grown.width,
            height: grown.height,
        };
        match self.backgrounds.choose(rng) {
            Some(picture) if rng.random() => {
                let bounds = picture.grey.bounds();
                let from = [bounds.width, bounds.height].map(|len| rng.random_range(0.0..len));
                picture.grey.draw(&mut scene.plane, &Placement { from, ..placement }, clip(from[0], from[1]));
            }
            _ => {
                let flat = crate::train::plane::Grey::flat(rng.random());
                flat.draw(&mut scene.plane, &placement, clip(0.0, 0.0));
            }
        }
    }
}

/// A scale that mirrors with this probability.
fn mirror(scale: f32, probability: f32, rng: &mut ChaCha8Rng) -> f32 {
    if chance(rng, probability) { -scale } else { scale }
}

/// Fills the plane with a part of a picture without faces.
fn cover(plane: &mut Plane, picture: &Picture, rng: &mut ChaCha8Rng) {
    let bounds = picture.grey.bounds();
    let (width, height) = (plane.width as f32, plane.height as f32);
    let scale = (width / bounds.width).max(height / bounds.height) * log_uniform(rng, 0.8, 3.0);
    let stretch = normal(rng, 0.15).exp();
    let angle = if chance(rng, 0.3) { rng.random_range(-3.2..3.2) } else { normal(rng, 0.15) };
    let placement = Placement {
        from: [bounds.width, bounds.height].map(|len| len * rng.random_range(0.3..0.7)),
        to: [width / 2.0, height / 2.0],
        scale: [mirror(scale, 0.5, rng) * stretch, mirror(scale, UPSIDE_DOWN, rng)],
        angle,
    };
    // Beyond its edge the picture goes on, so that nothing stays empty.
    picture.grey.draw(plane, &placement, Rect { x: -1e4, y: -1e4, width: 2e4, height: 2e4 });
}

impl Scene {
    /// A picture as it is, or cut more tightly around its face: all there is to see.
    fn picture(picture: &Picture, size: [usize; 2], rng: &mut ChaCha8Rng) -> Self {
        let bounds = picture.grey.bounds();
        let clip = match picture.face {
            Some(face) if rng.random() => around(face.rect, bounds, rng),
            _ => bounds,
        };
        let [width, height] = size.map(|side| side as f32);
        let scale = (width / clip.width).min(height / clip.height) * rng.random_range(0.4..1.0);
        let pixels = |length: f32, most: usize| ((length * scale).round() as usize).clamp(1, most);
        let plane = Plane::new(pixels(clip.width, size[0]), pixels(clip.height, size[1]), 0);
        let placement = Placement {
            from: [clip.x + clip.width / 2.0, clip.y + clip.height / 2.0],
            to: [plane.width as f32 / 2.0, plane.height as f32 / 2.0],
            scale: [
                mirror(scale, 0.5, rng),
                mirror(scale, if picture.face.is_some() { 0.0 } else { UPSIDE_DOWN }, rng),
            ],
            angle: 0.0,
        };
        let mut scene = Self { plane, faces: Vec::new(), unclear: Vec::new() };
        picture.grey.draw(&mut scene.plane, &placement, Rect { x: -1e4, y: -1e4, width: 2e4, height: 2e4 });
        if let Some(face) = picture.face {
            scene.add(face, &placement);
        }
        scene.expose(rng);
        scene.plane = scene.plane.padded(size);
        scene
    }

    fn anywhere(&self, rng: &mut ChaCha8Rng) -> [f32; 2] {
        [self.plane.width, self.plane.height].map(|len| rng.random_range(0.0..len as f32))
    }

    /// Puts a face of at most this height into the scene, with more or less of its picture.
    fn place(&mut self, picture: &Picture, most: f32, rng: &mut ChaCha8Rng) {
        let Some(face) = picture.face else { return };
        let Face { rect, .. } = face;
        let height = log_uniform(rng, HEIGHTS[0], most);
        let scale = height / rect.height;
        let stretch = normal(rng, 0.08).exp();
        let tilt = if chance(rng, 0.5) { normal(rng, 0.12) } else { rng.random_range(-0.6..0.6) };
        let clip = match chance(rng, 0.6) {
            true => picture.grey.bounds(),
            false => around(rect, picture.grey.bounds(), rng),
        };
        let mut to = [0.0; 2];
        for (to, (len, size)) in to
            .iter_mut()
            .zip([(self.plane.width, rect.width * scale), (self.plane.height, rect.height * scale)])
        {
            // At least three quarters of it lie in the scene, if the scene is that large.
            let (len, edge) = (len as f32, (0.25 * size).min(0.4 * len as f32));
            *to = rng.random_range(edge..len - edge);
        }
        let placement = Placement {
            from: [rect.x + rect.width / 2.0, rect.y + rect.height / 2.0],
            to,
            scale: [if rng.random() { scale } else { -scale } * stretch, scale],
            angle: tilt,
        };
        picture.grey.draw(&mut self.plane, &placement, clip);
        self.cover(placement.ellipse(rect), placement, clip);
        self.add(face, &placement);
    }

    /// Notes a face of a picture that was drawn.
    fn add(&mut self, face: Face, placement: &Placement) {
        let mut landmarks = face.landmarks.map(|point| placement.point(point));
        if placement.scale[0] < 0.0 {
            landmarks.swap(0, 1);
            landmarks.swap(3, 4);
        }
        let placed = Face { rect: placement.ellipse(face.rect), landmarks };
        match placed.rect.height >= LEAST_HEIGHT {
            true => self.faces.push(placed),
            false => self.unclear.push(placed.rect),
        }
    }

    /// Sorts out the faces that something new covers.
    fn cover(&mut self, new_face: Rect, placement: Placement, clip: Rect) {
        let inside = |point: [f32; 2]| placement.shows(point, clip);
        let hidden = |rect: Rect| {
            let grid = [0.1, 0.3, 0.5, 0.7, 0.9];
            let points = grid.iter().flat_map(|x| grid.map(|y| [*x, y]));
            let covered =
                points.filter(|[x, y]| inside([rect.x + x * rect.width, rect.y + y * rect.height])).count();
            covered as f32 / 25.0
        };
        self.unclear.retain(|&rect| hidden(rect) < 0.9);
        let (unclear, new) = (&mut self.unclear, new_face);
        self.faces.retain(|face| {
            let hidden = hidden(face.rect);
            let near = face.rect.overlap(new) > 0.2;
            if (hidden > 0.35 || near) && hidden < 0.9 {
                unclear.push(face.rect);
            }
            hidden <= 0.35 && !near
        });
    }

    /// Changes light and sharpness of the whole scene, as a camera might.
    fn expose(&mut self, rng: &mut ChaCha8Rng) {
        let passes = self.passes(rng);
        let Plane { width, pixels, .. } = &mut self.plane;
        let width = *width;
        augment::light(pixels, width, 1.0, rng);
        if chance(rng, 0.2) {
            augment::gain(pixels, rng.random_range(1.0..2.0));
        }
        if self.faces.is_empty() && chance(rng, 0.1) {
            // Things are few, and their negatives are no faces either.
            pixels.iter_mut().for_each(|value| *value = 255 - *value);
        }
        if chance(rng, 0.4) {
            let directions = *[[true, true], [true, true], [true, false], [false, true]].choose(rng).unwrap();
            (0..passes).for_each(|_| augment::blur(pixels, width, directions));
        }
        if chance(rng, 0.4) {
            augment::noise(pixels, rng.random_range(0.0..8.0), rng);
        }
        if chance(rng, 0.2) {
            augment::jpeg(pixels, width, rng.random_range(25..90));
        }
    }

    /// How often to blur: less than what would wipe out the smallest face.
    fn passes(&self, rng: &mut ChaCha8Rng) -> usize {
        let smallest = self.faces.iter().map(|face| face.rect.height).fold(f32::INFINITY, f32::min);
        augment::passes(log_uniform(rng, 0.5, (MOST_BLUR * smallest).clamp(0.75, 4.0)))
    }
}

/// What of a picture lies to the left of a face, to its right, above and below it.
fn beside(face: Rect, bounds: Rect) -> [Rect; 4] {
    let (right, bottom) = (bounds.x + bounds.width, bounds.y + bounds.height);
    let (after, below) = (face.x + face.width, face.y + face.height);
    [
        Rect { width: face.x - bounds.x, ..bounds },
        Rect { x: after, width: right - after, ..bounds },
        Rect { height: face.y - bounds.y, ..bounds },
        Rect { y: below, height: bottom - below, ..bounds },
    ]
}

/// A face's box with some of what is around it, within the picture.
fn around(face: Rect, bounds: Rect, rng: &mut ChaCha8Rng) -> Rect {
    let mut side = |edge: f32, length: f32, limit: f32| {
        let margin = length * log_uniform(rng, 0.08, 1.0);
        if edge < limit { (edge + margin).min(limit) } else { (edge - margin).max(limit) }
    };
    let left = side(face.x, face.width, bounds.x.min(face.x));
    let top = side(face.y, face.height, bounds.y.min(face.y));
    let right = side(face.x + face.width, face.width, bounds.width.max(face.x + face.width + 1e-3));
    let bottom = side(face.y + face.height, face.height, bounds.height.max(face.y + face.height + 1e-3));
    Rect { x: left, y: top, width: right - left, height: bottom - top }
}
