//! Sessions, agents, processes, crashes, budgets.

use std::time::Duration;

use super::{at, name};
use crate::clock;
use crate::domain::agent::{Desired, InstanceId};
use crate::domain::crash::{Crash, Frame, FrameDirection, HeldTask, LastUsage, Seen};
use crate::domain::exit::ExitReason;
use crate::domain::ids::{CrashId, SessionId, TaskId};
use crate::domain::query::PageRequest;
use crate::domain::record::{AgentRecord, Overrides, RestartBudget, SlowLoop, SpawnedProcess};
use crate::persistence::{Store, StoreError};

pub(crate) async fn a_session_ends_the_one_before_and_is_renewed_until_it_ends(store: Store) {
    let lease = Duration::from_secs(30);
    let first = store.begin_session("node", 1, lease).await.unwrap();
    assert_eq!((first.lost_sessions, first.rescued, first.dead), (0, 0, 0));
    store.renew_session(first.session.id, lease).await.unwrap();
    let second = store.begin_session("node", 2, lease).await.unwrap();
    assert_eq!(second.lost_sessions, 1);
    assert_eq!(second.session.term, first.session.term + 1);
    let ended = store.renew_session(first.session.id, lease).await;
    assert!(
        matches!(ended, Err(StoreError::NotFound { .. })),
        "{ended:?}"
    );
    store.end_session(second.session.id).await.unwrap();
    store.end_session(second.session.id).await.unwrap();
    assert_eq!(
        store
            .begin_session("node", 3, lease)
            .await
            .unwrap()
            .lost_sessions,
        0
    );
    let unknown = store.end_session(SessionId::from_bytes([1; 16])).await;
    assert!(
        matches!(unknown, Err(StoreError::NotFound { .. })),
        "{unknown:?}"
    );
}

fn agent(agent: &str, hash: &str) -> AgentRecord {
    AgentRecord {
        name: name(agent),
        kind: "process".into(),
        overrides: Overrides::default(),
        config_hash: hash.into(),
        generation: 0,
        restarts_total: 0,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) async fn what_an_operator_set_lasts_and_replicas_until_they_change_in_the_file(
    store: Store,
) {
    let echo = name("echo");
    let first = store.register_agent(agent("echo", "aa")).await.unwrap();
    assert_eq!(first.overrides, Overrides::default());
    let mut set = Overrides {
        desired: Some(Desired::Paused),
        paused_until: Some(at(9)),
        replicas: Some(3),
        stopped_replicas: vec![0, 2],
        set_at: Some(at(5)),
    };
    store.set_overrides(&echo, set.clone()).await.unwrap();
    let kept = store.register_agent(agent("echo", "aa")).await.unwrap();
    assert_eq!(kept.overrides, set);
    assert_eq!(kept.created_at, first.created_at);
    let changed = store.register_agent(agent("echo", "bb")).await.unwrap();
    set.replicas = None;
    assert_eq!(changed.overrides, set, "what was paused stays paused");
    store.register_agent(agent("able", "aa")).await.unwrap();
    let names: Vec<_> = store
        .agents()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, [name("able"), echo]);
}

pub(crate) async fn generations_and_restarts_never_fall(store: Store) {
    let echo = name("echo");
    store.register_agent(agent("echo", "aa")).await.unwrap();
    store.save_generation(&echo, 7, 3).await.unwrap();
    store.save_generation(&echo, 5, 2).await.unwrap();
    let stored = store.register_agent(agent("echo", "bb")).await.unwrap();
    assert_eq!((stored.generation, stored.restarts_total), (7, 3));
}

pub(crate) async fn an_unknown_agent_is_named(store: Store) {
    let nothing = Overrides::default();
    let refused = store
        .set_overrides(&name("ghost"), nothing)
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
    assert_eq!(refused.to_string(), "agent 'ghost' does not exist");
}

pub(crate) async fn processes_are_known_from_their_spawn_to_their_end(store: Store) {
    let process = SpawnedProcess {
        agent: name("echo"),
        index: 1,
        generation: 4,
        pid: 77,
        start_ticks: 123_456,
        boot_id: "b".into(),
    };
    store.process_spawned(process.clone()).await.unwrap();
    assert_eq!(store.spawned_processes().await.unwrap(), [process]);
    let instance = InstanceId {
        agent: name("echo"),
        index: 1,
    };
    store.process_ended(&instance, 3).await.unwrap();
    assert_eq!(store.spawned_processes().await.unwrap().len(), 1);
    store.process_ended(&instance, 4).await.unwrap();
    assert_eq!(store.spawned_processes().await.unwrap(), []);
}

fn crash(agent: &str, n: i64) -> Crash {
    Crash {
        id: CrashId::from_bytes(clock::new_id()),
        agent: name(agent),
        index: 0,
        generation: 9,
        reason: ExitReason::Panic {
            message: "oh".into(),
            place: "a.rs:1:2".into(),
        },
        message: "panic at a.rs:1:2: oh".into(),
        signature: Some("panic:a.rs:1:2".into()),
        new_signature: false,
        seen: Seen::once(at(n)),
        at: at(n),
        uptime_ms: 12,
        config_hash: Some("aa".into()),
        config_since: Some(at(0)),
        config_changed: false,
        tasks: vec![HeldTask {
            id: TaskId::from_bytes([7; 16]),
            attempt: 2,
        }],
        usage: LastUsage {
            peak_memory_bytes: Some(4096),
            cpu_seconds: Some(0.5),
            io_bytes: None,
        },
        log: vec!["one".into(), "two".into()],
        frames: vec![Frame {
            direction: FrameDirection::ToAgent,
            before_ms: 3,
            bytes: 2,
            text: "{}".into(),
        }],
    }
}

