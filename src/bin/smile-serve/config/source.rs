//! Where a camera's video comes from, and how that is told without its password.

use std::path::{Path, PathBuf};

use gst::prelude::*;

/// What a source's text stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A test picture of GStreamer's by its name, such as `ball`.
    Pattern(String),
    /// A video device of Linux.
    Device(PathBuf),
    File(PathBuf),
    /// Anything else that GStreamer can read: `rtsp://`, `http://` and more.
    Uri(String),
}

impl Source {
    /// Reads `pattern:NAME`, a URI or a path. Whether a file is there is seen when it is opened.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(
                "the source is empty or has control characters; write an address, a device or a file".into(),
            );
        }
        if let Some(name) = text.strip_prefix("pattern:") {
            return pattern(name).map(|()| Self::Pattern(name.into()));
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::path(text.into())) };
        if !is_scheme(scheme) {
            return Ok(Self::path(text.into()));
        }
        if scheme.eq_ignore_ascii_case("file") {
            let (path, _) = gst::glib::filename_from_uri(text)
                .map_err(|_| format!("\"{}\" names no file; write its path", masked(text)))?;
            return Ok(Self::path(path));
        }
        if rest.is_empty() {
            return Err(format!("\"{scheme}://\" lacks an address; write {scheme}://host/path"));
        }
        // Of this scheme, whatever the address is: an error in that shows when it is opened.
        let probe = format!("{scheme}://localhost/");
        if gst::Element::make_from_uri(gst::URIType::Src, &probe, None).is_err() {
            return Err(format!(
                "no element of GStreamer here reads {scheme}://; install the plugin for it (gst-inspect-1.0 -u lists \
                 what is there)"
            ));
        }
        Ok(Self::Uri(text.into()))
    }

    fn path(path: PathBuf) -> Self {
        if path.starts_with("/dev") { Self::Device(path) } else { Self::File(path) }
    }

    /// What limits of the API are about: `rtsp`, `pattern`, `file` and so on.
    pub fn scheme(&self) -> String {
        match self {
            Self::Pattern(_) => "pattern".into(),
            Self::Device(_) => "device".into(),
            Self::File(_) => "file".into(),
            Self::Uri(uri) => uri.split(':').next().unwrap_or_default().to_ascii_lowercase(),
        }
    }

    /// Whether it goes on until somebody ends it.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::File(_))
    }

    /// A name for a camera that was given none.
    pub fn short_name(&self) -> String {
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = match self {
            Self::Pattern(name) => Some(name.clone()),
            Self::Device(path) | Self::File(path) => stem(path),
            Self::Uri(uri) => host(uri).map(str::to_string),
        };
        let safe = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
        let name: String = name.unwrap_or_default().chars().map(safe).take(48).collect();
        let name = name.trim_matches(['-', '.', '_']).to_string();
        if name.is_empty() { "camera".into() } else { name }
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn host(uri: &str) -> Option<&str> {
    let rest = uri.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    host.rsplit_once(':').map_or(Some(host), |(host, _)| Some(host))
}

/// Whether videotestsrc knows a picture of this name.
fn pattern(name: &str) -> Result<(), String> {
    let source = gst::ElementFactory::make("videotestsrc").build().map_err(|_| {
        "GStreamer's element videotestsrc is missing; install its base plugins (Debian: gstreamer1.0-plugins-base)"
    })?;
    let known =
        source.find_property("pattern").and_then(|known| gst::glib::EnumClass::with_type(known.value_type()));
    if known.is_some_and(|known| known.value_by_nick(name).is_some()) {
        return Ok(());
    }
    Err(format!(
        "there is no test picture \"{name}\"; ball, smpte and others are there (gst-inspect-1.0 videotestsrc lists them)"
    ))
}

/// An address as everybody may see it: without user, password and query, which may hold a password as well.
pub fn masked(source: &str) -> String {
    let Some((scheme, rest)) = source.split_once("://") else { return source.into() };
    // A password may hold any of "/?#" where somebody has not escaped it, so the last "@" counts.
    let (rest, has_user) = match rest.rsplit_once('@') {
        Some((_, host)) => (host, true),
        None => (rest, false),
    };
    let (rest, has_query) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], true),
        None => (rest, false),
    };
    format!("{scheme}://{}{rest}{}", if has_user { "***@" } else { "" }, if has_query { "?***" } else { "" })
}

/// A message of GStreamer's without what [`masked`] hides of a source.
pub fn mask_in(message: &str, source: &str) -> String {
    let mut message = message.replace(source, &masked(source));
    let Some((_, rest)) = source.split_once("://") else { return message };
    let user = rest.rsplit_once('@').map(|(user, _)| user);
    let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
    let after = rest.rsplit_once('@').map_or(rest, |(_, after)| after);
    let query = after.split_once('?').map(|(_, query)| query);
    for secret in [user, password, query].into_iter().flatten().filter(|secret| !secret.is_empty()) {
        message = message.replace(secret, "***");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_shown_nowhere() {
        let cases = [
            ("rtsp://hall/stream", "rtsp://hall/stream"),
            ("rtsp://user:secret@hall:554/stream", "rtsp://***@hall:554/stream"),
            ("rtsp://user:se/c?re@t@hall/stream", "rtsp://***@hall/stream"),
            ("http://hall/video?user=u&pwd=secret#secret", "http://hall/video?***"),
            ("http://hall#secret", "http://hall?***"),
            ("film.mp4", "film.mp4"),
        ];
        for (source, expected) in cases {
            assert_eq!(masked(source), expected);
            let said = mask_in(&format!("Could not open {source}: secret is wrong"), source);
            assert!(said.contains(expected), "{said}");
        }
        let source = "rtsp://user:secret@hall/stream";
        assert_eq!(mask_in("401 for user:secret", source), "401 for ***");
    }

    #[test]
    fn sources_are_told_apart() {
        gst::init().unwrap();
        assert_eq!(Source::new("pattern:ball"), Ok(Source::Pattern("ball".into())));
        assert_eq!(Source::new("/dev/video0"), Ok(Source::Device("/dev/video0".into())));
        assert_eq!(Source::new("a film! .mp4"), Ok(Source::File("a film! .mp4".into())));
        assert_eq!(Source::new("file:///tmp/a%20b.mp4"), Ok(Source::File("/tmp/a b.mp4".into())));
        assert!(Source::new("pattern:bal").unwrap_err().contains("smpte"));
        assert!(Source::new("nonsense://u:secret@h").unwrap_err().contains("nonsense"));
        assert!(Source::new("").is_err() && Source::new("a\nb").is_err() && Source::new("http://").is_err());
    }

    #[test]
    fn names_are_safe() {
        gst::init().unwrap();
        let name = |text: &str| Source::new(text).unwrap().short_name();
        assert_eq!(name("http://user:secret@hall.lan:80/stream"), "hall.lan");
        assert_eq!(name("a film! .mp4"), "a-film");
        assert_eq!(name("/dev/video0"), "video0");
        assert_eq!(name("ö.mp4"), "camera");
    }
}
