//! Claims about the answers' shapes.

use serde_json::{Value, json};

use super::house::House;
use crate::domain::agent::AgentState;
use crate::domain::health::HealthStatus;
use crate::http::Readiness;

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn the_probes_say_what_they_are_for() {
    let house = House::open().await;
    assert_eq!(house.get("/livez").await.json(), json!({"status": "alive"}));
    assert_eq!(
        house.get("/startupz").await.json(),
        json!({"status": "started"})
    );
    assert_eq!(
        house.get("/readyz").await.json(),
        json!({"status": "ready"})
    );
    let verbose = house.get("/readyz?verbose").await.json();
    let names: Vec<_> = verbose["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].clone())
        .collect();
    assert_eq!(names, ["daemon", "database", "schema", "agents"]);
    let version = house.get("/version").await.json();
    assert_eq!(
        keys(&version),
        [
            "environment",
            "node",
            "pid",
            "ports",
            "started_at",
            "version"
        ]
    );
    assert_eq!(version["ports"], json!({"http": 5000, "metrics": 8000}));
    assert_eq!(version["started_at"], "2023-11-14T22:13:20.000Z");
}

#[tokio::test]
async fn a_daemon_that_is_not_ready_says_what_is_missing() {
    let house = House::open().await;
    house.rooms.agent.lock().state = AgentState::Backoff;
    let heard = house.get("/readyz").await;
    assert_eq!(heard.status, 503);
    assert_eq!(heard.json()["missing"], json!(["agents: echo is backoff"]));
    assert_eq!(heard.header("retry-after"), "5");
    house.readiness.send_replace(Readiness {
        part_down: None,
        started: true,
        draining: true,
    });
    let heard = house.get("/readyz").await;
    assert!(
        heard.json()["detail"]
            .as_str()
            .unwrap()
            .contains("daemon: draining")
    );
    house.readiness.send_replace(Readiness {
        part_down: Some("journal"),
        started: true,
        draining: false,
    });
    let heard = house.get("/readyz").await.json();
    assert_eq!(
        heard["missing"][0],
        "daemon: its journal is being restarted"
    );
    house.readiness.send_replace(Readiness::default());
    assert_eq!(house.get("/startupz").await.status, 503);
    assert_eq!(house.get("/livez").await.status, 200);
}

#[tokio::test]
async fn health_is_503_only_when_something_is_critical() {
    let house = House::open().await;
    for (status, code) in [
        (HealthStatus::Healthy, 200),
        (HealthStatus::Warning, 200),
        (HealthStatus::Unknown, 200),
        (HealthStatus::Critical, 503),
    ] {
        *house.rooms.status.lock() = status;
        let heard = house.get("/health").await;
        assert_eq!(heard.status.as_u16(), code, "{status:?}");
        assert_eq!(keys(&heard.json()), ["checked_at", "checks", "status"]);
        let check = [
            "component",
            "details",
            "duration_ms",
            "message",
            "name",
            "since",
            "status",
            "threshold",
            "value",
        ];
        assert_eq!(keys(&heard.json()["checks"][0]), check);
    }
}

#[tokio::test]
async fn an_agent_has_the_agreed_members() {
    let house = House::open().await;
    let agent = house.get("/api/v1/agents/echo").await.json();
    for member in [
        "name",
        "kind",
        "role",
        "group",
        "desired",
        "state",
        "replicas",
        "instances",
        "health",
        "generation",
        "pid",
        "started_at",
        "uptime_ms",
        "restarts",
        "queue",
        "usage",
        "labels",
    ] {
        assert!(agent.get(member).is_some(), "{member}");
    }
    assert_eq!(
        keys(&agent["restarts"]),
        ["breaker", "last_reason", "next_at", "total", "window"]
    );
    assert_eq!(keys(&agent["queue"]), ["capacity", "depth", "running"]);
    let list = house.get("/api/v1/agents").await.json();
    assert_eq!(keys(&list), ["has_more", "items", "next_cursor"]);
    assert_eq!(
        house.get("/api/v1/agents?state=failed").await.json()["items"],
        json!([])
    );
    assert_eq!(
        house.get("/api/v1/agents?kind=process").await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        house.get("/api/v1/agents/echo/logs?limit=1").await.json()["items"],
        json!(["two"])
    );
    assert_eq!(
        house.get("/api/v1/agents/echo/health").await.json()["name"],
        "agent.echo"
    );
    assert_eq!(
        house.get("/api/v1/agents/echo/explain").await.json()["state"],
        "ready"
    );
    assert_eq!(
        house.get("/api/v1/agents/echo/crashes").await.json()["items"],
        json!([])
    );
    assert_eq!(house.get("/api/v1/tree").await.json()["name"], "root");
}

#[tokio::test]
async fn a_command_answers_with_the_agent_as_it_then_is() {
    let house = House::open().await;
    let stopped = house.post("/api/v1/agents/echo:stop", "").await;
    assert_eq!(
        (stopped.status.as_u16(), &stopped.json()["desired"]),
        (200, &"stopped".into())
    );
    let scaled = house
        .post("/api/v1/agents/echo:scale", "{\"replicas\":3}")
        .await;
    assert_eq!(scaled.json()["replicas"]["desired"], 3);
    let one = house.post("/api/v1/agents/echo%231:restart", "{}").await;
    assert_eq!(one.status, 200);
}

#[tokio::test]
async fn a_task_has_the_agreed_members_and_is_found_where_the_answer_says() {
    let house = House::open().await;
    let body = json!({"agent": "echo", "payload": {"text": "hello"}, "labels": {"team": "a"}});
    let accepted = house.post("/api/v1/tasks", &body.to_string()).await;
    assert_eq!(accepted.status, 202);
    let task = house.get(accepted.header("location")).await.json();
    for member in [
        "id",
        "workflow_id",
        "name",
        "agent",
        "role",
        "queue",
        "state",
        "priority",
        "payload",
        "result",
        "error",
        "attempt",
        "max_attempts",
        "crash_attempts",
        "interruptions",
        "lease",
        "progress",
        "depends_on",
        "labels",
        "timeout_ms",
        "run_at",
        "created_at",
        "started_at",
        "finished_at",
    ] {
        assert!(task.get(member).is_some(), "{member}");
    }
    assert_eq!(task["payload"], body["payload"]);
}

#[tokio::test]
async fn a_submission_that_waits_is_answered_with_the_task_as_it_then_is() {
    let house = House::open().await;
    let waited = house.post("/api/v1/tasks?wait=1ms", "{\"agent\": \"echo\"}");
    let waited = waited.await;
    assert_eq!(waited.status.as_u16(), 202);
    let path = format!("/api/v1/tasks/{}", waited.json()["id"].as_str().unwrap());
    assert_eq!(waited.json(), house.get(&path).await.json());
}

#[tokio::test]
async fn a_cancelled_task_is_found_by_its_state_and_label() {
    let house = House::open().await;
    let body = "{\"agent\": \"echo\", \"labels\": {\"team\": \"a\"}}";
    let task = house.post("/api/v1/tasks", body).await.json();
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let reason = "{\"reason\":\"no need\"}";
    let cancelled = house.post(&format!("{path}:cancel"), reason).await;
    assert_eq!(cancelled.json()["state"], "cancelled");
    let waited = house.get(&format!("{path}?wait=30s")).await;
    assert_eq!(waited.json()["state"], "cancelled");
    for (path, found) in [
        (format!("{path}/attempts"), 0),
        ("/api/v1/tasks?label=team=b".to_owned(), 0),
        ("/api/v1/tasks?label=team=a&state=cancelled".to_owned(), 1),
    ] {
        let list = house.get(&path).await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{path}");
    }
}

#[tokio::test]
async fn a_list_is_turned_page_by_page_by_its_link() {
    let house = House::open().await;
    for _ in 0..3 {
        house.post("/api/v1/tasks", "{\"agent\":\"echo\"}").await;
    }
    let mut path = "/api/v1/tasks?state=queued&limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let heard = house.get(&path).await;
        let page = heard.json();
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["id"].clone()),
        );
        let link = heard.header("link");
        assert_eq!(link.is_empty(), page["has_more"] == false, "{link}");
        match link
            .strip_prefix('<')
            .and_then(|link| link.strip_suffix(">; rel=\"next\""))
        {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
    assert_eq!(
        house.get("/api/v1/tasks?cursor=junk").await.status.as_u16() / 100,
        4
    );
}

