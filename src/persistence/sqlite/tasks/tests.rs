//! Claims about tasks in SQLite.

use std::time::Duration;

use super::harness::{Db, for_agent, slots, task_for};
use super::*;
use crate::domain::task::{IdempotencyKey, MAX_PAYLOAD_BYTES, Outcome, Target};
use crate::persistence::StoreError;
use serde_json::json;

#[test]
fn a_task_that_fits_the_offer_is_handed_out_by_its_own_submission() {
    let mut db = Db::new();
    let done = db.offer(&for_agent("echo"), &slots("echo", 0, 1));
    let claimed = done.claimed.unwrap();
    assert_eq!(
        (done.task.state, done.task.attempt),
        (TaskState::Running, 1)
    );
    assert_eq!(done.task.lease.unwrap().id, claimed.lease_id);
    assert_eq!(claimed.payload, json!({"n": 1}));
    assert_eq!(
        db.kinds(&claimed.id.to_string()),
        ["task.created", "task.started"]
    );
}

#[test]
fn an_offer_that_does_not_fit_leaves_the_task_queued() {
    let mut db = Db::new();
    let mut later = for_agent("echo");
    later.run_at = Some(db.now.after(Duration::from_secs(5)));
    for (task, offer) in [
        (for_agent("echo"), slots("sum", 0, 1)),
        (
            task_for(Target::Role("boss".parse().unwrap())),
            slots("echo", 0, 1),
        ),
        (
            task_for(Target::Queue("slow".parse().unwrap())),
            slots("echo", 0, 1),
        ),
        (later, slots("echo", 0, 1)),
    ] {
        assert_eq!(db.offer(&task, &offer).claimed, None);
    }
}

#[test]
fn claims_take_the_best_rank_first_and_spread_over_replicas() {
    let mut db = Db::new();
    let mut ids = Vec::new();
    for priority in [1, 9, 5, 5] {
        let task = NewTask {
            priority,
            ..for_agent("echo")
        };
        db.submit(&task);
        ids.push(task.id);
        db.now = db.now.after(Duration::from_millis(1));
    }
    let claimed = db.claim(&[slots("echo", 0, 3), slots("echo", 1, 3)]);
    let got: Vec<_> = claimed
        .iter()
        .map(|task| (task.id, task.instance.index))
        .collect();
    assert_eq!(got, [(ids[1], 0), (ids[2], 1), (ids[3], 0), (ids[0], 1)]);
}

#[test]
fn a_claim_says_for_whom_nothing_is_left() {
    let mut db = Db::new();
    for _ in 0..3 {
        db.submit(&for_agent("echo"));
    }
    let offers = [slots("echo", 0, 2), slots("sum", 0, 1)];
    let mut claim = || {
        let done = db.claims(&offers);
        let dry: Vec<_> = done.dry.iter().map(ToString::to_string).collect();
        (done.tasks.len(), dry)
    };
    assert_eq!(claim(), (2, vec!["sum#0".to_owned()]));
    assert_eq!(claim(), (1, vec!["echo#0".to_owned(), "sum#0".to_owned()]));
}

#[test]
fn an_agent_takes_what_is_for_itself_its_role_its_name_as_a_role_and_its_queue() {
    let mut db = Db::new();
    let targets = [
        Target::Agent("echo".parse().unwrap()),
        Target::Role("worker".parse().unwrap()),
        Target::Role("echo".parse().unwrap()),
        Target::Queue("default".parse().unwrap()),
    ];
    for target in targets {
        db.submit(&task_for(target));
    }
    db.submit(&for_agent("sum"));
    db.submit(&task_for(Target::Queue("slow".parse().unwrap())));
    assert_eq!(db.claim(&[slots("echo", 0, 10)]).len(), 4);
}

