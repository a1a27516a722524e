//! The mailbox of one recipient: who can take messages, and what is on its way. Plain state.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{FIRST_REST, LONGEST_REST, sender};
use crate::actors::work::{ReadyAgent, TaskPort};
use crate::domain::agent::InstanceId;
use crate::domain::ids::MessageId;
use crate::domain::message::Message;
use crate::domain::name::Name;

/// Pairs with nothing on its way that are remembered; a forgotten one may change its replica.
const MAX_IDLE_PAIRS: usize = 256;

/// Who sends; `None`: an operator or the daemon.
pub(super) type Sender = Option<Name>;

/// One handing over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) id: MessageId,
    from: Sender,
    /// Never the same twice in this mailbox.
    number: u64,
}

/// What follows when a receipt has spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: it was settled otherwise.
    Nothing,
    /// Mark the message as delivered, then free the pair.
    Keep,
    /// Free the pair after a rest.
    Rest(Duration),
}

/// A message, and the way to the life that is to take it.
pub(super) type Handed = (Delivery, Message, Arc<dyn TaskPort>);

#[derive(Debug)]
struct Life {
    generation: u64,
    port: Arc<dyn TaskPort>,
    taking: bool,
}

/// Where the one message on its way of a pair is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At the life.
    There,
    /// The life did not take it.
    Refused,
    /// Its end is being stored.
    Ending,
}

#[derive(Debug, Default)]
struct Pair {
    replica: Option<InstanceId>,
    under_way: Option<(Delivery, Way)>,
    /// When it was last freed, by the mailbox' clock.
    freed: u64,
    /// Refusals in a row.
    refusals: u32,
}

/// The mailbox of one recipient.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    lives: BTreeMap<InstanceId, Life>,
    pairs: HashMap<Sender, Pair>,
    /// Counts hand-overs and freed pairs; a look is not judge of pairs freed after it began.
    pub(super) clock: u64,
    looking: bool,
    again: bool,
}

impl Mailbox {
    /// A life takes messages. Gives back what an earlier life of this replica had not taken.
    pub(super) fn ready(&mut self, agent: &ReadyAgent) -> Vec<Delivery> {
        let earlier = self.lives.get(&agent.instance).map(|life| life.generation);
        let left = match earlier {
            Some(generation) if generation < agent.generation => {
                self.gone(&agent.instance, generation)
            }
            Some(generation) if generation > agent.generation => return Vec::new(),
            _ => Vec::new(),
        };
        let life = Life {
            generation: agent.generation,
            port: agent.port.clone(),
            taking: true,
        };
        self.lives.insert(agent.instance.clone(), life);
        left
    }

    /// A life takes nothing new.
    pub(super) fn draining(&mut self, instance: &InstanceId, generation: u64) {
        let life = self.lives.get_mut(instance);
        if let Some(life) = life.filter(|life| life.generation == generation) {
            life.taking = false;
        }
    }

    /// A life has ended. Gives back what it had not taken.
    pub(super) fn gone(&mut self, instance: &InstanceId, generation: u64) -> Vec<Delivery> {
        let known = self.lives.get(instance);
        if known.is_none_or(|life| life.generation != generation) {
            return Vec::new();
        }
        self.lives.remove(instance);
        let mut left = Vec::new();
        for pair in self.pairs.values_mut() {
            if pair.replica.as_ref() != Some(instance) {
                continue;
            }
            pair.replica = None;
            pair.refusals = 0;
            if let Some((delivery, way @ (Way::There | Way::Refused))) = &mut pair.under_way {
                *way = Way::Ending;
                left.push(delivery.clone());
            }
        }
        left
    }

    /// A receipt has spoken.
    pub(super) fn spoken(&mut self, delivery: &Delivery, taken: bool) -> Next {
        let Some(pair) = self.pairs.get_mut(&delivery.from) else {
            return Next::Nothing;
        };
        match &mut pair.under_way {
            Some((under_way, way @ Way::There)) if under_way == delivery => {
                if taken {
                    *way = Way::Ending;
                    pair.refusals = 0;
                    return Next::Keep;
                }
                *way = Way::Refused;
                let doubled = FIRST_REST.saturating_mul(1 << pair.refusals.min(6));
                pair.refusals = pair.refusals.saturating_add(1);
                Next::Rest(doubled.min(LONGEST_REST))
            }
            _ => Next::Nothing,
        }
    }

    /// The pair's next message may go.
    pub(super) fn free(&mut self, delivery: &Delivery) {
        let Some(pair) = self.pairs.get_mut(&delivery.from) else {
            return;
        };
        if pair
            .under_way
            .as_ref()
            .is_some_and(|(it, _)| it == delivery)
        {
            self.clock += 1;
            pair.under_way = None;
            pair.freed = self.clock;
        }
        if self.pairs.len() > MAX_IDLE_PAIRS {
            self.pairs.retain(|_, pair| pair.under_way.is_some());
        }
    }

    /// Whether to look now; if somebody does, that one looks again.
    pub(super) fn begin_look(&mut self) -> bool {
        if self.looking {
            self.again = true;
            return false;
        }
        self.looking = self.lives.values().any(|life| life.taking);
        self.looking
    }

    /// Whether to look once more; else the look is over.
    pub(super) fn look_again(&mut self) -> bool {
        self.looking = std::mem::take(&mut self.again);
        self.looking
    }

    /// Which of the oldest messages of each sender can go now, and where. `seen` is the clock
    /// before they were read. One that lives have died of goes alone.
    pub(super) fn choose(&mut self, heads: Vec<Message>, seen: u64) -> Vec<Handed> {
        let suspect = heads.iter().find(|head| head.deaths > 0).map(|it| it.id);
        let mut handed = Vec::new();
        for message in heads {
            if suspect.is_some_and(|id| id != message.id) {
                continue;
            }
            handed.extend(self.hand(message, seen, suspect.is_some()));
        }
        handed
    }

    fn hand(&mut self, message: Message, seen: u64, alone: bool) -> Option<Handed> {
        let from = sender(&message);
        if let Some(pair) = self.pairs.get(&from) {
            if pair.under_way.is_some() {
                return None;
            }
            if pair.freed > seen {
                // What was read may have been taken since.
                self.again = true;
                return None;
            }
        }
        if alone && self.pairs.values().any(|pair| pair.under_way.is_some()) {
            return None;
        }
        let replica = self.replica_for(&from)?;
        let port = self.lives.get(&replica)?.port.clone();
        self.clock += 1;
        let delivery = Delivery {
            id: message.id,
            from: from.clone(),
            number: self.clock,
        };
        let pair = self.pairs.entry(from).or_default();
        pair.replica = Some(replica);
        pair.under_way = Some((delivery.clone(), Way::There));
        Some((delivery, message, port))
    }

    /// The replica that a pair is with, or the one that fewest pairs are with. A pair whose
    /// replica drains waits for its end.
    fn replica_for(&self, from: &Sender) -> Option<InstanceId> {
        if let Some(replica) = self.pairs.get(from).and_then(|pair| pair.replica.clone()) {
            let life = self.lives.get(&replica);
            return life.filter(|life| life.taking).map(|_| replica);
        }
        let taking = self.lives.iter().filter(|(_, life)| life.taking);
        let pairs_with = |instance: &InstanceId| {
            let with = |pair: &&Pair| pair.replica.as_ref() == Some(instance);
            self.pairs.values().filter(with).count()
        };
        taking
            .min_by_key(|(instance, _)| pairs_with(instance))
            .map(|(instance, _)| instance.clone())
    }
}
