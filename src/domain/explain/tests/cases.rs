//! Agents in every kind of trouble, with the answer that each is to get.

use super::*;

fn probe(by: &'static str) -> FailingProbe {
    FailingProbe {
        probe: "readiness".to_owned(),
        by,
        in_a_row: 4,
        failure_threshold: 3,
        passed: 0,
        success_threshold: 2,
        next_at: Some(AT),
        message: Some("connection refused".to_owned()),
    }
}

/// What an operator or the daemon wants.
pub(super) fn wished() -> Vec<Case> {
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
pub(super) fn given_up() -> Vec<Case> {
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
            "until 2023-11-14T22:13:20.000Z, then trial 1 follows: more deaths than its intensity allows \
             (0 deaths within \
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

/// A group that restarts, or rests, with the one above it.
fn restarts_above(died: Option<Died>) -> GroupStanding {
    GroupStanding {
        name: name("authors"),
        strategy: "one_for_one".to_owned(),
        on_exhausted: "escalate".to_owned(),
        restarts: true,
        together: Some(Together {
            group: name("writers"),
            strategy: "one_for_all".to_owned(),
        }),
        died,
    }
}

/// Who ended because of another.
pub(super) fn beside_another() -> Vec<Case> {
    vec![(
        {
            let mut it = with(AgentState::Quarantined, |it| {
                it.last_end = ended("shutdown", "ended as told");
            });
            it.group = Some(restarts_above(Some(Died {
                agent: name("sum"),
                message: "exit code 3".to_owned(),
            })));
            it
        },
        "quarantined",
        "with its group writers, then trial 1 follows: too many deaths (0 deaths within 60s, 5 are \
             allowed); who died before that: sum, exit code 3",
        "agents crashes sum",
    )]
}

/// Lives that are to come back, or come up.
pub(super) fn on_the_way() -> Vec<Case> {
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
            "its readiness probe by http failed 4 times in a row (3 make it fail), last with: \
             connection refused",
            "2 passes in a row bring work back; it is asked next at 2023-11-14T22:13:20.000Z",
        ),
        (
            with(AgentState::Unreachable, |it| {
                it.probe = Some(FailingProbe {
                    in_a_row: 0,
                    passed: 1,
                    ..probe("http")
                });
            }),
            "probe_fails",
            "its readiness probe by http passes again, 1 of 2 times in a row",
            "2 passes in a row",
        ),
        (
            with(AgentState::Ready, |it| it.rests_until = Some(AT)),
            "service_rests",
            "no new task until 2023-11-14T22:13:20.000Z: its service asked to be left alone",
            "by themselves",
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
pub(super) fn held_back() -> Vec<Case> {
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
                it.group = Some(restarts_above(None));
                it
            },
            "group_restarts",
            "waits for its group writers",
            "wait: it starts when all of writers",
        ),
        (
            with(AgentState::Pending, |_| {}),
            "about_to_start",
            "about to start",
            "wait",
        ),
        (
            with(AgentState::Draining, |_| {}),
            "ending",
            "finishes what it holds",
            "what does not end in the time of agents.echo.stop is killed",
        ),
    ]
}

/// Lives that have ended, or live and do not work.
pub(super) fn ended_or_odd() -> Vec<Case> {
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
            "agents restart echo",
        ),
        (
            with(AgentState::Ready, |it| it.verdict = Verdict::Dead),
            "dead",
            "lost its process",
            "its next life follows",
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
