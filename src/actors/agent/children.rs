//! The children of this process: those that it started, and those that it inherits.
//!
//! Who clears his environment, begins a session and loses his parent carries no sign any more of the
//! life that started him. The daemon is the subreaper of its descendants (`prctl(2)`), so it becomes
//! the parent of such a stray, and knows one thing of him: no life that began later has started him.
//!
//! Rely on: a stray is found as soon as no life is left that may have started him, and never before.
//! What this process had for children before it started any, as a shell has that became the daemon, is
//! not its own doing: then no stray is told from others, and none is found.
//!
//! Not here: who ends them (`family`), who buries them (`reaper`).

use std::collections::BTreeMap;
use std::io;

use parking_lot::Mutex;

use super::proc::{self, Stat};

/// This process's one copy.
static CHILDREN: Mutex<Children> = Mutex::new(Children {
    inherits: false,
    own: BTreeMap::new(),
});

#[derive(Debug)]
struct Children {
    /// Whether whoever is no child of its own is a stray.
    inherits: bool,
    /// By number.
    own: BTreeMap<u32, OwnChild>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OwnChild {
    start_ticks: u64,
    /// Whether it may have started others.
    lives: bool,
}

/// Becomes the parent of every orphan among its descendants. To be called before the first is started.
pub(crate) fn inherit() {
    let ours = std::process::id();
    let others = proc::all().iter().any(|stat| stat.parent == ours);
    match rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        Ok(()) => CHILDREN.lock().inherits = !others,
        Err(error) => tracing::warn!(%error, "orphans of agents will be another's"),
    }
}

/// A child that this process has started, for as long as this value is kept.
#[derive(Debug)]
pub(super) struct Own {
    pid: u32,
    start_ticks: u64,
}

impl Own {
    /// Starts a child by `spawn`, which gives its number and when it started: nobody takes it for
    /// another's meanwhile.
    pub(super) fn spawn<T>(
        spawn: impl FnOnce() -> io::Result<(T, u32, u64)>,
    ) -> io::Result<(T, Self)> {
        let mut children = CHILDREN.lock();
        let (child, pid, start_ticks) = spawn()?;
        let lives = false;
        children.own.insert(pid, OwnChild { start_ticks, lives });
        Ok((child, Self { pid, start_ticks }))
    }

    /// From now on it may start others.
    pub(super) fn begins(&self) {
        self.with(|child| child.lives = true);
    }

    fn with(&self, change: impl FnOnce(&mut OwnChild)) {
        let mut children = CHILDREN.lock();
        let child = children.own.get_mut(&self.pid);
        if let Some(child) = child.filter(|child| child.start_ticks == self.start_ticks) {
            change(child);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // Its number may be another's since it was reaped.
        ended(self.pid, self.start_ticks);
    }
}

/// A child of its own has been reaped: it starts nobody any more.
pub(super) fn ended(pid: u32, start_ticks: u64) {
    let mut children = CHILDREN.lock();
    let it = children.own.get(&pid);
    if it.is_some_and(|child| child.start_ticks == start_ticks) {
        children.own.remove(&pid);
    }
}

/// Whether this process has started it.
pub(super) fn is_own(pid: u32) -> bool {
    CHILDREN.lock().own.contains_key(&pid)
}

/// Whether it is a stray that no living child can have started. Ask of what was seen before.
pub(super) fn is_lost(stat: &Stat) -> bool {
    let children = CHILDREN.lock();
    children.inherits && stat.parent == std::process::id() && children.is_lost(stat)
}

impl Children {
    fn is_lost(&self, stat: &Stat) -> bool {
        let mut own = self.own.values();
        !self.own.contains_key(&stat.pid)
            && own.all(|child| !child.lives || stat.start_ticks < child.start_ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, start_ticks: u64) -> Stat {
        Stat {
            pid,
            start_ticks,
            ..Stat::default()
        }
    }

    #[test]
    fn a_stray_is_lost_once_no_life_is_left_that_may_have_started_it() {
        let child = |start_ticks, lives| OwnChild { start_ticks, lives };
        let lost = |own: &[(u32, OwnChild)], pid| {
            let children = Children {
                inherits: true,
                own: own.iter().copied().collect(),
            };
            children.is_lost(&stat(pid, 50))
        };
        assert!(lost(&[], 9), "nobody lives");
        assert!(lost(&[(1, child(51, true))], 9), "who began later");
        assert!(!lost(&[(1, child(50, true))], 9), "at the same tick");
        assert!(!lost(&[(1, child(51, true)), (2, child(10, true))], 9));
        assert!(lost(&[(1, child(10, false))], 9), "who waits for his order");
        assert!(!lost(&[(9, child(50, false))], 9), "our own");
    }
}
