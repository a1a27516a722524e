//! Probes under paused time: when they are asked, and what follows.

use super::script::{SECOND, Script, World, paused};
use crate::actors::life::{Evidence, LifeNote};
use crate::domain::agent::{AgentSpec, AgentState, DependsOn};
use crate::domain::crash::HeldTask;
use crate::domain::exit::ExitReason;
use crate::domain::ids::TaskId;
use crate::domain::probe::{ProbeHow, ProbeSpec, Probes};

fn probe(how: ProbeHow, failures: u32, successes: u32) -> Option<ProbeSpec> {
    Some(ProbeSpec {
        how,
        period: SECOND * 10,
        timeout: SECOND * 3,
        failure_threshold: failures,
        success_threshold: successes,
    })
}

fn tcp() -> ProbeHow {
    ProbeHow::Tcp("h:1".to_owned())
}

fn http() -> ProbeHow {
    ProbeHow::Http("http://h".to_owned())
}

fn exec() -> ProbeHow {
    ProbeHow::Exec(vec!["x".to_owned()])
}

fn with(probes: Probes) -> impl FnOnce(&mut AgentSpec) {
    move |spec| spec.probes = probes
}

fn says(world: &World, means: &'static str, fine: bool) {
    let answer = if fine { Ok(()) } else { Err("no".to_owned()) };
    world.asked.answer.lock().insert(means, answer);
}

fn asked(world: &World, means: &str) -> u32 {
    world.asked.asked.lock().get(means).copied().unwrap_or(0)
}

fn ready_by_tcp() -> Script {
    let probes = Probes {
        readiness: probe(tcp(), 3, 2),
        ..Probes::default()
    };
    Script::default().agent("echo").with(with(probes))
}

#[test]
fn a_life_gets_work_after_its_readiness_has_passed_and_none_while_it_fails() {
    paused(async {
        let world = ready_by_tcp().begin().await;
        world.pass(SECOND * 2).await;
        assert_eq!(world.state("echo").await, AgentState::Starting);
        world.pass(SECOND * 10).await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
        says(&world, "tcp", false);
        world.pass(SECOND * 20).await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
        world.pass(SECOND * 10).await;
        let status = world.status("echo").await;
        assert_eq!(
            (status.state, status.replicas.ready),
            (AgentState::Unreachable, 0)
        );
        assert_eq!(status.instances[0].probes[0].passes, Some(false));
        says(&world, "tcp", true);
        world.pass(SECOND * 20).await;
        let status = world.status("echo").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 1));
        let told = world
            .log
            .take(&["work", "fact agent.ready", "fact agent.unreach"]);
        let once = ["fact agent.ready echo#0", "work ready echo#0 1"];
        let away = ["work draining echo#0 1", "fact agent.unreachable echo#0"];
        assert_eq!(told, [once, away, once].concat());
    });
}

#[test]
fn who_waits_for_a_healthy_agent_waits_for_its_readiness_probe() {
    paused(async {
        let script = ready_by_tcp().agent("late").with(|spec| {
            spec.depends_on
                .insert("echo".parse().unwrap(), DependsOn::Healthy);
        });
        let world = script.begin().await;
        world.pass(SECOND * 2).await;
        assert_eq!(world.state("late").await, AgentState::Pending);
        world.pass(SECOND * 10).await;
        assert_eq!(world.state("late").await, AgentState::Ready);
    });
}

#[test]
fn a_startup_probe_holds_the_others_back_and_fails_the_start_after_its_threshold() {
    paused(async {
        let probes = Probes {
            startup: probe(http(), 4, 1),
            liveness: probe(tcp(), 3, 1),
            ..Probes::default()
        };
        let script = Script::default().agent("echo").with(with(probes));
        let script = script.with(|spec| spec.start_timeout = SECOND * 5);
        let world = script.begin().await;
        says(&world, "http", false);
        world.pass(SECOND * 25).await;
        assert_eq!(world.state("echo").await, AgentState::Starting);
        assert_eq!(asked(&world, "tcp"), 0);
        world.pass(SECOND * 10).await;
        let crashes = world.shelf.crashes.lock().clone();
        let failed = matches!(&crashes[..], [(1, ExitReason::ProbeFailed { probe, .. })] if probe == "startup");
        assert!(failed, "{crashes:?}");
        says(&world, "http", true);
        world.pass(SECOND * 20).await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
        assert!(asked(&world, "tcp") > 0);
    });
}

