//! From the text of a definition, TOML or JSON, to a definition: faults come with their line.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
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
    match serde_json::from_str(text) {
        Ok(value) => Ok((value, json_offsets(text))),
        Err(error) => Err(unreadable(
            u32::try_from(error.line()).ok(),
            &format!("not JSON: {error}"),
        )),
    }
}

fn from_toml(text: &str) -> Result<(Value, Offsets), Vec<DefinitionError>> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        unreadable(line, &format!("not TOML: {}", error.message()))
    })?;
    let mut offsets = Offsets::new();
    let value = toml_table(table.get_ref(), "", &mut offsets);
    Ok((value, offsets))
}

fn unreadable(line: Option<u32>, message: &str) -> Vec<DefinitionError> {
    vec![DefinitionError {
        pointer: String::new(),
        line,
        message: message.to_owned(),
    }]
}

fn toml_table(table: &DeTable<'_>, at: &str, offsets: &mut Offsets) -> Value {
    let entries = table.iter().map(|(key, value)| {
        let name = key.get_ref().to_string();
        let at = format!("{at}/{}", pointer_key(&name));
        let value = toml_value(value, &at, offsets);
        offsets.insert(at, key.span().start);
        (name, value)
    });
    Value::Object(entries.collect())
}

fn toml_value(value: &Spanned<DeValue<'_>>, at: &str, offsets: &mut Offsets) -> Value {
    offsets.insert(at.to_owned(), value.span().start);
    match value.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Value::String(number.to_string()), Value::from),
        DeValue::Float(number) => {
            let read = number.as_str().parse::<f64>().ok();
            read.map_or_else(|| Value::String(number.to_string()), Value::from)
        }
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(instant) => Value::String(instant.to_string()),
        DeValue::Array(list) => Value::Array(
            list.iter()
                .enumerate()
                .map(|(index, inner)| toml_value(inner, &format!("{at}/{index}"), offsets))
                .collect(),
        ),
        DeValue::Table(table) => toml_table(table, at, offsets),
    }
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
