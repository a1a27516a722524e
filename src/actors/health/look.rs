//! Looking at what is asked over a wire: the database and the agents, side by side, each with its
//! own deadline. What hangs or panics costs its own check only.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::OptionFuture;
use tokio::time::{Instant, timeout};

use super::seams::{AgentsView, HealthStore};
use crate::domain::health::agent::AgentHealthInput;
use crate::domain::health::{AGENT_CHECK_PREFIX, DATABASE_CHECK, SYSTEM_CHECK};

/// Which checks are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    All,
    Agents,
    One(String),
}

impl Wanted {
    pub(super) fn system(&self) -> bool {
        self.is(SYSTEM_CHECK)
    }

    fn database(&self) -> bool {
        self.is(DATABASE_CHECK)
    }

    fn agents(&self) -> bool {
        match self {
            Self::All | Self::Agents => true,
            Self::One(name) => name.starts_with(AGENT_CHECK_PREFIX),
        }
    }

    /// Whether the check of that name is wanted.
    pub(super) fn is(&self, check: &str) -> bool {
        match self {
            Self::All => true,
            Self::Agents => check.starts_with(AGENT_CHECK_PREFIX),
            Self::One(name) => name == check,
        }
    }
}

/// Something looked at, and how long that took.
#[derive(Debug)]
pub(super) struct Seen<T> {
    pub(super) what: Result<T, Blind>,
    pub(super) took: Duration,
}

/// Why nothing was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Blind {
    /// It said no.
    Refused(String),
    /// It did not answer, or its code failed: nothing is known.
    Unknown(String),
}

/// What was seen; `None` was not wanted.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) ping: Option<Seen<Duration>>,
    pub(super) agents: Option<Seen<Vec<AgentHealthInput>>>,
}

/// Looks at what is wanted.
pub(super) async fn look(
    store: Arc<dyn HealthStore>,
    agents: Arc<dyn AgentsView>,
    wanted: Wanted,
    deadline: Duration,
) -> Look {
    let ping = wanted
        .database()
        .then(|| see(deadline, async move { store.ping().await }));
    let agents = wanted
        .agents()
        .then(|| see(deadline, async move { agents.snapshot().await }));
    let (ping, agents) =
        futures_util::future::join(OptionFuture::from(ping), OptionFuture::from(agents)).await;
    Look { ping, agents }
}

async fn see<T, E: std::fmt::Display>(
    deadline: Duration,
    future: impl Future<Output = Result<T, E>>,
) -> Seen<T> {
    let began = Instant::now();
    let what = match timeout(deadline, AssertUnwindSafe(future).catch_unwind()).await {
        Ok(Ok(Ok(value))) => Ok(value),
        Ok(Ok(Err(error))) => Err(Blind::Refused(error.to_string())),
        Ok(Err(_)) => Err(Blind::Unknown("the check itself panicked".to_owned())),
        Err(_) => Err(Blind::Unknown(format!(
            "no answer within {} ms",
            deadline.as_millis()
        ))),
    };
    Seen {
        what,
        took: began.elapsed(),
    }
}
