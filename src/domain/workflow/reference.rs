//! References: `{"$ref": "…"}` stands for a value that is known later.
//!
//! `input.KEY…`, `tasks.NAME.result.KEY…`; inside a `for_each` also `item.KEY…` and `index`. A key
//! of digits picks from a list. An object with `$ref` holds nothing else.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::name::nearest;

/// The key that makes an object a reference.
pub const REFERENCE_KEY: &str = "$ref";

/// What a reference points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A value of the run's input.
    Input(Vec<String>),
    /// A value in a task's result.
    TaskResult {
        /// The task's name in the definition.
        task: String,
        /// Where in its result.
        path: Vec<String>,
    },
    /// The item of a `for_each`, or a value in it.
    Item(Vec<String>),
    /// The item's place, from 0.
    Index,
}

/// Why a reference cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It is no reference.
    #[error(
        "'{0}' is no reference: write input.KEY, tasks.NAME.result, item or index, with more keys after a dot"
    )]
    Malformed(String),
    /// It points at nothing.
    #[error("'{reference}' points at nothing: {problem}")]
    Missing {
        /// The reference as written.
        reference: String,
        /// Where it ends.
        problem: String,
    },
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`ReferenceError::Malformed`] if the text is none.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let malformed = || ReferenceError::Malformed(text.chars().take(200).collect());
        let mut parts = text.split('.').map(str::to_owned);
        let head = parts.next().unwrap_or_default();
        let rest: Vec<String> = parts.collect();
        if rest.iter().any(String::is_empty) {
            return Err(malformed());
        }
        match (head.as_str(), rest.as_slice()) {
            ("input", [_, ..]) => Ok(Self::Input(rest)),
            ("tasks", [task, result, path @ ..]) if result == "result" => Ok(Self::TaskResult {
                task: task.clone(),
                path: path.to_vec(),
            }),
            ("item", _) => Ok(Self::Item(rest)),
            ("index", []) => Ok(Self::Index),
            _ => Err(malformed()),
        }
    }
}

/// The text of a reference, if the value is one.
#[must_use]
pub fn reference_text(value: &Value) -> Option<&str> {
    value.as_object()?.get(REFERENCE_KEY)?.as_str()
}

/// Calls `found` with the JSON pointer (below `at`) and the value of everything that means to be a
/// reference: each object that has the key `$ref`.
pub fn each_reference(value: &Value, at: &str, found: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(map) if map.contains_key(REFERENCE_KEY) => found(at, value),
        Value::Object(map) => {
            for (key, inner) in map {
                each_reference(inner, &format!("{at}/{}", pointer_key(key)), found);
            }
        }
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                each_reference(inner, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// A key as it stands in a JSON pointer (RFC 6901).
#[must_use]
pub fn pointer_key(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The tasks whose results a value refers to, in the order of their mention.
#[must_use]
pub fn tasks_referred_to(value: &Value) -> Vec<String> {
    let mut tasks = Vec::new();
    each_reference(value, "", &mut |_, found| {
        if let Some(Ok(Reference::TaskResult { task, .. })) =
            reference_text(found).map(Reference::parse)
            && !tasks.contains(&task)
        {
            tasks.push(task);
        }
    });
    tasks
}

/// Whether a value refers to the run's input.
#[must_use]
pub fn refers_to_input(value: &Value) -> bool {
    let mut refers = false;
    each_reference(value, "", &mut |_, found| {
        refers |= reference_text(found).is_some_and(|text| text.starts_with("input."));
    });
    refers
}

/// What references are resolved against.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The run's input.
    pub input: &'a Value,
    /// Results of the tasks that have succeeded, by name.
    pub results: &'a BTreeMap<String, Value>,
    /// Item and place, inside a `for_each`.
    pub item: Option<(&'a Value, usize)>,
}

/// The value with every reference replaced by what it points at.
///
/// # Errors
/// [`ReferenceError`] for the first reference that cannot be followed.
pub fn resolve(value: &Value, scope: Scope<'_>) -> Result<Value, ReferenceError> {
    if let Some(text) = reference_text(value) {
        return follow(text, scope);
    }
    Ok(match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, inner)| Ok((key.clone(), resolve(inner, scope)?)))
                .collect::<Result<_, _>>()?,
        ),
        Value::Array(list) => Value::Array(
            list.iter()
                .map(|inner| resolve(inner, scope))
                .collect::<Result<_, _>>()?,
        ),
        plain => plain.clone(),
    })
}

fn follow(text: &str, scope: Scope<'_>) -> Result<Value, ReferenceError> {
    let missing = |problem: String| ReferenceError::Missing {
        reference: text.to_owned(),
        problem,
    };
    match Reference::parse(text)? {
        Reference::Input(path) => walk(scope.input, &path).map_err(missing),
        Reference::TaskResult { task, path } => {
            let result = scope.results.get(&task);
            let result = result.ok_or_else(|| missing(format!("task '{task}' has no result")))?;
            walk(result, &path).map_err(missing)
        }
        Reference::Item(path) => {
            let (item, _) = scope.item.ok_or_else(outside).map_err(missing)?;
            walk(item, &path).map_err(missing)
        }
        Reference::Index => {
            let (_, index) = scope.item.ok_or_else(outside).map_err(missing)?;
            Ok(Value::from(index))
        }
    }
}

fn outside() -> String {
    "item and index exist only inside a for_each".to_owned()
}

fn walk(from: &Value, path: &[String]) -> Result<Value, String> {
    let mut here = from;
    for key in path {
        here = match here {
            Value::Object(map) => map.get(key).ok_or_else(|| {
                let hint = nearest(key, map.keys().map(String::as_str));
                let hint =
                    hint.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
                format!("there is no '{key}'{hint}")
            })?,
            Value::Array(list) => key
                .parse::<usize>()
                .ok()
                .and_then(|index| list.get(index))
                .ok_or_else(|| format!("there is no '{key}' in a list of {}", list.len()))?,
            _ => {
                return Err(format!(
                    "there is no '{key}' in a value that is neither object nor list"
                ));
            }
        };
    }
    Ok(here.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resolved(value: &Value) -> Result<Value, String> {
        let input = json!({"file": "a.txt", "opts": {"n": 3}});
        let results = BTreeMap::from([("split".to_owned(), json!({"chunks": ["x", {"y": 1}]}))]);
        let item = json!({"id": 7});
        let scope = Scope {
            input: &input,
            results: &results,
            item: Some((&item, 4)),
        };
        resolve(value, scope).map_err(|error| error.to_string())
    }

    #[test]
    fn references_are_replaced_wherever_they_stand_and_keep_their_type() {
        let payload = json!({
            "f": {"$ref": "input.file"}, "n": [{"$ref": "input.opts.n"}, 2],
            "c": {"$ref": "tasks.split.result.chunks.1.y"}, "i": {"$ref": "item.id"}, "k": {"$ref": "index"},
        });
        assert_eq!(
            resolved(&payload),
            Ok(json!({"f": "a.txt", "n": [3, 2], "c": 1, "i": 7, "k": 4}))
        );
    }

    #[test]
    fn a_reference_that_points_at_nothing_says_where_it_ends() {
        for (text, wanted) in [
            ("input.fiel", "did you mean 'file'?"),
            ("tasks.split.result.chunks.9", "no '9' in a list of 2"),
            ("tasks.merge.result", "task 'merge' has no result"),
            ("input.file.x", "neither object nor list"),
        ] {
            let error = resolved(&json!({"$ref": text})).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "",
            "input",
            "tasks.x",
            "tasks.x.output",
            "index.1",
            "input..a",
            "env.X",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
