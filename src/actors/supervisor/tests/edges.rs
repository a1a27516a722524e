//! Claims about what hardly ever meets: a life told twice, a death that comes late, a grace that runs.

use super::groups::escalating;
use super::script::{Manners, SECOND, Script, World, paused};
use crate::actors::life::LifeNote;
use crate::actors::supervisor::{KILL_GRACE, ShutdownSpans};
use crate::domain::agent::{AgentSpec, AgentState, DependsOn};
use crate::domain::exit::ExitReason;
use crate::domain::probe::{ProbeHow, ProbeSpec, Probes};
use crate::domain::record::{RestartBudget, SlowLoop};
use crate::domain::restart::{OnExhausted, RestartType, Strategy};
use crate::domain::timestamp::Timestamp;

#[test]
fn a_life_that_was_given_up_as_stuck_and_then_ends_as_told_has_ended_as_stuck() {
    paused(async {
        let deaf = Manners {
            mute: true,
            immortal: true,
            ..Manners::default()
        };
        let world = Script::default().agent("echo").manners(deaf).begin().await;
        let killed = async {
            while world.log.take(&["kill echo#0"]).is_empty() {
                world.pass(SECOND / 10).await;
            }
        };
        tokio::time::timeout(SECOND * 60, killed).await.unwrap();
        world.actor("echo").end(ExitReason::Shutdown);
        world.settled().await;
        let reason = world.status("echo").await.restarts.last_reason.unwrap();
        assert!(reason.starts_with("stuck"), "{reason}");
    });
}

#[test]
fn who_is_stopped_while_its_last_life_is_given_up_is_stopped_and_not_quarantined() {
    paused(async {
        let now = crate::clock::now();
        let loops = RestartBudget {
            owner: "echo#0".to_owned(),
            deaths: Vec::new(),
            quarantined_until: None,
            quarantines: 0,
            on_trial: false,
            slow_loop: Some(SlowLoop {
                signature: "exit_code:1".to_owned(),
                deaths: 9,
                last: now,
            }),
            updated_at: now,
        };
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let script = Script::default().budget(loops);
        let world = script.agent("echo").manners(stubborn).begin().await;
        // It restarts in place, by leave given before, and is judged to be one too many.
        world.crash("echo").await;
        assert_eq!(world.state("echo").await, AgentState::Stopping);
        world.handle.stop(World::target("echo")).await.unwrap();
        world.pass(SECOND * 20).await;
        assert_eq!(world.state("echo").await, AgentState::Stopped);
        assert!(world.log.take(&["fact agent.quarantined"]).is_empty());
    });
}

#[test]
fn a_temporary_member_that_its_group_has_ended_has_not_completed() {
    paused(async {
        let family = |spec: &mut AgentSpec| {
            spec.group = Some("family".parse().unwrap());
        };
        let script = Script::default().group("family", Strategy::OneForAll);
        let script = script.agent("other").with(family);
        let script = script.agent("job").with(family);
        let script = script.with(|spec| spec.restart.kind = RestartType::Temporary);
        let needs = ("job".parse().unwrap(), DependsOn::Completed);
        let script = script
            .agent("after")
            .with(|spec| spec.depends_on.extend([needs]));
        let world = script.begin().await;
        world.crash("other").await;
        assert_eq!(world.state("job").await, AgentState::Stopped);
        world.handle.start(World::target("after")).await.unwrap();
        world.settled().await;
        assert_eq!(world.state("after").await, AgentState::Pending);
    });
}

#[test]
fn a_trial_that_fails_at_once_gives_a_lost_critical_agent_no_grace_anew() {
    paused(async {
        let silent = Manners {
            silent: true,
            ..Manners::default()
        };
        let script = Script::default().agent("echo").manners(silent);
        let world = script.with(|spec| spec.critical = true).begin().await;
        while world.state("echo").await != AgentState::Quarantined {
            world.crash("echo").await;
            world.pass(SECOND * 9).await;
        }
        // 9 of its 30 seconds have passed.
        world.pass(SECOND * 11).await;
        world.handle.revive(&"echo".parse().unwrap()).await.unwrap();
        world.crash("echo").await;
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        let ended = tokio::time::timeout(SECOND * 11, world.handle.escalated()).await;
        assert_eq!(ended.unwrap().subject, "echo");
    });
}

