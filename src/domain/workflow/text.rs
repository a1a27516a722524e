//! From the text of a definition, TOML or JSON, to a definition: faults come with their line.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::WorkflowDefinition;
use super::check::{DefinitionError, check};
use super::lines::json_offsets;
use super::reference::pointer_key;

/// How a definition is written. Both have the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionFormat {
    /// TOML.
    Toml,
    /// JSON.
    Json,
}

/// Reads and checks the text of a definition.
///
/// # Errors
/// Every fault found, with its line; a text that is not TOML or JSON has one fault.
pub fn parse_definition(
    text: &str,
    format: DefinitionFormat,
) -> Result<WorkflowDefinition, Vec<DefinitionError>> {
    parse_run(text, format, &[])
}

/// As [`parse_definition`], for a run whose caller gives values of its own for some inputs: those
/// count as declared.
///
/// # Errors
/// As [`parse_definition`].
pub fn parse_run(
    text: &str,
    format: DefinitionFormat,
    given: &[&str],
) -> Result<WorkflowDefinition, Vec<DefinitionError>> {
    // Some editors begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut value, offsets) = match format {
        DefinitionFormat::Toml => from_toml(text)?,
        DefinitionFormat::Json => from_json(text)?,
    };
    declare(&mut value, given);
    check(&value).map_err(|faults| {
        faults
            .into_iter()
            .map(|fault| DefinitionError {
                line: line_of(text, &offsets, &fault.pointer),
                ..fault
            })
            .collect()
    })
}

/// Declares inputs that the definition does not have.
fn declare(value: &mut Value, given: &[&str]) {
    if given.is_empty() {
        return;
    }
    let Some(members) = value.as_object_mut() else {
        return;
    };
    let input = members
        .entry("input")
        .or_insert_with(|| Value::Object(Map::new()));
    if let Some(input) = input.as_object_mut() {
        for key in given {
            input.entry(*key).or_insert(Value::Null);
        }
    }
}

/// JSON pointer to byte offset.
type Offsets = BTreeMap<String, usize>;

fn from_json(text: &str) -> Result<(Value, Offsets), Vec<DefinitionError>> {
    let value = serde_json::from_str(text).map_err(|error| {
        let line = u32::try_from(error.line()).ok();
        unreadable(line, &format!("not JSON: {error}"))
    })?;
    let (offsets, again) = json_offsets(text);
    let again = again.into_iter().map(|(pointer, offset)| {
        let key = pointer.rsplit('/').next().unwrap_or_default();
        let message = format!("not JSON with one meaning: '{key}' stands in its object twice");
        (pointer, offset, message)
    });
    none_of(again.collect(), text)?;
    Ok((value, offsets))
}

/// What was read, unless it has faults: where, and which.
fn none_of(faults: Vec<(String, usize, String)>, text: &str) -> Result<(), Vec<DefinitionError>> {
    let fault = |(pointer, offset, message)| DefinitionError {
        pointer,
        line: Some(line_at(text, offset)),
        message,
    };
    match faults.is_empty() {
        true => Ok(()),
        false => Err(faults.into_iter().map(fault).collect()),
    }
}

fn from_toml(text: &str) -> Result<(Value, Offsets), Vec<DefinitionError>> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        unreadable(line, &format!("not TOML: {}", error.message()))
    })?;
    let mut seen = Seen::default();
    let value = toml_table(table.get_ref(), "", &mut seen);
    none_of(seen.faults, text)?;
    Ok((value, seen.offsets))
}

/// What was met on the way through a TOML text.
#[derive(Default)]
struct Seen {
    offsets: Offsets,
    /// Numbers that JSON cannot hold: where, and what is wrong.
    faults: Vec<(String, usize, String)>,
}

fn unreadable(line: Option<u32>, message: &str) -> Vec<DefinitionError> {
    vec![DefinitionError {
        pointer: String::new(),
        line,
        message: message.to_owned(),
    }]
}

fn toml_table(table: &DeTable<'_>, at: &str, seen: &mut Seen) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let name = key.get_ref().to_string();
        let at = format!("{at}/{}", pointer_key(&name));
        let value = toml_value(value, &at, seen);
        seen.offsets.insert(at, key.span().start);
        (name, value)
    });
    Value::Object(entries.collect())
}

fn toml_value(value: &Spanned<DeValue<'_>>, at: &str, seen: &mut Seen) -> Value {
    seen.offsets.insert(at.to_owned(), value.span().start);
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            toml_number(read.ok().map(Number::from), value, at, seen)
        }
        DeValue::Float(number) => {
            let read = number.as_str().parse().ok().and_then(Number::from_f64);
            toml_number(read, value, at, seen)
        }
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(instant) => Value::String(instant.to_string()),
        DeValue::Array(list) => Value::Array(
            list.iter()
                .enumerate()
                .map(|(index, inner)| toml_value(inner, &format!("{at}/{index}"), seen))
                .collect(),
        ),
        DeValue::Table(table) => toml_table(table, at, seen),
    }
}

/// A number, unless JSON has none for it (`nan`, `inf`, more than 64 bits).
fn toml_number(
    read: Option<Number>,
    value: &Spanned<DeValue<'_>>,
    at: &str,
    seen: &mut Seen,
) -> Value {
    read.map_or_else(
        || {
            let message = "a number that JSON cannot hold; write it as a text".to_owned();
            seen.faults
                .push((at.to_owned(), value.span().start, message));
            Value::Null
        },
        Value::Number,
    )
}

/// The line of a pointer, or of the nearest thing around it that has one.
fn line_of(text: &str, offsets: &Offsets, pointer: &str) -> Option<u32> {
    let mut at = pointer;
    loop {
        if let Some(offset) = offsets.get(at) {
            return Some(line_at(text, *offset));
        }
        at = &at[..at.rfind('/')?];
    }
}

fn line_at(text: &str, offset: usize) -> u32 {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let breaks = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1)
}
