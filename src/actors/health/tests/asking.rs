//! Asking for a check: it reads, and adds nothing.

use std::time::Duration;

use super::world::{World, paused, report_that};
use crate::actors::health::{HealthError, HealthHandle, MetricsSampler};
use crate::actors::testing::start_as;
use crate::domain::agent::AgentState;
use crate::domain::health::{HealthStatus, ROUND_RECORD};
use crate::domain::restart::RestartType;

#[test]
fn asking_for_one_check_runs_it_now_and_the_report_agrees() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        world.put("echo", AgentState::Failed);
        let answer = handle.run(Some("agent.echo")).await.expect("an answer");
        assert_eq!(answer.status, HealthStatus::Critical);
        assert_eq!(handle.report(), Some(answer.clone()));
        let kept = world.get(|w| w.records.last().cloned()).expect("a row");
        assert_eq!(
            (kept.check.as_str(), kept.at),
            ("agent.echo", answer.checked_at)
        );
        assert_eq!(kept.status, HealthStatus::Critical);
    });
}

#[test]
fn a_panic_of_the_monitor_costs_nobody_an_answer_and_its_rounds_go_on() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        for state in [AgentState::Failed, AgentState::Ready] {
            world.put("echo", state);
            handle.address.explode();
            let answer = handle.run(Some("agent.echo")).await.expect("an answer");
            let sick = state == AgentState::Failed;
            assert_eq!(answer.status == HealthStatus::Critical, sick);
        }
        world.put("echo", AgentState::Failed);
        handle.address.explode();
        let seen = report_that(&handle, |report| report.status == HealthStatus::Critical);
        seen.await;
    });
}

#[test]
fn asking_often_adds_no_sample_no_round_and_no_flap() {
    paused(async {
        let world = World::of(&["echo"]);
        let (handle, _life) = world.monitor();
        report_that(&handle, |_| true).await;
        let before = world.get(|w| (w.samples, w.records.len()));
        for _ in 0..50 {
            handle.run(None).await.expect("an answer");
        }
        assert_eq!(world.get(|w| (w.samples, w.records.len())), before);
        let rounds = world.get(|w| w.records.iter().filter(|r| r.check == ROUND_RECORD).count());
        assert_eq!(rounds, 1);
    });
}

#[test]
fn an_unknown_check_is_refused_with_the_nearest_name() {
    paused(async {
        let (handle, _life) = World::of(&["echo"]).monitor();
        report_that(&handle, |_| true).await;
        let refused = handle
            .run(Some("agent.ehco"))
            .await
            .expect_err("no such check");
        assert_eq!(
            refused.to_string(),
            "check 'agent.ehco' does not exist; did you mean 'agent.echo'?"
        );
        assert!(matches!(refused, HealthError::NotFound { .. }));
    });
}

#[test]
fn a_report_is_there_though_the_monitor_is_not() {
    paused(async {
        let (child, handle) = HealthHandle::child(World::of(&["echo"]).deps());
        let life = start_as(child.as_ref(), RestartType::Temporary);
        report_that(&handle, |_| true).await;
        life.stop();
        assert!(handle.report().is_some());
        assert!(handle.run(None).await.is_err());
    });
}

#[test]
fn a_scrape_answers_though_the_agents_do_not() {
    paused(async {
        let world = World::of(&["echo"]);
        let deps = world.deps();
        let (_recorder, metrics) = crate::telemetry::metrics::Metrics::for_test();
        let sampler = MetricsSampler::new(metrics, deps.store, deps.agents);
        world.set(|w| w.view = super::world::Answers::Never);
        let text = tokio::time::timeout(Duration::from_secs(3), sampler.scrape()).await;
        assert!(
            text.expect("in time")
                .contains("process_resident_memory_bytes")
        );
    });
}
