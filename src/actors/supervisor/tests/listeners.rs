//! Who listens to the supervisor in a claim: a log of everything, a shelf for records, a port.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use super::super::{Facts, Kept, SupervisorRecords};
use crate::actors::probes::{Answer, Prober, Question};
use crate::actors::work::{
    AgentMessage, AgentOutcome, AgentSubmission, PortClosed, ReadyAgent, TaskFrame, TaskPort,
    WorkSink,
};
use crate::domain::agent::InstanceId;
use crate::domain::event::NewEvent;
use crate::domain::exit::ExitReason;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::name::Name;
use crate::domain::record::{Overrides, RestartBudget};
use crate::persistence::StoreError;

/// Everything that happened, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(super) fn add(&self, entry: impl Into<String>) {
        self.0.lock().push(entry.into());
    }

    /// Takes the entries whose first word is one of these.
    pub(super) fn take(&self, words: &[&str]) -> Vec<String> {
        let entries = std::mem::take(&mut *self.0.lock());
        let wanted = |entry: &String| words.iter().any(|word| entry.starts_with(word));
        entries.into_iter().filter(wanted).collect()
    }
}

impl Facts for Log {
    fn record(&self, event: NewEvent) {
        let data = match event.kind {
            "agent.paused" | "agent.resumed" => format!(" {}", event.data),
            _ => String::new(),
        };
        self.add(format!("fact {} {}{data}", event.kind, event.subject));
    }
}

impl WorkSink for Log {
    fn agent_ready(&self, agent: ReadyAgent) {
        self.add(format!(
            "work ready {} {}",
            agent.instance, agent.generation
        ));
    }
    fn agent_draining(&self, instance: &InstanceId, generation: u64) {
        self.add(format!("work draining {instance} {generation}"));
    }
    fn agent_gone(&self, instance: &InstanceId, generation: u64, _: &ExitReason) {
        self.add(format!("work gone {instance} {generation}"));
    }
    fn settled(&self, _: &InstanceId, _: TaskId, _: LeaseId, _: AgentOutcome) {}
    fn progress(&self, _: TaskId, _: LeaseId, _: Option<f64>, _: Option<String>) {}
    fn busy(&self, _: TaskId, _: &str, _: Duration) {}
    fn submit(&self, _: AgentSubmission) {}
    fn message(&self, _: AgentMessage) {}
}

/// Remembers the last of each record.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) budgets: Mutex<BTreeMap<String, RestartBudget>>,
    pub(super) crashes: Mutex<Vec<(u64, ExitReason)>>,
    pub(super) overrides: Mutex<BTreeMap<Name, Overrides>>,
}

impl SupervisorRecords for Shelf {
    fn keep(&self, record: Kept) {
        match record {
            Kept::Budget(budget) => drop(self.budgets.lock().insert(budget.owner.clone(), budget)),
            Kept::Crash(crash) => self.crashes.lock().push((crash.generation, crash.reason)),
            _ => {}
        }
    }

    fn keep_overrides(
        &self,
        agent: Name,
        overrides: Overrides,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        self.overrides.lock().insert(agent, overrides);
        Box::pin(async { Ok(()) })
    }
}

/// A port that takes everything.
#[derive(Debug)]
pub(super) struct Port;

impl TaskPort for Port {
    fn assign(&self, _: TaskFrame) -> Result<(), PortClosed> {
        Ok(())
    }
    fn cancel(&self, _: TaskId, _: &str) {}
}

/// Answers every probe with what stands here, at once or never, and counts the questions.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) answer: Mutex<BTreeMap<&'static str, Answer>>,
    pub(super) asked: Mutex<BTreeMap<&'static str, u32>>,
    /// Questions that are never answered.
    pub(super) hangs: Mutex<bool>,
    /// Questions that whoever asks them does not survive.
    pub(super) panics: Mutex<bool>,
}

impl Prober for Answers {
    fn ask(&self, question: Question) -> BoxFuture<'static, Answer> {
        let means = question.how.as_str();
        *self.asked.lock().entry(means).or_default() += 1;
        if *self.hangs.lock() {
            return Box::pin(std::future::pending());
        }
        let answer = self.answer.lock().get(means).cloned();
        let panics = *self.panics.lock();
        Box::pin(async move {
            assert!(!panics, "the asker fails");
            answer.unwrap_or(Ok(()))
        })
    }
}
