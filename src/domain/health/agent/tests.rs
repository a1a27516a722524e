//! An agent's health by tables.

use super::*;
use proptest::prelude::*;

fn instance(state: AgentState) -> InstanceHealth {
    InstanceHealth {
        index: 0,
        state,
        verdict: Verdict::Idle,
        pid: Some(7),
        uptime: Some(Duration::from_secs(60)),
        response: None,
        missed_probes: 0,
        unreachable: None,
        failure_threshold: 3,
        restarts_in_window: 0,
        last_reason: None,
        ended_normally: false,
    }
}

fn agent(instances: Vec<InstanceHealth>) -> AgentHealthInput {
    AgentHealthInput {
        name: "echo".parse().expect("a name"),
        kind: AgentKind::Process,
        desired: Desired::Running,
        critical: false,
        instances,
        queue_depth: 0,
        queue_capacity: 10_000,
        held_back: false,
        spend: None,
        running: 0,
        errors_total: 0,
        restarts_total: 0,
        cpu_seconds: None,
        memory_bytes: None,
    }
}

fn judge(input: &AgentHealthInput) -> AgentJudgement {
    judge_agent(input, AgentTrend::default(), AgentLimits::DEFAULT)
}

#[test]
fn idle_for_hours_is_healthy() {
    let mut idle = instance(AgentState::Ready);
    idle.uptime = Some(Duration::from_secs(100_000));
    let judged = judge(&agent(vec![idle]));
    assert_eq!(judged.status, HealthStatus::Healthy);
    assert_eq!(judged.message, "1 ready, idle");
}

#[test]
fn a_replicas_state_decides_its_level() {
    use HealthStatus::{Critical, Healthy, Warning};
    let table = [
        (AgentState::Pending, 0, Healthy),
        (AgentState::Pending, 1, Warning),
        (AgentState::Starting, 0, Healthy),
        (AgentState::Starting, 1, Warning),
        (AgentState::Ready, 0, Healthy),
        (AgentState::Ready, 4, Healthy),
        (AgentState::Draining, 0, Healthy),
        (AgentState::Stopping, 0, Healthy),
        (AgentState::Stopped, 0, Warning),
        (AgentState::Backoff, 1, Warning),
        (AgentState::Backoff, 3, Critical),
        (AgentState::Quarantined, 5, Critical),
        (AgentState::Failed, 0, Critical),
        (AgentState::Paused, 0, Healthy),
        (AgentState::Unreachable, 0, Critical),
    ];
    for (state, restarts, level) in table {
        let mut replica = instance(state);
        replica.restarts_in_window = restarts;
        assert_eq!(
            judge(&agent(vec![replica])).status,
            level,
            "{state:?} after {restarts}"
        );
    }
}

#[test]
fn three_missed_probes_are_critical_two_are_not() {
    for (missed, level) in [(2, HealthStatus::Healthy), (3, HealthStatus::Critical)] {
        let mut replica = instance(AgentState::Ready);
        replica.missed_probes = missed;
        assert_eq!(judge(&agent(vec![replica])).status, level);
    }
}

#[test]
fn a_stalled_replica_is_a_warning_and_not_killed_for_it() {
    let mut replica = instance(AgentState::Ready);
    replica.verdict = Verdict::Stalled;
    assert_eq!(judge(&agent(vec![replica])).status, HealthStatus::Warning);
}

#[test]
fn what_the_operator_stopped_or_paused_is_healthy_and_says_so() {
    let mut stopped = agent(vec![instance(AgentState::Stopped)]);
    stopped.desired = Desired::Stopped;
    assert_eq!(judge(&stopped).message, "stopped by the operator");
    assert_eq!(judge(&stopped).status, HealthStatus::Healthy);
    let mut paused = agent(vec![instance(AgentState::Paused)]);
    paused.desired = Desired::Paused;
    assert_eq!(judge(&paused).message, "paused by the operator");
    assert_eq!(judge(&paused).status, HealthStatus::Healthy);
}

