//! The tree: groups and agents, who restarts with whom, in which order, how often, and what is
//! desired against what is.
//!
//! ```text
//! http, healer, app ─▶ SupervisorHandle ─▶ Supervisor ──start, stop, kill──▶ runners, processes
//!                                              ▲ └──ready, draining, gone──▶ dispatcher
//!            lives: ready, noted, exited ──────┘ └──facts, records─────────▶ journal, store
//! ```
//!
//! Rely on: an operator's stop wins over a restart in every order of events; the end of a life that
//! is known to be over changes nothing; each change of state is a fact; no call blocks.
//!
//! Not here: how one life runs (`runner`), on which thread (`pool`), which deaths are too many
//! (`domain::restart`).

mod budgets;
mod commands;
mod ends;
mod explained;
mod giving_up;
mod groups;
mod handle;
mod ladder;
mod outside;
mod overrides;
mod pauses;
mod probed;
mod probing;
mod reconcile;
mod redeclare;
mod renewal;
mod replica;
mod reports;
mod resting;
mod revive;
mod shutdown;
mod status;
mod threads;
mod timers;
mod tree;
mod watch;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch as watch_channel;
use tokio::time::Instant;

pub use handle::{ANSWER_DEADLINE, MAX_REPLICAS, SIGN_DEADLINE, SupervisorError, SupervisorHandle};
pub use outside::{Exit, Facts, Kept, Outside, SupervisorRecords};
pub use probed::{ProbeResult, ProbeStatus};
pub use redeclare::{Declaration, Redeclared};
pub use revive::Revival;
pub use shutdown::{SIBLING_PATIENCE, ShutdownReport, ShutdownSpans};
pub use status::{
    AgentStatus, InstanceStatus, LastExit, ReplicaCount, RestartStatus, TreeNode, Usage,
};
pub use tree::{Child, TreeError};

use crate::actors::life::{ChildFactory, Hosted, Life, LifeNote, LifeSink, Ready, Start};
use crate::actors::pool::{Abandoned, Place, Pool, WATCHDOG_LIMIT, watch};
use crate::actors::runner::{Address, AgentContext, Grant, HostedChild};
use crate::clock::WallClock;
use crate::domain::agent::InstanceId;
use crate::domain::crash::LastDeath;
use crate::domain::exit::ExitReason;
use crate::domain::record::RestartBudget;
use crate::domain::restart::{GroupSpec, RestartPolicy, RestartRule, RestartType};
use shutdown::Shutdown;
use timers::{Due, Timers};
use tree::Tree;

/// How long a killed life may take to be gone before it counts as gone.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// How long a critical agent may have given up before the daemon ends, unless set otherwise.
pub const CRITICAL_GRACE: Duration = Duration::from_secs(30);

/// The supervisor gave up: the daemon has to end with exit code 70.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalated {
    /// The agent or group that could not be kept up.
    pub subject: String,
    /// Why, for people.
    pub why: String,
}

impl Escalated {
    fn supervisor_ended() -> Self {
        Self {
            subject: "supervisor".to_owned(),
            why: "the supervisor itself has ended".to_owned(),
        }
    }
}

/// Subjects of an escalation that are no agents.
pub(super) struct Escalation;

impl Escalation {
    const ARBITERS: &str = "arbiters";
}

/// What a supervisor is started with.
#[derive(Debug, Default)]
pub struct Plan {
    /// The groups.
    pub groups: Vec<GroupSpec>,
    /// The agents, in the order of their start.
    pub children: Vec<Child>,
    /// What earlier daemons left of budgets.
    pub budgets: Vec<RestartBudget>,
    /// How replicas last ended under earlier daemons.
    pub deaths: Vec<LastDeath>,
    /// Whom it tells.
    pub outside: Outside,
    /// Where agents run; on the supervisor's own thread if absent (for tests).
    pub pool: Option<Arc<Pool>>,
    /// Makes jitter repeatable; drawn if absent.
    pub seed: Option<u64>,
    /// The rules of agents in no group; [`GroupSpec::alone`] if absent.
    pub alone: Option<GroupSpec>,
    /// How long a critical agent may be lost; [`CRITICAL_GRACE`] if absent.
    pub critical_grace: Option<Duration>,
    /// By which pauses end.
    pub wall: WallClock,
}

