//! What an idle child weighs, by the sizes of its parts: they are the same on every machine and in every
//! build, which the growth of a process is not.

use actix::Actor;
use tokio::time::Instant;

use crate::actors::life::Hosted;
use crate::actors::runner::{self, Address, AgentContext};
use crate::actors::supervisor::replica::{Replica, Running};
use crate::actors::supervisor::timers::Due;

struct Plain {
    _state: [u64; 4],
}

impl Actor for Plain {
    type Context = AgentContext<Self>;
}

impl Hosted for Plain {}

#[test]
fn the_parts_of_an_idle_child_weigh_at_most_1500_bytes() {
    let parts = [
        runner::weight::<Plain>(),
        size_of::<Replica>(),
        size_of::<Running>(),
        size_of::<(Instant, Due)>(),
        // One that its host keeps, one that others ask through.
        2 * size_of::<Address<Plain>>(),
    ];
    let sum: usize = parts.iter().sum();
    assert!(sum <= 1_500, "{sum}: {parts:?}");
}
