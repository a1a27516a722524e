//! The seam between the supervisor and what it supervises: one life at a time.
//!
//! ```text
//! supervisor ──start, close──▶ ChildFactory                 (one an agent)
//! supervisor ──drain, stop, kill, probe──▶ LifeControl      (one a runner: lives in a row)
//! supervisor ◀─ready, noted, exited── LifeSink              (exited: exactly once a life)
//! runner     ──drain, stop, probe──▶ Hosted                 (the actor's own side)
//! ```
//!
//! To be supervised, a process agent, an actor agent and a plain actix actor all do the same:
//! `impl Actor { type Context = AgentContext<Self>; }`, `impl Hosted`, and a
//! [`HostedChild`](crate::actors::runner::HostedChild) made from a factory of fresh state.
//!
//! Not here: how a life is polled and how its panics are caught, see `runner`.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use tokio::sync::oneshot;

use crate::actors::pool::Place;
use crate::actors::runner::{AgentContext, Grant};
use crate::actors::work::TaskPort;
use crate::domain::agent::InstanceId;
use crate::domain::crash::{Frame, HeldTask};
use crate::domain::exit::ExitReason;
use crate::domain::liveness::Signs;

/// What a life says when it can take work.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    /// The way in for tasks; `None` for a life that is only kept alive.
    pub port: Option<Arc<dyn TaskPort>>,
    /// Tasks it takes at once; the agent's setting if absent.
    pub concurrency: Option<u32>,
    /// What it calls its version.
    pub version: Option<String>,
}

/// What a life says on the way.
#[derive(Debug, Clone, PartialEq)]
pub enum LifeNote {
    /// Its process exists.
    Spawned {
        /// The process, also the leader of its group.
        pid: u32,
        /// Its start time in clock ticks since boot.
        start_ticks: u64,
    },
    /// An error that did not end it (a garbled frame, a failed task): counted.
    Error,
    /// What it works through could not be reached when a task was sent there: counts as a failed
    /// probe, and the next one comes soon.
    Unreachable {
        /// What happened.
        message: String,
    },
    /// What it works through asks for no new task for a while.
    Rests {
        /// For how long.
        span: std::time::Duration,
    },
    /// Where its log and its last frames can be read, also after its end; comes with its begin,
    /// where the kind has any.
    Tail(TailOf),
    /// What it held and said last; comes right before its end, where the kind can tell.
    LastWords(Evidence),
}

impl Evidence {
    /// As the verdict reads it.
    #[must_use]
    pub fn signs(&self) -> Signs {
        Signs {
            open_tasks: self.open_tasks.len(),
            since_progress: self.since_progress,
            since_activity: self.since_activity,
            busy_for: self.busy_for,
            gone: self.gone,
        }
    }
}

/// What a life has said, kept by itself: read without asking it, so also when it hangs or has ended.
/// Calls never block for long.
pub trait Tail: Send + Sync + Debug {
    /// The last log lines of its replica, oldest first, also those of lives before.
    fn recent(&self) -> Vec<String>;
    /// The last log lines of this life, oldest first.
    fn log(&self) -> Vec<String>;
    /// The last frames of this life in both directions, oldest first.
    fn frames(&self) -> Vec<Frame>;
}

/// A hold on a [`Tail`]; equal to its clones only.
#[derive(Debug, Clone)]
pub struct TailOf(pub Arc<dyn Tail>);

impl PartialEq for TailOf {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Where a life reports to. Calls never block.
pub trait LifeSink: Send + Sync + Debug {
    /// The life can take work.
    fn ready(&self, instance: &InstanceId, generation: u64, ready: Ready);
    /// Something else worth knowing.
    fn noted(&self, instance: &InstanceId, generation: u64, note: LifeNote);
    /// The life has ended. Called by the runner alone, exactly once a life.
    fn exited(&self, instance: &InstanceId, generation: u64, reason: ExitReason);
}

/// One life of a replica, as the actor inside sees it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Life {
    /// The replica.
    pub instance: InstanceId,
    /// Which life; grows with each one and is never used twice.
    pub generation: u64,
    /// Where it reports to.
    pub sink: Arc<dyn LifeSink>,
}

impl Life {
    /// Says that work can come.
    pub fn ready(&self, ready: Ready) {
        self.sink.ready(&self.instance, self.generation, ready);
    }

