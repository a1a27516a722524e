//! Messages that were written to a child, and when it has taken them.
//!
//! A pipe is read in order: who answers a ping that was written after a message has read the
//! message. A child that wants to be sure of more (that it dealt with the message) declares
//! `acks` in `ready`, and then says `ack` for each.

use std::collections::VecDeque;

use crate::actors::work::Receipt;
use crate::domain::ids::MessageId;

/// Messages that a child may have read without taking them; more wait until it takes some.
const MAX_UNTAKEN: usize = 256;

/// What a child has not taken yet. Dropping it says that the child never will.
#[derive(Debug, Default)]
pub(super) struct Mail {
    open: VecDeque<Letter>,
    /// The child acknowledges each message by its id.
    acks: bool,
}

#[derive(Debug)]
struct Letter {
    id: MessageId,
    /// The ping that follows it.
    ping: u64,
    receipt: Receipt,
}

impl Mail {
    /// The child says how it takes messages.
    pub(super) fn acknowledges(&mut self, acks: bool) {
        self.acks = acks;
    }

    /// Whether the child has read so much without taking it that it gets no more.
    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= MAX_UNTAKEN
    }

    /// A message was written, and a ping after it.
    pub(super) fn written(&mut self, id: MessageId, ping: u64, receipt: Receipt) {
        self.open.push_back(Letter { id, ping, receipt });
    }

    /// The child has read everything up to this ping; gives back what it has taken by that.
    pub(super) fn read_up_to(&mut self, ping: u64) -> Vec<Receipt> {
        let read = match self.acks {
            true => 0,
            false => self.open.partition_point(|letter| letter.ping <= ping),
        };
        self.open.drain(..read).map(|it| it.receipt).collect()
    }

    /// The child acknowledges one message.
    pub(super) fn acknowledged(&mut self, id: MessageId) -> Option<Receipt> {
        let place = self.open.iter().position(|letter| letter.id == id)?;
        self.open.remove(place).map(|letter| letter.receipt)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    fn letter(said: &Arc<Mutex<Vec<(u8, bool)>>>, n: u8) -> Receipt {
        let said = said.clone();
        Receipt::new(move |taken| said.lock().push((n, taken)))
    }

    fn id(n: u8) -> MessageId {
        MessageId::from_bytes([n; 16])
    }

    #[test]
    fn a_pong_takes_what_was_written_before_its_ping_and_the_end_takes_nothing() {
        let said = Arc::default();
        let mut mail = Mail::default();
        for (n, ping) in [(1, 4), (2, 5), (3, 7)] {
            mail.written(id(n), ping, letter(&said, n));
        }
        assert!(mail.read_up_to(3).is_empty());
        mail.read_up_to(5).into_iter().for_each(Receipt::taken);
        assert_eq!(*said.lock(), [(1, true), (2, true)]);
        drop(mail);
        assert_eq!(said.lock().last(), Some(&(3, false)));
    }

    #[test]
    fn who_acknowledges_is_held_to_its_word_and_not_to_pongs() {
        let said = Arc::default();
        let mut mail = Mail::default();
        mail.acknowledges(true);
        for n in 1..=2 {
            mail.written(id(n), u64::from(n), letter(&said, n));
        }
        assert!(mail.read_up_to(9).is_empty());
        mail.acknowledged(id(2)).unwrap().taken();
        assert!(mail.acknowledged(id(2)).is_none());
        assert_eq!(*said.lock(), [(2, true)]);
    }
}
