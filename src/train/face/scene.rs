//! Scenes made by chance: faces of any size, place and tilt before any background, in any light.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::data::{Face, Picture};
use super::framing::{around, beside, filled_by, mirror, roomy, share, tilt};
use crate::analysis::crop::Rect;
use crate::train::data::augment::{self, chance, log_uniform, normal};
use crate::train::data::plane::{Grey, Placement, Plane};

/// What a network is to see, and where the faces are.
pub struct Scene {
    /// Its brightness.
    pub plane: Plane,
    /// Those that are to be found in it.
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
const LEAST_HEIGHT: f32 = 13.0;
/// Heights that faces are drawn at, from the smallest to the largest beside a scene's own height.
const HEIGHTS: [f32; 2] = [15.0, 1.5];
/// Of a face at least this share has to be seen for it to be asked for, and less than the second counts as not
/// there.
const SEEN: [f32; 2] = [0.65, 0.08];
/// Pictures are enlarged no more than so many times: what is beyond is blur that no camera makes.
const MOST_ENLARGED: f32 = 2.5;
/// How often four scenes of a quarter's size make one: more faces, and smaller ones.
const MOSAIC: f32 = 0.25;
/// How often a window is drawn near some other place of the picture than a face:
/// hands, wheels and the backs of heads are where faces are, and rarely among pictures without any.
const ELSEWHERE: f32 = 0.25;
/// Standard deviation of the strongest blur, as a share of the smallest face's height.
const MOST_BLUR: f32 = 0.06;
/// How often a picture that is shown alone is cut so tightly that a face fills it, as collections of faces are.
const TIGHT: f32 = 0.4;
/// How often a picture without a face stands on its head.
const UPSIDE_DOWN: f32 = 0.25;

impl Stock<'_> {
    /// A scene that shows `main`, a picture with or without faces, among other things.
    pub fn scene(&self, main: &Picture, size: [usize; 2], rng: &mut ChaCha8Rng) -> Scene {
        if !main.faces.is_empty() && chance(rng, MOSAIC) {
            return self.mosaic(main, size, rng);
        }
        if chance(rng, if main.faces.is_empty() { 0.5 } else { 0.25 }) {
            return Scene::picture(main, size, rng);
        }
        // Frames of other shapes are filled up to what the network wants, and second looks are small.
        let [width, height] = match chance(rng, 0.15) {
            true => size.map(|side| rng.random_range(3 * side / 8..=side)),
            false => size,
        };
        let mut scene = Scene::new(width, height, rng.random());
        if main.faces.is_empty() {
            cover(&mut scene.plane, main, rng);
            self.decoys(&mut scene, [0, 0, 1, 3, 6], rng);
        } else {
            self.background(&mut scene, rng);
            match roomy(main) && chance(rng, 0.8) {
                true => {
                    scene.window(main, rng);
                    // Decoys and others come after it and may cover some of it.
                    self.decoys(&mut scene, [0, 0, 0, 0, 1], rng);
                    self.others(&mut scene, [0, 0, 0, 0, 0, 0, 1, 2], rng);
                }
                false => {
                    self.decoys(&mut scene, [0, 0, 0, 1, 2], rng);
                    // The later ones may cover those before, so the main one comes last.
                    self.others(&mut scene, [0, 0, 0, 1, 2, 3, 4, 5], rng);
                    scene.place(main, HEIGHTS[1] * height as f32, rng);
                }
            }
            if chance(rng, 0.25) {
                self.occlude(&mut scene, rng);
            }
        }
        scene.expose(rng);
        scene.plane = scene.plane.padded(size);
        scene
    }

    /// Four scenes in one.
    fn mosaic(&self, main: &Picture, size: [usize; 2], rng: &mut ChaCha8Rng) -> Scene {
        let [width, height] = size.map(|side| side / 2);
        let mut whole = Scene::new(size[0], size[1], 0);
        for (x, y) in [(0, 0), (width, 0), (0, height), (width, height)] {
            let other = if (x, y) == (0, 0) { Some(main) } else { self.faces.choose(rng).copied() };
            let mut part = Scene::new(width, height, rng.random());
            self.background(&mut part, rng);
            if let Some(picture) = other {
                match roomy(picture) {
                    true => part.window(picture, rng),
                    false => part.place(picture, height as f32, rng),
                }
            }
            whole.take(part, [x, y]);
        }
        whole.expose(rng);
        whole
    }

    fn decoys(&self, scene: &mut Scene, counts: [usize; 5], rng: &mut ChaCha8Rng) {
        for _ in 0..*counts.choose(rng).unwrap_or(&0) {
            self.decoy(scene, rng);
        }
    }

