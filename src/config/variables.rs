//! Environment variables and flags into a layer: names into keys, secrets from files.
//!
//! `AGENT_SYSTEM__SECTION__KEY`; `-` of a name is `_`; lists and durations are TOML values.
//! The conventional aliases rank below. `…_FILE` reads a secret from a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::keys::ROOT;
use super::kind::Kind;
use super::problem::Problem;
use super::scalar::from_text;
use super::shape::find;
use super::source::Source;
use super::tree::{Content, Node, Table, set};
use crate::domain::name::nearest;

/// What all variables that set a key begin with.
const PREFIX: &str = "AGENT_SYSTEM__";

/// Variables that other programs set, with the key each stands for.
const ALIASES: [(&str, &str); 4] = [
    ("DATABASE_URL", "database.url"),
    ("REDIS_URL", "cache.url"),
    ("LOG_LEVEL", "logging.level"),
    ("PORT", "server.port"),
];

/// Variables of the program that set no key.
const OTHERS: [&str; 5] = [
    "AGENT_SYSTEM_ENV",
    "AGENT_SYSTEM_DATA_DIR",
    "AGENT_SYSTEM_URL",
    "AGENT_SYSTEM_TOKEN",
    "AGENT_SYSTEM_TOKEN_FILE",
];

/// The most parts a key may have; files are held to less than 100 by the TOML parser.
const MAX_PARTS: usize = 32;

/// The largest secret read from a file, bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// A variable's value and where it stands.
#[derive(Clone)]
pub(super) struct Variable {
    /// What it says.
    pub(super) value: String,
    /// The `.env` file and line, if it came from one.
    pub(super) dotenv: Option<(Arc<str>, usize)>,
}

/// The variables, by name.
pub(super) type Variables = BTreeMap<String, Variable>;

impl Variable {
    /// It as a source.
    pub(super) fn source(&self, name: &str) -> Source {
        Source::Variable {
            name: name.into(),
            dotenv: self.dotenv.clone(),
        }
    }
}

/// A key found for a variable or flag.
struct Target {
    path: Vec<String>,
    kind: &'static Kind,
}

/// The layer that variables make. `below` is what lower layers hold: its names give `_` or `-` back.
pub(super) fn layer(vars: &Variables, below: &Table, problems: &mut Vec<Problem>) -> Table {
    let mut layer = Table::new();
    for (alias, key) in ALIASES {
        let segments: Vec<&str> = key.split('.').collect();
        let Ok(target) = resolve(&segments, below) else {
            continue;
        };
        let file = format!("{alias}_FILE");
        put_one(&mut layer, &target, alias, vars, false, problems);
        if target.kind.is_secret() {
            put_one(&mut layer, &target, &file, vars, true, problems);
        }
    }
    for (name, variable) in vars {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let segments: Vec<&str> = rest.split("__").collect();
        match find_target(&segments, below) {
            Ok((target, from_file)) => {
                put_one(&mut layer, &target, name, vars, from_file, problems);
            }
            Err(message) => {
                let own =
                    nearest(name, OTHERS).map(|own| format!("sets no key; did you mean {own}?"));
                refuse(
                    problems,
                    name,
                    own.unwrap_or(message),
                    variable.source(name),
                );
            }
        }
    }
    layer
}

/// The layer that flags make: dotted keys and values as typed.
pub(super) fn flags(
    flags: &[(String, String)],
    below: &Table,
    problems: &mut Vec<Problem>,
) -> Table {
    let mut layer = Table::new();
    for (key, text) in flags {
        let source = Source::Flag {
            key: key.as_str().into(),
        };
        let segments: Vec<&str> = key.split('.').collect();
        match resolve(&segments, below) {
            Ok(target) => {
                let node = Node::of(from_text(target.kind, text), &source);
                set(&mut layer, &target.path, node);
            }
            Err(message) => refuse(problems, key, message, source),
        }
    }
    layer
}

/// Variables that look like one of the program's own but are none; each with the one that was meant.
pub(super) fn misspelt(vars: &Variables) -> Vec<String> {
    let ours = vars.keys().filter(|name| {
        let foreign = !name.starts_with("AGENT_SYSTEM_") || name.starts_with(PREFIX);
        !foreign && !OTHERS.contains(&name.as_str())
    });
    ours.filter_map(|name| {
        let near = nearest(name, OTHERS)?;
        Some(format!(
            "variable {name} means nothing here; did you mean {near}?"
        ))
    })
    .collect()
}

fn refuse(problems: &mut Vec<Problem>, key: &str, message: String, source: Source) {
    problems.push(Problem {
        key: key.to_owned(),
        message,
        source: Some(source),
    });
}