#[test]
fn a_claim_walks_a_partial_index_and_sorts_nothing() {
    let db = Db::new();
    for (column, filter) in [
        ("agent", "agent IS NOT NULL AND agent = 'x'"),
        ("role", "role IS NOT NULL AND role = 'x'"),
        ("queue", "agent IS NULL AND role IS NULL AND queue = 'x'"),
    ] {
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT rank, key FROM tasks WHERE state = 'queued' AND {filter} \
             ORDER BY rank LIMIT 9"
        );
        let mut statement = db.conn.prepare(&sql).unwrap();
        let plan: Vec<String> = statement
            .query_map([], |row| row.get(3))
            .unwrap()
            .map(|row| row.unwrap())
            .collect();
        let wanted = format!("INDEX tasks_queued_by_{column}");
        assert!(plan.len() == 1 && plan[0].contains(&wanted), "{plan:?}");
    }
}

#[test]
fn a_result_counts_only_under_the_lease_that_holds_now() {
    let mut db = Db::new();
    let first = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    let reason = "drain".to_owned();
    db.settle(first.id, first.lease_id, Outcome::Interrupted { reason });
    let second = db.claim(&[slots("echo", 0, 1)]).remove(0);
    assert_eq!((second.id, second.attempt), (first.id, 2));

    let late = db.succeed(&first, json!("late"));
    assert!(late.stale && late.state == TaskState::Running);
    assert!(!db.succeed(&second, json!("good")).stale);
    let late = db.succeed(&first, json!("later still"));
    assert!(late.stale);

    assert_eq!(db.task(first.id).result, Some(json!("good")));
    let attempts = list::attempts(&db.conn, first.id).unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(outcomes, ["interrupted", "succeeded"]);
    let late = attempts[0].stale_result.clone().unwrap();
    assert_eq!(late.output, Some(json!("late")), "the first one stays");
    assert_eq!(
        db.kinds(&first.id.to_string()),
        [
            "task.created",
            "task.started",
            "task.interrupted",
            "task.started",
            "task.stale_result",
            "task.succeeded"
        ]
    );
}

#[test]
fn the_same_result_twice_is_no_news() {
    let mut db = Db::new();
    let claimed = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    let once = db.succeed(&claimed, json!(1));
    assert_eq!(db.succeed(&claimed, json!(1)), once);
}

#[test]
fn a_retryable_error_waits_out_its_backoff_and_the_last_one_is_dead_with_its_error() {
    let mut db = Db::new();
    let mut claimed = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    for attempt in 2..=3 {
        assert_eq!(db.fail(&claimed, true).state, TaskState::Retrying);
        assert_eq!(
            db.task(claimed.id).run_at,
            db.now.after(Duration::from_secs(1))
        );
        db.due();
        assert!(db.claim(&[slots("echo", 0, 1)]).is_empty(), "it waits");
        db.wait(Duration::from_secs(1));
        claimed = db.claim(&[slots("echo", 0, 1)]).remove(0);
        assert_eq!(claimed.attempt, attempt);
    }
    assert_eq!(db.fail(&claimed, true).state, TaskState::Dead);
    let task = db.task(claimed.id);
    assert_eq!(
        (task.reason.as_deref(), task.error.unwrap().code.as_str()),
        (Some("exhausted"), "broken")
    );
    let again = db.write(|tx| control::retry(tx, claimed.id)).unwrap();
    assert_eq!(
        (again.state, again.attempt, again.max_attempts),
        (TaskState::Queued, 3, 4)
    );
}

#[test]
fn a_result_over_the_cap_fails_the_task_and_says_so() {
    let mut db = Db::new();
    let claimed = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    db.succeed(&claimed, json!("x".repeat(MAX_PAYLOAD_BYTES)));
    let task = db.task(claimed.id);
    assert_eq!(
        (task.state, task.error.unwrap().code.as_str()),
        (TaskState::Failed, "result_too_large")
    );
}

#[test]
fn a_payload_over_the_cap_is_refused_before_anything_is_stored() {
    let mut db = Db::new();
    let task = NewTask {
        payload: json!("x".repeat(MAX_PAYLOAD_BYTES)),
        ..for_agent("echo")
    };
    let (session, rules) = (db.session, db.rules.clone());
    let refused = db.write(|tx| create::create(tx, session, &task, None, &rules));
    assert!(matches!(refused, Err(StoreError::Invalid(_))));
}

