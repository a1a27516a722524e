//! Paths: the patterns of the route table, and what a request's path has in their places.
//!
//! A pattern is literal segments, `{name}` for one segment, and `{name}:verb` for a command on
//! what the segment names. Segments are percent-decoded after they are split, so a name may hold
//! any byte; a `:` in front of a verb is never part of a name unless it is written `%3A`.

use percent_encoding::percent_decode_str;

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    /// This very text.
    Literal(&'static str),
    /// Anything that is not empty and holds no bare `:`.
    Any,
    /// Anything, then `:` and this verb.
    Verb(&'static str),
}

/// A path of the route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// As written.
    pub(super) text: &'static str,
    segments: Vec<Segment>,
}

impl Pattern {
    /// Reads a pattern as it stands in the table.
    pub(super) fn new(text: &'static str) -> Self {
        let segments = text
            .split('/')
            .skip(1)
            .map(|segment| match segment.split_once("}:") {
                Some((_, verb)) => Segment::Verb(verb),
                None if segment.starts_with('{') => Segment::Any,
                None => Segment::Literal(segment),
            })
            .collect();
        Self { text, segments }
    }

    /// What `path` has in the places of the pattern, decoded; `None` if it does not fit.
    pub(super) fn capture(&self, path: &str) -> Option<Vec<String>> {
        let mut captured = Vec::new();
        let mut given = path.strip_prefix('/')?.split('/');
        for segment in &self.segments {
            let raw = given.next()?;
            match segment {
                Segment::Literal(text) => (decode(raw)?.as_ref() == *text).then_some(())?,
                Segment::Any if raw.is_empty() || raw.contains(':') => return None,
                Segment::Any => captured.push(decode(raw)?.into_owned()),
                Segment::Verb(verb) => {
                    let (name, found) = raw.rsplit_once(':')?;
                    (found == *verb && !name.is_empty()).then_some(())?;
                    captured.push(decode(name)?.into_owned());
                }
            }
        }
        given.next().is_none().then_some(captured)
    }

    /// The verb that ends the pattern, if one does.
    pub(super) fn verb(&self) -> Option<&'static str> {
        match self.segments.last() {
            Some(Segment::Verb(verb)) => Some(verb),
            _ => None,
        }
    }
}

/// The text of a segment; `None` if it is not UTF-8.
fn decode(raw: &str) -> Option<std::borrow::Cow<'_, str>> {
    percent_decode_str(raw).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_pattern_and_gives_up_its_names() {
        let cases: [(&'static str, &str, Option<&[&str]>); 11] = [
            ("/livez", "/livez", Some(&[])),
            ("/livez", "/livez/", None),
            ("/", "/", Some(&[])),
            ("/agents/{name}", "/agents/echo", Some(&["echo"])),
            ("/agents/{name}", "/agents/echo%231", Some(&["echo#1"])),
            ("/agents/{name}", "/agents/", None),
            ("/agents/{name}", "/agents/echo:stop", None),
            ("/agents/{name}", "/agents/%ff", None),
            ("/agents/{name}:stop", "/agents/echo:stop", Some(&["echo"])),
            ("/agents/{name}:stop", "/agents/echo:start", None),
            ("/agents/{name}:stop", "/agents/a%3Ab:stop", Some(&["a:b"])),
        ];
        for (pattern, path, expected) in cases {
            let captured = Pattern::new(pattern).capture(path);
            let captured = captured
                .as_ref()
                .map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(captured.as_deref(), expected, "{pattern} {path}");
        }
    }
}
