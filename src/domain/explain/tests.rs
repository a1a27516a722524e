//! Claims about answers: every cause has its own, and names its way out.

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

fn probe(by: &'static str) -> FailingProbe {
    FailingProbe {
        probe: "readiness".to_owned(),
        by,
        in_a_row: 4,
        message: Some("connection refused".to_owned()),
    }
}

/// What an operator or the daemon wants.
fn wished() -> Vec<Case> {
    let set = Overrides {
        set_at: Some(AT),
        ..Overrides::default()
    };
    vec![
        (
            of(|it| it.shutting_down = true),
            "daemon_stops",
            "the daemon stops",
            "",
        ),
        (
            of(|it| {
                it.desired = Desired::Stopped;
                it.overrides = set.clone();
            }),
            "stopped_by_operator",
            "an operator stopped it at 2023-11-14",
            "agents start echo",
        ),
        (
            of(|it| it.replicas_desired = 0),
            "no_replica",
            "its settings ask for no",
            "scale echo 1",
        ),
        (
            of(|it| {
                it.replicas_desired = 0;
                it.overrides.replicas = Some(0);
            }),
            "no_replica",
            "an operator scaled it",
            "scale echo 1",
        ),
    ]
}

/// Lives that gave up.
fn given_up() -> Vec<Case> {
    vec![
        (
            with(AgentState::Failed, |it| {
                it.why = Some("an exit code that is never retried");
                it.last_end = ended("exit_code", "exit code 78");
            }),
            "fatal_exit_code",
            "never retried; its last life ended with: exit code 78",
            "agents start echo",
        ),
        (
            with(AgentState::Failed, |it| {
                it.why = Some("its group was stopped")
            }),
            "failed",
            "its group was stopped",
            "agents start echo",
        ),
        (
            with(AgentState::Quarantined, |it| {
                it.next_at = Some(AT);
                it.why = Some("more deaths than its intensity allows");
                it.last_end = ended("exit_code", "exit code 1");
            }),
            "quarantined",
            "until 2023-11-14T22:13:20.000Z: more deaths than its intensity allows (0 deaths within \
             60s, 5 are allowed); its last life ended with: exit code 1, the same ×17 since",
            "agents crashes echo",
        ),
        (
            with(AgentState::Quarantined, |it| {
                it.last_end = ended("start_failed", "start failed: no such file");
            }),
            "quarantined_cannot_start",
            "no such file",
            "agents start echo",
        ),
    ]
}

/// Lives that are to come back, or come up.
fn on_the_way() -> Vec<Case> {
    vec![
        (
            with(AgentState::Backoff, |it| {
                it.next_at = Some(AT);
                it.last_end = ended("signal", "signal 11");
            }),
            "backoff",
            "waits to be restarted at 2023-11-14T22:13:20.000Z (0 deaths",
            "agents crashes echo",
        ),
        (
            with(AgentState::Backoff, |it| {
                it.last_end = ended("start_failed", "start failed: command 'x' not found");
            }),
            "cannot_start",
            "command 'x' not found",
            "mend its command",
        ),
        (
            with(AgentState::Unreachable, |it| it.probe = Some(probe("http"))),
            "probe_fails",
            "its readiness probe by http failed 4 times in a row, last with: connection refused",
            "when it passes",
        ),
        (
            with(AgentState::Starting, |_| {}),
            "not_ready_yet",
            "has not said that it is ready for 1s, and may take 30s",
            "agents logs echo",
        ),
        (
            with(AgentState::Starting, |it| it.probe = Some(probe("tcp"))),
            "startup_probe_fails",
            "probe by tcp failed",
            "agents logs echo",
        ),
    ]
}

/// Lives that wait for others, or end.
fn held_back() -> Vec<Case> {
    vec![
        (
            {
                let mut it = with(AgentState::Pending, |_| {});
                it.waits_for = vec![WaitsFor {
                    agent: name("store"),
                    wanted: DependsOn::Healthy,
                    state: AgentState::Backoff,
                }];
                it
            },
            "waits_for_dependency",
            "echo waits for store to be healthy, which is backoff",
            "agents explain store",
        ),
        (
            {
                let mut it = with(AgentState::Pending, |it| it.held = Held::Group);
                it.group = Some(GroupStanding {
                    name: name("writers"),
                    strategy: "one_for_all".to_owned(),
                    on_exhausted: "quarantine".to_owned(),
                    restarts: true,
                });
                it
            },
            "group_restarts",
            "waits for its group writers",
            "",
        ),
        (
            with(AgentState::Pending, |_| {}),
            "about_to_start",
            "about to start",
            "",
        ),
        (
            with(AgentState::Draining, |_| {}),
            "ending",
            "finishes what it holds",
            "",
        ),
    ]
}

/// Lives that have ended, or live and do not work.
fn ended_or_odd() -> Vec<Case> {
    vec![
        (
            with(AgentState::Stopped, |it| it.held = Held::Operator),
            "replica_stopped_by_operator",
            "an operator stopped replica echo#0",
            "agents start echo#0",
        ),
        (
            with(AgentState::Stopped, |it| {
                it.held = Held::Done;
                it.last_end = ended("normal", "ended normally");
            }),
            "ended",
            "its restart type (permanent) does not restart it; its last life ended with: ended normally",
            "agents start echo",
        ),
        (
            with(AgentState::Ready, |it| it.missed_probes = 3),
            "silent",
            "3 pings in a row",
            "",
        ),
        (
            with(AgentState::Ready, |it| it.verdict = Verdict::Dead),
            "dead",
            "lost its process",
            "",
        ),
        (
            with(AgentState::Ready, |it| {
                it.verdict = Verdict::Stalled;
                it.evidence = Some(ShownEvidence {
                    open_tasks: 1,
                    since_progress_ms: Some(130_000),
                    since_activity_ms: Some(125_000),
                    ..ShownEvidence::default()
                });
            }),
            "stalled",
            "holds 1 task and has shown no progress for 130s; its processes have been quiet for 125s",
            "agents restart echo",
        ),
    ]
}

#[test]
fn every_cause_in_the_life_of_an_agent_has_its_answer_and_its_way_out() {
    let all = [
        wished(),
        given_up(),
        on_the_way(),
        held_back(),
        ended_or_odd(),
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
    let paused = of(|it| it.desired = Desired::Paused);
    assert_eq!(
        explain(&paused, &no_work(), None).code,
        "paused_by_operator"
    );
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
