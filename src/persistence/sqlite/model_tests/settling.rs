//! The ends of executions, in time and late, and what is said of their progress.

use std::time::Duration;

use serde_json::json;

use super::model::{Number, outcome_word};
use super::world::World;
use crate::domain::ids::LeaseId;
use crate::domain::query::Settlement;
use crate::domain::task::{Outcome, Progress, TaskError, TaskState};
use crate::domain::transition::{Command, transition};
use crate::persistence::StoreError;

impl World {
    fn lease(&self, pick: usize, late: bool) -> Option<(Number, LeaseId)> {
        let holding: Vec<_> = self
            .model
            .present()
            .filter_map(|(number, it)| Some((number, it.lease()?)))
            .collect();
        let among = if late { &self.model.leases } else { &holding };
        (!among.is_empty()).then(|| among[pick % among.len()])
    }

    pub(super) fn settle(&mut self, pick: usize, late: bool, how: u8) {
        let Some((number, lease)) = self.lease(pick, late) else {
            return;
        };
        let id = self.model.tasks[number].id.unwrap();
        let (outcome, command) = outcome(how);
        let result = match &outcome {
            Outcome::Succeeded(result) => Some(result.clone()),
            _ => None,
        };
        if self.model.tasks[number].gone {
            let settlement = Settlement {
                task: id,
                lease_id: lease,
                outcome,
                backoff: Duration::ZERO,
                spend: None,
            };
            let done = self.db.try_settle(&settlement);
            assert!(matches!(done, Err(StoreError::NotFound { .. })), "{done:?}");
            return;
        }
        let settled = self.db.settle(id, lease, outcome);
        if self.model.tasks[number].lease() != Some(lease) {
            assert_eq!(
                settled.stale,
                self.late(number, lease, command),
                "{command:?}"
            );
            assert_eq!(settled.state, self.model.tasks[number].state());
            return;
        }
        assert!(!settled.stale);
        let retry_at = self.model.now.after(Duration::from_secs(1));
        let before = self.model.tasks[number].standing;
        let to = transition(before, command).unwrap();
        let ready = (to.state == TaskState::Retrying).then_some(retry_at);
        // What follows from its end may need the result.
        self.model.tasks[number].result = result;
        assert!(self.model.step_on(number, command, ready));
        assert_eq!(settled.state, self.model.tasks[number].state());
        self.bind_flows();
    }

    /// A result under a lease that holds no more: whether it is stale, or told once more.
    fn late(&mut self, number: Number, lease: LeaseId, command: Command) -> bool {
        let executions = &mut self.model.tasks[number].executions;
        let Some(execution) = executions.iter_mut().find(|it| it.lease == lease) else {
            return true;
        };
        let word = outcome_word(command);
        if execution.late.is_some() {
            return true;
        }
        if execution.outcome == Some(word) {
            return false;
        }
        execution.late = Some(word);
        true
    }

    pub(super) fn progress(&mut self, pick: usize, late: bool, percent: u8) {
        let Some((number, lease)) = self.lease(pick, late) else {
            return;
        };
        let task = &mut self.model.tasks[number];
        if task.gone {
            return;
        }
        let (id, percent) = (task.id.unwrap(), f64::from(percent));
        let progress = Progress {
            percent: Some(percent),
            message: None,
            at: self.db.now,
        };
        self.db.progress(id, lease, &progress);
        if task.lease() == Some(lease) {
            task.percent = Some(percent);
        }
    }
}

/// How an execution ends, and what that is for the transition function. What succeeds returns a
/// list for the workflows that go over it.
fn outcome(how: u8) -> (Outcome, Command) {
    let error = |retryable| TaskError {
        code: "e".into(),
        message: "m".into(),
        retryable,
    };
    let died = |alone| {
        let reason = "r".to_owned();
        (
            Outcome::AgentDied { alone, reason },
            Command::AgentDied { alone },
        )
    };
    match how {
        0..=4 => {
            let items: Vec<u8> = (0..how).collect();
            let result = json!({"items": items, "n": how});
            (Outcome::Succeeded(result), Command::Succeed)
        }
        5 => (Outcome::Failed(error(true)), Command::FailRetryable),
        6 => (Outcome::Failed(error(false)), Command::FailFinal),
        7 => (Outcome::TimedOut, Command::AttemptTimeout),
        8 => {
            let reason = "r".to_owned();
            (Outcome::Interrupted { reason }, Command::Interrupt)
        }
        9 => died(true),
        10 => died(false),
        _ => (Outcome::Cancelled, Command::GiveUp),
    }
}
