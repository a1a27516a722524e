//! TOML text into a table that knows its lines.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Problem;
use super::source::Source;
use super::tree::{Node, Table};

/// Where each line of a text starts.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        Self(
            std::iter::once(0)
                .chain(breaks.map(|(at, _)| at + 1))
                .collect(),
        )
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        self.0.partition_point(|start| *start <= at)
    }
}

/// Reads a file's text; `source` makes the source of a line. What cannot be read is reported, the rest is kept.
pub(super) fn table(
    text: &str,
    source: &dyn Fn(usize) -> Source,
    problems: &mut Vec<Problem>,
) -> Table {
    let lines = Lines::of(text);
    let (parsed, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = lines.line(error.span().map_or(0, |span| span.start));
        problems.push(Problem {
            key: "syntax".to_owned(),
            message: format!("not TOML: {}", error.message()),
            source: Some(source(line)),
        });
    }
    let line_source = |at: usize| source(lines.line(at));
    nodes(parsed.into_inner(), &line_source)
}

fn nodes(table: DeTable<'_>, source: &dyn Fn(usize) -> Source) -> Table {
    let pairs = table.into_iter().map(|(name, value)| {
        let at = name.span().start;
        let node = match value.into_inner() {
            DeValue::Table(table) => Node::table(nodes(table, source), source(at)),
            value => Node::value(plain(value), source(at)),
        };
        (name.into_inner().into_owned(), node)
    });
    pairs.collect()
}

/// One value written as TOML, such as a list in a variable.
pub(super) fn value(text: &str) -> Option<toml::Value> {
    DeValue::parse(text)
        .ok()
        .map(Spanned::into_inner)
        .map(plain)
}

/// Without spans. A number that does not fit stays the text it was and is refused by its kind.
fn plain(value: DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => toml::Value::String(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| text(&number), toml::Value::Integer),
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map_or_else(|_| text(&number), toml::Value::Float),
        DeValue::Boolean(flag) => toml::Value::Boolean(flag),
        DeValue::Datetime(instant) => date(instant),
        DeValue::Array(items) => toml::Value::Array(
            items
                .into_iter()
                .map(|item| plain(item.into_inner()))
                .collect(),
        ),
        DeValue::Table(table) => {
            let pairs = table
                .into_iter()
                .map(|(name, value)| (name.into_inner().into_owned(), plain(value.into_inner())));
            toml::Value::Table(pairs.collect())
        }
    }
}

fn text(number: &dyn std::fmt::Display) -> toml::Value {
    toml::Value::String(number.to_string())
}

/// The parser takes `:` alone for a date without a part; written out again it panics, so it stays
/// a text, to be refused by its kind.
fn date(instant: toml::value::Datetime) -> toml::Value {
    match instant.to_string().parse::<toml::value::Datetime>() {
        Ok(_) => toml::Value::Datetime(instant),
        Err(_) => text(&instant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::at;

    fn embedded(line: usize) -> Source {
        Source::Embedded { file: "t", line }
    }

    #[test]
    fn every_value_knows_its_line() {
        let text = "[a]\nx = 1\n\n[b.c]\ny = { z = 2 }\n";
        let mut problems = Vec::new();
        let table = table(text, &embedded, &mut problems);
        assert_eq!(problems, []);
        for (key, line) in [
            ("a", 1),
            ("a.x", 2),
            ("b.c", 4),
            ("b.c.y", 5),
            ("b.c.y.z", 5),
        ] {
            assert_eq!(at(&table, key).unwrap().source, embedded(line), "{key}");
        }
    }

    #[test]
    fn a_colon_alone_is_no_date() {
        let read = value(":");
        assert!(!matches!(read, Some(toml::Value::Datetime(_))), "{read:?}");
        assert!(matches!(
            value("2026-01-02"),
            Some(toml::Value::Datetime(_))
        ));
    }

    #[test]
    fn broken_lines_are_reported_and_the_rest_is_kept() {
        let mut problems = Vec::new();
        let table = table("a = 1\nb = = 2\nc = 3\nd = \"\n", &embedded, &mut problems);
        let lines: Vec<_> = problems.iter().map(|p| p.source.clone().unwrap()).collect();
        assert!(
            lines.contains(&embedded(2)) && lines.contains(&embedded(4)),
            "{problems:?}"
        );
        assert!(at(&table, "a").is_some() && at(&table, "c").is_some());
    }
}
