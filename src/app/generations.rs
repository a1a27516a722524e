//! Numbers of lives, reserved ahead, so that none is used twice though the daemon dies before the
//! last one is stored.
//!
//! What is stored is a mark that no life has reached: the next daemon begins above it. A mark lasts
//! for a block of lives, so that restarts cost no write of their own; the next block is asked for when
//! half of this one is used up, and is larger when that was soon. A daemon that ends as told gives
//! back what it did not use.
//!
//! While the database is lost, marks are kept in a file beside it ([`Aside`]): healing waits for no
//! database.
//!
//! Not here: writing to the database. What one daemon starts of one replica within the time of one commit,
//! beyond half a block, is not covered; nor are more lives than a block while the data directory takes no
//! writes at all.

mod aside;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::name::Name;

pub(super) use aside::Aside;

/// Lives that a mark lasts for, at least.
const BLOCK: u64 = 64;
/// And at most.
const MAX_BLOCK: u64 = 65_536;
/// A block that is used up sooner is followed by a larger one.
const SOON: Duration = Duration::from_secs(10);

/// How far the numbers of each agent are reserved.
#[derive(Debug, Default)]
pub(super) struct Generations(BTreeMap<Name, Mark>);

#[derive(Debug)]
struct Mark {
    used: u64,
    reserved: u64,
    block: u64,
    since: Instant,
}

/// What is to be stored of an agent's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reserved {
    /// No life has a higher number.
    pub(super) mark: u64,
    /// Whether it is new, and must be stored before more lives begin.
    pub(super) is_new: bool,
}

impl Generations {
    /// The last life had this number.
    pub(super) fn used(&mut self, agent: &Name, generation: u64) -> Reserved {
        let now = Instant::now();
        let mark = self.0.entry(agent.clone()).or_insert(Mark {
            used: generation,
            reserved: generation,
            block: BLOCK / 2,
            since: now,
        });
        mark.used = mark.used.max(generation);
        let is_new = mark.used + mark.block / 2 >= mark.reserved;
        if is_new {
            let soon = now.duration_since(mark.since) < SOON;
            mark.block = if soon { mark.block * 2 } else { BLOCK }.min(MAX_BLOCK);
            mark.reserved = mark.used + mark.block;
            mark.since = now;
        }
        Reserved {
            mark: mark.reserved,
            is_new,
        }
    }

    /// Forgets an agent; gives its mark and the last number that was used.
    pub(super) fn forget(&mut self, agent: &Name) -> Option<(u64, u64)> {
        let mark = self.0.remove(agent)?;
        Some((mark.reserved, mark.used))
    }

    /// Those of whom it knows.
    pub(super) fn agents(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// Each agent with its mark and the last number that was used; begins anew.
    pub(super) fn give_back(&mut self) -> impl Iterator<Item = (Name, u64, u64)> + use<> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.map(|(agent, mark)| (agent, mark.reserved, mark.used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo() -> Name {
        "echo".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_mark_is_above_every_life_and_costs_a_write_only_every_so_many() {
        let mut generations = Generations::default();
        let mut stored = 0;
        let mut writes = 0;
        for life in 7..700 {
            let reserved = generations.used(&echo(), life);
            if reserved.is_new {
                (stored, writes) = (reserved.mark, writes + 1);
            }
            assert!(
                life < stored,
                "life {life} is above what is stored, {stored}"
            );
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(writes <= 700 / 16, "{writes} writes");
    }

    #[tokio::test(start_paused = true)]
    async fn lives_that_follow_each_other_fast_get_larger_blocks() {
        let mut generations = Generations::default();
        let fresh = |life| generations.used(&echo(), life).is_new;
        let writes = (0..200_000).map(fresh).filter(|is_new| *is_new).count();
        assert!(writes < 20, "{writes} writes");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_used_is_given_back_once() {
        let mut generations = Generations::default();
        let mark = generations.used(&echo(), 3).mark;
        let given: Vec<_> = generations.give_back().collect();
        assert_eq!(given, [(echo(), mark, 3)]);
        assert_eq!(generations.give_back().count(), 0);
    }
}
