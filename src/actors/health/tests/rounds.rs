//! Rounds: what is checked, judged, kept and told.

use std::time::Duration;

use tokio::time::Instant;

use super::world::{Answers, World, paused, report_that};
use crate::domain::agent::AgentState;
use crate::domain::health::judge::Threshold;
use crate::domain::health::{HealthReport, HealthSettings, HealthStatus, ROUND_RECORD};
use crate::telemetry::metrics::Metrics;

fn level(report: &crate::domain::health::HealthReport, check: &str) -> Option<HealthStatus> {
    report.check(check).map(|check| check.status)
}

#[test]
fn the_first_round_begins_at_the_start_and_checks_host_database_and_every_agent() {
    paused(async {
        let (handle, _life) = World::of(&["echo", "sum"]).monitor();
        assert!(!handle.startup_done() && handle.report().is_none());
        let began = Instant::now();
        let report = report_that(&handle, |_| true).await;
        assert!(began.elapsed() < Duration::from_secs(1) && handle.startup_done());
        let names: Vec<_> = report.checks.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["agent.echo", "agent.sum", "database", "system"]);
        assert_eq!(report.status, HealthStatus::Healthy);
    });
}

#[test]
fn other_settings_hold_at_once_also_for_a_round_that_would_be_an_hour_away() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        let hour = Duration::from_secs(3_600);
        let settings = HealthSettings {
            interval: hour,
            sample_interval: hour,
            ..Default::default()
        };
        handle.set_settings(settings);
        report_that(&handle, |_| true).await;
        let first = handle.report().expect("a report");
        let before = world.get(|world| world.samples);
        tokio::time::sleep(hour / 2).await;
        let same = handle.report().expect("a report");
        assert!(std::sync::Arc::ptr_eq(&first, &same), "nothing was due");
        let limits = Threshold {
            warning: 0.02,
            critical: 0.05,
        };
        let began = Instant::now();
        handle.set_settings(HealthSettings {
            interval: Duration::from_secs(2),
            sample_interval: Duration::from_secs(1),
            memory: limits,
            sustained: 1,
            ..settings
        });
        let is = |report: &crate::domain::health::HealthReport| {
            level(report, "system") == Some(HealthStatus::Critical)
        };
        report_that(&handle, is).await;
        assert!(
            began.elapsed() <= Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        tokio::time::sleep(Duration::from_secs(20)).await;
        let samples = world.get(|world| world.samples) - before;
        assert!((15..=25).contains(&samples), "{samples}");
    });
}

