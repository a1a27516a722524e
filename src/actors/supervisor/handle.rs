//! The way to the supervisor for everybody else: addresses, deadlines and mailbox errors end here.

use std::sync::Arc;
use std::time::Duration;

use actix::{Handler, Message};
use tokio::sync::{oneshot, watch};

use super::commands::{
    AskForSign, GetAgent, GetAgents, GetTail, GetTree, PauseAgent, RestartAgent, ReviveAgent,
    ScaleAgent, StartAgent, StopAgent, Wish,
};
use super::explained::GetStanding;
use super::overrides::Changed;
use super::redeclare::{Declaration, Redeclare};
use super::reports::EndLife;
use super::revive::Revival;
use super::shutdown::{ShutDown, ShutdownReport, ShutdownSpans};
use super::status::{AgentStatus, TreeNode};
use super::{Escalated, KILL_GRACE, Supervisor};
use crate::actors::life::{Evidence, LifeControl};
use crate::actors::runner::{Address, AskError};
use crate::domain::agent::{AgentTarget, InstanceId};
use crate::domain::explain::Standing;
use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;

/// How long the supervisor may take to answer.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// How long an agent may take to show a sign when somebody asks.
pub const SIGN_DEADLINE: Duration = Duration::from_secs(3);

/// Replicas that may be asked for.
pub const MAX_REPLICAS: u32 = 1_000;

/// Why the supervisor did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupervisorError {
    /// No agent or replica of that name.
    #[error("agent '{name}' does not exist{}", .nearest.as_ref().map(|name| format!("; did you mean '{name}'?")).unwrap_or_default())]
    NotFound {
        /// What was asked for.
        name: String,
        /// The nearest there is.
        nearest: Option<String>,
    },
    /// It has no life to ask.
    #[error("agent '{agent}' has no running replica")]
    NotRunning {
        /// The agent.
        agent: Name,
    },
    /// What was asked is impossible in the present state.
    #[error("{0}")]
    Conflict(String),
    /// What was asked can never be.
    #[error("{0}")]
    Invalid(String),
    /// Too many requests wait; nothing was done.
    #[error("the supervisor is busy; try again")]
    Busy,
    /// The daemon is going down; nothing was done.
    #[error("the supervisor has ended")]
    Unavailable,
    /// No answer in time; what was asked may have been done.
    #[error("the supervisor did not answer in time")]
    Timeout,
    /// It was done, but could not be written down: a restart of the daemon forgets it.
    #[error("done, but not kept over a restart: {0}")]
    NotKept(String),
}

impl From<AskError> for SupervisorError {
    fn from(refused: AskError) -> Self {
        match refused {
            AskError::Full => Self::Busy,
            AskError::Closed => Self::Unavailable,
            AskError::Timeout | AskError::Died => Self::Timeout,
        }
    }
}

impl From<StoreError> for SupervisorError {
    fn from(refused: StoreError) -> Self {
        Self::NotKept(refused.to_string())
    }
}

type Result<T> = std::result::Result<T, SupervisorError>;

/// The way to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SupervisorHandle {
    pub(super) address: Address<Supervisor>,
    pub(super) outcome: watch::Receiver<Option<Escalated>>,
    pub(super) own: Arc<dyn LifeControl>,
}