/// The supervisor; others see its [`SupervisorHandle`].
pub struct Supervisor {
    tree: Tree,
    timers: Timers,
    outside: Outside,
    places: Places,
    sink: Arc<dyn LifeSink>,
    me: Address<Self>,
    chance: StdRng,
    epoch: Instant,
    shutdown: Option<Shutdown>,
    outcome: watch_channel::Sender<Option<Escalated>>,
    alarm: Option<(Instant, SpawnHandle)>,
    /// How groups count as children of their parents: permanent, with the default backoff.
    group_rule: RestartRule,
    group_policy: RestartPolicy,
    critical_grace: Duration,
    wall: WallClock,
    /// Lives of settings that hold no more are being ended.
    renewing: bool,
}

/// Where agents run.
#[derive(Debug, Clone)]
struct Places(Option<Arc<Pool>>);

impl Places {
    fn pick(&self) -> Place {
        self.0.as_ref().map_or(Place::Here, |pool| pool.pick())
    }

    fn holds_thread(&self, arbiter: u64) -> bool {
        let pool = self.0.as_ref();
        pool.is_some_and(|pool| pool.holds_thread(arbiter))
    }

    fn abandon(&self, arbiter: u64) -> Abandoned {
        let pool = self.0.as_ref();
        pool.map_or(Abandoned::Unknown, |pool| pool.abandon(arbiter))
    }
}

/// Starts a supervisor on this thread's arbiter, and with it every agent that is wanted.
///
/// # Errors
/// [`TreeError`] if groups and agents make no tree.
pub fn start(plan: Plan) -> Result<SupervisorHandle, TreeError> {
    let tree = Tree::build(plan.groups, plan.children, plan.alone.as_ref())?;
    let (outcome, receiver) = watch_channel::channel(None);
    let once = Arc::new(Mutex::new(None::<Supervisor>));
    let made = once.clone();
    let host = HostedChild::fallible(move |_| {
        made.lock()
            .take()
            .ok_or_else(|| "a supervisor has one life".to_owned())
    });
    let root = Arc::new(Root {
        outcome: outcome.clone(),
        address: host.address(0),
    });
    let seed = plan.seed.unwrap_or_else(rand::random);
    let mut supervisor = Supervisor {
        tree,
        timers: Timers::default(),
        outside: plan.outside,
        places: Places(plan.pool),
        sink: Arc::new(reports::Reports(host.address(0))),
        me: host.address(0),
        chance: StdRng::seed_from_u64(seed),
        epoch: Instant::now(),
        shutdown: None,
        outcome,
        alarm: None,
        group_rule: RestartRule {
            kind: RestartType::Permanent,
            fatal_exit_codes: Vec::new(),
        },
        group_policy: RestartPolicy::default(),
        critical_grace: plan.critical_grace.unwrap_or(CRITICAL_GRACE),
        wall: plan.wall,
        renewing: false,
    };
    supervisor.restore(plan.budgets);
    supervisor.recall(plan.deaths);
    once.lock().replace(supervisor);
    Ok(SupervisorHandle {
        address: host.address(0),
        outcome: receiver,
        own: host.start(root_start(root)),
    })
}

/// The supervisor's own life: nobody restarts it, its end is the daemon's.
#[expect(clippy::expect_used, reason = "a literal that is a name")]
fn root_start(sink: Arc<Root>) -> Start {
    let rule = RestartRule {
        kind: RestartType::Temporary,
        fatal_exit_codes: Vec::new(),
    };
    Start {
        life: Life {
            instance: InstanceId {
                agent: "supervisor".parse().expect("a name"),
                index: 0,
            },
            generation: 1,
            sink,
        },
        grant: Grant::new(Arc::new(rule), 1, 0),
        place: Place::Here,
        keep_mail: true,
    }
}

