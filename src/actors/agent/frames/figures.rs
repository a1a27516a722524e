//! Figures in frames: which count, and why the others do not.

use serde::Deserialize as _;
use serde_json::Value;

use super::FromAgent;
use crate::domain::spend::{BadUsage, Usage, UsageSaid};

/// The longest name of a metric.
const MAX_NAME: usize = 63;

/// What is said inside another frame to have been spent.
pub(crate) fn usage(said: Value) -> Result<Usage, BadUsage> {
    // What is no object names none of the figures.
    UsageSaid::deserialize(said).unwrap_or_default().checked()
}

/// Why a metric is refused, whoever sends it.
pub(crate) fn bad_metric(name: &str, value: f64) -> Option<String> {
    if !is_name(name) {
        let start: String = name.chars().take(MAX_NAME).collect();
        return Some(format!(
            "a metric of no name: {start:?} is not a lower-case letter and up to 62 of [a-z0-9_]"
        ));
    }
    (!value.is_finite()).then(|| format!("the metric {name} is no finite number"))
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    first && name.len() <= MAX_NAME && bytes.all(rest)
}

impl FromAgent {
    /// Why a figure of this frame counts for nothing, if one does.
    pub(crate) fn bad_figure(&self) -> Option<String> {
        let inside = |said: &Option<Value>| said.clone().and_then(|said| usage(said).err());
        let bad = match self {
            Self::Usage(frame) => frame.said.checked().err(),
            Self::Result { usage, .. } => inside(usage),
            Self::Error(error) => inside(&error.usage),
            Self::Metric { name, value } => return bad_metric(name, *value),
            _ => None,
        };
        bad.map(|bad| format!("usage that counts for nothing: {bad}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::agent::frames::{Heard, hear};

    #[test]
    fn a_metrics_name_is_a_short_word_of_lower_case() {
        let long = "a".repeat(MAX_NAME);
        for name in ["a", "queue_depth", "p99", long.as_str()] {
            assert!(is_name(name), "{name}");
        }
        let longer = "a".repeat(MAX_NAME + 1);
        for name in [
            "",
            "A",
            "_a",
            "9a",
            "a-b",
            "a b",
            "a\"b",
            "ä",
            longer.as_str(),
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_frame_says_which_of_its_figures_is_none() {
        let task = crate::domain::ids::TaskId::from_bytes([1; 16]);
        let lease = crate::domain::ids::LeaseId::from_bytes([2; 16]);
        for (line, bad) in [
            (r#"{"type":"usage","cost_usd":1}"#.to_owned(), None),
            (
                r#"{"type":"usage","cost_usd":-1}"#.to_owned(),
                Some("cost_usd is -1"),
            ),
            (r#"{"type":"usage"}"#.to_owned(), Some("names none of")),
            (
                format!(
                    r#"{{"type":"result","task_id":"{task}","lease_id":"{lease}","usage":{{"input_tokens":0.5}}}}"#
                ),
                Some("input_tokens is 0.5"),
            ),
            (
                format!(r#"{{"type":"error","task_id":"{task}","lease_id":"{lease}","usage":7}}"#),
                Some("names none of"),
            ),
            (
                r#"{"type":"metric","name":"A","value":1}"#.to_owned(),
                Some("of no name"),
            ),
            (r#"{"type":"heartbeat"}"#.to_owned(), None),
        ] {
            let Heard::Frame(frame) = hear(line.as_bytes()) else {
                panic!("no frame: {line}");
            };
            let said = frame.bad_figure();
            assert_eq!(said.is_some(), bad.is_some(), "{line}: {said:?}");
            assert!(
                said.unwrap_or_default().contains(bad.unwrap_or("")),
                "{line}"
            );
        }
    }
}
