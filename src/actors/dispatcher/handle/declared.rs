//! What is configured: whom work can be addressed to, queues with their limits, schedules. Set before
//! the dispatcher begins, and again whenever the configuration changes.
//!
//! Rely on: who is declared no more gets no new work; what waits for it already goes on waiting, and
//! is handed out when it is declared again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::DispatcherHandle;
use crate::actors::dispatcher::claims::QueuesChanged;
use crate::actors::dispatcher::schedules::LookAtSchedules;
use crate::clock;
use crate::domain::agent::AgentSpec;
use crate::domain::name::Name;
use crate::domain::queue::QueueSpec;
use crate::domain::schedule::ScheduleSpec;

impl DispatcherHandle {
    /// The agents that work can be addressed to, with their roles and queues, and what they may
    /// spend.
    pub fn set_known_agents<'a>(&self, specs: impl IntoIterator<Item = &'a AgentSpec>) {
        let specs: Vec<_> = specs.into_iter().collect();
        self.0.known.set(specs.iter().copied());
        let ceilings = specs
            .iter()
            .filter_map(|spec| Some((&spec.name, spec.spend.as_ref()?)));
        let spends = &mut self.0.memory.lock().desk.spends;
        spends.declare(ceilings, clock::now());
    }

    /// The queues as configured.
    pub fn set_queues(&self, specs: &BTreeMap<Name, QueueSpec>) {
        self.0.known.declare(specs.keys().cloned());
        self.0.depths.set(specs.values());
        self.store().set_queues(specs.values());
        *self.0.queues.lock() = specs.clone();
    }

    /// What falls due by itself.
    pub fn set_schedules(&self, specs: &[ScheduleSpec]) {
        if !specs.is_empty() {
            self.0.scheduled.store(true, Ordering::Relaxed);
        }
        *self.0.schedules.lock() = specs.into();
    }

    /// What is configured has changed while the dispatcher works: it looks at everything anew.
    pub fn declared_anew(&self) {
        self.report(QueuesChanged);
        self.report(LookAtSchedules);
    }

    pub(in crate::actors::dispatcher) fn schedule_specs(&self) -> Arc<[ScheduleSpec]> {
        self.0.schedules.lock().clone()
    }

    /// Whether there are schedules, or some that are to be forgotten.
    pub(in crate::actors::dispatcher) fn has_schedules(&self) -> bool {
        self.0.scheduled.load(Ordering::Relaxed)
    }
}
