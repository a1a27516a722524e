//! Asks lives from outside: over HTTP, by opening a port, by running a program.
//!
//! ```text
//! supervisor ──ask──▶ Prober (this) ──▶ http, tcp: a connection of its own each time
//!                                  └──▶ exec: a process through the launcher
//! ```
//!
//! Rely on: every question ends within its timeout, whatever the other side does; a program that
//! takes longer is killed with its whole process group, and so is one whose asker has gone. At most
//! [`MAX_PROGRAMS`] programs and [`MAX_CONNECTIONS`] connections run at once; a question's time
//! begins when its turn has come.
//!
//! Not here: pings by an agent's own protocol (they go through its mailbox), when to ask and what
//! follows (`actors::supervisor`), how many answers count (`domain::probe`).

mod exec;
mod wire;

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::actors::agent::Launcher;
use crate::domain::agent::{AgentSpec, InstanceId};
use crate::domain::probe::ProbeHow;

/// Programs of probes that run at once.
pub const MAX_PROGRAMS: usize = 8;
/// Connections of probes that are open at once.
pub const MAX_CONNECTIONS: usize = 64;

/// What a probe asks.
#[derive(Debug, Clone)]
pub struct Question {
    /// The replica.
    pub instance: InstanceId,
    /// How it is asked, its number filled in.
    pub how: ProbeHow,
    /// How long the answer may take.
    pub timeout: Duration,
    /// The agent's settings: a program sees its environment, a remote service its headers.
    pub agent: Arc<AgentSpec>,
}

/// The answer: fine, or what was wrong, in one line.
pub type Answer = Result<(), String>;

/// Who carries probes out.
pub trait Prober: Send + Sync + Debug {
    /// Asks once. The future resolves soon after the question's timeout at the latest; dropping it
    /// gives the question up.
    fn ask(&self, question: Question) -> BoxFuture<'static, Answer>;
}

/// Asks real programs and real ports.
#[derive(Debug)]
pub struct OutsideProber {
    launcher: Launcher,
    programs: Arc<Semaphore>,
    connections: Arc<Semaphore>,
}

impl OutsideProber {
    /// Programs are started by this launcher; all of it runs on the launcher's runtime.
    #[must_use]
    pub fn new(launcher: Launcher) -> Arc<Self> {
        Arc::new(Self {
            launcher,
            programs: Arc::new(Semaphore::new(MAX_PROGRAMS)),
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        })
    }
}

impl Prober for OutsideProber {
    fn ask(&self, question: Question) -> BoxFuture<'static, Answer> {
        let exec = matches!(question.how, ProbeHow::Exec(_));
        let turns = if exec {
            &self.programs
        } else {
            &self.connections
        }
        .clone();
        let launcher = self.launcher.clone();
        let asking = GivenUpWhenDropped(self.launcher.runtime().spawn(async move {
            let Ok(_turn) = turns.acquire().await else {
                return Err("the daemon is stopping".to_owned());
            };
            match &question.how {
                ProbeHow::Exec(command) => exec::run(&launcher, &question, command).await,
                ProbeHow::Tcp(place) => wire::tcp(place, question.timeout).await,
                ProbeHow::Http(url) => wire::http(url, &question, 200..400).await,
                ProbeHow::Answers(url) => wire::http(url, &question, 200..500).await,
                ProbeHow::Protocol => Err("a ping is not asked from outside".to_owned()),
            }
        }));
        Box::pin(async move {
            let mut asking = asking;
            match (&mut asking.0).await {
                Ok(answer) => answer,
                Err(broke) => Err(format!("the probe itself broke: {broke}")),
            }
        })
    }
}

/// A task that ends with whoever waits for it.
struct GivenUpWhenDropped(JoinHandle<Answer>);

impl Drop for GivenUpWhenDropped {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