#[test]
fn a_quarantined_agent_is_critical_within_a_round_first_in_the_report_and_told_once() {
    paused(async {
        let world = World::of(&["echo", "sum"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        world.put("sum", AgentState::Quarantined);
        let began = Instant::now();
        let report = report_that(&handle, |r| r.status == HealthStatus::Critical).await;
        assert!(began.elapsed() <= Duration::from_secs(31));
        assert_eq!(report.checks[0].name, "agent.sum");
        assert_eq!(report.checks[0].details["recovery_action"], "restart-agent");
        tokio::time::sleep(Duration::from_secs(100)).await;
        let events = world.get(|w| w.events.clone());
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(
            (events[0].kind, events[0].subject.as_str()),
            ("health.changed", "agent.sum")
        );
        assert_eq!(events[0].data["from"], "healthy");
        assert_eq!(events[0].data["to"], "critical");
    });
}

#[test]
fn a_critical_check_that_no_action_would_help_is_shown_and_counted_as_answered_by_none() {
    let (recorder, recorded) = Metrics::for_test();
    ::metrics::with_local_recorder(&recorder, || {
        paused(async {
            let world = World::of(&["echo", "sum"]);
            let (handle, _life) = world.monitor();
            report_that(&handle, |_| true).await;
            let counted = |count: usize| {
                let line = format!("agent_system_health_unhandled_critical {count}");
                recorded.render().lines().any(|found| found == line)
            };
            assert!(counted(0));
            world.put("echo", AgentState::Quarantined);
            let report = report_that(&handle, |r| r.status == HealthStatus::Critical).await;
            let answer =
                |check: &str| report.check(check).unwrap().details["recovery_action"].clone();
            assert_eq!(answer("agent.echo"), "restart-agent");
            assert!(counted(0));
            world.put("sum", AgentState::Failed);
            let failed =
                |report: &HealthReport| level(report, "agent.sum") == Some(HealthStatus::Critical);
            let report = report_that(&handle, failed).await;
            assert_eq!(
                report.check("agent.sum").unwrap().details["recovery_action"],
                "none"
            );
            assert!(counted(1));
        });
    });
}

#[test]
fn an_agent_that_settles_is_looked_at_again_at_once_and_a_storm_of_them_once_a_second() {
    paused(async {
        let world = World::of(&["echo"]);
        world.put("echo", AgentState::Starting);
        let settled = std::sync::Arc::<tokio::sync::Notify>::default();
        let (handle, _life) = world.monitor_that_hears(settled.clone());
        let of = |report: &crate::domain::health::HealthReport| -> String {
            report.check("agent.echo").expect("a check").message.clone()
        };
        assert_eq!(
            of(report_that(&handle, |_| true).await.as_ref()),
            "#0 is starting"
        );
        let began = Instant::now();
        world.put("echo", AgentState::Ready);
        settled.notify_one();
        report_that(&handle, |report| of(report) == "1 ready, idle").await;
        assert!(began.elapsed() < Duration::from_secs(1));
        // What is worse than it was is left to the round.
        world.put("echo", AgentState::Backoff);
        settled.notify_one();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let report = handle.report().expect("a report");
        assert_eq!(level(&report, "agent.echo"), Some(HealthStatus::Healthy));
        world.put("echo", AgentState::Ready);
        let before = world.get(|world| world.looks);
        for _ in 0..1_000 {
            settled.notify_one();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let looks = world.get(|world| world.looks) - before;
        assert!((8..=12).contains(&looks), "{looks} looks in 10 s");
    });
}

#[test]
fn an_agent_that_gives_up_or_is_cut_off_is_shown_so_at_once_and_marked_until_a_round_has_seen_it() {
    for state in [
        AgentState::Quarantined,
        AgentState::Failed,
        AgentState::Unreachable,
    ] {
        paused(async move {
            let world = World::of(&["echo"]);
            let settled = std::sync::Arc::<tokio::sync::Notify>::default();
            let (handle, _life) = world.monitor_that_hears(settled.clone());
            let round = report_that(&handle, |_| true).await;
            world.put("echo", state);
            let began = Instant::now();
            for _ in 0..3 {
                settled.notify_one();
                let early = report_that(&handle, |r| r.status == HealthStatus::Critical).await;
                assert!(early.checks[0].is_early(), "{early:?}");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            assert!(began.elapsed() < Duration::from_secs(7), "{state:?}");
            let later = |report: &crate::domain::health::HealthReport| {
                !report.checks[0].is_early() && report.checked_at > round.checked_at
            };
            let lasting = report_that(&handle, later).await;
            assert_eq!(lasting.status, HealthStatus::Critical);
            let told = world.get(|w| w.events.len());
            assert_eq!(told, 1, "the change is told once");
        });
    }
}

#[test]
fn kept_are_a_row_on_change_one_compact_row_a_round_and_figures_every_thirty_seconds() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        tokio::time::sleep(Duration::from_secs(95)).await;
        let records = world.get(|w| w.records.clone());
        let of = |check: &str| records.iter().filter(|r| r.check == check).count();
        assert_eq!((of("system"), of("database"), of("agent.echo")), (1, 1, 1));
        assert_eq!(of(ROUND_RECORD), 4);
        let round = records
            .iter()
            .find(|r| r.check == ROUND_RECORD)
            .expect("a round");
        assert_eq!(round.message, "3 healthy");
        assert_eq!(round.details["agent.echo"], "healthy");
        assert_eq!(
            world.get(|w| (w.agent_rows.len(), w.system_rows.len())),
            (4, 4)
        );
    });
}

#[test]
fn a_peak_of_the_processors_alarms_only_when_three_samples_show_it() {
    paused(async {
        let world = World::of(&[]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        // Samples stand at 0, 5, 10 … s, rounds at 0, 30, 60 … s.
        tokio::time::sleep(Duration::from_secs(22)).await;
        world.set(|w| w.cpu = 0.99);
        let first = handle.report().expect("a report").checked_at;
        let round = report_that(&handle, |r| r.checked_at > first).await;
        assert_eq!(level(&round, "system"), Some(HealthStatus::Healthy));
        let next = report_that(&handle, |r| r.checked_at > round.checked_at).await;
        let check = next.check("system").expect("a check");
        assert_eq!(check.status, HealthStatus::Critical);
        assert_eq!((check.value, check.threshold), (Some(0.99), Some(0.95)));
        assert_eq!(check.details["cpu"]["status"], "critical");
        assert_eq!(check.details["recovery_action"], "none");
    });
}

#[test]
fn a_pool_that_is_in_use_at_the_first_look_alarms_only_when_three_samples_show_it() {
    paused(async {
        let world = World::of(&[]);
        world.set(|w| {
            w.cpu = 0.99;
            w.database.readers_busy = w.database.readers;
            w.database.writes_queued = w.database.writes_capacity;
        });
        let (handle, _life) = world.monitor();
        let first = report_that(&handle, |_| true).await;
        assert_eq!(first.status, HealthStatus::Healthy, "{first:?}");
        let check = first.check("database").expect("a check");
        assert_eq!(check.details["pool"]["ratio"], 1.0, "it is shown");
        let next = report_that(&handle, |r| r.checked_at > first.checked_at).await;
        for check in ["database", "system"] {
            assert_eq!(level(&next, check), Some(HealthStatus::Critical), "{check}");
        }
    });
}

#[test]
fn a_check_that_hangs_or_panics_is_unknown_and_delays_no_other() {
    for answers in [Answers::Never, Answers::WithAPanic] {
        paused(async move {
            let world = World::of(&["echo"]);
            world.set(|w| w.ping = answers);
            let (handle, _life) = world.monitor();
            let began = Instant::now();
            let report = report_that(&handle, |_| true).await;
            assert!(began.elapsed() < Duration::from_secs(4), "{answers:?}");
            assert_eq!(level(&report, "database"), Some(HealthStatus::Unknown));
            assert_eq!(level(&report, "agent.echo"), Some(HealthStatus::Healthy));
            assert_eq!(level(&report, "system"), Some(HealthStatus::Healthy));
        });
    }
}

#[test]
fn agents_that_nobody_answers_for_are_unknown_not_forgotten() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        world.set(|w| w.view = Answers::Never);
        let report = report_that(&handle, |r| r.status == HealthStatus::Unknown).await;
        assert_eq!(report.checks[0].name, "agent.echo");
    });
}