/// The target of a variable, and whether its value is the name of a file that holds the secret.
fn find_target(segments: &[&str], below: &Table) -> Result<(Target, bool), String> {
    let direct = resolve(segments, below);
    let Some((last, rest)) = segments.split_last() else {
        return direct.map(|target| (target, false));
    };
    match (direct, last.strip_suffix("_FILE")) {
        (Err(message), Some(stem)) => {
            let mut stems = rest.to_vec();
            stems.push(stem);
            match resolve(&stems, below) {
                Ok(target) if target.kind.is_secret() => Ok((target, true)),
                Ok(_) => Err(format!(
                    "only secrets are read from files; drop _FILE from {last}"
                )),
                Err(_) => Err(message),
            }
        }
        (direct, _) => direct.map(|target| (target, false)),
    }
}

/// Walks the tables along the segments of a name.
fn resolve(segments: &[&str], below: &Table) -> Result<Target, String> {
    if segments.len() > MAX_PARTS {
        return Err(format!("has more than {MAX_PARTS} parts"));
    }
    let mut path = Vec::new();
    let mut kind = &ROOT;
    let mut here = Some(below);
    for segment in segments {
        let (name, next) = step(kind, segment, here)?;
        here = here
            .and_then(|table| table.get(&name))
            .and_then(Node::as_table);
        path.push(name);
        kind = next;
    }
    if matches!(kind, Kind::Named(..)) {
        return Err("names a table of tables; add __NAME__KEY".to_owned());
    }
    Ok(Target { path, kind })
}

/// One segment: the name it stands for, and the kind of what it names.
fn step(
    kind: &'static Kind,
    segment: &str,
    here: Option<&Table>,
) -> Result<(String, &'static Kind), String> {
    let lower = segment.to_lowercase();
    if lower.is_empty() {
        return Err("a part of the name between __ and __ is empty".to_owned());
    }
    match kind {
        Kind::Section(keys) | Kind::Either(_, keys) => {
            let key = find(keys, &lower).map_err(|e| format!("'{lower}': {e}"))?;
            Ok((lower, &key.kind))
        }
        Kind::Named(values, _) => Ok((known_name(&lower, here), values)),
        Kind::Map(Kind::Name, values) => Ok((known_name(&lower, here), values)),
        Kind::Map(Kind::Variable, values) => Ok((segment.to_owned(), values)),
        Kind::Map(_, values) => Ok((lower, values)),
        Kind::Anything => Ok((lower, kind)),
        _ => Err(format!(
            "nothing stands below: '{lower}' is one part too many"
        )),
    }
}

/// The name that a variable's part means: one that is there already, else with `-` for `_`.
fn known_name(lower: &str, here: Option<&Table>) -> String {
    let dashed = lower.replace('_', "-");
    let known = here.and_then(|table| table.keys().find(|name| name.replace('_', "-") == dashed));
    known.cloned().unwrap_or(dashed)
}

/// Sets what a variable says. An alias that is empty says nothing.
fn put_one(
    layer: &mut Table,
    target: &Target,
    name: &str,
    vars: &Variables,
    from_file: bool,
    problems: &mut Vec<Problem>,
) {
    let says_something =
        |v: &&Variable| !v.value.is_empty() || (name.starts_with(PREFIX) && !from_file);
    let Some(variable) = vars.get(name).filter(says_something) else {
        return;
    };
    let source = variable.source(name);
    if !from_file {
        let node = Node::of(from_text(target.kind, &variable.value), &source);
        return set(layer, &target.path, node);
    }
    let plain = name.strip_suffix("_FILE").unwrap_or(name);
    if vars.get(plain).is_some_and(|v| !v.value.is_empty()) {
        let message = format!("{plain} is set as well; set one of them");
        return refuse(problems, name, message, source);
    }
    match read_secret(&variable.value) {
        Err(message) => refuse(problems, name, message, source),
        Ok(text) => {
            let source = Source::SecretFile {
                variable: name.into(),
                path: variable.value.as_str().into(),
            };
            let node = Node::value(toml::Value::String(text), source);
            set(layer, &target.path, node);
        }
    }
}

/// The text of a secret's file, its last line break apart.
fn read_secret(path: &str) -> Result<String, String> {
    let text = super::layers::read_bounded(Path::new(path), MAX_SECRET_BYTES)
        .map_err(|e| format!("the secret's file {path} {e}"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Whether a node holds a table with anything in it.
pub(super) fn declares(node: Option<&Node>) -> bool {
    node.is_some_and(|node| matches!(&node.content, Content::Table(table) if !table.is_empty()))
}