#[test]
fn a_group_that_was_restarted_by_its_parent_has_its_budget_and_the_parent_forgives_a_calm_time() {
    paused(async {
        let world = escalating().begin().await;
        let out = async || world.status("out").await.generation;
        for (escalations, calm) in [(0, false), (1, false), (2, true)] {
            if calm {
                world.pass(SECOND * 120).await;
            }
            for _ in 0..5 {
                world.crash("in").await;
                world.pass(SECOND * 9).await;
                assert_eq!(out().await, 1 + escalations, "five are allowed each time");
            }
            world.crash("in").await;
            if escalations == 1 {
                assert_eq!(out().await, 2, "soon after another it waits");
                world.pass(SECOND * 2).await;
            }
            assert_eq!(out().await, 2 + escalations);
        }
    });
}

/// Groups one in the other, both one_for_all, with an agent each.
async fn nested() -> World {
    let script = Script::default().group("outer", Strategy::OneForAll);
    let script = script.group("inner", Strategy::OneForAll);
    let script = script.with_group(|group| group.parent = Some("outer".parse().unwrap()));
    let script = script.agent("out").with(|spec| {
        spec.group = Some("outer".parse().unwrap());
    });
    let script = script.agent("in").with(|spec| {
        spec.group = Some("inner".parse().unwrap());
    });
    script.begin().await
}

#[test]
fn a_restart_of_the_outer_group_takes_over_one_of_the_inner_that_was_to_come_sooner() {
    paused(async {
        let world = nested().await;
        for _ in 0..4 {
            world.crash("out").await;
            world.pass(SECOND * 5).await;
        }
        world.crash("in").await;
        world.crash("in").await;
        assert_eq!(world.state("in").await, AgentState::Pending, "for a second");
        world.crash("out").await;
        world.pass(SECOND * 7).await;
        assert_eq!(world.state("in").await, AgentState::Pending, "for eight");
        world.pass(SECOND * 2).await;
        assert_eq!(world.state("in").await, AgentState::Ready);
    });
}

#[test]
fn who_was_stopped_stays_stopped_when_its_group_rests_or_fails() {
    for (on_exhausted, state) in [
        (OnExhausted::Quarantine, AgentState::Quarantined),
        (OnExhausted::StopGroup, AgentState::Failed),
    ] {
        paused(async move {
            let script = Script::default().group("family", Strategy::OneForAll);
            let script = script.with_group(|group| group.on_exhausted = on_exhausted);
            let script = ["a", "b"].into_iter().fold(script, |script, name| {
                let script = script.agent(name);
                script.with(|spec| spec.group = Some("family".parse().unwrap()))
            });
            let world = script.begin().await;
            world.handle.stop(World::target("a")).await.unwrap();
            for _ in 0..6 {
                world.pass(SECOND * 9).await;
                world.crash("b").await;
            }
            assert_eq!(world.state("b").await, state);
            assert_eq!(world.state("a").await, AgentState::Stopped);
        });
    }
}

#[test]
fn a_group_that_a_healer_brings_back_from_quarantine_is_on_trial() {
    paused(async {
        let world = nested().await;
        for _ in 0..6 {
            world.crash("in").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.state("in").await, AgentState::Quarantined);
        // No death lies inside the window any more.
        world.pass(SECOND * 100).await;
        world.handle.revive(&"in".parse().unwrap()).await.unwrap();
        world.settled().await;
        assert_eq!(world.state("in").await, AgentState::Ready);
        world.crash("in").await;
        assert_eq!(world.state("in").await, AgentState::Quarantined);
    });
}

/// What is kept of an agent that is on trial or not, and rests or not, with deaths an hour ago.
fn kept(on_trial: bool, rests: Option<std::time::Duration>) -> RestartBudget {
    let now = crate::clock::now();
    let long_ago = Timestamp::from_micros(now.as_micros() - 3_600_000_000);
    RestartBudget {
        owner: "echo#0".to_owned(),
        deaths: vec![long_ago; 3],
        quarantined_until: rests.map(|rest| now.after(rest)),
        quarantines: 0,
        on_trial,
        slow_loop: None,
        updated_at: now,
    }
}

#[test]
fn what_was_kept_of_a_budget_holds_and_what_is_over_counts_no_more() {
    for (on_trial, after) in [(true, AgentState::Quarantined), (false, AgentState::Ready)] {
        paused(async move {
            let script = Script::default().budget(kept(on_trial, None));
            let world = script.agent("echo").begin().await;
            world.crash("echo").await;
            assert_eq!(world.state("echo").await, after);
        });
    }
    paused(async {
        // The wall clock was set back meanwhile.
        let script = Script::default().budget(kept(false, Some(SECOND * 360_000)));
        let world = script.agent("echo").begin().await;
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        world.pass(SECOND * 3_601).await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
    });
}

