//! For claims about what a panic costs: lets a child, or the supervisor itself, panic.

use actix::prelude::*;

use crate::actors::runner::AgentContext;
use crate::actors::supervisor::{ANSWER_DEADLINE, Supervisor, SupervisorHandle};
use crate::domain::name::Name;

#[derive(Message)]
#[rtype(result = "bool")]
struct Explode(Name);

impl Handler<Explode> for Supervisor {
    type Result = bool;

    fn handle(&mut self, Explode(name): Explode, _: &mut AgentContext<Self>) -> bool {
        let mut slots = self.tree.all_slots().into_iter();
        let slot = slots.find(|slot| self.tree.agents[slot.agent].spec.name == name);
        let life = slot.and_then(|slot| self.life_mut(slot));
        life.map(|life| life.control.explode()).is_some()
    }
}

impl SupervisorHandle {
    /// Lets the supervisor panic.
    pub(crate) fn explode(&self) {
        self.address.explode();
    }

    /// Lets a child panic; whether it has a life.
    pub(crate) async fn explode_child(&self, name: &str) -> bool {
        let order = Explode(name.parse().unwrap());
        self.address.ask(order, ANSWER_DEADLINE).await.unwrap()
    }
}
