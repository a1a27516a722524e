//! Claims about lists and counts of tasks.

use super::harness::{Db, for_agent, slots, task_for};
use super::*;

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
    let first = list::tasks(&db.conn, &filter, &page).unwrap();
    assert!(first.items.len() == 3 && first.has_more);
    assert!(first.items.is_sorted_by(|a, b| a.id > b.id));
    page.cursor = first.next_cursor;
    let second = list::tasks(&db.conn, &filter, &page).unwrap();
    assert!(second.items.len() == 1 && !second.has_more && second.next_cursor.is_none());
    page.cursor = Some("nonsense".into());
    assert!(list::tasks(&db.conn, &filter, &page).is_err());
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
    let found = list::tasks(&db.conn, &filter, &PageRequest::default()).unwrap();
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
fn dead_letters_are_found_without_looking_at_what_is_not_dead() {
    let db = Db::new();
    let filter = TaskFilter {
        states: vec![TaskState::Dead],
        ..TaskFilter::default()
    };
    let plan = list::plan_of(&db.conn, &filter);
    assert!(plan.contains("USING INDEX tasks_dead"), "{plan}");
}
