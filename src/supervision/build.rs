//! Groups as a user declares them, and the tree that is made of them and their children.
//!
//! Rely on: members start in the order declared; nothing is started unless the whole tree makes sense.
//!
//! Not here: a child and its settings, see [`child`].

mod child;

use std::sync::Arc;

pub use child::Child;

use super::tree::{EXITS_KEPT, Tree};
use crate::actors::life::{ChildFactory, Hosted};
use crate::actors::pool::{DEFAULT_ARBITERS, Pool};
use crate::actors::supervisor::{self, Outside, Plan, TreeError};
use crate::domain::name::{InvalidName, Name};
use crate::domain::restart::{GroupSpec, Intensity, OnExhausted, Strategy};
use child::Settings;

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
