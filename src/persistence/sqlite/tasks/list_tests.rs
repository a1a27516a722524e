//! Claims about lists and counts of tasks.

use std::time::Duration;

use super::harness::{Db, for_agent, slots, task_for};
use super::*;
use crate::domain::ids::WorkflowId;

#[test]
fn pages_come_newest_first_and_filters_hold_together() {
    let mut db = Db::new();
    let label = |value: &str| [("k".to_owned(), value.to_owned())].into();
    for index in 0..7 {
        let agent = if index % 2 == 0 { "echo" } else { "sum" };
        db.submit(&NewTask {
            labels: label(agent),
            ..for_agent(agent)
        });
    }
    let filter = TaskFilter {
        agent: Some("echo".parse().unwrap()),
        states: vec![TaskState::Queued],
        labels: label("echo"),
        ..TaskFilter::default()
    };
    let mut page = PageRequest {
        limit: 3,
        cursor: None,
    };
    let first = pages::tasks(&db.conn, &filter, &page).unwrap();
    assert!(first.items.len() == 3 && first.has_more);
    assert!(first.items.is_sorted_by(|a, b| a.id > b.id));
    page.cursor = first.next_cursor;
    let second = pages::tasks(&db.conn, &filter, &page).unwrap();
    assert!(second.items.len() == 1 && !second.has_more && second.next_cursor.is_none());
    page.cursor = Some("nonsense".into());
    assert!(pages::tasks(&db.conn, &filter, &page).is_err());
}

#[test]
fn tasks_are_found_by_their_name() {
    let mut db = Db::new();
    for name in ["one", "two", "one"] {
        db.submit(&NewTask {
            name: name.to_owned(),
            ..for_agent("echo")
        });
    }
    let filter = TaskFilter {
        name: Some("one".to_owned()),
        ..TaskFilter::default()
    };
    let found = pages::tasks(&db.conn, &filter, &PageRequest::default()).unwrap();
    assert_eq!(found.items.len(), 2);
    assert!(found.items.iter().all(|task| task.name == "one"));
}

#[test]
fn counts_tell_queues_and_targets() {
    let mut db = Db::new();
    db.submit(&for_agent("echo"));
    db.offer(&for_agent("echo"), &slots("echo", 0, 1));
    db.submit(&task_for(Target::Role("worker".parse().unwrap())));
    let queues = census::now(&db.conn);
    assert_eq!(
        (queues[0].tasks["queued"], queues[0].tasks["running"]),
        (2, 1)
    );
    let by_target = list::queued_by_target(&db.conn).unwrap();
    assert_eq!(
        by_target,
        [("echo".to_owned(), 1), ("worker".to_owned(), 1)]
    );
}

#[test]
fn what_is_dead_runs_or_belongs_to_a_workflow_is_found_without_looking_at_the_rest() {
    let db = Db::new();
    let plan = |filter: TaskFilter| pages::plan_of(&db.conn, &filter);
    let in_state = |state| {
        plan(TaskFilter {
            states: vec![state],
            ..TaskFilter::default()
        })
    };
    let (dead, running) = (in_state(TaskState::Dead), in_state(TaskState::Running));
    assert!(dead.contains("USING INDEX tasks_dead"), "{dead}");
    assert!(running.contains("USING INDEX tasks_running"), "{running}");
    let flow = plan(TaskFilter {
        workflow: Some(WorkflowId::from_bytes([1; 16])),
        ..TaskFilter::default()
    });
    assert!(flow.contains("USING INDEX tasks_by_workflow"), "{flow}");
}

#[test]
fn a_walk_ends_with_its_time_and_goes_on_from_its_cursor_over_gaps_to_the_end() {
    let mut db = Db::new();
    let sum = for_agent("sum");
    db.submit(&sum);
    for away in [2_000_000, 3_000_000] {
        db.submit(&for_agent("echo"));
        let last = "UPDATE tasks SET key = ?1 WHERE key = (SELECT max(key) FROM tasks)";
        db.conn.execute(last, [away]).unwrap();
    }
    let filter = TaskFilter {
        agent: Some("sum".parse().unwrap()),
        ..TaskFilter::default()
    };
    let mut page = PageRequest::default();
    let (mut items, mut walks) = (Vec::new(), 0);
    loop {
        let found = pages::within(&db.conn, &filter, &page, Duration::ZERO).unwrap();
        assert_eq!(found.has_more, found.next_cursor.is_some());
        items.extend(found.items);
        walks += 1;
        page.cursor = found.next_cursor;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!((items.len(), items[0].id, walks), (1, sum.id, 3));
    let whole = pages::within(&db.conn, &filter, &PageRequest::default(), Duration::MAX).unwrap();
    assert!(whole.items.len() == 1 && !whole.has_more);
}