    fn others(&self, scene: &mut Scene, counts: [usize; 8], rng: &mut ChaCha8Rng) {
        for _ in 0..*counts.choose(rng).unwrap_or(&0) {
            if let Some(other) = self.faces.choose(rng) {
                scene.place(other, 60.0, rng);
            }
        }
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
        match &picture.faces[..] {
            [] => {}
            [face] if picture.unclear.is_empty() => {
                bounds = *beside(face.rect, bounds).choose(rng).unwrap_or(&bounds);
            }
            // What is beside one face may be another.
            _ => return,
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
        scene.cover(&[], placement, clip);
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
                let flat = Grey::flat(rng.random());
                flat.draw(&mut scene.plane, &placement, clip(0.0, 0.0));
            }
        }
    }
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
    picture.grey.draw(plane, &placement, Grey::EVERYWHERE);
}

impl Scene {
    fn new(width: usize, height: usize, value: u8) -> Self {
        Self { plane: Plane::new(width, height, value), faces: Vec::new(), unclear: Vec::new() }
    }

    /// A picture as it is, or cut more tightly around a face: all there is to see.
    fn picture(picture: &Picture, size: [usize; 2], rng: &mut ChaCha8Rng) -> Self {
        let bounds = picture.grey.bounds();
        let clip = match picture.faces.choose(rng) {
            Some(face) if chance(rng, TIGHT) => filled_by(face.rect, bounds, rng),
            Some(face) if rng.random() => around(face.rect, bounds, rng),
            _ => bounds,
        };
        let [width, height] = size.map(|side| side as f32);
        let scale = (width / clip.width).min(height / clip.height) * rng.random_range(0.5..1.0);
        let pixels = |length: f32, most: usize| ((length * scale).round() as usize).clamp(1, most);
        let mut scene = Self::new(pixels(clip.width, size[0]), pixels(clip.height, size[1]), 0);
        let placement = Placement {
            from: [clip.x + clip.width / 2.0, clip.y + clip.height / 2.0],
            to: [scene.plane.width as f32 / 2.0, scene.plane.height as f32 / 2.0],
            scale: [
                mirror(scale, 0.5, rng),
                mirror(scale, if picture.faces.is_empty() { UPSIDE_DOWN } else { 0.0 }, rng),
            ],
            angle: 0.0,
        };
        scene.draw(picture, placement, Grey::EVERYWHERE);
        scene.expose(rng);
        scene.plane = scene.plane.padded(size);
        scene
    }

    /// Shows a picture through the scene as through a window that is drawn near or far from one of its faces.
    fn window(&mut self, picture: &Picture, rng: &mut ChaCha8Rng) {
        let Some(Face { rect, .. }) = picture.faces.choose(rng).copied() else { return };
        let bounds = picture.grey.bounds();
        let rect = match chance(rng, ELSEWHERE) {
            true => Rect {
                x: rng.random_range(0.0..bounds.width) - rect.width / 2.0,
                y: rng.random_range(0.0..bounds.height) - rect.height / 2.0,
                ..rect
            },
            false => rect,
        };
        let sides = [self.plane.width as f32, self.plane.height as f32];
        let height = log_uniform(rng, HEIGHTS[0], 0.9 * sides[1]);
        let scale = (height / rect.height).min(MOST_ENLARGED);
        let from = [rect.x + rect.width / 2.0, rect.y + rect.height / 2.0];
        let stretch = normal(rng, 0.08).exp();
        let flip: bool = rng.random();
        // Where the picture is large enough, the scene mostly shows nothing but it.
        let inside = chance(rng, 0.85);
        let mut to = [0.0; 2];
        for axis in 0..2 {
            let (scale, size) = match axis {
                0 => (scale * stretch, rect.width * scale * stretch),
                _ => (scale, rect.height * scale),
            };
            let (before, after) = (
                (from[axis] - [bounds.x, bounds.y][axis]) * scale,
                ([bounds.width, bounds.height][axis] - from[axis]) * scale,
            );
            let (before, after) = if axis == 0 && flip { (after, before) } else { (before, after) };
            let edge = (0.25 * size).min(0.4 * sides[axis]);
            let range = (edge, sides[axis] - edge);
            let covered = (range.0.max(sides[axis] - after), range.1.min(before));
            let (least, most) = if inside && covered.0 < covered.1 { covered } else { range };
            to[axis] = rng.random_range(least..most);
        }
        let placement = Placement {
            from,
            to,
            scale: [if flip { -scale } else { scale } * stretch, scale],
            angle: tilt(rng),
        };
        self.draw(picture, placement, if chance(rng, 0.15) { Grey::EVERYWHERE } else { bounds });
    }

    fn anywhere(&self, rng: &mut ChaCha8Rng) -> [f32; 2] {
        [self.plane.width, self.plane.height].map(|len| rng.random_range(0.0..len as f32))
    }

