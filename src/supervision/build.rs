//! Children and groups as a user declares them, and the tree that is made of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::tree::{EXITS_KEPT, Tree};
use crate::actors::life::{ChildFactory, Hosted, Life};
use crate::actors::pool::{DEFAULT_ARBITERS, Pool};
use crate::actors::runner::{Address, HostedChild};
use crate::actors::supervisor::{self, Outside, Plan, TreeError};
use crate::domain::agent::{AgentProgram, AgentSpec, DependsOn, OnStall, ProbePolicy, StopPolicy};
use crate::domain::name::{InvalidName, Name};
use crate::domain::restart::{
    GroupSpec, Intensity, OnExhausted, RestartPolicy, RestartType, Strategy,
};

/// How long a life may take to answer a ping, where pings are asked for.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Pings in a row that may stay unanswered.
const PINGS_MISSED: u32 = 3;

/// Why a tree was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A child's or group's name is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Two of one name, an unknown name, or children that wait for each other.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Arbiters need a system.
    #[error(
        "no actix system runs here; start the tree inside `#[actix::main]` or `System::block_on`"
    )]
    NoSystem,
}

/// A child: an actor of your own, one life after another, or several side by side.
///
/// Restarted always, at once the first time, then after 1 s, 2 s, … up to 60 s, with full jitter,
/// unless set otherwise here; how many deaths are too many is its [`Group`]'s matter.
#[derive(Debug)]
pub struct Child<A: Hosted> {
    host: Arc<HostedChild<A>>,
    settings: Settings,
}

/// What is set of a child, whatever its actor.
#[derive(Debug, Clone)]
struct Settings {
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

    /// When it has given up for half a minute, [`Tree::gave_up`] resolves.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.settings.critical = true;
        self
    }
}

/// A child of any actor, and where it stands.
#[derive(Debug)]
struct Declared {
    settings: Settings,
    factory: Arc<dyn ChildFactory>,
}

/// What stands in a group, in the order of its start.
#[derive(Debug)]
enum Unit {
    Child(Box<Declared>),
    Group(Group),
}

impl<A: Hosted> From<Child<A>> for Unit {
    fn from(child: Child<A>) -> Self {
        Self::Child(Box::new(Declared {
            settings: child.settings,
            factory: child.host,
        }))
    }
}

/// Children, and groups of children, that share a strategy and a bound on deaths.
///
/// `one_for_one`, five deaths in a minute, then [`OnExhausted::Quarantine`], unless set otherwise.
/// Members start in the order in which they were added and end in the reverse of it.
#[derive(Debug)]
pub struct Group {
    name: String,
    strategy: Strategy,
    intensity: Intensity,
    on_exhausted: OnExhausted,
    units: Vec<Unit>,
}

impl Group {
    /// An empty group. Names match `[a-z][a-z0-9-]{0,62}`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            strategy: Strategy::OneForOne,
            intensity: crate::domain::restart::DEFAULT_INTENSITY,
            on_exhausted: OnExhausted::Quarantine,
            units: Vec::new(),
        }
    }

    /// Who restarts with whom.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many deaths are too many: of each replica under `one_for_one`, else of the group.
    #[must_use]
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// What follows then.
    #[must_use]
    pub fn on_exhausted(mut self, then: OnExhausted) -> Self {
        self.on_exhausted = then;
        self
    }

    /// With this child.
    #[must_use]
    pub fn child<A: Hosted>(mut self, child: Child<A>) -> Self {
        self.units.push(child.into());
        self
    }

    /// With this group inside.
    #[must_use]
    pub fn group(mut self, group: Self) -> Self {
        self.units.push(Unit::Group(group));
        self
    }
}

/// A tree that is to be started.
#[derive(Debug)]
pub struct Supervisor {
    units: Vec<Unit>,
    arbiters: usize,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            units: Vec::new(),
            arbiters: DEFAULT_ARBITERS,
        }
    }
}

impl Supervisor {
    /// An empty tree, whose children are to live on two arbiters of their own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Children live on so many arbiters, in turns, each with its thread; blocked ones are noticed
    /// and replaced. `0`: on the caller's thread, where a handler that blocks blocks the supervisor
    /// too; for tests under paused time, and for children by the hundred thousand.
    #[must_use]
    pub fn arbiters(mut self, count: usize) -> Self {
        self.arbiters = count;
        self
    }

    /// With this child, alone under the root: five deaths in a minute, then quarantine.
    #[must_use]
    pub fn child<A: Hosted>(mut self, child: Child<A>) -> Self {
        self.units.push(child.into());
        self
    }

    /// With this group.
    #[must_use]
    pub fn group(mut self, group: Group) -> Self {
        self.units.push(Unit::Group(group));
        self
    }

    /// Starts the supervisor on this thread, and every child in its order. Returns at once: a
    /// child that fails to start is restarted like any other.
    ///
    /// # Errors
    /// [`StartError`]; nothing was started then.
    ///
    /// # Panics
    /// With no arbiters, outside a `LocalSet`.
    pub fn start(self) -> Result<Tree, StartError> {
        let mut plan = Plan::default();
        for unit in self.units {
            declare(unit, None, &mut plan)?;
        }
        let (exits, _) = tokio::sync::broadcast::channel(EXITS_KEPT);
        plan.outside = Outside {
            exits: Some(exits.clone()),
            ..Outside::default()
        };
        if self.arbiters > 0 {
            actix_rt::System::try_current().ok_or(StartError::NoSystem)?;
            plan.pool = Some(Pool::start(self.arbiters));
        }
        let pool = plan.pool.clone();
        let handle = supervisor::start(plan)?;
        Ok(Tree::new(handle, &exits, pool.as_ref()))
    }
}

/// Puts a unit, and what is in it, into the plan, in the order of their start.
fn declare(unit: Unit, parent: Option<&Name>, plan: &mut Plan) -> Result<(), StartError> {
    match unit {
        Unit::Child(child) => plan.children.push(supervisor::Child {
            spec: child.settings.spec(parent.cloned())?,
            factory: child.factory,
            record: None,
        }),
        Unit::Group(group) => {
            let name: Name = group.name.parse()?;
            plan.groups.push(GroupSpec {
                parent: parent.cloned(),
                strategy: group.strategy,
                intensity: group.intensity,
                on_exhausted: group.on_exhausted,
                ..GroupSpec::alone(name.clone())
            });
            for unit in group.units {
                declare(unit, Some(&name), plan)?;
            }
        }
    }
    Ok(())
}

impl Settings {
    fn spec(self, group: Option<Name>) -> Result<AgentSpec, InvalidName> {
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
        })
    }
}
