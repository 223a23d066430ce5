//! Scene cuts: whether a picture goes on with the scene of the one before.
//!
//! Brightness in 16 × 12 cells is compared with that of the last picture by normalised cross-correlation, moved by the
//! few cells that people and cameras move in that time; light that changes as a whole makes no difference.

use std::time::Duration;

use super::crop::{Picture, Pixel};

const COLUMNS: usize = 16;
const ROWS: usize = 12;
/// Each cell is the average of so many points across and down.
const POINTS: usize = 3;
/// Below this correlation two pictures show different scenes.
const SAME: f32 = 0.5;
/// So many cells in a second people and cameras move the picture, and so many cells it is looked for at most: some
/// pictures of another scene match there by chance. Above 5 frames a second that is none.
const CELLS_PER_SECOND: f32 = 5.0;
const MOST_CELLS: f32 = 2.0;
/// Pictures with less contrast (root mean square, of 255) have nothing to compare.
const FLAT: f32 = 2.0;

/// A coarse memory of a scene: brightness in few cells. A cut changes most of them; people and
/// cameras move the picture only a little from one frame to the next, by a few cells where frames are far apart, and
/// light changes all cells together.
#[derive(Debug, Default)]
pub struct Scene {
    /// Brightness around its average; empty before the first picture.
    cells: Vec<f32>,
    next: Vec<f32>,
    /// A row of the picture, where they have to be unpacked.
    line: Vec<Pixel>,
}

impl Scene {
    /// Whether `picture` shows another scene than the last picture that wasn't flat, `elapsed` after the last picture.
    pub fn cut(&mut self, picture: &Picture, elapsed: Duration) -> bool {
        self.next.clear();
        self.next.resize(COLUMNS * ROWS, 0.0);
        brightness(picture, &mut self.line, &mut self.next);
        let mean = self.next.iter().sum::<f32>() / self.next.len() as f32;
        self.next.iter_mut().for_each(|cell| *cell -= mean);
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let power = product(&self.next, &self.next);
        if power < FLAT * FLAT * self.next.len() as f32 {
            return false;
        }
        std::mem::swap(&mut self.cells, &mut self.next);
        let (now, before) = (&self.cells, &self.next);
        let most = (CELLS_PER_SECOND * elapsed.as_secs_f32()).min(MOST_CELLS) as isize;
        let moves = (-most..=most).flat_map(|x| (-most..=most).map(move |y| [x, y]));
        // The likeliest first.
        let mut moves = std::iter::once([0; 2]).chain(moves);
        before.len() == now.len() && !moves.any(|by| correlation(now, before, by) >= SAME)
    }
}

/// How alike the cells of two pictures are where both have some after those of `before` have moved.
fn correlation(now: &[f32], before: &[f32], [right, down]: [isize; 2]) -> f32 {
    let (mut count, mut sums, mut products) = (0.0, [0.0; 2], [0.0; 3]);
    let range = |len: usize, by: isize| by.max(0) as usize..(len as isize + by.min(0)) as usize;
    for row in range(ROWS, down) {
        for column in range(COLUMNS, right) {
            let from = (row as isize - down) * COLUMNS as isize + column as isize - right;
            let (a, b) = (now[row * COLUMNS + column], before[from as usize]);
            count += 1.0;
            sums = [sums[0] + a, sums[1] + b];
            products = [products[0] + a * a, products[1] + b * b, products[2] + a * b];
        }
    }
    let [a, b] = sums;
    let [aa, bb, ab] =
        [products[0] - a * a / count, products[1] - b * b / count, products[2] - a * b / count];
    // Cells without contrast are like nothing.
    ab / (aa * bb).max(f32::MIN_POSITIVE).sqrt()
}

