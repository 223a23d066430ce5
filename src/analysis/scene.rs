//! Whether a picture goes on with the scene of the one before.

use super::crop::Picture;

const COLUMNS: usize = 16;
const ROWS: usize = 12;
/// Each cell is the average of so many points across and down.
const POINTS: usize = 3;
/// Below this correlation two pictures show different scenes.
const SAME: f32 = 0.5;
/// Pictures with less contrast (root mean square, of 255) have nothing to compare.
const FLAT: f32 = 2.0;

/// A coarse memory of a scene: brightness in few cells. A cut changes most of them; people and
/// cameras move the picture only a little from one frame to the next, and light changes all cells
/// together.
#[derive(Debug, Default)]
pub struct Scene {
    /// Brightness around its average; empty before the first picture.
    cells: Vec<f32>,
    next: Vec<f32>,
}

impl Scene {
    /// Whether `picture` shows another scene than the last picture that wasn't flat.
    pub fn cut(&mut self, picture: &Picture) -> bool {
        let weights = picture.color.brightness().matrix[0];
        let cell = |index: usize| brightness(picture, weights, index % COLUMNS, index / COLUMNS);
        self.next.clear();
        self.next.extend((0..COLUMNS * ROWS).map(cell));
        let mean = self.next.iter().sum::<f32>() / self.next.len() as f32;
        self.next.iter_mut().for_each(|cell| *cell -= mean);
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let power = product(&self.next, &self.next);
        if power < FLAT * FLAT * self.next.len() as f32 {
            return false;
        }
        let correlation =
            product(&self.cells, &self.next) / (product(&self.cells, &self.cells) * power).sqrt();
        std::mem::swap(&mut self.cells, &mut self.next);
        // Before the first picture it is not a number.
        correlation < SAME
    }
}

fn brightness(picture: &Picture, weights: [f32; 3], column: usize, row: usize) -> f32 {
    let sample = |component: usize, x: usize, y: usize| {
        let from = &picture.components[component];
        let index = |point: usize, points: usize, len: usize| (2 * point + 1) * len / (2 * points);
        let x = index(x, COLUMNS * POINTS, from.horizontal.len);
        let y = index(y, ROWS * POINTS, from.vertical.len);
        f32::from(from.plane[from.offset + y * from.row_stride + x * from.pixel_stride])
    };
    let mut sum = 0.0;
    for (component, weight) in weights.into_iter().enumerate() {
        if weight != 0.0 {
            for point in 0..POINTS * POINTS {
                let (x, y) = (POINTS * column + point % POINTS, POINTS * row + point / POINTS);
                sum += weight * sample(component, x, y);
            }
        }
    }
    sum / (POINTS * POINTS) as f32
}
