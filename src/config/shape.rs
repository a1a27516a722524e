//! Whether a tree has the shape of the tables: unknown keys, wrong kinds, missing values.
//!
//! What is wrong is reported and taken out, and the default stands in for it, so that every other
//! check still runs and all problems come at once.

use std::collections::BTreeSet;

use super::kind::{Key, Kind};
use super::problem::Problem;
use super::scalar;
use super::source::Source;
use super::tree::{Content, Node, Table, join};
use crate::domain::name::{Name, nearest};

/// What the check of a tree gathers.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// What is wrong.
    pub(super) problems: Vec<Problem>,
    /// The keys that were taken out: their absence is no further problem.
    pub(super) removed: BTreeSet<String>,
}

impl Findings {
    fn refuse(&mut self, key: &str, message: String, source: &Source) {
        self.removed.insert(key.to_owned());
        self.problems.push(Problem {
            key: key.to_owned(),
            message,
            source: Some(source.clone()),
        });
    }
}

/// Takes out of a table what does not fit its kind.
pub(super) fn check(table: &mut Table, kind: &Kind, path: &str, findings: &mut Findings) {
    table.retain(|name, node| {
        let dotted = join(path, name);
        match kind_of(kind, name) {
            Ok(kind) => keeps(node, kind, &dotted, findings),
            Err(message) => {
                findings.refuse(&dotted, message, &node.source);
                // What stands below a name that is none is right or wrong all the same.
                if let Kind::Named(values, _) = kind {
                    keeps(node, values, &dotted, findings);
                }
                false
            }
        }
    });
}

/// The kind of a table's entry, or why it may not be there.
fn kind_of(kind: &Kind, name: &str) -> Result<&'static Kind, String> {
    match kind {
        Kind::Section(keys) | Kind::Either(_, keys) => find(keys, name).map(|key| &key.kind),
        Kind::Named(section, underscores) => {
            let plain = if *underscores {
                name.replace('_', "-")
            } else {
                name.to_owned()
            };
            plain.parse::<Name>().map_err(|e| e.to_string())?;
            Ok(section)
        }
        Kind::Map(names, values) => {
            scalar::check(names, &toml::Value::String(name.to_owned()))?;
            Ok(values)
        }
        _ => Ok(&Kind::Anything),
    }
}

/// The key of a section, or what is said of one that is not there.
pub(super) fn find(keys: &'static [Key], name: &str) -> Result<&'static Key, String> {
    keys.iter().find(|key| key.name == name).ok_or_else(|| {
        match nearest(name, keys.iter().map(|key| key.name)) {
            Some(near) => format!("unknown key; did you mean {near}?"),
            None => {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                format!("unknown key; known are {}", known.join(", "))
            }
        }
    })
}

/// Whether a node fits its kind, its entries apart.
fn keeps(node: &mut Node, kind: &'static Kind, path: &str, findings: &mut Findings) -> bool {
    let refused = match (&mut node.content, kind) {
        (_, Kind::Anything) => return true,
        (
            Content::Table(table),
            Kind::Section(_) | Kind::Either(..) | Kind::Named(..) | Kind::Map(..),
        ) => {
            check(table, kind, path, findings);
            return true;
        }
        (Content::Table(_), kind) => format!("a table is not {}", scalar::allowed(kind)),
        (Content::Value(value), kind) => match scalar::check(kind, value) {
            Ok(()) => {
                canonical(kind, value);
                return true;
            }
            Err(message) => message,
        },
    };
    findings.refuse(path, refused, &node.source);
    false
}

/// One writing for what may be written in several.
fn canonical(kind: &Kind, value: &mut toml::Value) {
    let one = match (kind, value.as_str()) {
        (Kind::Level, Some(text)) => scalar::level(text),
        (Kind::Address, Some(scalar::LOCALHOST)) => Some("127.0.0.1"),
        _ => None,
    };
    if let Some(one) = one {
        *value = toml::Value::String(one.to_owned());
    }
}

/// Puts defaults where values were left out, and reports those that must be given.
pub(super) fn fill(table: &mut Table, kind: &Kind, path: &str, findings: &mut Findings) {
    match kind {
        Kind::Section(keys) | Kind::Either(_, keys) => fill_section(table, keys, path, findings),
        Kind::Named(values, _) | Kind::Map(_, values) => {
            for (name, node) in table {
                if let Content::Table(table) = &mut node.content {
                    fill(table, values, &join(path, name), findings);
                }
            }
        }
        _ => {}
    }
}

fn fill_section(table: &mut Table, keys: &'static [Key], path: &str, findings: &mut Findings) {
    let agent_kind = table.get("kind").and_then(Node::as_text).map(str::to_owned);
    for key in keys {
        let dotted = join(path, key.name);
        let concerns = key.only.is_empty() || agent_kind.as_deref() == Some(key.only);
        if !table.contains_key(key.name) && concerns {
            add_default(table, key, &dotted, findings);
        }
        if let Some(Node {
            content: Content::Table(below),
            ..
        }) = table.get_mut(key.name)
        {
            fill(below, &key.kind, &dotted, findings);
        }
    }
}

fn add_default(table: &mut Table, key: &Key, dotted: &str, findings: &mut Findings) {
    if let Some(value) = key.default.and_then(super::parse::value) {
        table.insert(key.name.to_owned(), Node::of(value, &Source::BuiltIn));
    } else if key.required && !findings.removed.contains(dotted) {
        findings.problems.push(Problem {
            key: dotted.to_owned(),
            message: format!("missing; it must be {}", scalar::allowed(&key.kind)),
            source: None,
        });
    }
}
