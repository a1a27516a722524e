//! What the monitor and the healer need of others, as traits, so that each side is tested without
//! the other.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::domain::event::NewEvent;
use crate::domain::health::agent::AgentHealthInput;
use crate::domain::query::{DatabaseStatus, Page, PageRequest, QueueStats};
use crate::domain::record::{AgentMetrics, HealthRecord, RecoveryRun, SystemMetrics};
use crate::domain::workflow::WorkflowState;
use crate::persistence::{Result, Store};

/// Where facts go. Never blocks.
pub type FactSink = Arc<dyn Fn(NewEvent) + Send + Sync>;

/// Nobody answered for the agents; the text says who and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ViewUnavailable(pub String);

/// All agents as supervisor and dispatcher see them now.
pub trait AgentsView: Send + Sync + Debug {
    /// One entry for each agent of the configuration, from memory: no agent is asked, so that a
    /// hung one delays nobody.
    fn snapshot(
        &self,
    ) -> BoxFuture<'static, std::result::Result<Vec<AgentHealthInput>, ViewUnavailable>>;
}

/// The part of the store that health needs.
pub trait HealthStore: Send + Sync + Debug {
    /// From memory.
    fn status(&self) -> DatabaseStatus;
    /// There and back.
    fn ping(&self) -> BoxFuture<'static, Result<Duration>>;
    /// Keeps results of checks.
    fn log_health_check(&self, records: Vec<HealthRecord>) -> BoxFuture<'static, Result<()>>;
    /// Keeps figures of agents.
    fn update_agent_metrics(&self, metrics: Vec<AgentMetrics>) -> BoxFuture<'static, Result<()>>;
    /// Keeps figures of the host.
    fn log_system_metrics(&self, metrics: SystemMetrics) -> BoxFuture<'static, Result<()>>;
    /// Tasks by queue and state.
    fn queues(&self) -> BoxFuture<'static, Result<Vec<QueueStats>>>;
    /// Workflows by state.
    fn workflow_counts(&self) -> BoxFuture<'static, Result<Vec<(WorkflowState, u64)>>>;
    /// Keeps a recovery run.
    fn log_recovery_run(&self, run: RecoveryRun) -> BoxFuture<'static, Result<()>>;
    /// Recovery runs, newest first.
    fn recovery_runs(&self, page: PageRequest) -> BoxFuture<'static, Result<Page<RecoveryRun>>>;
}

/// Boxes a call on a clone of the store.
macro_rules! on_clone {
    ($store:expr, $this:ident => $call:expr) => {{
        let $this: Store = $store.clone();
        async move { $call.await }.boxed()
    }};
}

impl HealthStore for Store {
    fn status(&self) -> DatabaseStatus {
        Self::status(self)
    }

    fn ping(&self) -> BoxFuture<'static, Result<Duration>> {
        on_clone!(self, this => this.ping())
    }

    fn log_health_check(&self, records: Vec<HealthRecord>) -> BoxFuture<'static, Result<()>> {
        on_clone!(self, this => this.log_health_check(records))
    }

    fn update_agent_metrics(&self, metrics: Vec<AgentMetrics>) -> BoxFuture<'static, Result<()>> {
        on_clone!(self, this => this.update_agent_metrics(metrics))
    }

    fn log_system_metrics(&self, metrics: SystemMetrics) -> BoxFuture<'static, Result<()>> {
        on_clone!(self, this => this.log_system_metrics(metrics))
    }

    fn queues(&self) -> BoxFuture<'static, Result<Vec<QueueStats>>> {
        on_clone!(self, this => this.queues())
    }

    fn workflow_counts(&self) -> BoxFuture<'static, Result<Vec<(WorkflowState, u64)>>> {
        on_clone!(self, this => this.workflow_counts())
    }

    fn log_recovery_run(&self, run: RecoveryRun) -> BoxFuture<'static, Result<()>> {
        on_clone!(self, this => this.log_recovery_run(run))
    }

    fn recovery_runs(&self, page: PageRequest) -> BoxFuture<'static, Result<Page<RecoveryRun>>> {
        on_clone!(self, this => this.recovery_runs(None, page))
    }
}
