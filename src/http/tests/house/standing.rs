//! How the house's agent stands when somebody asks why.

use crate::domain::agent::{AgentState, Verdict};
use crate::domain::explain::{BudgetUse, Held, ReplicaStanding, Standing, WorkStanding};
use crate::domain::record::Overrides;
use crate::http::AgentView;

/// As its view says; nothing waits for it.
pub(super) fn standing(agent: AgentView) -> (Standing, WorkStanding) {
    let replica = ReplicaStanding {
        index: 0,
        state: AgentState::Ready,
        verdict: Verdict::Idle,
        generation: agent.generation,
        pid: agent.pid,
        uptime_ms: 1,
        held: Held::No,
        why: None,
        next_at: None,
        last_end: None,
        probe: None,
        rests_until: None,
        missed_probes: 0,
        failure_threshold: 3,
        evidence: None,
    };
    let standing = Standing {
        name: agent.name,
        kind: agent.kind,
        queue: "default".parse().unwrap(),
        desired: agent.desired,
        state: agent.state,
        replicas_desired: agent.replicas.desired,
        replicas_ready: agent.replicas.ready,
        overrides: Overrides::default(),
        restart_type: "permanent",
        start_timeout_ms: 30_000,
        replicas: vec![replica],
        waits_for: Vec::new(),
        group: None,
        budget: BudgetUse::default(),
        shutting_down: false,
    };
    let work = WorkStanding {
        queue: "default".to_owned(),
        paused: None,
        limit: None,
        depth: 0,
        running: 0,
        spend: None,
        capacity: 1,
    };
    (standing, work)
}
