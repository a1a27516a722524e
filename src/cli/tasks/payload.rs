//! What a submission carries: JSON from an argument, a file, or stdin.

use serde_json::Value;

use super::Submit;
use crate::cli::exit::Failure;

/// The payload that the arguments give, if they give any.
pub(super) fn payload(submit: &Submit) -> Result<Option<Value>, Failure> {
    let (source, text) = match (&submit.payload, &submit.payload_file) {
        (Some(text), _) => ("--payload".to_owned(), text.clone()),
        (None, Some(path)) => {
            let name = path.display().to_string();
            (
                name.clone(),
                read(path).map_err(|error| Failure::failed(format!("{name}: {error}")))?,
            )
        }
        (None, None) => return Ok(None),
    };
    read_json(&source, &text).map(Some)
}

/// A value that an argument gives as JSON.
pub(in crate::cli) fn read_json(source: &str, text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!(
            "{source} is not JSON: {error}; a text needs its quotes: '\"text\"'"
        ))
    })
}

/// A file's text; `-` is stdin.
pub(in crate::cli) fn read(path: &std::path::Path) -> std::io::Result<String> {
    if path.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin().lock())
    } else {
        std::fs::read_to_string(path)
    }
}