/// Hears of the supervisor's own end.
#[derive(Debug)]
struct Root {
    outcome: watch_channel::Sender<Option<Escalated>>,
    address: Address<Supervisor>,
}

impl LifeSink for Root {
    fn ready(&self, _: &InstanceId, _: u64, _: Ready) {}

    fn noted(&self, _: &InstanceId, _: u64, _: LifeNote) {}

    fn exited(&self, _: &InstanceId, _: u64, reason: ExitReason) {
        // Its thread is the daemon's own: that one goes when everything has been ended already.
        if !matches!(reason, ExitReason::ArbiterGone | ExitReason::Shutdown) {
            tracing::error!(%reason, "the supervisor has ended");
        }
        self.address.close();
        self.outcome
            .send_replace(Some(Escalated::supervisor_ended()));
    }
}

impl Actor for Supervisor {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.watch_arbiters();
        self.look_at_pauses();
        for agent in self.tree.order.clone() {
            self.reconcile_agent(agent);
        }
        self.tell_who_rests_on();
        self.arm(ctx);
    }
}

impl Hosted for Supervisor {}

/// Children never outlive their supervisor, and nobody waits for them.
impl Drop for Supervisor {
    fn drop(&mut self) {
        for slot in self.tree.all_slots() {
            if let Some(life) = self.life_mut(slot) {
                life.grant.revoke();
                life.control.kill();
            }
            self.close(slot);
        }
    }
}

impl Supervisor {
    /// The monotonic clock, as the ledgers read it.
    fn span(&self) -> Duration {
        budgets::BEFORE_START + self.epoch.elapsed()
    }

    fn watch_arbiters(&mut self) {
        let Some(pool) = &self.places.0 else {
            return;
        };
        let me = self.me.clone();
        let report = move |sighting| {
            // Refused only when the supervisor has ended.
            me.report(reports::Watched(sighting)).ok();
        };
        if let Err(error) = watch(pool, WATCHDOG_LIMIT, report) {
            tracing::error!(%error, "no watchdog: blocked handlers would go unnoticed");
            self.on_blind();
        }
    }

    /// Sets the one timer to the earliest instant of all; the last step of everything, so that places
    /// in the tree change nowhere else.
    fn arm(&mut self, ctx: &mut AgentContext<Self>) {
        self.forget_gone();
        let Some(next) = self.timers.next() else {
            return;
        };
        if let Some((armed, alarm)) = self.alarm {
            if armed <= next {
                return;
            }
            ctx.cancel_future(alarm);
        }
        let left = next.saturating_duration_since(Instant::now());
        let alarm = ctx.run_later(left, |this, ctx| {
            this.alarm = None;
            this.carry_out_due();
            this.arm(ctx);
        });
        self.alarm = Some((next, alarm));
    }

    fn carry_out_due(&mut self) {
        while let Some((at, due)) = self.timers.pop(Instant::now()) {
            match due {
                Due::Rest(slot) => self.rest_is_over(slot, at),
                Due::StartTimeout(slot) => self.start_is_due(slot, at),
                Due::Deadline(slot) => self.deadline_is_due(slot, at),
                Due::Stable(slot) => self.stable_is_due(slot),
                Due::Sign(slot) => self.sign_is_due(slot),
                Due::ServiceRested(slot, generation) => self.service_has_rested(slot, generation),
                Due::RunProbe(slot, generation, kind) => {
                    self.probe_run_is_due(slot, generation, kind, at);
                }
                Due::Group(group) => self.group_is_due(group, at),
                Due::Pause(agent) => self.pause_is_due(agent, at),
                Due::Critical(agent) => self.critical_is_due(agent),
                Due::NextToStop => self.advance_shutdown(),
                Due::LastDrain => self.last_drain(),
                Due::LastStop => self.last_stop(),
            }
        }
    }
}
