//! What an operator sees of the fleet: lists, crashes, and why an agent does not run.

use serde_json::Value;

use crate::daemon::{Daemon, eventually};

const THREE: &str = r#"
    [agents.one]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]

    [agents.two]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]

    [agents.another]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]
"#;

#[test]
fn agents_are_listed_page_by_page_in_the_order_of_the_configuration() {
    let daemon = Daemon::configured(THREE);
    let mut names = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..3 {
        let mut words = vec!["agents", "list", "--limit", "1"];
        words.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let page = daemon.json(&words);
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
        names.push(page["items"][0]["name"].as_str().unwrap().to_owned());
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        assert_eq!(page["has_more"], cursor.is_some());
    }
    assert_eq!(names, ["one", "two", "another"]);
    assert_eq!(cursor, None);
    let (status, body) = daemon.get("/api/v1/agents?cursor=nobody");
    assert_eq!(status, 400, "{body}");
}

#[test]
fn an_agent_that_is_ready_is_not_shown_as_starting_until_the_next_round() {
    let daemon = Daemon::configured(THREE);
    eventually("every agent is healthy and idle", || {
        let report: Value = serde_json::from_str(&daemon.get("/health").1).ok()?;
        let checks = report["checks"].as_array()?;
        let agents = checks
            .iter()
            .filter(|check| check["component"] == "agent")
            .all(|check| check["message"] == "1 ready, idle");
        agents.then_some(())
    });
}
