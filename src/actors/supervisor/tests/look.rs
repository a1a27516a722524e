//! A look inside the supervisor, for claims about what no status shows.

use actix::prelude::*;

use super::super::{ANSWER_DEADLINE, Supervisor, SupervisorHandle};
use crate::actors::runner::AgentContext;

type Glance = Box<dyn FnOnce(&mut Supervisor) + Send>;

#[derive(Message)]
#[rtype(result = "()")]
struct Look(Glance);

impl Handler<Look> for Supervisor {
    type Result = ();

    fn handle(&mut self, Look(glance): Look, _: &mut AgentContext<Self>) {
        glance(self);
    }
}

/// The supervisor dies at once, as if its daemon were killed.
pub(super) fn collapse(handle: &SupervisorHandle) {
    let death = Look(Box::new(|_| panic!("the daemon dies, as told")));
    handle.address.report(death).unwrap();
}

/// What `glance` sees.
pub(super) async fn look<T: Send + 'static>(
    handle: &SupervisorHandle,
    glance: impl FnOnce(&mut Supervisor) -> T + Send + 'static,
) -> T {
    let (seen, waiting) = tokio::sync::oneshot::channel();
    let look = Look(Box::new(move |supervisor| {
        drop(seen.send(glance(supervisor)));
    }));
    handle.address.ask(look, ANSWER_DEADLINE).await.unwrap();
    waiting.await.unwrap()
}
