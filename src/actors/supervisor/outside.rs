//! What the supervisor tells the rest of the house: facts, records, and who can take work.
//!
//! All of it is optional, so that a library user supervises a hundred thousand actors without a
//! journal or a database. No call blocks.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::actors::probes::Prober;
use crate::actors::work::WorkSink;
use crate::clock;
use crate::domain::agent::InstanceId;
use crate::domain::crash::Crash;
use crate::domain::event::NewEvent;
use crate::domain::exit::ExitReason;
use crate::domain::name::Name;
use crate::domain::record::{Overrides, RestartBudget};
use crate::persistence::StoreError;

/// Takes facts; the journal does. Never blocks.
pub trait Facts: Send + Sync + Debug {
    /// Something has happened.
    fn record(&self, event: NewEvent);
}

/// Something of the supervisor's that is kept over restarts of the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// The highest generation of an agent, and its restarts; the latest replaces earlier ones.
    Generation {
        /// The agent.
        agent: Name,
        /// The highest generation of any of its lives.
        generation: u64,
        /// Restarts so far.
        restarts_total: u64,
    },
    /// A budget; the latest replaces earlier ones of its owner.
    Budget(RestartBudget),
    /// The black box of an abnormal end.
    Crash(Box<Crash>),
    /// A life's process exists.
    Spawned {
        /// The replica.
        instance: InstanceId,
        /// Which life.
        generation: u64,
        /// The process.
        pid: u32,
        /// Its start time in clock ticks since boot.
        start_ticks: u64,
    },
    /// A life that had a process has ended.
    Ended {
        /// The replica.
        instance: InstanceId,
        /// Which life.
        generation: u64,
    },
}

/// Keeps what the next daemon has to know.
pub trait SupervisorRecords: Send + Sync + Debug {
    /// Keeps a record soon. Never blocks.
    fn keep(&self, record: Kept);
    /// Keeps what an operator set of an agent; resolves when it is safe. Never blocks. What is kept
    /// in the end is what the last call said, whoever waits for it.
    fn keep_overrides(
        &self,
        agent: Name,
        overrides: Overrides,
    ) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// A life has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Which child, and which of its replicas.
    pub instance: InstanceId,
    /// Which of its lives.
    pub generation: u64,
    /// Why.
    pub reason: ExitReason,
    /// How long it was ready; zero if it never was.
    pub uptime: Duration,
}

/// Whom the supervisor tells; nobody unless set.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Takes facts.
    pub facts: Option<Arc<dyn Facts>>,
    /// Keeps records.
    pub records: Option<Arc<dyn SupervisorRecords>>,
    /// Hears who can take work.
    pub work: Option<Arc<dyn WorkSink>>,
    /// Carries out probes of every means but the protocol's own.
    pub prober: Option<Arc<dyn Prober>>,
    /// Hears of every end, once; who is too slow is told how many it missed.
    pub exits: Option<broadcast::Sender<Exit>>,
}

impl Outside {
    /// Records a fact; `data` is made only if somebody listens.
    pub(super) fn fact(
        &self,
        kind: &'static str,
        subject: impl ToString,
        data: impl FnOnce() -> Value,
    ) {
        if let Some(facts) = &self.facts {
            facts.record(NewEvent {
                kind,
                subject: subject.to_string(),
                at: clock::now(),
                data: data(),
            });
        }
    }

    /// Tells of an end; `exit` is made only if somebody listens.
    pub(super) fn exited(&self, exit: impl FnOnce() -> Exit) {
        let heard = self
            .exits
            .as_ref()
            .filter(|exits| exits.receiver_count() > 0);
        if let Some(exits) = heard {
            // The last listener may just have gone.
            exits.send(exit()).ok();
        }
    }

    /// Keeps a record; `record` is made only if somebody keeps it.
    pub(super) fn keep(&self, record: impl FnOnce() -> Kept) {
        if let Some(records) = &self.records {
            records.keep(record());
        }
    }
}