/// Adds the brightness of each cell to `cells`.
fn brightness(picture: &Picture, line: &mut Vec<Pixel>, cells: &mut [f32]) {
    let weights = picture.color.brightness().matrix[0];
    let index = |point: usize, points: usize, len: usize| (2 * point + 1) * len / (2 * points);
    for (component, weight) in weights.into_iter().enumerate() {
        if weight == 0.0 {
            continue;
        }
        let weight = weight / (POINTS * POINTS) as f32;
        let from = &picture.components[component];
        for y in 0..ROWS * POINTS {
            let row = picture.row(component, index(y, ROWS * POINTS, from.vertical.len), line);
            let cells = &mut cells[y / POINTS * COLUMNS..][..COLUMNS];
            for x in 0..COLUMNS * POINTS {
                let sample = row.value(index(x, COLUMNS * POINTS, from.horizontal.len));
                cells[x / POINTS] += weight * sample;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 120;

    /// A grey picture of waves: which ones, how far to the right, how bright and how strong.
    fn waves(wave: f32, shift: f32, light: f32, contrast: f32) -> Vec<u8> {
        let value = |index: usize| {
            let (x, y) = ((index % WIDTH) as f32 - shift, (index / WIDTH) as f32);
            let sum = (wave * x / 11.0).sin() + (wave * y / 17.0).cos() + (x / 31.0 + wave * y / 23.0).sin();
            (light + contrast * sum) as u8
        };
        (0..WIDTH * WIDTH).flat_map(|index| [value(index); 3]).collect()
    }

    fn cuts(pictures: &[Vec<u8>]) -> Vec<bool> {
        cuts_at(30.0, pictures)
    }

    fn cuts_at(fps: f32, pictures: &[Vec<u8>]) -> Vec<bool> {
        let (mut scene, interval) = (Scene::default(), Duration::from_secs_f32(1.0 / fps));
        pictures.iter().map(|data| scene.cut(&Picture::rgb(WIDTH, WIDTH, data), interval)).collect()
    }

    #[test]
    fn another_picture_is_a_cut_and_the_first_is_none() {
        let (one, other) = (waves(1.0, 0.0, 128.0, 30.0), waves(2.3, 40.0, 128.0, 30.0));
        assert_eq!(
            cuts(&[one.clone(), one.clone(), other.clone(), other, one]),
            [false, false, true, false, true]
        );
    }

    #[test]
    fn light_and_motion_are_no_cuts() {
        let lights = [(128.0, 30.0), (200.0, 15.0), (40.0, 12.0), (128.0, 30.0)];
        let lit: Vec<_> = lights.iter().map(|&(light, contrast)| waves(1.0, 0.0, light, contrast)).collect();
        assert_eq!(cuts(&lit), [false; 4]);
        let moving: Vec<_> = (0..10).map(|frame| waves(1.0, 5.0 * frame as f32, 128.0, 30.0)).collect();
        assert_eq!(cuts(&moving), [false; 10]);
    }

    #[test]
    fn the_slower_the_frames_the_farther_may_pictures_move() {
        // By a twelfth of the width.
        let moving: Vec<_> = (0..4).map(|frame| waves(4.0, 10.0 * frame as f32, 128.0, 30.0)).collect();
        assert_eq!(cuts_at(2.0, &moving), [false; 4]);
        assert_eq!(cuts_at(30.0, &moving), [false, true, true, true]);
        let (one, other) = (waves(1.0, 0.0, 128.0, 30.0), waves(2.3, 40.0, 128.0, 30.0));
        assert_eq!(cuts_at(2.0, &[one.clone(), other, one]), [false, true, true]);
    }

    #[test]
    fn a_scene_is_remembered_through_flat_pictures() {
        let (one, other) = (waves(1.0, 0.0, 128.0, 30.0), waves(2.3, 40.0, 128.0, 30.0));
        let black = vec![0; 3 * WIDTH * WIDTH];
        let flashed = [one.clone(), black.clone(), black.clone(), one, black, other];
        assert_eq!(cuts(&flashed), [false, false, false, false, false, true]);
    }
}
