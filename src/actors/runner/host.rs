//! Hosts any [`Hosted`] actor as supervised children: one mailbox a replica, one runner at a time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::address::Address;
use super::mailbox::{Mailbox, SystemLetter};
use super::scope::{Order, Reins};
use super::{Factory, Lives, Runner};
use crate::actors::life::{ChildFactory, Evidence, Hosted, Life, LifeControl, Start};
use crate::domain::agent::InstanceId;

/// Makes the lives of an agent from a factory of fresh state.
///
/// ```
/// use actix::Actor;
/// use agent_system::actors::life::Hosted;
/// use agent_system::actors::runner::{AgentContext, HostedChild};
///
/// #[derive(Default)]
/// struct Counter;
///
/// impl Actor for Counter {
///     type Context = AgentContext<Self>;
/// }
///
/// impl Hosted for Counter {}
///
/// let counters = HostedChild::new(|_life| Counter::default());
/// let first = counters.address(0);
/// assert_eq!(first.depth(), 0);
/// ```
pub struct HostedChild<A: Hosted> {
    factory: Factory<A>,
    mailboxes: Mutex<Vec<Arc<Mailbox<A>>>>,
}

impl<A: Hosted> HostedChild<A> {
    /// From a factory that cannot fail (a panic in it is a failed start).
    pub fn new(factory: impl Fn(&Life) -> A + Send + Sync + 'static) -> Arc<Self> {
        Self::fallible(move |life| Ok(factory(life)))
    }

    /// From a factory that may say why it made nothing.
    pub fn fallible(
        factory: impl Fn(&Life) -> Result<A, String> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            factory: Arc::new(factory),
            mailboxes: Mutex::new(Vec::new()),
        })
    }

    /// The address of a replica; good before its first life and over all that follow.
    pub fn address(&self, index: u32) -> Address<A> {
        Address::new(self.mailbox(index), None)
    }

    fn mailbox(&self, index: u32) -> Arc<Mailbox<A>> {
        let mut mailboxes = self.mailboxes.lock();
        let index = index as usize;
        while mailboxes.len() <= index {
            mailboxes.push(Mailbox::new(A::MAILBOX));
        }
        mailboxes[index].clone()
    }
}

impl<A: Hosted> ChildFactory for HostedChild<A> {
    fn start(&self, start: Start) -> Arc<dyn LifeControl> {
        let mailbox = self.mailbox(start.life.instance.index);
        let reins = Arc::new(Reins::default());
        mailbox.attach(start.life.generation, start.keep_mail);
        let lives = Lives {
            life: start.life,
            grant: start.grant,
            factory: self.factory.clone(),
            mailbox: mailbox.clone(),
            reins: reins.clone(),
            over: false,
        };
        start.place.run(move || {
            // The task reports its own end; nobody waits for it.
            drop(actix_rt::spawn(Runner::new(lives)));
        });
        Arc::new(HostedControl { mailbox, reins })
    }

    fn close(&self, instance: &InstanceId) {
        self.mailbox(instance.index).close();
    }
}

impl<A: Hosted> fmt::Debug for HostedChild<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostedChild")
            .field(&std::any::type_name::<A>())
            .finish()
    }
}

/// The supervisor's hold on a hosted actor.
struct HostedControl<A: Hosted> {
    mailbox: Arc<Mailbox<A>>,
    reins: Arc<Reins>,
}

impl<A: Hosted> LifeControl for HostedControl<A> {
    fn drain(&self, at_most: Duration) {
        self.mailbox.post_system(SystemLetter::Drain(at_most));
    }

    fn stop(&self) {
        self.reins.give(Order::Stop);
    }

    fn kill(&self) {
        self.reins.give(Order::Kill);
    }

    fn probe(&self) -> oneshot::Receiver<Evidence> {
        let (answer, waiting) = oneshot::channel();
        self.mailbox.post_system(SystemLetter::Probe(answer));
        waiting
    }

    fn mailbox_depth(&self) -> usize {
        self.mailbox.depth()
    }

    #[cfg(test)]
    fn explode(&self) {
        Address::new(self.mailbox.clone(), None).explode();
    }
}

impl<A: Hosted> fmt::Debug for HostedControl<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostedControl")
            .field(&std::any::type_name::<A>())
            .finish()
    }
}

/// What the supervisor's hold takes from the heap, in bytes.
#[cfg(test)]
pub(super) fn weight<A: Hosted>() -> usize {
    size_of::<HostedControl<A>>()
}
