//! An errand: a future that goes on for ever, as a child of the tree, so that its panic is a death
//! like any other and has a budget.
//!
//! Rely on: each life begins with a future made anew, after the one before is gone. One that ends by
//! itself is an end of the life.
//!
//! Not here: what outlives a life; whoever makes the future keeps that.

use std::pin::Pin;
use std::sync::Arc;

use actix::prelude::*;

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

impl Actor for Errand {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(way) = self.0.take() {
            ctx.spawn(way.into_actor(self).map(|(), _, ctx| ctx.stop()));
        }
    }
}

impl Hosted for Errand {}
