//! The confusion matrix in the paper's layout: a row an actual class, a column a predicted one.

use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{RGBColor, TextStyle};

use super::canvas::{self, BLUE, Canvas, FAINT, INK, WHITE};
use crate::train::error::Result;
use crate::train::measure::metrics::{CLASSES, Confusion};

/// A way to write text: size, colour, and which point of it is put.
type Style = fn(u32, RGBColor, HPos, VPos) -> TextStyle<'static>;

/// The matrix for a terminal; `part` is what it was measured on.
pub fn text(part: &str, confusion: &Confusion) -> String {
    let cell = |row: usize, column: usize| {
        let percent = 100.0 * confusion.row_share(row, column);
        format!("{:>8} ({percent:>5.1} %)", confusion.0[row][column])
    };
    let mut text = format!("{part}: {}\n\n", summary(confusion));
    text += "                      predicted\n";
    text += &format!("  actual       {:>18}{:>18}\n", CLASSES[0], CLASSES[1]);
    for (row, name) in CLASSES.iter().enumerate() {
        text += &format!("  {name:<13}{:>18}{:>18}\n", cell(row, 0), cell(row, 1));
    }
    text
}

/// The matrix as a PNG, its cells the darker the larger their share of the row.
pub fn draw(title: &str, part: &str, confusion: &Confusion) -> Result<Vec<u8>> {
    const LEFT: i32 = 190;
    const TOP: i32 = 170;
    const CELL: (i32, i32) = (220, 170);
    const GAP: i32 = 6;
    let mut canvas = Canvas::new("confusion.png", 680, 600);
    canvas.draw(|area| {
        let centred = |text: &str, style: Style, size, color, (x, y)| {
            area.draw_text(text, &style(size, color, HPos::Center, VPos::Center), canvas::at(x, y))
        };
        centred(title, canvas::bold, 24, INK, (340, 36))?;
        centred(&format!("{part}: {}", summary(confusion)), canvas::text, 16, FAINT, (340, 70))?;
        centred("predicted", canvas::text, 17, FAINT, (LEFT + CELL.0, 112))?;
        centred("actual", canvas::text, 17, FAINT, (LEFT / 2, TOP - 28))?;
        for (index, name) in CLASSES.iter().enumerate() {
            let offset = index as i32;
            centred(name, canvas::bold, 19, INK, (LEFT + offset * CELL.0 + CELL.0 / 2, TOP - 28))?;
            centred(name, canvas::bold, 19, INK, (LEFT / 2, TOP + offset * CELL.1 + CELL.1 / 2))?;
        }
        for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let share = confusion.row_share(row, column);
            let (x, y) = (LEFT + column as i32 * CELL.0, TOP + row as i32 * CELL.1);
            let end = (x + CELL.0 - GAP, y + CELL.1 - GAP);
            area.draw(&canvas::filled((x, y), end, shade(share)))?;
            let color = if share > 0.62 { WHITE } else { INK };
            let (x, y) = ((x + end.0) / 2, (y + end.1) / 2);
            centred(&confusion.0[row][column].to_string(), canvas::bold, 46, color, (x, y - 16))?;
            centred(&format!("{:.1} %", 100.0 * share), canvas::text, 19, color, (x, y + 30))?;
        }
        let foot = (LEFT + CELL.0, TOP + 2 * CELL.1 + 28);
        centred("percentages are of the row", canvas::text, 15, FAINT, foot)?;
        Ok(())
    })?;
    canvas.into_png()
}

/// The accuracy with its 95 % interval, in words.
pub fn summary(confusion: &Confusion) -> String {
    let [low, high] = confusion.interval().map(|end| 100.0 * end);
    format!(
        "accuracy {:.2} % ({} of {}), 95 % interval {low:.1} to {high:.1} %",
        100.0 * confusion.accuracy(),
        confusion.correct(),
        confusion.total()
    )
}

/// From nearly white to blue.
fn shade(share: f64) -> RGBColor {
    let strength = 0.06 + 0.94 * share;
    let mix = |ink: u8| (255.0 - strength * (255.0 - f64::from(ink))).round() as u8;
    RGBColor(mix(BLUE.0), mix(BLUE.1), mix(BLUE.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_in_the_papers_layout() {
        let expected = "\
test: accuracy 85.38 % (683 of 800), 95 % interval 82.8 to 87.7 %

                      predicted
  actual              not smiling           smiling
  not smiling       301 ( 81.8 %)      67 ( 18.2 %)
  smiling            50 ( 11.6 %)     382 ( 88.4 %)
";
        assert_eq!(text("test", &Confusion([[301, 67], [50, 382]])), expected);
    }
}
