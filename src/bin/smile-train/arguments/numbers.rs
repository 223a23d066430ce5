//! Numbers on the command line, and their ranges.

use clap::builder::RangedU64ValueParser;

use gstsmile::analysis::locate::SMALLEST_HEIGHT;

pub fn count(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

pub fn fraction(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..1.0).contains(&value), "a number from 0 to less than 1")
}

pub fn strength(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1e6).contains(&value), "a number from 0 to 1000000")
}

pub fn score(text: &str) -> Result<f32, String> {
    share(text).map(|value| value as f32)
}

pub fn height(text: &str) -> Result<f32, String> {
    let takes = |value: f64| (SMALLEST_HEIGHT..=1.0).contains(&(value as f32));
    number(text, takes, "a number from 0.03 to 1").map(|value| value as f32)
}

pub fn degrees(text: &str) -> Result<f32, String> {
    number(text, |value| (-180.0..=180.0).contains(&value), "a number from -180 to 180")
        .map(|value| value as f32)
}

pub fn share(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "a number from 0 to 1")
}

/// With steps of more than 1 Adam moves every weight by more than all of them are worth.
pub fn rate(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1.0, "a number above 0, and 1 at most")
}

/// What weights may say of themselves.
pub fn temperature(text: &str) -> Result<f64, String> {
    number(text, |value| (1e-3..=1e3).contains(&value), "a number from 0.001 to 1000")
}

pub fn number(text: &str, allowed: impl Fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
    text.parse().ok().filter(|&value| allowed(value)).ok_or_else(|| format!("it must be {wanted}"))
}
