//! A child as a user declares it, and the settings that a supervisor reads of it.
//!
//! Not here: the groups that children stand in, see [`super`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::life::{Hosted, Life};
use crate::actors::runner::{Address, HostedChild};
use crate::domain::agent::{AgentProgram, AgentSpec, DependsOn, OnStall, ProbePolicy, StopPolicy};
use crate::domain::name::{InvalidName, Name};
use crate::domain::restart::{RestartPolicy, RestartType};

/// How long a life may take to answer a ping, where pings are asked for.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Pings in a row that may stay unanswered.
const PINGS_MISSED: u32 = 3;

/// A child: an actor of your own, one life after another, or several side by side.
///
/// Restarted always, at once the first time, then after 1 s, 2 s, … up to 60 s, with full jitter,
/// unless set otherwise here; how many deaths are too many is its [`Group`](super::Group)'s matter.
#[derive(Debug)]
pub struct Child<A: Hosted> {
    pub(super) host: Arc<HostedChild<A>>,
    pub(super) settings: Settings,
}

/// What is set of a child, whatever its actor.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    name: String,
    replicas: u32,
    critical: bool,
    restart: RestartPolicy,
    depends_on: Vec<(String, DependsOn)>,
    stop: StopPolicy,
    start_timeout: Duration,
    ping: Option<Duration>,
}

impl<A: Hosted> Child<A> {
    /// A child whose lives are made by `factory`: fresh state each time. A panic in it is a failed
    /// start. Names match `[a-z][a-z0-9-]{0,62}`.
    pub fn new(
        name: impl Into<String>,
        factory: impl Fn(&Life) -> A + Send + Sync + 'static,
    ) -> Self {
        Self::fallible(name, move |life| Ok(factory(life)))
    }

    /// The same with a factory that may say why it made nothing.
    pub fn fallible(
        name: impl Into<String>,
        factory: impl Fn(&Life) -> Result<A, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            host: HostedChild::fallible(factory),
            settings: Settings {
                name: name.into(),
                replicas: 1,
                critical: false,
                restart: RestartPolicy::default(),
                depends_on: Vec::new(),
                stop: StopPolicy {
                    drain_timeout: Duration::from_secs(5),
                    signal: 15,
                    timeout: Duration::from_secs(5),
                },
                start_timeout: Duration::from_secs(30),
                ping: None,
            },
        }
    }

    /// The address of its first replica; good before the first life and over all that follow.
    #[must_use]
    pub fn address(&self) -> Address<A> {
        self.address_of(0)
    }

    /// The address of a replica, from 0.
    #[must_use]
    pub fn address_of(&self, index: u32) -> Address<A> {
        self.host.address(index)
    }

    /// So many lives side by side.
    #[must_use]
    pub fn replicas(mut self, count: u32) -> Self {
        self.settings.replicas = count;
        self
    }

    /// Which ends are followed by a new life.
    #[must_use]
    pub fn restart(mut self, kind: RestartType) -> Self {
        self.settings.restart.kind = kind;
        self
    }

    /// The second restart in a row waits `first`, each further one twice as long, `longest` at
    /// most; all with full jitter.
    #[must_use]
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.settings.restart.min_backoff = first;
        self.settings.restart.max_backoff = longest;
        self
    }

    /// A life that lasts so long starts the count of restarts anew; 60 s unless set.
    #[must_use]
    pub fn stable_after(mut self, span: Duration) -> Self {
        self.settings.restart.stable_after = span;
        self
    }

    /// Starts only when another child has come so far, and ends before it.
    #[must_use]
    pub fn depends_on(mut self, child: impl Into<String>, until: DependsOn) -> Self {
        self.settings.depends_on.push((child.into(), until));
        self
    }

    /// Its life may take so long to be ready; 30 s unless set.
    #[must_use]
    pub fn start_within(mut self, span: Duration) -> Self {
        self.settings.start_timeout = span;
        self
    }

    /// It may take `drain` for what waits in its mailbox, then `stop` for ending; then it is
    /// killed. 5 s each unless set.
    #[must_use]
    pub fn stop_within(mut self, drain: Duration, stop: Duration) -> Self {
        self.settings.stop.drain_timeout = drain;
        self.settings.stop.timeout = stop;
        self
    }

    /// Asks each life so often for a sign, through its mailbox but before all that waits; a life
    /// that misses three is restarted. Finds actors that wait for ever; those that block their
    /// thread are found without it.
    #[must_use]
    pub fn ping(mut self, every: Duration) -> Self {
        self.settings.ping = Some(every);
        self
    }

    /// When it has given up for half a minute, [`Tree::gave_up`](crate::supervision::Tree::gave_up) resolves.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.settings.critical = true;
        self
    }
}

impl Settings {
    pub(super) fn spec(self, group: Option<Name>) -> Result<AgentSpec, InvalidName> {
        let depends_on = self.depends_on.into_iter();
        let depends_on: Result<BTreeMap<Name, DependsOn>, InvalidName> = depends_on
            .map(|(name, until)| Ok((name.parse()?, until)))
            .collect();
        let ping = self.ping.unwrap_or(PING_TIMEOUT);
        Ok(AgentSpec {
            runs: AgentProgram::Actor {
                actor: self.name.clone(),
                settings: serde_json::Value::Null,
            },
            name: self.name.parse()?,
            role: None,
            group,
            replicas: self.replicas,
            critical: self.critical,
            restart: self.restart,
            depends_on: depends_on?,
            concurrency: 1,
            queue: "default".parse()?,
            stall_timeout: Duration::MAX,
            on_stall: OnStall::Report,
            stop: self.stop,
            start_timeout: self.start_timeout,
            liveness: ProbePolicy {
                enabled: self.ping.is_some(),
                period: ping,
                timeout: ping.min(PING_TIMEOUT),
                failure_threshold: PINGS_MISSED,
                success_threshold: 1,
            },
            probes: Default::default(),
            labels: BTreeMap::new(),
            spend: None,
        })
    }
}
