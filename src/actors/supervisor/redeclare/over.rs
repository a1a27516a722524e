//! One agent that goes on takes over its new settings: at once what a life takes while it runs, the rest
//! by being marked for its end.

use serde_json::json;

use super::{Before, GoesOn};
use crate::actors::supervisor::Supervisor;
use crate::actors::supervisor::replica::Hold;
use crate::domain::agent::{AgentSpec, AgentState, Desired};
use crate::domain::reload::Does;

impl Supervisor {
    /// One that goes on takes what it can, and is marked for its end if that is not all.
    pub(super) fn take_over(&mut self, on: &GoesOn) {
        let GoesOn { agent, before, .. } = on;
        self.has_its_number(*agent, before);
        self.renew_leave(*agent, before);
        match on.does {
            Does::Restart | Does::Stop => {
                self.tree.agents[*agent].outdate();
                self.renewing = true;
                if on.does == Does::Restart {
                    self.try_with_new_settings(*agent);
                }
            }
            Does::InPlace => self.take_in_place(*agent, &before.spec),
            Does::Nothing | Does::Start => {}
        }
    }

    /// So many replicas as are declared now, where that number has changed; what an operator set
    /// otherwise.
    fn has_its_number(&mut self, agent: usize, before: &Before) {
        let wanted = self.tree.agents[agent].wanted;
        self.want_replicas(agent, wanted);
        if self.tree.agents[agent].spec.replicas == before.spec.replicas {
            return;
        }
        // Whoever registered the agent has kept it too; what is kept last is the same.
        drop(self.keep_overrides(agent));
        if wanted != before.wanted {
            let name = &self.tree.agents[agent].spec.name;
            self.outside.fact(
                "agent.scaled",
                name,
                || json!({"from": before.wanted, "to": wanted}),
            );
        }
    }

    /// Restarts in place follow the new rules: the leave of a life is renewed, or ends where it was
    /// given under another rule.
    fn renew_leave(&mut self, agent: usize, before: &Before) {
        let now = &self.tree.agents[agent];
        let same_rules = *now.rules == *before.rules;
        if same_rules && now.spec.restart == before.spec.restart {
            return;
        }
        let other_kind = now.spec.restart.kind != before.spec.restart.kind;
        for slot in self.tree.slots(agent) {
            let leave = self.leave(slot);
            if let Some(life) = self.life_mut(slot) {
                match other_kind {
                    true => life.grant.revoke(),
                    false => life.grant.refill(leave),
                }
            }
            if !same_rules {
                self.keep_budget(slot);
            }
        }
    }

    fn take_in_place(&mut self, agent: usize, before: &AgentSpec) {
        let spec = self.tree.agents[agent].spec.clone();
        let offered_otherwise = (&spec.role, &spec.queue, spec.concurrency)
            != (&before.role, &before.queue, before.concurrency);
        for slot in self.tree.slots(agent) {
            let replica = self.tree.replica(slot);
            let (ready, up) = replica.map_or((false, false), |it| (it.is_ready(), it.is_up()));
            if ready && offered_otherwise {
                self.offer(slot);
            }
            if up && spec.liveness.enabled && !before.liveness.enabled {
                self.ask_for_sign_after(slot, spec.liveness.period);
            }
        }
        if spec.critical && !before.critical {
            self.watch_critical(agent);
        }
    }

    /// Whoever rests, has failed or is done gets a life with the new settings now; no death is
    /// forgotten with that, and after a quarantine it is a trial.
    fn try_with_new_settings(&mut self, agent: usize) {
        if self.tree.agents[agent].desired == Desired::Stopped {
            return;
        }
        if self.rests_in_a_group(agent) {
            self.revive_groups(agent);
        }
        let wanted = self.tree.agents[agent].wanted;
        for slot in self.tree.slots(agent).take(wanted) {
            let Some(replica) = self.tree.replica_mut(slot) else {
                continue;
            };
            match (replica.life.is_some(), replica.hold, replica.state) {
                (false, Hold::None, AgentState::Quarantined) => self.start_on_trial(slot),
                (false, Hold::None, AgentState::Backoff) => self.start_early(slot),
                (false, Hold::Failed | Hold::Done(_), _) => {
                    replica.hold = Hold::None;
                    replica.state = AgentState::Pending;
                }
                _ => {}
            }
        }
    }

    fn rests_in_a_group(&self, agent: usize) -> bool {
        let mut groups = self.tree.ancestors(self.tree.agents[agent].group);
        groups.any(|group| {
            let plan = self.tree.groups[group].plan.as_ref();
            plan.is_some_and(|plan| plan.rests_until().is_some())
        })
    }
}
