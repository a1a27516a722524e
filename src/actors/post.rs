//! The post: durable messages, from their acceptance to the life that takes them.
//!
//! ```text
//! faces ─────send──▶ Post ──stored, committed──▶ Store
//! agents ─outgoing─▶  │ ▲                          │ next of each pair
//! (in order, bounded) ▼ └──ready, draining, gone   ▼
//!                  one mailbox a recipient ──deliver──▶ TaskPort ──receipt──▶ Post
//! ```
//!
//! Rely on:
//! - what was accepted is stored; it waits until a life of its recipient has taken it, over deaths
//!   of the agent and of the daemon, at most for the time that messages are kept;
//! - it is handed over once at least: a life that ended before it took a message leaves it to the
//!   next one. An id is the same each time;
//! - order is kept for each pair of sender and recipient: the next message follows when the one
//!   before was taken. A pair stays with one replica while that lives;
//! - at most [`MAX_WAITING`](crate::domain::message::MAX_WAITING) wait for a recipient, and a
//!   message of which lives die is given up after
//!   [`MAX_DEATHS`](crate::domain::message::MAX_DEATHS). After its first death it is handed over
//!   with no other beside it, so that it strikes no innocent one again.
//!
//! What it knows (who is ready, what is on its way) it can lose: the database holds what waits. A panic
//! in it costs the message at hand a rest, and no other.
//!
//! Not here: when a life has taken a message (the ports of `agent`), who may send (`http`).

mod mailbox;
mod outgoing;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use self::mailbox::{Delivery, Mailbox, Next, Sender};
pub use self::outgoing::MAX_OUTGOING;
use self::outgoing::Outgoing;
use crate::actors::work::{AgentMessage, ReadyAgent, Receipt};
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;
use crate::domain::message::{Message, MessageState, NewMessage};
use crate::domain::name::Name;
use crate::persistence::{Store, StoreError};

/// The rest before a message is handed over again to a life that did not take it, at first.
pub const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest such rest.
pub const LONGEST_REST: Duration = Duration::from_secs(60);
/// The rest after the store did not answer.
const STORE_REST: Duration = Duration::from_secs(1);

/// The post. Cheap to clone.
#[derive(Clone)]
pub struct Post(Arc<Inner>);

struct Inner {
    store: Store,
    runtime: Handle,
    mailboxes: Mutex<HashMap<Name, Mailbox>>,
    outgoing: Outgoing,
    closed: AtomicBool,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Post").finish_non_exhaustive()
    }
}

