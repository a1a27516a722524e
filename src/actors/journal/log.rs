//! The journal's part in the log: the facts that an operator wants to see go by.
//!
//! Work is too much of it for `info`; deaths are warnings, because they heal by themselves; giving
//! up is an error, because somebody must act.

use serde_json::Value;

use crate::domain::event::{Event, EventData};

/// Writes a fact into the log, at the level it deserves.
pub(super) fn write(event: &Event) {
    let (kind, subject, data) = (
        event.kind.as_str(),
        event.subject.as_str(),
        Shown(&event.data),
    );
    match kind {
        "agent.quarantined" | "agent.failed" | "recovery.failed" => {
            tracing::error!("{kind} {subject}{data}");
        }
        "agent.crashed"
        | "agent.stalled"
        | "agent.unreachable"
        | "task.dead"
        | "workflow.failed"
        | "recovery.suppressed" => tracing::warn!("{kind} {subject}{data}"),
        // Said by the room it happened in, with more words.
        "database.lost" | "database.restored" | "health.changed" => {}
        "agent.busy" | "agent.idle" => tracing::trace!("{kind} {subject}{data}"),
        _ if kind.starts_with("task.") => tracing::debug!("{kind} {subject}{data}"),
        _ => tracing::info!("{kind} {subject}{data}"),
    }
}

/// The members of an object as ` key=value`, without the braces of JSON.
struct Shown<'a>(&'a EventData);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Value::Object(members) = self.0.value() else {
            return Ok(());
        };
        for (key, value) in members {
            match value {
                Value::Null => {}
                Value::String(text) => write!(f, " {key}={text}")?,
                Value::Object(_) | Value::Array(_) => write!(f, " {key}=…")?,
                plain => write!(f, " {key}={plain}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fact_reads_as_words_in_the_log() {
        let data = json!({"reason": "signal 9", "uptime_ms": 12, "next": null, "tasks": ["a"]});
        assert_eq!(
            Shown(&EventData::of(&data)).to_string(),
            " reason=signal 9 tasks=… uptime_ms=12"
        );
    }
}
