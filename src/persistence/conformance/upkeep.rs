//! The database itself: pings, retention, the end.

use super::at;
use super::messages::message;
use super::records::health;
use crate::clock;
use crate::domain::health::HealthStatus;
use crate::domain::message::{Message, MessageFilter};
use crate::domain::query::PageRequest;
use crate::domain::record::{AgentMetrics, HealthRecord};
use crate::persistence::{Store, StoreError};

pub(crate) async fn a_ping_goes_there_and_back(store: Store) {
    store.ping().await.unwrap();
    let status = store.status();
    assert!(status.writable, "{status:?}");
    assert_eq!(status.last_error, None);
    assert!(status.size_bytes > 0);
    assert_eq!(status.schema_version, crate::persistence::migrate::latest());
}

pub(crate) async fn retention_spares_what_is_young(store: Store) {
    let now = clock::now();
    let young = Message {
        created_at: now,
        ..message("sum", 0)
    };
    store.log_message(message("sum", 1)).await.unwrap();
    store.log_message(young.clone()).await.unwrap();
    let fresh = HealthRecord {
        at: now,
        ..health("system", HealthStatus::Healthy, 0)
    };
    store
        .log_health_check(vec![health("system", HealthStatus::Critical, 0)])
        .await
        .unwrap();
    store.log_health_check(vec![fresh.clone()]).await.unwrap();
    let pruned = store.prune().await.unwrap();
    assert_eq!(pruned.get("messages"), Some(&1), "{pruned:?}");
    assert_eq!(pruned.get("health_records"), Some(&1), "{pruned:?}");
    let all = MessageFilter::default();
    let messages = store.messages(all, PageRequest::default()).await.unwrap();
    assert_eq!(messages.items, [young]);
    let history = store
        .health_history("system", PageRequest::default())
        .await
        .unwrap();
    assert_eq!(history.items, [fresh]);
    assert!(store.prune().await.unwrap().is_empty());
}

pub(crate) async fn samples_older_than_a_day_become_means_of_minutes(store: Store) {
    let echo = super::name("echo");
    let sample = |at, queue_depth| AgentMetrics {
        agent: echo.clone(),
        at,
        cpu_seconds: 1.0,
        memory_bytes: 100,
        queue_depth,
        running: 0,
        errors_total: 0,
        restarts_total: 0,
    };
    let young = sample(clock::now(), 7);
    let old = (0..120)
        .map(|n| sample(at(n * 1_000_000), 2))
        .chain([young.clone()]);
    store.update_agent_metrics(old.collect()).await.unwrap();
    let pruned = store.prune().await.unwrap();
    // 120 samples became means, which were so old that the next pruning takes them.
    assert_eq!(pruned.get("agent_metrics"), Some(&120), "{pruned:?}");
    assert_eq!(store.agent_metrics(&echo, 500).await.unwrap(), [young]);
    let means = store.prune().await.unwrap().get("agent_metrics").copied();
    assert!(matches!(means, Some(2 | 3)), "{means:?}");
}

pub(crate) async fn after_close_writes_and_reads_are_refused(store: Store) {
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable { .. })
    ));
    assert!(matches!(
        store.agents().await,
        Err(StoreError::Unavailable { .. })
    ));
    assert!(!store.status().writable);
}
