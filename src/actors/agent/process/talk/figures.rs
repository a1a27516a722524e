//! What a child says in figures: what it has spent, and gauges of its own.
//!
//! Rely on: a figure that is none is an error of the child and changes nothing, neither a sum nor the
//! task that it names.

use serde_json::Value;

use super::Talk;
use crate::actors::agent::frames::{UsageFrame, figures};
use crate::actors::work::AgentSpent;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::spend::{BadUsage, Usage};
use crate::telemetry::metrics::{MAX_REPORTED, record};

/// An execution.
type Of = (TaskId, LeaseId);

impl Talk {
    /// What was spent counts for the agent, whether its task is still open or not.
    pub(super) fn usage(&self, frame: &UsageFrame) {
        let task = frame.task_id;
        let open = task.and_then(|task| Some((task, self.tasks.lease(task)?)));
        self.count(open, frame.said.checked(), false);
    }

    /// What comes with the end of a task.
    pub(super) fn usage_with(&self, of: Of, said: Option<Value>) {
        if let Some(said) = said {
            self.count(Some(of), figures::usage(said), true);
        }
    }

    /// What never came into the child's hands has cost nothing.
    pub(super) fn nothing_spent(&self, of: Of) {
        self.count(Some(of), Ok(Usage::NOTHING), true);
    }

    fn count(&self, of: Option<Of>, said: Result<Usage, BadUsage>, with_answer: bool) {
        match said {
            Ok(usage) => self.work.spent(AgentSpent {
                from: self.life.instance.clone(),
                of,
                usage,
                with_answer,
            }),
            Err(bad) => self.complain(&format!("usage that counts for nothing: {bad}")),
        }
    }

    /// Labels are not taken: each set of them would be a series of its own.
    pub(super) fn metric(&self, name: &str, value: f64) {
        let agent = self.life.instance.agent.as_str();
        if let Some(bad) = figures::bad_metric(name, value) {
            self.complain(&bad);
        } else if !record::agent_reported(agent, name, value) {
            self.complain(&format!(
                "the metric {name} is refused: {MAX_REPORTED} names are all that an agent has"
            ));
        }
    }
}
