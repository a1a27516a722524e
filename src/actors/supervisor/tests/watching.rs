//! Signs of life and verdicts.

use super::script::{Manners, SECOND, Script, World, paused};
use crate::actors::life::{Evidence, LifeNote, Tail, TailOf};
use crate::actors::pool::Sighting;
use crate::actors::supervisor::reports::Watched;
use crate::domain::agent::{AgentState, OnStall, Verdict};
use crate::domain::crash::{Frame, HeldTask};
use crate::domain::exit::ExitReason;
use crate::domain::ids::TaskId;

/// Has said five lines.
#[derive(Debug)]
struct Said;

impl Tail for Said {
    fn recent(&self) -> Vec<String> {
        (0..5).map(|line| line.to_string()).collect()
    }
    fn log(&self) -> Vec<String> {
        self.recent()
    }
    fn frames(&self) -> Vec<Frame> {
        Vec::new()
    }
}

#[test]
fn a_supervisor_whose_watchdog_is_blind_gives_up_rather_than_go_on_unwatched() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        let blind = Watched(Sighting::Blind);
        world.handle.address.report(blind).unwrap();
        let ended = tokio::time::timeout(SECOND, world.handle.escalated()).await;
        assert_eq!(ended.unwrap().subject, "arbiters");
    });
}

#[test]
fn an_error_of_an_agent_is_counted_once_and_stays_counted_over_its_lives() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        world.actor("echo").note(LifeNote::Error);
        // It tells of the same one with its next sign.
        let errors = 1;
        *world.actor("echo").evidence.lock() = Evidence {
            errors,
            ..Evidence::default()
        };
        world.pass(SECOND * 20).await;
        let status = world.status("echo").await;
        assert_eq!((status.errors_total, status.instances[0].errors), (1, 1));
        world.crash("echo").await;
        world.actor("echo").note(LifeNote::Error);
        world.pass(SECOND).await;
        let status = world.status("echo").await;
        assert_eq!((status.errors_total, status.instances[0].errors), (2, 1));
    });
}

#[test]
fn a_busy_zone_protects_and_ends_the_life_when_it_has_run_out_without_a_word() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        let busy = |for_seconds: u32| Evidence {
            busy_for: (for_seconds > 0).then(|| SECOND * for_seconds),
            busy_over: for_seconds == 0,
            ..at_work(500)
        };
        *world.actor("echo").evidence.lock() = busy(60);
        world.pass(SECOND * 50).await;
        let status = world.status("echo").await;
        assert_eq!(status.generation, 1);
        assert_eq!(status.instances[0].verdict, Verdict::Waiting);
        *world.actor("echo").evidence.lock() = busy(0);
        world.pass(SECOND * 11).await;
        let status = world.status("echo").await;
        assert_eq!(status.restarts.total, 1);
        let reason = status.restarts.last_reason.unwrap();
        assert!(reason.starts_with("stuck for 500000 ms"), "{reason}");
    });
}

#[test]
fn a_task_held_in_silence_is_work_while_its_process_computes_and_ends_as_dead_when_that_is_gone() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        let verdict = async |shown: Evidence| {
            *world.actor("echo").evidence.lock() = shown;
            world.pass(SECOND * 10).await;
            world.status("echo").await.instances[0].verdict
        };
        let active = Evidence {
            since_activity: Some(SECOND * 5),
            ..at_work(500)
        };
        assert_eq!(verdict(active.clone()).await, Verdict::Working);
        let waiting = Evidence {
            busy_for: Some(SECOND * 60),
            ..at_work(500)
        };
        assert_eq!(verdict(waiting).await, Verdict::Waiting);
        assert_eq!(verdict(at_work(500)).await, Verdict::Stalled);
        let gone = Evidence {
            gone: true,
            ..active
        };
        assert_eq!(verdict(gone).await, Verdict::Dead);
    });
}

fn at_work(silent: u32) -> Evidence {
    Evidence {
        open_tasks: vec![HeldTask {
            id: TaskId::from_bytes([7; 16]),
            attempt: 1,
        }],
        since_progress: Some(SECOND * silent),
        ..Evidence::default()
    }
}

#[test]
fn an_idle_agent_is_healthy_for_days() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        world.pass(SECOND * 86_400 * 3).await;
        let status = world.status("echo").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 1));
        assert_eq!(status.instances[0].verdict, Verdict::Idle);
    });
}

#[test]
fn an_agent_that_gives_no_sign_while_idle_is_restarted_as_stuck() {
    paused(async {
        let mute = Manners {
            mute: true,
            ..Manners::default()
        };
        let world = Script::default().agent("echo").manners(mute).begin().await;
        world.pass(SECOND * 40).await;
        let crashes = world.shelf.crashes.lock().clone();
        assert!(
            matches!(crashes[..], [(1, ExitReason::Stuck { .. })]),
            "{crashes:?}"
        );
        assert_eq!(world.status("echo").await.generation, 2);
    });
}

#[test]
fn a_stall_is_a_verdict_and_an_event_and_a_restart_only_where_asked_for() {
    for (on_stall, generation) in [(OnStall::Report, 1), (OnStall::Restart, 2)] {
        paused(async move {
            let script = Script::default()
                .agent("echo")
                .with(|spec| spec.on_stall = on_stall);
            let world = script.begin().await;
            *world.actor("echo").evidence.lock() = at_work(1);
            world.pass(SECOND * 10).await;
            assert_eq!(
                world.status("echo").await.instances[0].verdict,
                Verdict::Working
            );
            *world.actor("echo").evidence.lock() = at_work(120);
            world.pass(SECOND * 10).await;
            let status = world.status("echo").await;
            assert_eq!(status.generation, generation);
            let facts = world.log.take(&["fact agent.busy", "fact agent.stalled"]);
            assert_eq!(
                facts,
                ["fact agent.busy echo#0", "fact agent.stalled echo#0"]
            );
        });
    }
}

#[test]
fn logs_are_the_last_lines_that_were_asked_for() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        let target = super::script::World::target("echo");
        let logs = async |tail| world.handle.logs(&target, tail).await.unwrap();
        assert!(logs(2).await.is_empty());
        let said = TailOf(std::sync::Arc::new(Said));
        world.actor("echo").note(LifeNote::Tail(said));
        assert_eq!(logs(2).await, ["3", "4"]);
        // What it said is there also when it has ended.
        world.handle.stop(target.clone()).await.unwrap();
        assert_eq!(logs(1).await, ["4"]);
    });
}

#[test]
fn what_has_not_been_measured_is_not_shown_as_nothing() {
    paused(async {
        let script = Script::default().agent("echo");
        let world = script.with(|spec| spec.replicas = 2).begin().await;
        let used = async |world: &World| {
            let usage = world.status("echo").await.usage;
            (usage.cpu_seconds, usage.memory_bytes)
        };
        assert_eq!(used(&world).await, (None, None));
        {
            let one = world.actor("echo#1");
            let mut shown = one.evidence.lock();
            (shown.cpu_seconds, shown.memory_bytes) = (Some(0.5), Some(4096));
        }
        world.pass(SECOND * 11).await;
        assert_eq!(used(&world).await, (Some(0.5), Some(4096)));
        world.crash("echo#1").await;
        assert_eq!(used(&world).await, (None, None), "of another life");
    });
}