#[tokio::test]
async fn a_workflow_shows_its_graph_as_json_and_as_dot() {
    let house = House::open().await;
    let body = json!({"name": "w", "tasks": [
        {"name": "split", "agent": "echo", "payload": {}},
        {"name": "merge", "agent": "echo", "payload": {"$ref": "tasks.split.result"}},
    ]});
    let accepted = house.post("/api/v1/workflows", &body.to_string()).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let id = accepted.json()["id"].as_str().unwrap().to_owned();
    let graph = house
        .get(&format!("/api/v1/workflows/{id}/graph"))
        .await
        .json();
    assert_eq!(graph["edges"], json!([{"from": "split", "to": "merge"}]));
    assert_eq!(graph["nodes"][1]["state"], "blocked");
    let dot = house
        .get(&format!("/api/v1/workflows/{id}/graph?format=dot"))
        .await;
    assert!(dot.header("content-type").starts_with("text/vnd.graphviz"));
    assert!(String::from_utf8_lossy(&dot.bytes).contains("\"split\" -> \"merge\";"));
    assert_eq!(
        house
            .get(&format!("/api/v1/tasks?workflow_id={id}"))
            .await
            .json()["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let cancelled = house
        .post(&format!("/api/v1/workflows/{id}:cancel"), "")
        .await;
    assert_eq!(cancelled.json()["state"], "cancelled");
}

#[tokio::test]
async fn an_artifact_comes_back_byte_for_byte() {
    let house = House::open().await;
    let stored = house
        .ask(hyper::Method::POST, "/api/v1/artifacts", &[], "abc")
        .await;
    assert_eq!(stored.status, 201);
    let reference = stored.json();
    assert_eq!(keys(&reference), ["$artifact", "bytes", "sha256"]);
    let name = reference["$artifact"].as_str().unwrap();
    for path in [name.to_owned(), name.replace('/', "%2F")] {
        assert_eq!(
            &house.get(&format!("/api/v1/artifacts/{path}")).await.bytes[..],
            b"abc"
        );
    }
}

#[tokio::test]
async fn every_other_list_answers() {
    let house = House::open().await;
    for path in [
        "queues",
        "messages",
        "health/checks",
        "health/checks/agent.echo/history",
        "recovery/actions",
        "recovery/runs",
        "events",
        "metrics/system",
        "metrics/agents",
        "agents/echo/metrics",
    ] {
        let heard = house.get(&format!("/api/v1/{path}")).await;
        assert_eq!(heard.status, 200, "{path}: {heard:?}");
        assert!(heard.json()["items"].is_array(), "{path}");
    }
    assert_eq!(
        house.get("/api/v1/config").await.json()["security"]["jwt"]["secret"],
        "…"
    );
    assert_eq!(
        house
            .post("/api/v1/health/checks/agent.echo:run", "")
            .await
            .status,
        200
    );
    assert_eq!(
        house
            .post("/api/v1/recovery/actions/restart_echo:run", "")
            .await
            .json()["outcome"],
        "succeeded"
    );
    assert!(String::from_utf8_lossy(&house.get("/").await.bytes).starts_with("<!doctype html>"));
}
