//! The mailbox: bounded, exactly counted, two lanes, kept from one life to the next.
//!
//! The system lane (drain, probe) is served before any message. A message past its deadline, one
//! whose caller has gone, and one meant for an earlier life are skipped, never handled.
//!
//! Rely on: `letters.len()` is the depth, nothing is counted elsewhere; only the runner that is
//! attached takes anything out, so a runner that was written off handles nothing more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::context::AgentContext;
use super::wakes::hold_back;
use crate::actors::life::{Evidence, Hosted};

/// A message on its way to an actor.
pub(crate) trait Letter<A: Hosted>: Send {
    /// Whether anybody still waits for the answer.
    fn is_wanted(&self) -> bool;
    /// Gives it to the actor.
    fn deliver(self: Box<Self>, actor: &mut A, ctx: &mut AgentContext<A>);
}

/// What the supervisor asks of the actor itself.
#[derive(Debug)]
pub(crate) enum SystemLetter {
    /// Finish what you hold within this time, then end.
    Drain(Duration),
    /// Show a sign of life.
    Probe(oneshot::Sender<Evidence>),
}

/// A letter and who may get it, until when.
pub(crate) struct Posted<A: Hosted> {
    pub(crate) letter: Box<dyn Letter<A>>,
    /// Only this life; any if `None`.
    pub(crate) only: Option<u64>,
    pub(crate) expires: Option<Instant>,
}

/// Why a letter was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TellError {
    /// As many messages as the mailbox holds are waiting; the message was not taken in.
    #[error("the mailbox is full")]
    Full,
    /// No life is there, nor is one coming; the message was not taken in.
    #[error("the actor has ended")]
    Closed,
}

/// What the pump finds.
pub(crate) enum Next<A: Hosted> {
    System(SystemLetter),
    Letter(Box<dyn Letter<A>>),
    /// The same, and nothing waits behind it: whatever comes later wakes the runner.
    LastLetter(Box<dyn Letter<A>>),
    Nothing,
    /// This runner was replaced by another.
    Fenced,
}

/// The mailbox of one replica.
pub(crate) struct Mailbox<A: Hosted> {
    lanes: Mutex<Lanes<A>>,
    capacity: usize,
}

struct Lanes<A: Hosted> {
    open: bool,
    /// Something was posted whose wake is still held back.
    unwoken: bool,
    generation: u64,
    /// A runner is there.
    attached: bool,
    /// Wakes it; none before its first turn.
    waker: Option<Waker>,
    system: VecDeque<SystemLetter>,
    letters: VecDeque<Posted<A>>,
}

impl<A: Hosted> Mailbox<A> {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        let lanes = Lanes {
            open: true,
            unwoken: false,
            generation: 0,
            attached: false,
            waker: None,
            system: VecDeque::new(),
            letters: VecDeque::new(),
        };
        Arc::new(Self {
            lanes: Mutex::new(lanes),
            capacity,
        })
    }

    /// Messages that wait.
    pub(crate) fn depth(&self) -> usize {
        self.lanes.lock().letters.len()
    }

    /// Takes a letter in; `bounded = false` only where something else bounds the number of letters.
    pub(crate) fn post(&self, posted: Posted<A>, bounded: bool) -> Result<(), TellError> {
        let mut lanes = self.lanes.lock();
        let for_another = posted.only.is_some_and(|only| only != lanes.generation);
        if !lanes.open || for_another {
            return Err(TellError::Closed);
        }
        if bounded && lanes.letters.len() >= self.capacity {
            return Err(TellError::Full);
        }
        lanes.letters.push_back(posted);
        if lanes.letters.len() == 1 || lanes.unwoken {
            lanes.wake();
        }
        Ok(())
    }

    /// Puts something on the system lane; dropped if no runner is there.
    pub(crate) fn post_system(&self, letter: SystemLetter) {
        let mut lanes = self.lanes.lock();
        if lanes.attached {
            lanes.system.push_back(letter);
            lanes.wake();
        }
    }

    /// A runner begins; `keep` tells whether what waits stays.
    pub(crate) fn attach(&self, generation: u64, keep: bool) {
        let dropped = {
            let mut lanes = self.lanes.lock();
            lanes.open = true;
            lanes.attached = true;
            lanes.waker = None;
            lanes.generation = generation;
            lanes.system.clear();
            if keep {
                VecDeque::new()
            } else {
                std::mem::take(&mut lanes.letters)
            }
        };
        drop(dropped);
    }

    /// From now on, this wakes the runner of life `generation`.
    pub(crate) fn wake_by(&self, generation: u64, waker: &Waker) {
        let mut lanes = self.lanes.lock();
        if lanes.attached && lanes.generation == generation {
            lanes.waker = Some(waker.clone());
        }
    }

    /// The attached runner goes on with another life.
    pub(crate) fn next_life(&self, old: u64, new: u64) {
        let mut lanes = self.lanes.lock();
        if lanes.generation == old {
            lanes.generation = new;
            lanes.system.clear();
        }
    }

    /// The runner of this life ends; what waits stays for the next.
    pub(crate) fn detach(&self, generation: u64) {
        let mut lanes = self.lanes.lock();
        if lanes.generation == generation {
            lanes.attached = false;
            lanes.waker = None;
            lanes.system.clear();
        }
    }

    /// No life is coming: whoever waits is told.
    pub(crate) fn close(&self) {
        let dropped = {
            let mut lanes = self.lanes.lock();
            lanes.open = false;
            lanes.system.clear();
            std::mem::take(&mut lanes.letters)
        };
        drop(dropped);
    }

    /// The next thing for life `generation`.
    pub(crate) fn next(&self, generation: u64) -> Next<A> {
        loop {
            let (posted, last) = {
                let mut lanes = self.lanes.lock();
                if lanes.generation != generation {
                    return Next::Fenced;
                }
                if let Some(letter) = lanes.system.pop_front() {
                    return Next::System(letter);
                }
                (lanes.letters.pop_front(), lanes.letters.is_empty())
            };
            match posted {
                None => return Next::Nothing,
                Some(posted) if !posted.is_due(generation) => drop(posted),
                Some(posted) if last => return Next::LastLetter(posted.letter),
                Some(posted) => return Next::Letter(posted.letter),
            }
        }
    }
}

impl<A: Hosted> Posted<A> {
    fn is_due(&self, generation: u64) -> bool {
        self.only.is_none_or(|only| only == generation)
            && self.letter.is_wanted()
            && self.expires.is_none_or(|end| Instant::now() < end)
    }
}

impl<A: Hosted> Lanes<A> {
    fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            self.unwoken = hold_back(waker);
        }
    }
}
