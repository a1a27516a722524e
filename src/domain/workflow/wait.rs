//! Waits for the outside: what a signal says, and whether it may say that.
//!
//! A signal is a fact about its workflow: it is given once. The same again changes nothing, another
//! one is refused. One that comes before its task is ready is kept for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::did_you_mean;
use super::{TaskDefinition, WorkflowDefinition};
use crate::domain::task::TaskError;
use crate::domain::timestamp::Timestamp;

/// How long a signal is waited for unless its task says otherwise.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What it means when a signal does not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// The task has timed out, as if it had failed.
    Fail,
    /// The task succeeds with the result `null`.
    Continue,
}

/// A signal that a workflow waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenWait {
    /// The task that waits.
    pub task: String,
    /// The signal's name.
    pub signal: String,
    /// Whether it must say yes or no.
    pub approval: bool,
    /// Until when it waits.
    pub until: Timestamp,
}

/// Why a signal is refused whatever the workflow does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignal {
    /// No task waits for it, ever.
    #[error("workflow '{workflow}' has no signal '{signal}'{hint}")]
    Unknown {
        /// The definition's name.
        workflow: String,
        /// What was given.
        signal: String,
        /// The nearest known one, as words; may be empty.
        hint: String,
    },
    /// An approval that says neither yes nor no.
    #[error(
        "'{0}' is an approval: its payload must say {{\"approved\": true}} or {{\"approved\": false, \"reason\": …}}"
    )]
    NoAnswer(String),
}

impl TaskDefinition {
    /// The signal that it waits for, if it runs on no agent.
    #[must_use]
    pub fn awaits(&self) -> Option<&str> {
        self.signal.as_deref().or(self.approval.as_deref())
    }

    /// How long it waits for its signal.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.timeout_ms.map_or(DEFAULT_WAIT, Duration::from_millis)
    }

    /// What a signal means for it: its result, or why it has failed.
    ///
    /// # Errors
    /// If the signal is a person's no.
    pub fn answered(&self, payload: &Value) -> Result<(), TaskError> {
        if self.approval.is_none() || payload["approved"] == true {
            return Ok(());
        }
        let why = payload["reason"].as_str().filter(|why| !why.is_empty());
        Err(TaskError {
            code: "rejected".to_owned(),
            message: why.map_or_else(
                || "not approved".to_owned(),
                |why| format!("not approved: {why}"),
            ),
            retryable: false,
        })
    }
}

impl WorkflowDefinition {
    /// Whether a signal may say this to a run of the definition.
    ///
    /// # Errors
    /// If no task waits for it, or a task that does needs a yes or no.
    pub fn check_signal(&self, signal: &str, payload: &Value) -> Result<(), InvalidSignal> {
        let waiting = || {
            self.tasks
                .iter()
                .filter(|task| task.awaits() == Some(signal))
        };
        if waiting().next().is_none() {
            let known = self.tasks.iter().filter_map(TaskDefinition::awaits);
            return Err(InvalidSignal::Unknown {
                workflow: self.name.clone(),
                signal: signal.chars().take(80).collect(),
                hint: did_you_mean(signal, known),
            });
        }
        let asks = waiting().any(|task| task.approval.is_some());
        if asks && !payload["approved"].is_boolean() {
            return Err(InvalidSignal::NoAnswer(signal.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::workflow::check::check;

    fn definition() -> WorkflowDefinition {
        check(&json!({"name": "w", "tasks": [
            {"name": "ask", "approval": "publish"},
            {"name": "wait", "signal": "paid", "timeout_ms": 1000, "on_timeout": "continue"},
        ]}))
        .unwrap()
    }

    #[test]
    fn a_signal_must_be_one_that_a_task_waits_for() {
        let refused = definition().check_signal("publsh", &json!({})).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "workflow 'w' has no signal 'publsh'; did you mean 'publish'?"
        );
    }

    #[test]
    fn an_approval_says_yes_or_no_and_a_plain_signal_says_anything() {
        let definition = definition();
        for (signal, payload, may) in [
            ("publish", json!({"approved": true}), true),
            (
                "publish",
                json!({"approved": false, "reason": "typo"}),
                true,
            ),
            ("publish", json!({"approved": "yes"}), false),
            ("publish", json!(null), false),
            ("paid", json!(null), true),
            ("paid", json!({"approved": false}), true),
        ] {
            assert_eq!(
                definition.check_signal(signal, &payload).is_ok(),
                may,
                "{signal} {payload}"
            );
        }
        let [ask, wait] = &definition.tasks[..] else {
            unreachable!()
        };
        assert!(ask.answered(&json!({"approved": true})).is_ok());
        let no = ask
            .answered(&json!({"approved": false, "reason": "typo"}))
            .unwrap_err();
        assert_eq!(
            (no.code.as_str(), no.message.as_str()),
            ("rejected", "not approved: typo")
        );
        assert!(wait.answered(&json!({"approved": false})).is_ok());
        assert_eq!(
            (ask.wait(), wait.wait()),
            (DEFAULT_WAIT, Duration::from_secs(1))
        );
    }
}
