//! The input of a run: what `--input KEY=VALUE` means.
//!
//! `@PATH` and a value that names a file are uploaded; so is any value of an input whose default
//! in the definition is an artifact (`{"$artifact" = …}`), and then a missing file is an error
//! that says so. JSON is taken as JSON, anything else as a text; a text that happens to name a
//! file is written as JSON: `KEY="README.md"` with its quotes.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::cli::exit::Failure;
use crate::client::Client;
use crate::domain::name::nearest;
use crate::domain::workflow::WorkflowDefinition;
use crate::domain::workflow::reference::{Reference, each_reference, reference_text};

/// The key that marks a value as an artifact.
const ARTIFACT: &str = "$artifact";

/// Puts the values of this run into the definition's input; uploads the files among them.
pub(super) async fn fill(
    client: &Client,
    definition: &mut WorkflowDefinition,
    pairs: Vec<(String, String)>,
) -> Result<(), Failure> {
    let known = known(definition);
    let mut meanings = Vec::new();
    for (key, text) in pairs {
        if !known.contains(&key) {
            return Err(unknown(&definition.name, &known, &key));
        }
        let artifact = definition.input.get(&key).is_some_and(is_artifact);
        let meaning = Meaning::of(&text, artifact, Path::is_file);
        meanings.push((key, meaning));
    }
    for (key, meaning) in meanings {
        let value = match meaning {
            Meaning::Value(value) => value,
            Meaning::File(path) => upload(client, &key, &path).await?,
        };
        definition.input.insert(key, value);
    }
    let empty = |value: &Value| value[ARTIFACT].as_str().is_some_and(str::is_empty);
    match definition.input.iter().find(|(_, value)| empty(value)) {
        None => Ok(()),
        Some((key, _)) => Err(Failure::usage(format!(
            "workflow '{}' needs a file: --input {key}=PATH",
            definition.name
        ))),
    }
}

/// The inputs that have a default or that a task refers to.
fn known(definition: &WorkflowDefinition) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = definition
        .input
        .iter()
        .filter(|(_, default)| !default.is_null())
        .map(|(key, _)| key.clone())
        .collect();
    let tasks = definition.tasks.iter();
    let values = tasks.flat_map(|task| task.for_each.iter().chain([&task.payload]));
    for value in values.chain(&definition.output) {
        each_reference(value, "", &mut |_, found| {
            if let Some(Ok(Reference::Input(path))) = reference_text(found).map(Reference::parse) {
                known.extend(path.into_iter().next());
            }
        });
    }
    known
}

fn unknown(workflow: &str, known: &BTreeSet<String>, key: &str) -> Failure {
    let hint = match nearest(key, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => "it takes none".to_owned(),
        None => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            format!("it takes {}", known.join(", "))
        }
    };
    Failure::usage(format!(
        "workflow '{workflow}' has no input '{key}'; {hint}"
    ))
}

fn is_artifact(default: &Value) -> bool {
    default.get(ARTIFACT).is_some()
}

async fn upload(client: &Client, key: &str, path: &str) -> Result<Value, Failure> {
    let file = Path::new(path);
    match std::fs::metadata(file) {
        Err(error) => {
            let message = format!("input '{key}': the file '{path}' cannot be read: {error}");
            return Err(Failure::failed(message));
        }
        Ok(metadata) if metadata.is_dir() => {
            let message = format!("input '{key}': '{path}' is a directory, not a file");
            return Err(Failure::failed(message));
        }
        Ok(_) => {}
    }
    Ok(client.upload(file).await?.value)
}

/// What the text of a value means.
#[derive(Debug, PartialEq)]
enum Meaning {
    /// A file to upload.
    File(String),
    /// A value.
    Value(Value),
}

impl Meaning {
    fn of(text: &str, artifact: bool, exists: impl Fn(&Path) -> bool) -> Self {
        if exists(Path::new(text)) {
            return Self::File(text.to_owned());
        }
        if let Some(path) = text.strip_prefix('@') {
            return Self::File(path.to_owned());
        }
        match serde_json::from_str::<Value>(text) {
            Ok(value) if !artifact || is_artifact(&value) => Self::Value(value),
            _ if artifact => Self::File(text.to_owned()),
            _ => Self::Value(text.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_is_a_file_json_is_json_and_the_rest_is_a_text() {
        let exists = |path: &Path| ["README.md", "42", "@odd"].contains(&path.to_str().unwrap());
        let file = |path: &str| Meaning::File(path.to_owned());
        let cases = [
            ("README.md", false, file("README.md")),
            ("README.md", true, file("README.md")),
            ("42", false, file("42")),
            ("43", false, Meaning::Value(json!(43))),
            ("@any/path", false, file("any/path")),
            ("@odd", false, file("@odd")),
            ("\"README.md\"", false, Meaning::Value(json!("README.md"))),
            ("hello", false, Meaning::Value(json!("hello"))),
            ("missing.txt", true, file("missing.txt")),
            (
                "{\"$artifact\":\"uploads/a\"}",
                true,
                Meaning::Value(json!({"$artifact": "uploads/a"})),
            ),
        ];
        for (text, artifact, meaning) in cases {
            assert_eq!(
                Meaning::of(text, artifact, exists),
                meaning,
                "{text} {artifact}"
            );
        }
    }
}
