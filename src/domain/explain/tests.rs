//! Claims about answers: every cause has its own, and names its way out.

mod cases;

use super::*;
use crate::domain::agent::{AgentKind, AgentState, DependsOn};
use crate::domain::name::Name;
use crate::domain::record::Overrides;

const AT: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A sound agent.
fn sound() -> Standing {
    Standing {
        name: name("echo"),
        kind: AgentKind::Process,
        queue: name("default"),
        desired: Desired::Running,
        state: AgentState::Ready,
        replicas_desired: 1,
        replicas_ready: 1,
        overrides: Overrides::default(),
        restart_type: "permanent",
        start_timeout_ms: 30_000,
        replicas: vec![ReplicaStanding {
            index: 0,
            state: AgentState::Ready,
            verdict: Verdict::Idle,
            generation: 3,
            pid: Some(7),
            uptime_ms: 1_000,
            held: Held::No,
            why: None,
            next_at: None,
            last_end: None,
            probe: None,
            rests_until: None,
            missed_probes: 0,
            failure_threshold: 3,
            evidence: None,
        }],
        waits_for: Vec::new(),
        group: None,
        budget: BudgetUse {
            owner: "echo#0".to_owned(),
            max: Some(5),
            within_ms: 60_000,
            ..BudgetUse::default()
        },
        shutting_down: false,
    }
}

/// Nothing waits.
fn no_work() -> WorkStanding {
    WorkStanding {
        queue: "default".to_owned(),
        paused: None,
        limit: None,
        depth: 0,
        running: 0,
        spend: None,
        capacity: 1,
    }
}

fn fault() -> FaultSeen {
    FaultSeen {
        id: "crs_1".to_owned(),
        message: "exit code 1".to_owned(),
        signature: Some("exit_code:1".to_owned()),
        count: 17,
        since: AT,
        at: AT,
        config_changed: false,
    }
}

fn ended(kind: &'static str, message: &str) -> Option<LastEnd> {
    Some(LastEnd {
        kind,
        message: message.to_owned(),
        at: AT,
    })
}

/// An agent whose only replica is so.
fn with(state: AgentState, change: impl FnOnce(&mut ReplicaStanding)) -> Standing {
    let mut of = sound();
    of.state = state;
    of.replicas_ready = 0;
    of.replicas[0].state = state;
    change(&mut of.replicas[0]);
    of
}

fn of(change: impl FnOnce(&mut Standing)) -> Standing {
    let mut of = sound();
    change(&mut of);
    of
}

fn work(change: impl FnOnce(&mut WorkStanding)) -> WorkStanding {
    let mut work = no_work();
    change(&mut work);
    work
}

/// Standing, code of the answer, words in it, words in its way out.
type Case = (Standing, &'static str, &'static str, &'static str);

#[test]
fn every_cause_in_the_life_of_an_agent_has_its_answer_and_its_way_out() {
    let all = [
        cases::wished(),
        cases::given_up(),
        cases::beside_another(),
        cases::on_the_way(),
        cases::held_back(),
        cases::ended_or_odd(),
    ];
    for (standing, code, answer, way_out) in all.into_iter().flatten() {
        let told = explain(&standing, &no_work(), Some(&fault()));
        assert_eq!(told.code, code, "{told:?}");
        assert!(told.answer.contains(answer), "{code}: {}", told.answer);
        let out = told.way_out.unwrap_or_default();
        assert!(
            out.contains(way_out) && out.is_empty() == way_out.is_empty(),
            "{code}: {out}"
        );
    }
}

#[test]
fn each_state_of_an_agent_has_one_sentence_and_all_but_a_ready_one_a_way_out() {
    for state in AgentState::ALL {
        let mut standing = with(state, |it| it.next_at = Some(AT));
        if state == AgentState::Paused {
            standing.desired = Desired::Paused;
        }
        let told = explain(&standing, &no_work(), None);
        assert!(told.answer.starts_with("echo "), "{state:?}: {told:?}");
        assert!(!told.answer.contains(". "), "one sentence: {told:?}");
        let way_out = told.way_out.unwrap_or_default();
        assert_eq!(way_out.is_empty(), state == AgentState::Ready, "{state:?}");
        assert_ne!(
            told.code == "running",
            state != AgentState::Ready,
            "{state:?}"
        );
    }
}

#[test]
fn a_sound_agent_without_work_is_told_what_keeps_work_from_it() {
    let paused = Paused {
        at: AT,
        until: None,
        reason: Some("deploy".to_owned()),
    };
    let cases = [
        (
            work(|it| it.paused = Some(paused)),
            "queue_paused",
            "(deploy)",
        ),
        (
            work(|it| it.spend = Some(crate::domain::spend::tests::spent(950))),
            "spend_exhausted",
            "echo is held: spend of the day is exhausted ($0.00095 of $0.001), renews at",
        ),
        (
            work(|it| {
                it.limit = Some((2, 2));
                it.depth = 1;
            }),
            "queue_limit",
            "2 of its tasks run, and 2 may",
        ),
        (
            work(|it| {
                it.depth = 4;
                it.running = 1;
            }),
            "all_busy",
            "it holds 1 task at once, as many as it takes, and 4 wait",
        ),
        (
            work(|_| {}),
            "running",
            "1 of 1 replicas are ready, idle, which is healthy",
        ),
        (work(|it| it.running = 1), "running", "working on 1 task"),
    ];
    for (work, code, answer) in cases {
        let told = explain(&sound(), &work, None);
        assert_eq!(told.code, code, "{told:?}");
        assert!(told.answer.contains(answer), "{code}: {}", told.answer);
    }
    let mut paused = of(|it| it.desired = Desired::Paused);
    let told = explain(&paused, &no_work(), None);
    assert_eq!(told.code, "paused_by_operator");
    assert!(!told.answer.contains("until"), "{}", told.answer);
    paused.overrides.paused_until = Some(AT);
    let told = explain(&paused, &no_work(), None);
    let end = format!("an operator paused it until {AT}");
    assert!(told.answer.ends_with(&end), "{}", told.answer);
}

#[test]
fn of_several_replicas_the_one_worst_off_is_told_by_its_number() {
    let mut of = sound();
    of.replicas.push(ReplicaStanding {
        index: 1,
        state: AgentState::Quarantined,
        ..of.replicas[0].clone()
    });
    let told = explain(&of, &no_work(), None);
    assert!(
        told.answer.starts_with("echo#1 rests in quarantine"),
        "{}",
        told.answer
    );
}
