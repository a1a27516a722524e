//! What a child says in figures: what it has spent, and gauges of its own.
//!
//! Rely on: a figure that is none is an error of the child and changes nothing, neither a sum nor the
//! task that it names.

use serde::Deserialize as _;

use super::Talk;
use crate::actors::agent::frames::UsageFrame;
use crate::actors::work::AgentSpent;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::spend::{Usage, UsageSaid};
use crate::telemetry::metrics::{MAX_REPORTED, record};

/// The longest name of a figure.
const MAX_NAME: usize = 63;

impl Talk {
    /// What was spent counts for the agent, whether its task is still open or not.
    pub(super) fn usage(&self, frame: &UsageFrame) {
        let task = frame.task_id;
        let open = task.and_then(|task| Some((task, self.tasks.lease(task)?)));
        match frame.said.checked() {
            Ok(usage) => self.spent(open, usage, false),
            Err(bad) => self.complain(&format!("usage that counts for nothing: {bad}")),
        }
    }

    /// What comes with the end of a task.
    pub(super) fn usage_with(&self, of: (TaskId, LeaseId), said: Option<serde_json::Value>) {
        let Some(said) = said else {
            return;
        };
        let said = UsageSaid::deserialize(said).unwrap_or_default();
        match said.checked() {
            Ok(usage) => self.spent(Some(of), usage, true),
            Err(bad) => self.complain(&format!("usage that counts for nothing: {bad}")),
        }
    }

    /// What never came into the child's hands has cost nothing.
    pub(super) fn nothing_spent(&self, of: (TaskId, LeaseId)) {
        self.spent(Some(of), Usage::NOTHING, true);
    }

    fn spent(&self, of: Option<(TaskId, LeaseId)>, usage: Usage, with_answer: bool) {
        self.work.spent(AgentSpent {
            from: self.life.instance.clone(),
            of,
            usage,
            with_answer,
        });
    }

    /// Labels are not taken: each set of them would be a series of its own.
    pub(super) fn metric(&self, name: &str, value: f64) {
        let agent = self.life.instance.agent.as_str();
        if !is_name(name) {
            let name: String = name.chars().take(MAX_NAME).collect();
            self.complain(&format!(
                "a metric of no name: {name:?} is not a lower-case letter and up to 62 of \
                 [a-z0-9_]"
            ));
        } else if !value.is_finite() {
            self.complain(&format!("the metric {name} is no finite number"));
        } else if !record::agent_reported(agent, name, value) {
            self.complain(&format!(
                "the metric {name} is refused: {MAX_REPORTED} names are all that an agent has"
            ));
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    first && name.len() <= MAX_NAME && bytes.all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