pub(crate) async fn crashes_come_newest_first_and_fifty_of_each_agent_are_kept(store: Store) {
    let crashes: Vec<_> = (0..55).map(|n| crash("echo", n)).collect();
    for crash in crashes.clone() {
        store.log_crash(crash).await.unwrap();
    }
    store.log_crash(crash("other", 0)).await.unwrap();
    let page = |limit, cursor: Option<String>| PageRequest { limit, cursor };
    let stored = store.crashes(&name("echo"), page(500, None)).await.unwrap();
    assert_eq!(stored.items.len(), 50);
    let seen = Seen {
        count: 55,
        since: at(0),
        last_at: at(54),
    };
    let last = crashes.last().cloned().map(|it| Crash { seen, ..it });
    assert_eq!(stored.items.first(), last.as_ref());
    let first = store.crashes(&name("echo"), page(2, None)).await.unwrap();
    assert!(first.items.len() == 2 && first.has_more);
    let next = store
        .crashes(&name("echo"), page(2, first.next_cursor))
        .await;
    assert_eq!(next.unwrap().items[0].at, at(52));
    let other = store.crashes(&name("other"), page(9, None)).await.unwrap();
    assert_eq!(other.items.len(), 1);
    assert!(other.items[0].new_signature);
    let id = other.items[0].id;
    assert_eq!(
        store.crash(&name("other"), id).await.unwrap(),
        other.items[0]
    );
    assert!(store.crash(&name("echo"), id).await.is_err());
}

pub(crate) async fn the_last_death_of_each_replica_is_remembered(store: Store) {
    let of = |agent, index, n| Crash {
        index,
        reason: ExitReason::ExitCode {
            code: i32::try_from(n).unwrap(),
        },
        ..crash(agent, n)
    };
    assert_eq!(store.last_deaths().await.unwrap(), []);
    for crash in [
        of("echo", 0, 1),
        of("echo", 1, 2),
        of("other", 0, 3),
        of("echo", 0, 4),
    ] {
        store.log_crash(crash).await.unwrap();
    }
    let last = store.last_deaths().await.unwrap().into_iter();
    let mut last: Vec<_> = last
        .map(|it| (it.agent.to_string(), it.index, it.reason.to_string(), it.at))
        .collect();
    last.sort();
    let wanted = [("echo", 0, 4), ("echo", 1, 2), ("other", 0, 3)];
    let wanted =
        wanted.map(|(agent, index, n)| (agent.to_owned(), index, format!("exit code {n}"), at(n)));
    assert_eq!(last, wanted);
}

pub(crate) async fn a_crash_says_whether_its_fault_is_new_and_its_settings_have_changed(
    store: Store,
) {
    let with = |n, signature: Option<&str>, hash: &str| Crash {
        signature: signature.map(str::to_owned),
        config_hash: Some(hash.to_owned()),
        ..crash("echo", n)
    };
    for crash in [
        with(1, Some("a"), "x"),
        with(2, Some("a"), "x"),
        with(3, Some("b"), "y"),
        with(4, None, "y"),
    ] {
        store.log_crash(crash).await.unwrap();
    }
    let stored = store.crashes(&name("echo"), PageRequest::default()).await;
    let told: Vec<_> = stored
        .unwrap()
        .items
        .iter()
        .map(|it| (it.new_signature, it.config_changed, it.seen.count))
        .collect();
    assert_eq!(
        told,
        [
            (true, false, 1),
            (true, true, 1),
            (false, false, 2),
            (true, false, 2)
        ]
    );
}

pub(crate) async fn settings_stay_in_force_until_they_are_others(store: Store) {
    let echo = name("echo");
    store.register_agent(agent("echo", "aa")).await.unwrap();
    let note = async |hash: &str| {
        store
            .settings_in_force(&echo, hash.to_owned())
            .await
            .unwrap()
    };
    let first = note("a").await;
    assert_eq!(note("a").await, first);
    let other = note("b").await;
    assert!(other.hash == "b" && other.since >= first.since);
}

pub(crate) async fn a_restart_budget_replaces_its_predecessor(store: Store) {
    let mut budget = RestartBudget {
        owner: "echo#0".into(),
        deaths: vec![at(1)],
        quarantined_until: None,
        quarantines: 0,
        on_trial: false,
        slow_loop: None,
        updated_at: at(1),
    };
    store.save_restart_budget(budget.clone()).await.unwrap();
    budget.deaths.push(at(2));
    budget.quarantined_until = Some(at(9));
    budget.on_trial = true;
    budget.slow_loop = Some(SlowLoop {
        signature: "exit_code:1".into(),
        deaths: 7,
        last: at(0),
    });
    store.save_restart_budget(budget.clone()).await.unwrap();
    assert_eq!(store.restart_budgets().await.unwrap(), [budget]);
}
