//! Restart budgets over restarts of the daemon: kept as wall-clock instants, read back clamped, so
//! that no jump of the clock makes a death older than it can be, or puts it ahead.

use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use super::outside::Kept;
use super::timers::Due;
use super::tree::Slot;
use crate::clock;
use crate::domain::agent::{AgentState, AgentTarget};
use crate::domain::record::RestartBudget;
use crate::domain::restart::{DeathWindow, Intensity, Ledger};
use crate::domain::timestamp::Timestamp;

/// Spans on the monotonic clock begin here, so that deaths before the start have a place on it.
pub(super) const BEFORE_START: Duration = Duration::from_secs(86_400);

impl Supervisor {
    /// Takes over what earlier daemons left of budgets.
    pub(super) fn restore(&mut self, budgets: Vec<RestartBudget>) {
        for budget in budgets {
            if let Some(group) = budget.owner.strip_prefix('@') {
                self.restore_group(group, &budget);
            } else if let Ok(target) = budget.owner.parse::<AgentTarget>() {
                self.restore_replica(&target, &budget);
            }
        }
    }

    fn restore_group(&mut self, name: &str, budget: &RestartBudget) {
        let now = self.span();
        let named = self
            .tree
            .groups
            .iter_mut()
            .find(|group| group.spec.name.as_str() == name);
        if let Some(group) = named {
            group.ledger = ledger(budget, now, group.spec.intensity);
        }
    }

    fn restore_replica(&mut self, target: &AgentTarget, budget: &RestartBudget) {
        let (Some(agent), Some(index)) = (self.tree.agent(&target.agent), target.index) else {
            return;
        };
        let slot = Slot {
            agent,
            index: index as usize,
        };
        let now = self.span();
        let rules = self.tree.agents[agent].rules.clone();
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        replica.ledger = ledger(budget, now, rules.intensity);
        let rest = budget
            .quarantined_until
            .map(|until| until.since(clock::now()));
        if let Some(rest) = rest.filter(|rest| !rest.is_zero()) {
            let due = Instant::now() + rest.min(rules.quarantine_max);
            replica.state = AgentState::Quarantined;
            replica.due = Some(due);
            self.timers.set(due, Due::Rest(slot));
        }
    }

    /// Keeps the budget that a replica's deaths count against.
    pub(super) fn keep_budget(&self, slot: Slot) {
        self.outside.keep(|| Kept::Budget(self.budget(slot)));
    }

    fn budget(&self, slot: Slot) -> RestartBudget {
        let replica = &self.tree.agents[slot.agent].replicas[slot.index];
        let (owner, ledger) = match self.sharing_group(slot.agent) {
            Some((group, _)) => {
                let group = &self.tree.groups[group];
                (format!("@{}", group.spec.name), &group.ledger)
            }
            None => (self.tree.instance(slot).to_string(), &replica.ledger),
        };
        let (now, span) = (clock::now(), self.span());
        let quarantined = replica.state == AgentState::Quarantined;
        let left = replica.due.filter(|_| quarantined);
        RestartBudget {
            owner,
            deaths: ledger
                .window
                .deaths()
                .map(|death| before(now, span, death))
                .collect(),
            quarantined_until: left
                .map(|due| now.after(due.saturating_duration_since(Instant::now()))),
            quarantines: ledger.quarantines,
            updated_at: now,
        }
    }
}

/// When a death was, on the wall clock.
fn before(now: Timestamp, span: Duration, death: Duration) -> Timestamp {
    let age = i64::try_from(span.saturating_sub(death).as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(age))
}

/// A kept budget as a ledger: deaths ahead of the clock count as just now, at most as many as any
/// window holds.
fn ledger(budget: &RestartBudget, now: Duration, intensity: Intensity) -> Ledger {
    let Intensity::Limited { max, within } = intensity else {
        return Ledger::default();
    };
    let wall = clock::now();
    let mut deaths: Vec<Duration> = budget
        .deaths
        .iter()
        .map(|death| now.saturating_sub(wall.since(*death)))
        .filter(|death| now.saturating_sub(*death) < within)
        .collect();
    deaths.sort_unstable();
    let surplus = deaths.len().saturating_sub(max as usize);
    let window = DeathWindow::of(deaths.split_off(surplus));
    Ledger {
        in_a_row: u32::try_from(window.deaths().count()).unwrap_or(u32::MAX),
        window,
        quarantines: budget.quarantines,
        ..Ledger::default()
    }
}