#[test]
fn while_one_replica_works_a_broken_one_is_a_warning() {
    let mut broken = instance(AgentState::Quarantined);
    broken.index = 1;
    broken.last_reason = Some("exit code 1".to_owned());
    let judged = judge(&agent(vec![instance(AgentState::Ready), broken]));
    assert_eq!(judged.status, HealthStatus::Warning);
    assert_eq!(judged.message, "#1 is quarantined: exit code 1");
}

#[test]
fn only_what_failed_for_good_is_beyond_a_restart() {
    let hopeless = |state| judge(&agent(vec![instance(state)])).hopeless.is_some();
    assert!(hopeless(AgentState::Failed));
    assert!(!hopeless(AgentState::Quarantined));
}

#[test]
fn a_ready_agent_that_takes_nothing_while_tasks_wait_is_deaf() {
    let mut input = agent(vec![instance(AgentState::Ready)]);
    input.queue_depth = 5;
    assert!(input.starves_its_queue());
    for (rounds, level) in [
        (2, HealthStatus::Healthy),
        (3, HealthStatus::Warning),
        (10, HealthStatus::Critical),
    ] {
        let trend = AgentTrend {
            deaf_rounds: rounds,
            ..AgentTrend::default()
        };
        assert_eq!(
            judge_agent(&input, trend, AgentLimits::DEFAULT).status,
            level,
            "{rounds}"
        );
    }
    input.held_back = true;
    assert!(!input.starves_its_queue());
}

#[test]
fn errors_between_two_rounds_and_a_filling_queue_have_limits() {
    use HealthStatus::{Critical, Healthy, Warning};
    let input = agent(vec![instance(AgentState::Ready)]);
    for (recent_errors, level) in [(10, Healthy), (11, Warning), (101, Critical)] {
        let trend = AgentTrend {
            recent_errors,
            deaf_rounds: 0,
        };
        assert_eq!(
            judge_agent(&input, trend, AgentLimits::DEFAULT).status,
            level
        );
    }
    for (queue_depth, level) in [(9_000, Healthy), (9_001, Warning), (9_501, Critical)] {
        let judged = judge(&AgentHealthInput {
            queue_depth,
            running: 1,
            ..input.clone()
        });
        assert_eq!(judged.status, level);
        assert_eq!(judged.hopeless.is_some(), level != Healthy);
    }
}

#[test]
fn an_agent_scaled_to_none_is_healthy() {
    assert_eq!(judge(&agent(vec![])).status, HealthStatus::Healthy);
}

proptest! {
    #[test]
    fn an_agent_with_a_working_replica_is_critical_only_when_deaf(
        states in prop::collection::vec(0_usize..11, 0..6), errors in 0_u64..100, deaf in 0_u32..20
    ) {
        let mut instances: Vec<_> = states.iter().map(|s| instance(AgentState::ALL[*s])).collect();
        instances.push(instance(AgentState::Ready));
        let trend = AgentTrend { recent_errors: errors, deaf_rounds: deaf };
        let judged = judge_agent(&agent(instances), trend, AgentLimits::DEFAULT);
        prop_assert_eq!(judged.status == HealthStatus::Critical, deaf >= DEAF_CRITICAL_ROUNDS);
    }
}

#[test]
fn an_agent_that_has_spent_what_it_may_is_worth_a_look_and_never_ill() {
    use HealthStatus::{Healthy, Warning};
    for (spent, status, says) in [
        (0, Healthy, "1 ready, idle"),
        (
            800,
            Warning,
            "$0.0008 of $0.001 of its spend of the day is used",
        ),
        (1_000, Warning, "held: spend of the day is exhausted"),
    ] {
        let mut held = agent(vec![instance(AgentState::Ready)]);
        held.spend = Some(crate::domain::spend::tests::spent(spent));
        let judged = judge(&held);
        assert_eq!(judged.status, status, "{spent}");
        assert!(judged.message.starts_with(says), "{}", judged.message);
        assert_eq!(judged.hopeless.is_some(), status == Warning);
    }
}
