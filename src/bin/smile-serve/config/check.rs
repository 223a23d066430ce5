//! Reads a configuration file and says what is wrong with it, by line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, Secrets, check_name};

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub line: usize,
    pub text: String,
}

/// A configuration of thousands of cameras is smaller.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a file; an error has a line for each problem.
pub fn read(path: &Path) -> Result<Config, String> {
    let name = path.display();
    let error = |error: std::io::Error| format!("{name}: {error}");
    let metadata = path.metadata().map_err(error)?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Err(format!("{name} is no file of at most {MOST_BYTES} bytes, so it is no configuration"));
    }
    let text = std::fs::read_to_string(path).map_err(error)?;
    parse(&text).map_err(|problems| {
        let lines = problems.iter().map(|problem| format!("{name}:{}: {}", problem.line, problem.text));
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// Reads a configuration. Its problems are in the order of their lines.
pub fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    let syntax = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line(text, span.start));
        vec![Problem { line, text: error.message().trim().into() }]
    };
    let config: Config = toml::from_str(text).map_err(syntax)?;
    let tree = DeTable::parse(text).map_err(syntax)?;
    let at = |path: &[&str]| line(text, place(tree.get_ref(), path));
    let mut problems = Vec::new();
    let mut problem = |path: &[&str], text: String| problems.push(Problem { line: at(path), text });
    for (index, camera) in config.camera.iter().enumerate() {
        let index_text = index.to_string();
        for wrong in camera.wrongs() {
            let mut path = vec!["camera", &index_text];
            path.extend(wrong.at.iter().map(String::as_str));
            problem(&path, wrong.text);
        }
        if config.camera[..index].iter().any(|other| other.name == camera.name) {
            problem(
                &["camera", &index_text, "name"],
                format!("the name {} is taken by a camera above", camera.name),
            );
        }
    }
    for (path, text) in rest(&config) {
        problem(&path, text);
    }
    if problems.is_empty() {
        return Ok(config);
    }
    problems.sort();
    Err(problems)
}

/// What is wrong beside the cameras.
fn rest(config: &Config) -> Vec<(Vec<&'static str>, String)> {
    let mut wrongs = Vec::new();
    if let Some(Err(text)) = config.name.as_deref().map(check_name) {
        wrongs.push((vec!["name"], text));
    }
    if config.history.days == 0 || config.history.most_events == 0 {
        wrongs.push((
            vec!["history"],
            "history has to keep something; days and most-events are from 1 on".into(),
        ));
    }
    if config.spool.most_events == 0 {
        wrongs.push((vec!["spool"], "the spool has to hold something; most-events is from 1 on".into()));
    }
    if let Some(files) = &config.files
        && (files.most_bytes < 4096 || files.keep == 0)
    {
        wrongs.push((vec!["files"], "files take most-bytes from 4096 and keep from 1 on".into()));
    }
    if let Some(mqtt) = &config.mqtt {
        if mqtt.topic.is_empty() || mqtt.topic.contains(['#', '+', '\0']) || mqtt.topic.len() > 200 {
            wrongs.push((
                vec!["mqtt", "topic"],
                format!("{:?} can't begin topics; leave out # and +", mqtt.topic),
            ));
        }
        wrongs.extend(secrets("mqtt", mqtt.secrets()));
    }
    if let Some(kafka) = &config.kafka {
        if !cfg!(feature = "kafka") {
            let text =
                "this smile-serve was built without Kafka; cargo build --features kafka makes one with it";
            wrongs.push((vec!["kafka"], text.into()));
        }
        if kafka.brokers.is_empty() || kafka.topic.is_empty() {
            wrongs.push((vec!["kafka"], "Kafka takes brokers, such as [\"host:9092\"], and a topic".into()));
        }
        wrongs.extend(secrets("kafka", kafka.secrets()));
    }
    wrongs
}

fn secrets(section: &'static str, secrets: Secrets<'_>) -> Vec<(Vec<&'static str>, String)> {
    let mut wrongs = Vec::new();
    if secrets.certificate_file.is_some() != secrets.key_file.is_some() {
        wrongs
            .push((vec![section], "certificate-file and key-file belong together; give both or none".into()));
    }
    if (secrets.ca_file.is_some() || secrets.certificate_file.is_some()) && !secrets.tls {
        wrongs.push((vec![section], "certificates are for TLS; add tls = true".into()));
    }
    if secrets.user.is_none() && secrets.password_file.is_some() {
        wrongs.push((vec![section, "password-file"], "a password needs a user; add user".into()));
    }
    wrongs
}

/// Where a path of keys leads, as far as it is there.
fn place(root: &DeTable<'_>, path: &[&str]) -> usize {
    let Some((first, rest)) = path.split_first() else { return 0 };
    let Some((key, value)) = root.iter().find(|(key, _)| key.get_ref() == first) else { return 0 };
    within(value, rest, key.span().start)
}

fn within(value: &Spanned<DeValue<'_>>, path: &[&str], before: usize) -> usize {
    let Some((first, rest)) = path.split_first() else { return before };
    match value.get_ref() {
        DeValue::Table(table) => match table.iter().find(|(key, _)| key.get_ref() == first) {
            Some((key, value)) => within(value, rest, key.span().start),
            None => before,
        },
        DeValue::Array(array) => match first.parse().ok().and_then(|index: usize| array.get(index)) {
            Some(value) => within(value, rest, value.span().start),
            None => before,
        },
        _ => before,
    }
}

fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init() {
        gst::init().unwrap();
        gstsmile::plugin_register_static().unwrap();
    }

    #[test]
    fn problems_have_their_lines() {
        init();
        let text = r#"
name = "house"

[[camera]]
name = "door"
source = "pattern:ball"

[[camera]]
name = "door"
source = "pattern:bal"
[camera.properties]
hysteresis = 7
mode = "sync"
area = "everywhere"

[mqtt]
host = "broker"
topic = "a/#"
"#;
        let problems = parse(text).unwrap_err();
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [9, 10, 12, 13, 14, 18], "{problems:?}");
        assert!(problems[2].text.contains("0 to 1"), "{}", problems[2].text);
    }

    #[test]
    fn syntax_and_types_have_their_lines() {
        init();
        let line = |text: &str| parse(text).unwrap_err()[0].clone();
        assert_eq!(line("\n\nname = ").line, 3);
        assert_eq!(line("\n[mqtt]\nhost = 3").line, 3);
        let unknown = line("[[camera]]\nname = \"a\"\nsource = \"b\"\nsuorce = \"c\"");
        assert!(unknown.line == 4 && unknown.text.contains("suorce"), "{unknown:?}");
    }

    #[test]
    fn a_whole_file_is_read() {
        init();
        let text = r#"
name = "house"
[[camera]]
name = "door"
title = "The door"
source = "rtsp://user:secret@door/stream"
tags = ["outside"]
properties = { min-face-size = 0.05, display = "box", detection-interval = 2, attach-metas = false }
[history]
days = 7
[files]
folder = "events"
[mqtt]
host = "broker"
tls = true
[[instance]]
name = "other"
url = "http://other:8470"
"#;
        let config = parse(text).unwrap();
        assert_eq!(config.camera[0].shown_source(), "rtsp://***@door/stream");
        assert_eq!(config.mqtt.unwrap().port(), 8883);
        assert_eq!((config.history.days, config.history.most_events), (7, 1_000_000));
    }
}
