//! Facts that wait for their commit: bounded, in order, with a gap where some did not fit.

use std::collections::VecDeque;

use serde_json::json;

use crate::domain::event::NewEvent;
use crate::domain::timestamp::Timestamp;

/// Facts that may wait; more collapse into a gap.
pub const CAPACITY: usize = 4096;
/// Facts appended in one commit.
const BATCH: usize = 512;
/// The type of the entry that stands where facts were lost.
pub const GAP: &str = "gap";

/// Facts in order. Some may be on their way to the store: they count, and may come back.
#[derive(Default)]
pub(super) struct Buffer {
    facts: VecDeque<NewEvent>,
    on_their_way: usize,
    lost: u64,
    lost_since: Option<Timestamp>,
}

impl Buffer {
    /// Takes a fact, or counts it as lost.
    pub(super) fn push(&mut self, fact: NewEvent) {
        // After a loss nothing is taken before the gap is on its way: order would be lost too.
        if self.waiting() < CAPACITY && self.lost == 0 {
            self.facts.push_back(fact);
        } else {
            self.lose(1, fact.at);
        }
    }

    /// The oldest facts; after the last of them the gap, if there is one.
    pub(super) fn take(&mut self) -> Option<Vec<NewEvent>> {
        let count = self.facts.len().min(BATCH);
        let mut batch: Vec<_> = self.facts.drain(..count).collect();
        if self.facts.is_empty() && self.lost > 0 {
            batch.push(self.gap());
        }
        self.on_their_way = batch.len();
        (!batch.is_empty()).then_some(batch)
    }

    /// What was taken is stored.
    pub(super) fn stored(&mut self) {
        self.on_their_way = 0;
    }

    /// What was taken will never be stored.
    pub(super) fn refused(&mut self, facts: &[NewEvent]) {
        self.on_their_way = 0;
        if let [gap] = facts
            && gap.kind == GAP
        {
            return;
        }
        if let Some(first) = facts.first() {
            self.lose(facts.len() as u64, first.at);
        }
    }

    /// What was taken waits again, before everything else.
    pub(super) fn put_back(&mut self, facts: Vec<NewEvent>) {
        self.on_their_way = 0;
        for fact in facts.into_iter().rev() {
            self.facts.push_front(fact);
        }
    }

    /// Facts that are not stored yet.
    pub(super) fn waiting(&self) -> usize {
        self.facts.len() + self.on_their_way
    }

    #[cfg(test)]
    pub(super) fn is_on_its_way(&self) -> bool {
        self.on_their_way > 0
    }

    fn lose(&mut self, count: u64, at: Timestamp) {
        self.lost += count;
        self.lost_since.get_or_insert(at);
    }

    fn gap(&mut self) -> NewEvent {
        let lost = std::mem::take(&mut self.lost);
        NewEvent {
            kind: GAP,
            subject: "journal".into(),
            at: self.lost_since.take().unwrap_or_default(),
            data: json!({ "lost": lost }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(n: i64) -> NewEvent {
        NewEvent {
            kind: "agent.ready",
            subject: n.to_string(),
            at: Timestamp::from_micros(n),
            data: json!({}),
        }
    }

    fn drain(buffer: &mut Buffer) -> Vec<NewEvent> {
        let mut all = Vec::new();
        while let Some(batch) = buffer.take() {
            all.extend(batch);
            buffer.stored();
        }
        all
    }

    #[test]
    fn what_does_not_fit_collapses_into_one_gap_that_says_how_much() {
        let mut buffer = Buffer::default();
        for n in 0..CAPACITY as i64 + 7 {
            buffer.push(fact(n));
        }
        let all = drain(&mut buffer);
        assert_eq!(all.len(), CAPACITY + 1);
        let gap = all.last().unwrap();
        assert_eq!((gap.kind, &gap.data), (GAP, &json!({ "lost": 7 })));
        assert_eq!(gap.at, Timestamp::from_micros(CAPACITY as i64));
        buffer.push(fact(1));
        assert_eq!(drain(&mut buffer), [fact(1)]);
    }

    #[test]
    fn what_comes_back_stands_before_what_came_meanwhile() {
        let mut buffer = Buffer::default();
        buffer.push(fact(1));
        buffer.push(fact(2));
        let taken = buffer.take().unwrap();
        buffer.push(fact(3));
        assert_eq!(buffer.waiting(), 3);
        buffer.put_back(taken);
        assert_eq!(drain(&mut buffer), [fact(1), fact(2), fact(3)]);
    }

    #[test]
    fn refused_facts_become_a_gap_and_a_refused_gap_becomes_nothing() {
        let mut buffer = Buffer::default();
        buffer.push(fact(1));
        let taken = buffer.take().unwrap();
        buffer.refused(&taken);
        let gap = buffer.take().unwrap();
        assert_eq!(gap[0].data, json!({ "lost": 1 }));
        buffer.refused(&gap);
        assert_eq!(buffer.take(), None);
    }
}
