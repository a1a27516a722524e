//! Names, help texts, and the text that is scraped.

use super::*;
use std::collections::BTreeSet;

/// Records with a recorder of this test's own.
fn rendered(recording: impl FnOnce()) -> String {
    let (recorder, recorded) = Metrics::for_test();
    ::metrics::with_local_recorder(&recorder, || {
        describe();
        recording();
    });
    recorded.render()
}

#[test]
fn every_metric_has_one_name_a_help_text_and_the_ending_of_its_kind() {
    let names: BTreeSet<_> = ALL.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), ALL.len());
    for metric in ALL {
        let counts = metric.kind.counts();
        assert!(metric.name.starts_with("agent_system_"), "{}", metric.name);
        assert_eq!(metric.name.ends_with("_total"), counts, "{}", metric.name);
        assert!(metric.help.ends_with('.'), "{}", metric.name);
    }
}

#[test]
fn counters_are_there_before_the_first_time() {
    let text = rendered(|| record::recovery_action("heal"));
    for line in [
        "agent_system_rate_limited_total 0",
        "agent_system_auth_failures_total{reason=\"missing\"} 0",
        "agent_system_cache_requests_total{result=\"hit\"} 0",
        "agent_system_task_rescues_total{reason=\"daemon_lost\"} 0",
        "# TYPE agent_system_agent_restarts_total counter",
        "# TYPE agent_system_agent_response_seconds histogram",
        "agent_system_recovery_runs_total{action=\"heal\",outcome=\"failed\"} 0",
    ] {
        let found = text.lines().filter(|l| *l == line).count();
        assert_eq!(found, 1, "{line}\nin\n{text}");
    }
}

#[test]
fn what_is_recorded_is_scraped_with_help_type_and_labels() {
    let text = rendered(|| {
        record::http_request("GET", "/api/v1/tasks/{id}", 200, Duration::from_millis(3));
        record::health_check(
            "agent.echo",
            HealthStatus::Critical,
            Duration::from_millis(1),
        );
        let mut tally = record::QueueTally::default();
        tally.finished("succeeded");
        record::tasks_of_commit("default", &tally);
    });
    for line in [
        "# HELP agent_system_http_requests_total Requests answered.",
        "# TYPE agent_system_http_requests_total counter",
        "agent_system_http_requests_total{method=\"GET\",route=\"/api/v1/tasks/{id}\",status=\"200\"} 1",
        "agent_system_http_request_duration_seconds_bucket{method=\"GET\",route=\"/api/v1/tasks/{id}\",le=\"0.005\"} 1",
        "agent_system_health_status{check=\"agent.echo\"} 2",
        "agent_system_tasks_finished_total{queue=\"default\",outcome=\"succeeded\"} 1",
        concat!(
            "agent_system_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        ),
        "agent_system_leader 1",
        "# TYPE process_resident_memory_bytes gauge",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn an_agents_processor_time_is_a_counter_of_fractions_that_never_falls() {
    let gauges = |cpu_seconds| record::AgentGauges {
        up: true,
        uptime: Duration::from_secs(1),
        queue_depth: 0,
        errors_total: 0,
        cpu_seconds,
        memory_bytes: None,
    };
    let text = rendered(|| {
        record::agent("cpu-test", gauges(Some(1.5)));
        record::agent("cpu-test", gauges(Some(0.25)));
        record::agent("cpu-test", gauges(None));
    });
    assert!(text.contains("# TYPE agent_system_agent_cpu_seconds_total counter\n"));
    assert!(text.contains("agent_system_agent_cpu_seconds_total{agent=\"cpu-test\"} 1.5\n"));
}

#[test]
fn a_restart_is_counted_by_agent_and_reason_from_its_fact() {
    let fact = crate::domain::event::Event {
        seq: 1,
        id: crate::domain::ids::EventId::from_bytes([0; 16]),
        kind: "agent.restarted".to_owned(),
        subject: "restarts-test#1".to_owned(),
        at: crate::domain::timestamp::Timestamp::default(),
        data: crate::domain::event::EventData::of(&serde_json::json!({"reason": "signal"})),
        task: None,
    };
    let text = rendered(|| record::facts(std::slice::from_ref(&fact)));
    for line in [
        "agent_system_agent_restarts_total{agent=\"restarts-test\",reason=\"signal\"} 1",
        "agent_system_events_total{type=\"agent.restarted\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn agents_beyond_the_limit_share_a_label() {
    let text = rendered(|| {
        for n in 0..=MAX_AGENT_LABELS {
            record::agent_restarted(&format!("many-{n}"), "panic");
        }
    });
    let series = text
        .lines()
        .filter(|l| l.starts_with(AGENT_RESTARTS))
        .count();
    assert!(series <= MAX_AGENT_LABELS + 1);
    assert!(text.contains("agent_system_agent_restarts_total{agent=\"other\",reason=\"panic\"}"));
}

#[test]
fn series_of_agents_that_are_gone_go_and_their_places_are_given_back() {
    let figures = record::AgentGauges {
        up: true,
        uptime: Duration::from_secs(1),
        queue_depth: 0,
        errors_total: 0,
        cpu_seconds: Some(1.5),
        memory_bytes: Some(1),
    };
    let health = |check: &str| {
        record::health_check(check, HealthStatus::Healthy, Duration::from_millis(1));
    };
    let text = rendered(|| {
        // Three times as many as have places, a third of them at a time.
        for n in 0..3 * MAX_AGENT_LABELS {
            let agent = format!("gone-{n}");
            record::agent(&agent, figures);
            record::agent_restarted(&agent, "panic");
            record::agent_answered(&agent, Duration::from_millis(1));
            health(&format!("agent.{agent}"));
            if n % MAX_AGENT_LABELS == MAX_AGENT_LABELS - 1 {
                record::only_agents(|agent| agent == "stays");
            }
        }
        health("system");
        record::agent("stays", figures);
        health("agent.stays");
    });
    assert!(!text.contains("gone-"), "{text}");
    assert!(!text.contains("\"other\""), "{text}");
    for line in [
        "agent_system_agent_up{agent=\"stays\"} 1",
        "agent_system_health_status{check=\"agent.stays\"} 0",
        "agent_system_health_status{check=\"system\"} 0",
        "agent_system_health_check_duration_seconds_bucket{check=\"system\",le=\"0.001\"} 1",
        "agent_system_health_check_duration_seconds_bucket{check=\"system\",le=\"+Inf\"} 1",
        "agent_system_health_check_duration_seconds_count{check=\"system\"} 1",
        "# TYPE agent_system_health_check_duration_seconds histogram",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_that_nobody_scrapes_takes_no_memory() {
    let resident = || ProcessFigures::read().expect("figures").resident_bytes;
    let (recorder, recorded) = Metrics::for_test();
    tokio::spawn(recorded.clone().upkeep());
    let hours = async |hours: u64| {
        for _ in 0..hours * 3_600 {
            ::metrics::with_local_recorder(&recorder, || {
                for _ in 0..4 {
                    record::database_commit(Duration::from_millis(1), 3);
                }
                record::agent_answered("watched", Duration::from_millis(1));
            });
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    };
    hours(1).await;
    let before = resident();
    hours(23).await;
    let grown = resident().saturating_sub(before);
    // Kept, the values would take more than 10 MiB.
    assert!(grown < 4 << 20, "{grown} bytes");
    let text = recorded.render();
    let all = 24 * 3_600 * 4;
    let counted = format!("agent_system_database_commit_seconds_count {all}");
    assert!(text.lines().any(|line| line == counted), "{text}");
}

use crate::domain::health::HealthStatus;