#[test]
fn a_life_whose_liveness_fails_in_a_row_is_restarted_unless_it_is_busy() {
    for (busy, generation) in [(None, 2), (Some(SECOND * 99), 1)] {
        paused(async move {
            let probes = Probes {
                liveness: probe(exec(), 3, 1),
                ..Probes::default()
            };
            let world = Script::default()
                .agent("echo")
                .with(with(probes))
                .begin()
                .await;
            *world.actor("echo").evidence.lock() = Evidence {
                open_tasks: vec![HeldTask {
                    id: TaskId::from_bytes([7; 16]),
                    attempt: 1,
                }],
                busy_for: busy,
                ..Evidence::default()
            };
            world.pass(SECOND * 15).await;
            says(&world, "exec", false);
            world.pass(SECOND * 32).await;
            assert_eq!(world.status("echo").await.generation, generation);
        });
    }
}

#[test]
fn a_probe_that_hangs_is_not_asked_a_second_time_meanwhile() {
    paused(async {
        let world = ready_by_tcp().begin().await;
        *world.asked.hangs.lock() = true;
        world.pass(SECOND * 100).await;
        assert!(asked(&world, "tcp") <= 1, "{}", asked(&world, "tcp"));
    });
}

#[test]
fn a_panic_of_who_asks_is_an_answer_that_failed_and_the_next_question_comes() {
    paused(async {
        let world = ready_by_tcp().begin().await;
        world.pass(SECOND * 12).await;
        *world.asked.panics.lock() = true;
        world.pass(SECOND * 30).await;
        let status = world.status("echo").await;
        let last = status.instances[0].probes[0].last.clone().unwrap();
        let why = "the probe itself broke: the asker fails";
        assert_eq!(
            (status.state, last.message.as_deref()),
            (AgentState::Unreachable, Some(why))
        );
        *world.asked.panics.lock() = false;
        world.pass(SECOND * 20).await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
    });
}

fn remote() -> Script {
    let probes = Probes {
        startup: probe(http(), 3, 1),
        liveness: probe(http(), 3, 2),
        readiness: None,
        remote: true,
    };
    Script::default().agent("far").with(with(probes))
}

#[test]
fn a_remote_service_is_unreachable_and_half_open_and_ready_but_never_restarted() {
    paused(async {
        let world = remote().begin().await;
        world.pass(SECOND * 2).await;
        assert_eq!(world.state("far").await, AgentState::Ready);
        says(&world, "http", false);
        world.pass(SECOND * 45).await;
        let status = world.status("far").await;
        assert_eq!(
            (status.state, status.restarts.breaker),
            (AgentState::Unreachable, "open")
        );
        says(&world, "http", true);
        world.pass(SECOND * 10).await;
        let status = world.status("far").await;
        assert_eq!(
            (status.state, status.restarts.breaker),
            (AgentState::Unreachable, "half_open")
        );
        world.pass(SECOND * 10).await;
        let status = world.status("far").await;
        assert_eq!(
            (status.state, status.restarts.breaker),
            (AgentState::Ready, "closed")
        );
        assert_eq!(status.generation, 1);
    });
}

#[test]
fn a_remote_service_that_is_away_at_the_start_is_unreachable_until_it_answers() {
    paused(async {
        let world = remote().begin().await;
        says(&world, "http", false);
        world.pass(SECOND * 60).await;
        assert_eq!(world.state("far").await, AgentState::Unreachable);
        says(&world, "http", true);
        world.pass(SECOND * 20).await;
        let status = world.status("far").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 1));
    });
}

#[test]
fn a_task_that_cannot_reach_its_service_has_it_looked_at_soon() {
    paused(async {
        let world = remote().begin().await;
        world.pass(SECOND * 2).await;
        says(&world, "http", false);
        let message = "refused".to_owned();
        world.actor("far").note(LifeNote::Unreachable { message });
        world.pass(SECOND * 3).await;
        assert_eq!(world.state("far").await, AgentState::Unreachable);
    });
}

#[test]
fn a_service_that_asks_for_a_rest_is_offered_again_when_the_longest_is_over() {
    paused(async {
        let world = remote().begin().await;
        world.pass(SECOND * 2).await;
        world.log.take(&[]);
        for span in [SECOND * 30, SECOND * 10] {
            world.actor("far").note(LifeNote::Rests { span });
        }
        world.pass(SECOND * 29).await;
        assert_eq!(world.log.take(&["work"]), ["work draining far#0 1"]);
        assert_eq!(world.state("far").await, AgentState::Ready);
        world.pass(SECOND * 2).await;
        assert_eq!(world.log.take(&["work"]), ["work ready far#0 1"]);
    });
}
