//! The contract's small print, as somebody meets it who has never seen the code: one real daemon, its
//! command line and its routes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::daemon::Daemon;

/// Three of each list that is kept in memory, and an agent that does its work at once.
const THREE_OF_EACH: &str = r#"
    [agents.one]
    kind = "actor"
    actor = "word_count"
    [agents.two]
    kind = "actor"
    actor = "word_count"
    [agents.three]
    kind = "actor"
    actor = "word_count"
    [queues.bulk]
    [queues.crawl]
    capacity = 1
    [schedules.alpha]
    cron = "0 0 1 1 *"
    agent = "one"
    [schedules.beta]
    cron = "0 0 1 1 *"
    agent = "one"
    [schedules.gamma]
    cron = "0 0 1 1 *"
    agent = "one"
"#;

/// The names of a list, read page by page with so many on each.
fn names(daemon: &Daemon, list: &str, limit: usize) -> Vec<String> {
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/{list}?limit={limit}{cursor}");
        let (status, page) = daemon.get(&path);
        assert_eq!(status, 200, "{path}: {page}");
        let page: Value = serde_json::from_str(&page).unwrap();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{path}: {page}");
        let shown = |item: &Value| item["name"].as_str().unwrap().to_owned();
        names.extend(items.iter().map(shown));
        let Some(next) = page["next_cursor"].as_str() else {
            assert_eq!(page["has_more"], false, "{path}: {page}");
            return names;
        };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn every_list_in_memory_turns_its_pages_and_says_nothing_twice() {
    let daemon = Daemon::configured(THREE_OF_EACH);
    for list in [
        "agents",
        "queues",
        "schedules",
        "health/checks",
        "recovery/actions",
    ] {
        let whole = names(&daemon, list, 500);
        assert!(whole.len() > 1, "{list}: {whole:?}");
        let paged: BTreeSet<_> = names(&daemon, list, 1).into_iter().collect();
        assert_eq!(paged, whole.iter().cloned().collect(), "{list}");
        assert_eq!(names(&daemon, list, 2).len(), whole.len(), "{list}");
    }
    let listed = daemon.cli(&["queues", "list", "--limit", "1", "-o", "name"]);
    assert_eq!(listed.stdout, b"bulk\n", "{listed:?}");
}

#[test]
fn work_is_called_by_its_name_wherever_its_id_is() {
    let daemon = Daemon::configured(THREE_OF_EACH);
    let run = |arguments: &[&str]| {
        let output = daemon.cli(arguments);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap();
        (code, text(&output.stdout), text(&output.stderr))
    };
    let hand_in = |name: &str| {
        let body = json!({"queue": "bulk", "name": name}).to_string();
        let (status, task) = daemon.post("/api/v1/tasks", &body);
        assert_eq!(status, 202, "{task}");
        let task: Value = serde_json::from_str(&task).unwrap();
        task["id"].as_str().unwrap().to_owned()
    };
    let alone = hand_in("nightly");
    let (older, newer) = (hand_in("hourly"), hand_in("hourly"));

    assert_eq!(
        run(&["tasks", "get", "nightly", "-o", "name"]).1.trim(),
        alone
    );
    assert_eq!(run(&["tasks", "get", &older, "-o", "name"]).1.trim(), older);
    let (code, shown, said) = run(&["tasks", "get", "hourly", "-o", "name"]);
    assert_eq!((code, shown.trim()), (0, newer.as_str()));
    assert!(said.contains("several tasks are named 'hourly'"), "{said}");

    let (code, _, said) = run(&["tasks", "cancel", "hourly"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(&newer), "{said}");
    let (code, shown, _) = run(&["tasks", "cancel", "nightly"]);
    assert_eq!((code, shown), (0, format!("{alone} is cancelled\n")));

    let (code, _, said) = run(&["tasks", "explain", "nihgtly"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("did you mean 'nightly'?"), "{said}");
    let (code, _, said) = run(&["workflows", "graph", "none"]);
    assert_eq!(code, 3, "{said}");
    assert!(
        said.contains("no workflow has the id or name 'none'"),
        "{said}"
    );
}

#[test]
fn what_is_planned_and_not_there_yet_is_refused_by_name_on_the_command_line() {
    let daemon = Daemon::configured(THREE_OF_EACH);
    for (arguments, named) in [
        (&["keys", "list"][..], "keys of the API"),
        (&["keys", "create", "--name", "ci"], "keys of the API"),
        (&["keys"], "keys of the API"),
        (&["audit", "verify"], "the audit trail"),
    ] {
        let output = daemon.cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {said}");
        let wanted = format!("{named}: not in this version");
        assert!(said.contains(&wanted), "{arguments:?}: {said}");
    }
}

#[test]
fn the_history_of_health_needs_no_name_and_covers_every_check() {
    let daemon = Daemon::configured(THREE_OF_EACH);
    let output = daemon.cli(&["health", "history", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    let items = page["items"].as_array().unwrap();
    let checks: BTreeSet<_> = items.iter().filter_map(|it| it["check"].as_str()).collect();
    for check in ["system", "database", "agent.one"] {
        assert!(checks.contains(check), "{check} is not in {checks:?}");
    }
    let instants: Vec<_> = items.iter().map(|it| it["at"].as_str().unwrap()).collect();
    assert!(instants.is_sorted_by(|a, b| a >= b), "{instants:?}");
}
