//! The command line as weights record it.

use std::path::Path;

use gstsmile::train::last_component;

/// This program's command as [`as_recorded`] writes it.
pub fn recorded() -> String {
    as_recorded(std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()))
}

/// The command in a form to be copied. Paths stay as given where they are relative, otherwise only
/// their last component does: weights travel, and a machine's folders are nobody's business.
/// `--resume` and `--only-fold` are left out: they don't change what is learnt.
fn as_recorded(arguments: impl IntoIterator<Item = String>) -> String {
    let mut words = vec!["smile-train".to_string()];
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let word = match argument.split_once('=') {
            _ if argument == "--resume" || argument.starts_with("--only-fold=") => continue,
            _ if argument == "--only-fold" => {
                arguments.next();
                continue;
            }
            Some((option, value)) if option.starts_with("--") => {
                format!("{option}={}", without_machine(value))
            }
            _ => without_machine(&argument),
        };
        words.push(quoted(&word));
    }
    words.join(" ")
}

fn without_machine(path: &str) -> String {
    if Path::new(path).is_absolute() { last_component(Path::new(path)) } else { path.into() }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(line: &str) -> String {
        as_recorded(line.split(' ').map(String::from))
    }

    #[test]
    fn relative_paths_stay_and_absolute_ones_lose_their_folders() {
        assert_eq!(
            recorded("--data ../shared/genki4k --out=/home/me/a.safetensors --parts /tmp/p.csv --seed 2"),
            "smile-train --data ../shared/genki4k --out=a.safetensors --parts p.csv --seed 2"
        );
    }

    #[test]
    fn resuming_and_sharing_leave_no_trace_and_odd_words_are_quoted() {
        let words = ["--resume", "--only-fold", "2", "--only-fold=3", "--data", "my faces", "--out", "it's"]
            .map(String::from);
        assert_eq!(as_recorded(words), r"smile-train --data 'my faces' --out 'it'\''s'");
    }
}