#[test]
fn a_database_that_is_gone_is_critical_and_costs_no_round() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        world.set(|w| (w.ping, w.writes) = (Answers::WithAnError, Answers::Never));
        let report = report_that(&handle, |r| r.status == HealthStatus::Critical).await;
        let check = report.check("database").expect("a check");
        assert_eq!(check.message, "test: database unavailable: gone");
        world.set(|w| w.ping = Answers::Well);
        report_that(&handle, |r| r.status == HealthStatus::Healthy).await;
    });
}

#[test]
fn an_agent_that_leaves_takes_its_check_along() {
    paused(async {
        let world = World::of(&["echo", "sum"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        world.set(|w| w.agents.truncate(1));
        report_that(&handle, |r| r.check("agent.sum").is_none()).await;
    });
}

#[test]
fn a_check_that_changes_every_round_is_told_to_flap_once() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        let mut last = report_that(&handle, |_| true).await;
        for round in 0..12 {
            let even = round % 2 == 0;
            world.put(
                "echo",
                if even {
                    AgentState::Failed
                } else {
                    AgentState::Ready
                },
            );
            last = report_that(&handle, |r| r.checked_at > last.checked_at).await;
        }
        let flaps = world.get(|w| {
            w.events
                .iter()
                .filter(|e| e.kind == "health.flapping")
                .count()
        });
        assert_eq!(flaps, 1);
        assert_eq!(
            last.check("agent.echo").expect("a check").details["flapping"],
            true
        );
    });
}

#[test]
fn the_monitors_next_life_keeps_since_when_things_are_as_they_are() {
    paused(async {
        let world = World::of(&["echo"]);
        world.put("echo", AgentState::Quarantined);
        let (handle, life) = world.monitor();
        let before = report_that(&handle, |_| true).await;
        life.stop();
        let after = report_that(&handle, |r| r.checked_at > before.checked_at).await;
        assert_eq!(after.checks[0].since, before.checks[0].since);
        let told = world.get(|w| w.events.len());
        assert_eq!(told, 1, "nothing changed, nothing is told again");
    });
}