impl Post {
    /// A post on a store; its work runs on the runtime around it.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let (outgoing, waiting) = Outgoing::new();
        let post = Self(Arc::new(Inner {
            store,
            runtime: Handle::current(),
            mailboxes: Mutex::default(),
            outgoing,
            closed: AtomicBool::new(false),
        }));
        let carried = outgoing::carry(Arc::downgrade(&post.0), waiting);
        drop(post.0.runtime.spawn(carried));
        post
    }

    /// Stores a message and sets out to deliver it; `true` if its idempotency key had been seen.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be stored, or as many wait as may.
    pub async fn send(&self, message: NewMessage) -> Result<(Message, bool), StoreError> {
        let (message, existing) = self.0.store.send_message(message).await?;
        self.look(&message.to);
        Ok((message, existing))
    }

    /// An agent sends a message: stored in the order in which each agent sent. Never blocks;
    /// `allowed` says whether there is such a recipient.
    pub(crate) fn send_from(&self, message: AgentMessage, allowed: Result<(), String>) {
        self.0.outgoing.put(message, allowed);
    }

    /// A life takes messages from now on.
    pub(crate) fn ready(&self, agent: &ReadyAgent) {
        let to = agent.instance.agent.clone();
        let freed = {
            let mut mailboxes = self.0.mailboxes.lock();
            mailboxes.entry(to.clone()).or_default().ready(agent)
        };
        self.left(&to, freed, &ExitReason::ArbiterGone);
        self.look(&to);
    }

    /// A life takes nothing new.
    pub(crate) fn draining(&self, instance: &InstanceId, generation: u64) {
        if let Some(mailbox) = self.0.mailboxes.lock().get_mut(&instance.agent) {
            mailbox.draining(instance, generation);
        }
    }

    /// A life has ended; what it had not taken goes to the next one.
    pub(crate) fn gone(&self, instance: &InstanceId, generation: u64, reason: &ExitReason) {
        let left = {
            let mut mailboxes = self.0.mailboxes.lock();
            let mailbox = mailboxes.get_mut(&instance.agent);
            mailbox.map(|mailbox| mailbox.gone(instance, generation))
        };
        self.left(&instance.agent, left.unwrap_or_default(), reason);
    }

    /// Hands nothing over any more.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// What a life that ended had not taken: its death counts against these, if it was one.
    fn left(&self, to: &Name, left: Vec<Delivery>, reason: &ExitReason) {
        for delivery in left {
            let (post, to, reason) = (self.clone(), to.clone(), reason.clone());
            drop(self.0.runtime.spawn(async move {
                let held = Held(post, to, delivery);
                if is_death(&reason) {
                    held.0.count_death(&held.2, &reason).await;
                }
            }));
        }
    }

    async fn count_death(&self, delivery: &Delivery, reason: &ExitReason) {
        let id = delivery.id;
        match self.0.store.message_killed(id, reason.to_string()).await {
            Ok(MessageState::Undeliverable) => {
                tracing::warn!(%id, %reason, "a message is given up: lives die of it");
            }
            Ok(_) => {}
            // Then it counts the next time; that it waits is what matters.
            Err(error) => tracing::debug!(%id, %error, "a death was not counted"),
        }
    }

    /// A receipt has spoken.
    fn spoken(&self, to: &Name, delivery: Delivery, taken: bool) {
        let next = {
            let mut mailboxes = self.0.mailboxes.lock();
            let mailbox = mailboxes.get_mut(to);
            mailbox.map_or(Next::Nothing, |mailbox| mailbox.spoken(&delivery, taken))
        };
        let (post, to) = (self.clone(), to.clone());
        match next {
            Next::Nothing => {}
            Next::Keep => drop(self.0.runtime.spawn(async move {
                let held = Held(post, to, delivery);
                held.0.keep(&held.2).await;
            })),
            Next::Rest(span) => drop(self.0.runtime.spawn(async move {
                tokio::time::sleep(span).await;
                post.free(&to, &delivery);
            })),
        }
    }

    /// Marks a message as delivered, for as long as that takes.
    async fn keep(&self, delivery: &Delivery) {
        loop {
            match self.0.store.message_delivered(delivery.id).await {
                Err(error) if error.is_temporary() => tokio::time::sleep(STORE_REST).await,
                // One that retention removed has nothing to mark.
                Ok(()) | Err(_) => return,
            }
        }
    }

    /// The pair's next message may go.
    fn free(&self, to: &Name, delivery: &Delivery) {
        if let Some(mailbox) = self.0.mailboxes.lock().get_mut(to) {
            mailbox.free(delivery);
        }
        self.look(to);
    }

    /// Looks for what can be handed to this recipient, unless somebody does.
    fn look(&self, to: &Name) {
        let begin = {
            let mut mailboxes = self.0.mailboxes.lock();
            mailboxes.get_mut(to).is_some_and(Mailbox::begin_look)
        };
        if begin {
            drop(self.0.runtime.spawn(self.clone().hand_over(to.clone())));
        }
    }

    /// Hands over what can be. A panic on the way costs a rest: nobody else looks meanwhile, and
    /// nobody would again.
    async fn hand_over(self, to: Name) {
        while AssertUnwindSafe(self.hand_over_all(&to))
            .catch_unwind()
            .await
            .is_err()
        {
            tracing::error!(%to, "handing messages over panicked; they wait for another look");
            tokio::time::sleep(STORE_REST).await;
        }
    }

    /// Until nothing new came while it looked.
    async fn hand_over_all(&self, to: &Name) {
        while !self.0.closed.load(Ordering::Acquire) {
            let seen = self.with(to, |mailbox| mailbox.clock);
            let heads = match self.0.store.next_messages(to.clone()).await {
                Ok(heads) => heads,
                Err(error) => {
                    tracing::debug!(%to, %error, "messages wait, the store does not answer");
                    tokio::time::sleep(STORE_REST).await;
                    continue;
                }
            };
            let chosen = self.with(to, |mailbox| mailbox.choose(heads, seen));
            // All receipts first: one that is dropped says that nobody took its message.
            let chosen: Vec<_> = chosen
                .into_iter()
                .map(|(delivery, message, port)| (self.receipt(to, delivery), message, port))
                .collect();
            for (receipt, message, port) in chosen {
                // A port that is closed drops the receipt, which says all.
                port.deliver(message, receipt).ok();
            }
            if !self.with(to, Mailbox::look_again) {
                return;
            }
        }
    }

    fn receipt(&self, to: &Name, delivery: Delivery) -> Receipt {
        let (post, to) = (Arc::downgrade(&self.0), to.clone());
        Receipt::new(move |taken| {
            if let Some(inner) = post.upgrade() {
                Self(inner).spoken(&to, delivery, taken);
            }
        })
    }

    fn with<T>(&self, to: &Name, act: impl FnOnce(&mut Mailbox) -> T) -> T {
        act(self.0.mailboxes.lock().entry(to.clone()).or_default())
    }
}

/// A delivery whose end is being stored; dropped, for whatever reason, it frees its pair.
struct Held(Post, Name, Delivery);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.free(&self.1, &self.2);
    }
}

/// Whether an end speaks against what the life held.
const fn is_death(reason: &ExitReason) -> bool {
    !matches!(
        reason,
        ExitReason::Normal | ExitReason::Shutdown | ExitReason::Killed | ExitReason::ArbiterGone
    )
}

/// Who sent, as a key of pairs.
fn sender(message: &Message) -> Sender {
    message.from.clone()
}
