//! What a healer may do that is no operator: bring an agent back without forgiving it anything.
//!
//! ```text
//! stalled life ──────▶ ended at once, the next one follows
//! backoff ───────────▶ started now; its deaths count as if it had waited
//! quarantine ────────▶ started now, on trial: its next death is one more quarantine
//! only sound lives ──▶ all ended in order: what is wrong shows in none of them alone
//! ```
//!
//! Rely on: what an operator stopped stays down, what failed for good stays failed, and no death is
//! forgotten. A life that starts or ends already is left to its own deadline.

use std::time::Duration;

use super::replica::{Hold, Then};
use super::tree::Slot;
use super::{Supervisor, SupervisorError};
use crate::domain::agent::{AgentState, Desired, Verdict};
use crate::domain::name::Name;

/// What was done to bring an agent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Revival {
    /// Lives that were told to end; the next ones follow.
    pub ended: usize,
    /// Replicas in backoff that were started before it was over.
    pub early: usize,
    /// Replicas that were started on trial, before their quarantine was over.
    pub on_trial: usize,
}

/// What can be done about one replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Nothing: it is held down for good reason.
    Held,
    /// It is on its way up or down.
    OnItsWay,
    /// It waits for its next life.
    Backoff,
    /// It has given up, for a time.
    Quarantined,
    /// It rests with its group.
    RestingWithGroup,
    /// It holds a task and shows nothing.
    Stuck,
    /// It can work.
    Sound,
}

impl Supervisor {
    /// Brings an agent back as far as that is allowed; says what was done.
    pub(super) fn revive(&mut self, name: &Name) -> Result<Revival, SupervisorError> {
        let agent = self.agent_index(name)?;
        if self.tree.agents[agent].desired == Desired::Stopped {
            return Err(stays_down(name, "was stopped by an operator"));
        }
        let wanted = self.tree.agents[agent].wanted;
        let slots = self.tree.slots(agent).take(wanted);
        let cases: Vec<(Slot, Case)> = slots.map(|slot| (slot, self.case(slot))).collect();
        if cases.iter().all(|(_, case)| *case == Case::Held) {
            return Err(stays_down(
                name,
                "has only replicas that are stopped, done or failed for good",
            ));
        }
        Ok(self.revive_each(agent, &cases))
    }

    fn revive_each(&mut self, agent: usize, cases: &[(Slot, Case)]) -> Revival {
        let mut done = Revival::default();
        if cases
            .iter()
            .any(|(_, case)| *case == Case::RestingWithGroup)
        {
            done = self.revive_groups(agent);
        }
        for (slot, case) in cases {
            match case {
                Case::Backoff => {
                    self.start_early(*slot);
                    done.early += 1;
                }
                Case::Quarantined => {
                    self.start_on_trial(*slot);
                    done.on_trial += 1;
                }
                Case::Stuck => {
                    // It would not use the time to drain.
                    self.begin_ending_within(*slot, Then::AsWanted, Duration::ZERO);
                    done.ended += 1;
                }
                Case::Held | Case::OnItsWay | Case::RestingWithGroup | Case::Sound => {}
            }
        }
        let nobody = done == Revival::default();
        if nobody && cases.iter().all(|(_, case)| *case != Case::OnItsWay) {
            for (slot, _) in cases.iter().filter(|(_, case)| *case == Case::Sound) {
                self.begin_ending(*slot, Then::AsWanted);
                done.ended += 1;
            }
        }
        done
    }

    fn case(&self, slot: Slot) -> Case {
        let replica = &self.tree.agents[slot.agent].replicas[slot.index];
        let group_rests = || {
            let mut above = self.tree.ancestors(self.tree.agents[slot.agent].group);
            above.any(|group| self.group_rests(group))
        };
        match (&replica.life, replica.hold, replica.state) {
            (Some(life), ..) if replica.is_ending() || life.cause.is_some() => Case::OnItsWay,
            (Some(life), ..) if life.verdict == Verdict::Stalled => Case::Stuck,
            (Some(life), ..) if life.ready.is_some() => Case::Sound,
            (Some(_), ..) => Case::OnItsWay,
            (None, Hold::Group, _) if group_rests() => Case::RestingWithGroup,
            (None, Hold::Group, _) => Case::OnItsWay,
            (None, Hold::None, AgentState::Backoff) => Case::Backoff,
            (None, Hold::None, AgentState::Quarantined) => Case::Quarantined,
            (None, Hold::None, _) => Case::OnItsWay,
            (None, Hold::Operator | Hold::Done(_) | Hold::Failed, _) => Case::Held,
        }
    }

    pub(super) fn start_on_trial(&mut self, slot: Slot) {
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.ledger.put_on_trial();
        self.start_early(slot);
    }

    /// Ends its rest; no death is forgotten.
    pub(super) fn start_early(&mut self, slot: Slot) {
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.due = None;
        replica.state = AgentState::Pending;
        self.start_again(slot);
        // What is kept still says when its rest would have been over.
        self.keep_budget(slot);
    }
}

fn stays_down(name: &Name, why: &str) -> SupervisorError {
    SupervisorError::Conflict(format!(
        "agent '{name}' {why}; `agent-system agents start {name}` runs it again"
    ))
}