impl SupervisorHandle {
    /// Every agent.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn agents(&self) -> Result<Vec<AgentStatus>> {
        Ok(self.address.ask(GetAgents, ANSWER_DEADLINE).await?)
    }

    /// One agent.
    ///
    /// # Errors
    /// If there is none, or the supervisor does not answer.
    pub async fn agent(&self, name: &Name) -> Result<AgentStatus> {
        self.address
            .ask(GetAgent(name.clone()), ANSWER_DEADLINE)
            .await?
    }

    /// How an agent stands, for an explanation.
    ///
    /// # Errors
    /// If there is none, or the supervisor does not answer.
    pub async fn standing(&self, name: &Name) -> Result<Standing> {
        let asked = GetStanding(name.clone());
        self.address.ask(asked, ANSWER_DEADLINE).await?
    }

    /// The tree of groups and agents.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn tree(&self) -> Result<TreeNode> {
        Ok(self.address.ask(GetTree, ANSWER_DEADLINE).await?)
    }

    /// Runs an agent, or one replica; forgets its deaths. Of an agent that is stopped, a replica that
    /// is named is started alone.
    ///
    /// # Errors
    /// If there is none, or the supervisor does not answer, or it could not be kept.
    pub async fn start(&self, target: AgentTarget) -> Result<AgentStatus> {
        self.change(StartAgent(target)).await
    }

    /// Keeps an agent down, or one replica; over restarts of the daemon, until it is started.
    ///
    /// # Errors
    /// If there is none, or the supervisor does not answer, or it could not be kept.
    pub async fn stop(&self, target: AgentTarget) -> Result<AgentStatus> {
        self.change(StopAgent(target)).await
    }

    /// Ends an agent, or one replica, and runs it again. With the whole agent, replicas that were
    /// stopped by index stay down.
    ///
    /// # Errors
    /// If there is none, or the supervisor does not answer, or it could not be kept.
    pub async fn restart(&self, target: AgentTarget) -> Result<AgentStatus> {
        self.change(RestartAgent(target)).await
    }

    /// Brings an agent back without forgetting a death: ends lives that are stuck, starts on trial
    /// what waits in backoff or quarantine; if neither is there, ends the sound ones in order. What
    /// starts or ends already is left alone.
    ///
    /// # Errors
    /// If there is none, an operator stopped it, it failed for good, or the supervisor does not
    /// answer.
    pub async fn revive(&self, name: &Name) -> Result<Revival> {
        self.address
            .ask(ReviveAgent(name.clone()), ANSWER_DEADLINE)
            .await?
    }

    /// Gives an agent no new task; what it holds goes on. It is resumed at `until` by itself, if
    /// that is given, also by a later daemon; the last pause counts.
    ///
    /// # Errors
    /// If there is none or it is stopped, or `until` is past, or the supervisor does not answer, or
    /// it could not be kept.
    pub async fn pause(&self, name: &Name, until: Option<Timestamp>) -> Result<AgentStatus> {
        self.wish(name, Wish::Pause(until)).await
    }

    /// Gives an agent tasks again.
    ///
    /// # Errors
    /// If there is none or it is stopped, or the supervisor does not answer, or it could not be
    /// kept.
    pub async fn resume(&self, name: &Name) -> Result<AgentStatus> {
        self.wish(name, Wish::Resume).await
    }

    async fn wish(&self, name: &Name, wish: Wish) -> Result<AgentStatus> {
        let agent = name.clone();
        self.change(PauseAgent { agent, wish }).await
    }

    /// Runs so many replicas, also after a restart of the daemon, until that number changes in the
    /// file; scaling to the file's number forgets it.
    ///
    /// # Errors
    /// If there is no such agent or the number is too large, or the supervisor does not answer, or
    /// it could not be kept.
    pub async fn scale(&self, name: &Name, replicas: u32) -> Result<AgentStatus> {
        if replicas > MAX_REPLICAS {
            let said = format!("{replicas} replicas are too many; {MAX_REPLICAS} at most");
            return Err(SupervisorError::Invalid(said));
        }
        let agent = name.clone();
        self.change(ScaleAgent { agent, replicas }).await
    }

    /// Takes over what is declared from now on; only whom that concerns is touched. Answers when
    /// that has begun: what is ended drains first.
    ///
    /// # Errors
    /// If what is declared is no tree, or the supervisor stops or does not answer. Nothing was
    /// changed, except perhaps with [`SupervisorError::Timeout`].
    pub async fn redeclare(&self, declared: Declaration) -> Result<()> {
        self.address
            .ask(Redeclare(declared), ANSWER_DEADLINE)
            .await?
    }

    /// The last log lines of a replica (the first that has any unless one is named), oldest first;
    /// also when it hangs, or has ended. Empty for what has no log of its own: an actor, a service.
    ///
    /// # Errors
    /// If there is none, or the supervisor does not answer.
    pub async fn logs(&self, target: &AgentTarget, tail: usize) -> Result<Vec<String>> {
        let asked = self.address.ask(GetTail(target.clone()), ANSWER_DEADLINE);
        let Some(said) = asked.await?? else {
            return Ok(Vec::new());
        };
        let mut log = said.0.recent();
        Ok(log.split_off(log.len().saturating_sub(tail)))
    }

    /// Asks an agent for a sign of life.
    ///
    /// # Errors
    /// If there is none, it has no life, or nobody answers.
    pub async fn probe(&self, name: &Name) -> Result<Evidence> {
        let target = AgentTarget {
            agent: name.clone(),
            index: None,
        };
        self.sign(target).await
    }

    async fn sign(&self, target: AgentTarget) -> Result<Evidence> {
        let agent = target.agent.clone();
        let sign = self
            .address
            .ask(AskForSign(target), ANSWER_DEADLINE)
            .await??;
        match tokio::time::timeout(SIGN_DEADLINE, sign).await {
            Ok(Ok(evidence)) => Ok(evidence),
            Ok(Err(_)) => Err(SupervisorError::NotRunning { agent }),
            Err(_) => Err(SupervisorError::Timeout),
        }
    }

    /// Ends a life by force, if it is still the present one of its replica; what follows is as
    /// after any other end. Never blocks.
    pub fn end_life(&self, instance: InstanceId, generation: u64) {
        // Refused only when the supervisor has ended, and every life with it.
        self.address
            .report(EndLife {
                instance,
                generation,
            })
            .ok();
    }

    /// Ends every agent, within the given spans.
    ///
    /// # Errors
    /// If the supervisor has ended, or does not come to an end in time.
    pub async fn shutdown(&self, spans: ShutdownSpans) -> Result<ShutdownReport> {
        let (done, waiting) = oneshot::channel();
        let asked = self.address.report(ShutDown { spans, done });
        asked.map_err(|_| SupervisorError::Unavailable)?;
        let longest = spans.drain + spans.stop + KILL_GRACE + ANSWER_DEADLINE;
        match tokio::time::timeout(longest, waiting).await {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(_)) => Err(SupervisorError::Unavailable),
            Err(_) => Err(SupervisorError::Timeout),
        }
    }

    /// Ends the supervisor itself, and whatever still lives under it; for after a shutdown.
    pub(crate) fn end(&self) {
        self.own.stop();
    }

    /// Resolves when the supervisor gives up: the daemon has to end with exit code 70.
    pub async fn escalated(&self) -> Escalated {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(escalated) => escalated
                .clone()
                .unwrap_or_else(Escalated::supervisor_ended),
            Err(_) => Escalated::supervisor_ended(),
        }
    }

    /// Asks for a change and waits until it is kept.
    async fn change<M>(&self, change: M) -> Result<AgentStatus>
    where
        M: Message<Result = Result<Changed>> + Send + 'static,
        Supervisor: Handler<M>,
    {
        let Changed { status, kept } = self.address.ask(change, ANSWER_DEADLINE).await??;
        if let Some(kept) = kept {
            kept.await?;
        }
        Ok(status)
    }
}
