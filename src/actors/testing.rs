//! For tests of internal actors: starts one here, without a tree.

use std::sync::Arc;

use crate::actors::life::{ChildFactory, Life, LifeControl, LifeNote, LifeSink, Ready, Start};
use crate::actors::pool::Place;
use crate::actors::runner::Grant;
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;
use crate::domain::restart::{RestartRule, RestartType};

/// Starts a child on this thread; every end is followed by a new life.
pub(crate) fn start(child: &dyn ChildFactory) -> Arc<dyn LifeControl> {
    start_as(child, RestartType::Permanent)
}

/// Starts a child on this thread; a new life follows where `kind` says so.
pub(crate) fn start_as(child: &dyn ChildFactory, kind: RestartType) -> Arc<dyn LifeControl> {
    let rule = RestartRule {
        kind,
        fatal_exit_codes: Vec::new(),
    };
    child.start(Start {
        life: Life {
            instance: InstanceId {
                agent: "internal".parse().expect("a name"),
                index: 0,
            },
            generation: 1,
            sink: Arc::new(Deaf),
        },
        grant: Grant::unlimited(Arc::new(rule), 1),
        place: Place::Here,
        keep_mail: true,
    })
}

/// Wants to know nothing.
#[derive(Debug)]
pub(crate) struct Deaf;

impl LifeSink for Deaf {
    fn ready(&self, _: &InstanceId, _: u64, _: Ready) {}
    fn noted(&self, _: &InstanceId, _: u64, _: LifeNote) {}
    fn exited(&self, _: &InstanceId, _: u64, _: ExitReason) {}
}
