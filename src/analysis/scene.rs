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
        let mut scene = Scene::default();
        pictures.iter().map(|data| scene.cut(&Picture::rgb(WIDTH, WIDTH, data))).collect()
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
    fn a_scene_is_remembered_through_flat_pictures() {
        let (one, other) = (waves(1.0, 0.0, 128.0, 30.0), waves(2.3, 40.0, 128.0, 30.0));
        let black = vec![0; 3 * WIDTH * WIDTH];
        let flashed = [one.clone(), black.clone(), black.clone(), one, black, other];
        assert_eq!(cuts(&flashed), [false, false, false, false, false, true]);
    }
}