#[test]
fn a_key_answers_with_the_first_task_for_a_day_and_refuses_another_request() {
    let mut db = Db::new();
    let key = |byte| {
        Some(IdempotencyKey {
            key: "k".into(),
            digest: [byte; 32],
        })
    };
    let first = db.submit(&NewTask {
        idempotency: key(1),
        ..for_agent("echo")
    });
    let same = db.submit(&NewTask {
        idempotency: key(1),
        ..for_agent("echo")
    });
    assert!(same.existing && same.task.id == first.task.id);
    let other = NewTask {
        idempotency: key(2),
        ..for_agent("echo")
    };
    let (session, rules) = (db.session, db.rules.clone());
    let refused = db.write(|tx| create::create(tx, session, &other, None, &rules));
    assert!(matches!(refused, Err(StoreError::IdempotencyMismatch(_))));
    db.now = db.now.after(Duration::from_secs(24 * 3600 + 1));
    assert!(!db.submit(&other).existing);
}

#[test]
fn cancel_ends_what_waits_and_asks_for_what_runs() {
    let mut db = Db::new();
    let queued = db.submit(&for_agent("echo")).task.id;
    let done = db
        .write(|tx| control::cancel(tx, queued, "no more"))
        .unwrap();
    assert_eq!(done.tasks, [queued]);
    let again = db
        .write(|tx| control::cancel(tx, queued, "no more"))
        .unwrap();
    assert!(again.tasks.is_empty(), "what is so already stays");

    let claimed = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    let asked = db
        .write(|tx| control::cancel(tx, claimed.id, "no more"))
        .unwrap();
    assert_eq!(asked.running, [(claimed.id, claimed.lease_id)]);
    assert_eq!(
        db.settle(claimed.id, claimed.lease_id, Outcome::Cancelled)
            .state,
        TaskState::Cancelled
    );
    assert_eq!(db.task(claimed.id).error.unwrap().message, "no more");
    let succeeded = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    db.succeed(&succeeded, json!(1));
    let refused = db.write(|tx| control::cancel(tx, succeeded.id, "late"));
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
}

#[test]
fn what_a_lost_session_held_is_queued_again_at_once_and_costs_no_attempt() {
    let mut db = Db::new();
    let claimed = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    db.begin_session();
    let session = db.session;
    let rescued = db.write(|tx| rescue(tx, session)).unwrap();
    assert_eq!(rescued, Rescued { queued: 1, dead: 0 });
    let task = db.task(claimed.id);
    assert_eq!(
        (task.state, task.attempt, task.interruptions),
        (TaskState::Queued, 1, 1)
    );
    assert_eq!(db.claim(&[slots("echo", 0, 1)])[0].attempt, 2);
    assert_eq!(
        db.write(|tx| rescue(tx, session)).unwrap(),
        Rescued::default(),
        "its own it keeps"
    );
}

#[test]
fn a_session_that_has_ended_hands_nothing_out() {
    let mut db = Db::new();
    db.submit(&for_agent("echo"));
    db.conn
        .execute("UPDATE sessions SET ended_at = 1", [])
        .unwrap();
    let (session, rules) = (db.session, db.rules.clone());
    let refused = db.write(|tx| claim::claim(tx, session, &[slots("echo", 0, 1)], &rules));
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
}

#[test]
fn progress_is_kept_under_the_lease_and_shown() {
    let mut db = Db::new();
    let claimed = db
        .offer(&for_agent("echo"), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    let said = Progress {
        percent: Some(40.0),
        message: Some("4/10".into()),
        at: db.now,
    };
    db.write(|tx| control::progress(tx, claimed.id, claimed.lease_id, &said))
        .unwrap();
    assert_eq!(db.task(claimed.id).progress, Some(said.clone()));
    let other = LeaseId::from_bytes([1; 16]);
    let late = Progress {
        percent: Some(1.0),
        ..said.clone()
    };
    db.write(|tx| control::progress(tx, claimed.id, other, &late))
        .unwrap();
    assert_eq!(db.task(claimed.id).progress, Some(said));
}