    /// Puts one of a picture's faces into the scene, at most this high, with more or less of its picture.
    fn place(&mut self, picture: &Picture, most: f32, rng: &mut ChaCha8Rng) {
        let Some(Face { rect, .. }) = picture.faces.choose(rng).copied() else { return };
        let most = most.min(HEIGHTS[1] * self.plane.height as f32).min(MOST_ENLARGED * rect.height);
        let height = log_uniform(rng, HEIGHTS[0], most.max(HEIGHTS[0] + 1.0));
        let scale = height / rect.height;
        let stretch = normal(rng, 0.08).exp();
        let tilt = tilt(rng);
        let clip = match !roomy(picture) && chance(rng, 0.6) {
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
        self.draw(picture, placement, clip);
    }

    /// Draws the part `clip` of a picture and notes what it covers and the faces that it shows.
    fn draw(&mut self, picture: &Picture, placement: Placement, clip: Rect) {
        picture.grey.draw(&mut self.plane, &placement, clip);
        let added: Vec<(Face, f32)> = picture
            .faces
            .iter()
            .map(|face| {
                let mut landmarks = face.landmarks.map(|points| points.map(|point| placement.point(point)));
                if let Some(points) = &mut landmarks
                    && placement.scale[0] < 0.0
                {
                    points.swap(0, 1);
                    points.swap(3, 4);
                }
                let face = Face { rect: placement.ellipse(face.rect), landmarks };
                (face, self.seen(face.rect, &placement, clip))
            })
            .collect();
        let rects: Vec<Rect> =
            added.iter().filter(|(_, seen)| *seen >= SEEN[1]).map(|(face, _)| face.rect).collect();
        self.cover(&rects, placement, clip);
        for (face, seen) in added {
            if seen >= SEEN[0] && face.rect.height >= LEAST_HEIGHT {
                self.faces.push(face);
            } else if seen >= SEEN[1] {
                self.unclear.push(face.rect);
            }
        }
        for &unclear in &picture.unclear {
            let rect = placement.ellipse(unclear);
            if self.seen(rect, &placement, clip) >= SEEN[1] {
                self.unclear.push(rect);
            }
        }
    }

    /// The share of a box in the scene that shows the part `clip` of a picture.
    fn seen(&self, rect: Rect, placement: &Placement, clip: Rect) -> f32 {
        let [width, height] = [self.plane.width, self.plane.height].map(|len| len as f32);
        share(rect, |[x, y]| {
            (0.0..width).contains(&x) && (0.0..height).contains(&y) && placement.shows([x, y], clip)
        })
    }

    /// Sorts out the faces that something new covers, with faces of its own.
    fn cover(&mut self, new: &[Rect], placement: Placement, clip: Rect) {
        let hidden = |rect: Rect| share(rect, |point| placement.shows(point, clip));
        self.unclear.retain(|&rect| hidden(rect) < 0.9);
        let unclear = &mut self.unclear;
        self.faces.retain(|face| {
            let hidden = hidden(face.rect);
            let near = new.iter().any(|new| face.rect.overlap(*new) > 0.2);
            if (hidden > 0.35 || near) && hidden < 0.9 {
                unclear.push(face.rect);
            }
            hidden <= 0.35 && !near
        });
    }

    /// Takes another scene's picture and faces to this place.
    fn take(&mut self, part: Self, [x, y]: [usize; 2]) {
        let width = self.plane.width;
        for (row, line) in part.plane.pixels.chunks_exact(part.plane.width).enumerate() {
            self.plane.pixels[(y + row) * width + x..][..line.len()].copy_from_slice(line);
        }
        let by = [x as f32, y as f32];
        let moved = |rect: Rect| Rect { x: rect.x + by[0], y: rect.y + by[1], ..rect };
        self.faces.extend(part.faces.into_iter().map(|face| Face {
            rect: moved(face.rect),
            landmarks: face.landmarks.map(|points| points.map(|[x, y]| [x + by[0], y + by[1]])),
        }));
        self.unclear.extend(part.unclear.into_iter().map(moved));
    }

    /// Changes light and sharpness of the whole scene, as a camera might.
    fn expose(&mut self, rng: &mut ChaCha8Rng) {
        let passes = self.passes(rng);
        let Plane { width, pixels, .. } = &mut self.plane;
        let width = *width;
        // Most pictures are exposed well; the others are what has to be borne.
        let strength = if chance(rng, 0.5) { 1.0 } else { 0.4 };
        augment::light(pixels, width, strength, rng);
        if chance(rng, 0.1) {
            augment::gain(pixels, rng.random_range(1.0..2.0));
        }
        if self.faces.is_empty() && chance(rng, 0.1) {
            // Things are few, and their negatives are no faces either.
            pixels.iter_mut().for_each(|value| *value = 255 - *value);
        }
        if chance(rng, 0.25) {
            let directions = *[[true, true], [true, true], [true, false], [false, true]].choose(rng).unwrap();
            (0..passes).for_each(|_| augment::blur(pixels, width, directions));
        }
        if chance(rng, 0.25) {
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
