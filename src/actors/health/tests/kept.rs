//! With a real database: what is shown is what is kept.

use std::sync::Arc;
use std::time::Duration;

use super::world::{World, report_that};
use crate::actors::health::{HealthHandle, MetricsSampler};
use crate::actors::testing::start;
use crate::domain::agent::AgentState;
use crate::domain::health::{HealthStatus, ROUND_RECORD};
use crate::domain::query::PageRequest;
use crate::domain::record::HealthRecord;
use crate::persistence::{SqliteOptions, Store};

/// A deadline that is never reached unless something is broken.
const LONG: Duration = Duration::from_secs(90);

/// Waits until a check has a row.
async fn row(store: &Store, check: &str) -> HealthRecord {
    let kept = async {
        loop {
            let page = store.health_history(check, PageRequest::default()).await;
            if let Some(row) = page.expect("a page").items.into_iter().next() {
                return row;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, kept).await.expect("a row")
}

/// Runs a claim with a real database on one thread.
fn with_store(claim: impl AsyncFnOnce(Store)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let dir = tempfile::tempdir().expect("a directory");
        let options = SqliteOptions::new(dir.path().join("health.db"));
        claim(Store::open(options).await.expect("a store")).await;
    });
}

#[test]
fn report_and_records_agree_on_every_check() {
    with_store(async |store| {
        let world = World::of(&["echo", "sum"]);
        world.put("sum", AgentState::Quarantined);
        let mut deps = world.deps();
        deps.store = Arc::new(store.clone());
        // On a busy machine an answer takes its time; which levels there are depends on its figures.
        deps.settings.check_timeout = LONG;
        deps.probe = crate::actors::health::HealthDeps::host(std::path::Path::new("."));
        let (child, handle) = HealthHandle::child(deps);
        let _life = start(child.as_ref());
        let report = report_that(&handle, |_| true).await;
        for check in &report.checks {
            let row = row(&store, &check.name).await;
            assert_eq!((row.status, &row.message), (check.status, &check.message));
            assert_eq!((row.value, row.threshold), (check.value, check.threshold));
            assert_eq!(row.details, check.details);
            assert_eq!(row.at.to_string(), report.checked_at.to_string());
        }
        let round = row(&store, ROUND_RECORD).await;
        let count = |status| report.checks.iter().filter(|c| c.status == status).count();
        assert!(count(HealthStatus::Critical) >= 1, "{report:?}");
        let counts = HealthStatus::ALL.map(|status| (count(status), status.as_str()));
        let counted = counts.iter().filter(|(count, _)| *count > 0);
        let counted: Vec<_> = counted.map(|(n, level)| format!("{n} {level}")).collect();
        assert_eq!(round.message, counted.join(", "));
        let database = report.check("database").expect("a check");
        assert!(
            database.message.starts_with("answers in "),
            "{}",
            database.message
        );
    });
}

#[test]
fn a_scrape_shows_the_databases_figures() {
    with_store(async |store| {
        let world = World::of(&["echo"]);
        let (recorder, recorded) = crate::telemetry::metrics::Metrics::for_test();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let sampler = MetricsSampler::new(recorded, Arc::new(store), Arc::new(world));
        let text = sampler.scrape().await;
        for line in [
            "agent_system_agent_up{agent=\"echo\"} 1",
            "agent_system_agents{state=\"ready\",kind=\"actor\"} 1",
            "agent_system_agents{state=\"backoff\",kind=\"actor\"} 0",
            "agent_system_database_connections{state=\"busy\"} 0",
            "agent_system_workflows{state=\"running\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(text.contains("agent_system_schema_version "));
    });
}