#[test]
fn a_life_that_is_being_killed_is_asked_nothing_more_and_written_off_in_time() {
    let undying = Manners {
        immortal: true,
        ..Manners::default()
    };
    let probes = Probes {
        liveness: Some(ProbeSpec {
            how: ProbeHow::Exec(vec!["x".to_owned()]),
            period: SECOND,
            timeout: SECOND,
            failure_threshold: 1,
            success_threshold: 1,
        }),
        ..Probes::default()
    };
    for stopped in [false, true] {
        let probes = probes.clone();
        paused(async move {
            let script = Script::default().agent("echo").manners(undying);
            let world = script.with(|spec| spec.probes = probes).begin().await;
            let no = Err("no".to_owned());
            world.asked.answer.lock().insert("exec", no);
            let killed = async {
                while world.log.take(&["kill echo#0"]).is_empty() {
                    world.pass(SECOND / 10).await;
                }
            };
            tokio::time::timeout(SECOND * 5, killed).await.unwrap();
            world.asked.answer.lock().clear();
            let asked = world.asked.asked.lock()["exec"];
            if stopped {
                world.handle.stop(World::target("echo")).await.unwrap();
            }
            world.pass(KILL_GRACE - SECOND / 2).await;
            assert_eq!(world.asked.asked.lock()["exec"], asked);
            assert_eq!(world.status("echo").await.generation, 1);
            world.pass(SECOND).await;
            let status = world.status("echo").await;
            let seen = (status.state, status.generation);
            let wanted = match stopped {
                true => (AgentState::Stopped, 1),
                false => (AgentState::Ready, 2),
            };
            assert_eq!(seen, wanted);
            assert!(world.log.take(&["stop echo#0"]).is_empty());
        });
    }
}

#[test]
fn who_is_needed_by_one_that_does_not_end_is_told_when_the_drain_is_over() {
    paused(async {
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let script = Script::default().agent("store").agent("user");
        let needs = ("store".parse().unwrap(), DependsOn::Started);
        let script = script.with(|spec| spec.depends_on.extend([needs]));
        let world = script.manners(stubborn).begin().await;
        let spans = ShutdownSpans {
            drain: SECOND * 4,
            stop: SECOND * 4,
        };
        let report = world.handle.shutdown(spans).await.unwrap();
        let killed: Vec<String> = report.killed.iter().map(ToString::to_string).collect();
        assert_eq!(killed, ["user#0"]);
    });
}

#[test]
fn who_is_scaled_up_while_its_group_waits_to_restart_starts_with_it() {
    paused(async {
        let world = nested().await;
        world.crash("in").await;
        world.crash("in").await;
        world.log.take(&[]);
        world.handle.scale(&"in".parse().unwrap(), 2).await.unwrap();
        world.settled().await;
        assert!(world.log.take(&["start"]).is_empty());
        world.pass(SECOND * 2).await;
        assert_eq!(world.status("in").await.replicas.ready, 2);
    });
}

#[test]
fn a_life_that_is_not_up_is_told_to_stop_and_not_to_drain() {
    paused(async {
        let silent = Manners {
            silent: true,
            ..Manners::default()
        };
        let script = Script::default().agent("echo").manners(silent);
        let world = script.begin().await;
        world.handle.stop(World::target("echo")).await.unwrap();
        world.settled().await;
        assert_eq!(world.log.take(&["drain", "stop"]), ["stop echo#0"]);
    });
}

#[test]
fn a_rest_that_a_service_lengthens_ends_when_the_longer_one_is_over() {
    paused(async {
        let readiness = Some(ProbeSpec {
            how: ProbeHow::Tcp("h:1".to_owned()),
            period: SECOND * 600,
            timeout: SECOND,
            failure_threshold: 3,
            success_threshold: 1,
        });
        let script = Script::default().agent("echo");
        let world = script
            .with(|spec| spec.probes.readiness = readiness)
            .begin()
            .await;
        world.pass(SECOND * 2).await;
        for span in [SECOND * 5, SECOND * 20] {
            world.actor("echo").note(LifeNote::Rests { span });
        }
        world.settled().await;
        world.log.take(&[]);
        world.pass(SECOND * 10).await;
        assert!(world.log.take(&["work ready"]).is_empty());
        world.pass(SECOND * 11).await;
        assert_eq!(world.log.take(&["work ready"]), ["work ready echo#0 1"]);
    });
}
