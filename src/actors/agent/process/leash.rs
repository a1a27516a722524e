//! The hold on a life's process that outlasts the order of events: a process may be told to end
//! before it exists, and must not be signalled after it was reaped.

use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;

use super::vitals::Vitals;
use crate::actors::agent::family::signal_group;
use crate::actors::life::Evidence;

/// Looks closer together than this share what they see.
const SEEN_JUST_NOW: Duration = Duration::from_secs(1);

/// Shared by the actor, which gives orders, and the session, which has the process.
#[derive(Debug, Default)]
pub(super) struct Leash {
    state: Mutex<State>,
    /// What its processes were last seen to use.
    pub(super) vitals: Vitals,
    /// What its life held when its process had ended.
    words: Mutex<Option<Evidence>>,
}

#[derive(Debug, Default)]
struct State {
    pid: Option<u32>,
    told: bool,
    killed: bool,
}

impl Leash {
    /// The process exists; `false` if it was ordered away before.
    pub(super) fn attach(&self, pid: u32) -> bool {
        let mut state = self.state.lock();
        if !state.killed {
            state.pid = Some(pid);
        }
        !state.killed
    }

    /// The process has been reaped: its number may be another's from now on.
    pub(super) fn detach(&self) {
        self.state.lock().pid = None;
    }

    /// Its process, while it has one.
    pub(super) fn pid(&self) -> Option<u32> {
        self.state.lock().pid
    }

    /// Looks at its processes, and adds what was seen to what a life shows.
    pub(super) fn show(&self, shown: &mut Evidence) {
        if let Some(pid) = self.pid() {
            self.vitals.look(pid, SEEN_JUST_NOW);
        }
        self.vitals.add_to(shown);
    }

    /// Its process has ended: this is what its life held.
    pub(super) fn ended_with(&self, words: Evidence) {
        *self.words.lock() = Some(words);
    }

    /// What its life held when its process had ended, if that was seen.
    pub(super) fn last_words(&self) -> Option<Evidence> {
        self.words.lock().take()
    }

    /// An end that follows is as ordered.
    pub(super) fn tell(&self) {
        self.state.lock().told = true;
    }

    /// Whether the process was told to end.
    pub(super) fn was_told(&self) -> bool {
        self.state.lock().told
    }

    /// Tells the whole group to end.
    pub(super) fn signal(&self, signal: Signal) {
        let mut state = self.state.lock();
        state.told = true;
        match state.pid {
            Some(pid) => signal_group(pid, signal),
            None => state.killed = true,
        }
    }

    /// Ends the whole group; what is not there yet is ended when it comes.
    pub(super) fn kill(&self) {
        let mut state = self.state.lock();
        state.killed = true;
        if let Some(pid) = state.pid {
            signal_group(pid, Signal::KILL);
        }
    }
}
