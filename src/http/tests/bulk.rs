//! Claims about commands to many tasks at once.

use serde_json::{Value, json};

use super::house::House;

async fn queued(house: &House) -> usize {
    let list = house.get("/api/v1/tasks?state=queued").await.json();
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_command_to_many_touches_no_state_that_was_not_named() {
    let house = House::open().await;
    for _ in 0..3 {
        let said = house.post("/api/v1/tasks", r#"{"agent":"echo"}"#).await;
        assert_eq!(said.status.as_u16(), 202);
    }
    let nothing =
        json!({"dry_run": false, "matched": 0, "done": 0, "skipped": 0, "complete": true});
    for (path, filter) in [
        // What is named is over, or not over yet: nothing fits.
        (
            "tasks:bulk",
            json!({"action": "cancel", "filter": {"state": ["succeeded"]}}),
        ),
        (
            "tasks:bulk",
            json!({"action": "cancel", "filter": {"state": ["dead"], "agent": "echo"}}),
        ),
        (
            "tasks:bulk",
            json!({"action": "retry", "filter": {"state": ["succeeded", "running"]}}),
        ),
        (
            "dead-letters:retry",
            json!({"filter": {"state": ["failed"]}}),
        ),
        (
            "dead-letters:purge",
            json!({"filter": {"state": ["queued"]}}),
        ),
    ] {
        let said = house
            .post(&format!("/api/v1/{path}"), &filter.to_string())
            .await;
        assert_eq!(
            (said.status.as_u16(), said.json()),
            (200, nothing.clone()),
            "{path} {filter}"
        );
    }
    assert_eq!(queued(&house).await, 3);
    let cancel = json!({"action": "cancel", "filter": {"state": ["succeeded", "queued"]}});
    let said = house.post("/api/v1/tasks:bulk", &cancel.to_string()).await;
    assert_eq!(said.json()["done"], Value::from(3));
    assert_eq!(queued(&house).await, 0);
}
