//! An errand: a future that goes on for ever, as a child of the tree, so that its panic is a death
//! like any other and has a budget.
//!
//! Rely on: each life begins with a future made anew, after the one before is gone. One that ends by
//! itself is an end of the life. One that a runtime carries out ([`child_on`]) is held up by nothing on
//! the tree's thread; if that thread is blocked and written off, the next life may begin before it
//! is gone.
//!
//! Not here: what outlives a life; whoever makes the future keeps that.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;

use actix::prelude::*;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::actors::life::{ChildFactory, Hosted};
use crate::actors::runner::{AgentContext, HostedChild};

/// What a life carries out.
type Way = Pin<Box<dyn Future<Output = ()>>>;

/// The actor.
struct Errand(Option<Way>);

/// A child that carries out what `make` makes.
pub fn child<F>(make: impl Fn() -> F + Send + Sync + 'static) -> Arc<dyn ChildFactory>
where
    F: Future<Output = ()> + 'static,
{
    HostedChild::new(move |_| Errand(Some(Box::pin(make()))))
}

/// The same, carried out by this runtime: its panic there is the death of the life here, and it is
/// broken off with the life.
pub fn child_on<F>(
    runtime: Handle,
    make: impl Fn() -> F + Send + Sync + 'static,
) -> Arc<dyn ChildFactory>
where
    F: Future<Output = ()> + Send + 'static,
{
    child(move || {
        let mut carried = JoinSet::new();
        carried.spawn_on(make(), &runtime);
        async move {
            if let Some(Err(error)) = carried.join_next().await
                && let Ok(panic) = error.try_into_panic()
            {
                resume_unwind(panic);
            }
        }
    })
}

impl Actor for Errand {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(way) = self.0.take() {
            ctx.spawn(way.into_actor(self).map(|(), _, ctx| ctx.stop()));
        }
    }
}

impl Hosted for Errand {}