    /// Says something else.
    pub fn note(&self, note: LifeNote) {
        self.sink.noted(&self.instance, self.generation, note);
    }
}

/// What an agent shows of its doing, for liveness by evidence and for tables.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evidence {
    /// Tasks it holds.
    pub open_tasks: Vec<HeldTask>,
    /// Time since it last showed progress on any of them (a frame, a result, a report).
    pub since_progress: Option<Duration>,
    /// Time since its processes used a processor or moved bytes worth the name, or its code was
    /// polled with a task open: what it does, whatever it says.
    pub since_activity: Option<Duration>,
    /// Time since it last showed any sign.
    pub since_sign: Option<Duration>,
    /// What is left of the zone it declared with `busy`.
    pub busy_for: Option<Duration>,
    /// Whether a zone that it declared has run out without a word.
    pub busy_over: bool,
    /// Errors it has counted in this life.
    pub errors: u64,
    /// Processor time of its process tree, seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory of its process tree, bytes.
    pub memory_bytes: Option<u64>,
    /// The most that was seen: each process's own peak, summed; bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes that its process tree has read and written.
    pub io_bytes: Option<u64>,
    /// Its process is gone, though its end was not seen yet.
    pub gone: bool,
    /// In its last words: its last log lines, oldest first; bounded.
    pub log: Vec<String>,
}

/// The actor's own side of supervision. Every hook has a default that fits a plain actor.
pub trait Hosted: Actor<Context = AgentContext<Self>> {
    /// Whether a life is ready when `started` has returned. If not, it says so itself, with
    /// `ctx.life().ready(…)`.
    const READY_AT_START: bool = true;
    /// Messages that may wait.
    const MAILBOX: usize = 1_000;

    /// Finish what you hold within this time, take nothing new, then end.
    fn drain(&mut self, at_most: Duration, ctx: &mut AgentContext<Self>) {
        let _ = at_most;
        ctx.stop_when_idle();
    }

    /// End now; cleaning up may take a moment. Called between two messages, before all that wait.
    /// An actor that is inside `ctx.wait` gets `stopping` instead.
    fn stop(&mut self, ctx: &mut AgentContext<Self>) {
        actix::ActorContext::stop(ctx);
    }

    /// Show a sign of life. Who can ask somebody further on (a child process without an open
    /// task) keeps `answer` until that one has spoken; dropping it counts as no sign.
    fn probe(&mut self, answer: oneshot::Sender<Evidence>, ctx: &mut AgentContext<Self>) {
        let _ = ctx;
        // The asker may have stopped waiting.
        answer.send(self.evidence()).ok();
    }

    /// What it does and holds at this moment.
    fn evidence(&self) -> Evidence {
        Evidence::default()
    }
}

/// What a runner is started with.
#[derive(Debug)]
pub struct Start {
    /// The first life.
    pub life: Life,
    /// Leave for lives that follow it in place.
    pub grant: Grant,
    /// Where it runs.
    pub place: Place,
    /// Whether messages that wait for this replica stay; otherwise their callers are told.
    pub keep_mail: bool,
}

/// Makes lives of one agent's replicas.
pub trait ChildFactory: Send + Sync + Debug {
    /// Starts a runner and returns at once. Whatever goes wrong later comes as `exited`.
    fn start(&self, start: Start) -> Arc<dyn LifeControl>;
    /// No life is coming for this replica: whoever waits for it is told.
    fn close(&self, instance: &InstanceId);
}

/// The supervisor's hold on one runner.
pub trait LifeControl: Send + Sync + Debug {
    /// Asks it to finish what it holds, take nothing new, and end by itself.
    fn drain(&self, at_most: Duration);
    /// Tells it to end now; it may clean up. Overtakes queued messages.
    fn stop(&self);
    /// Ends it without asking, at the next point where that is possible.
    fn kill(&self);
    /// Asks the life for a sign through its own mailbox; answered with its evidence.
    /// The receiver fails if the life ends first; the caller sets the deadline.
    fn probe(&self) -> oneshot::Receiver<Evidence>;
    /// Messages waiting in its mailbox.
    fn mailbox_depth(&self) -> usize;
    /// Lets the life panic.
    #[cfg(test)]
    fn explode(&self) {
        unreachable!("only actors explode");
    }
}
