//! Claims about what is refused: the right status and code, and a detail that names the thing.

use hyper::Method;

use super::house::House;

/// Method, path, body, status, code, a part of the detail.
type Case = (
    &'static str,
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static str,
);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("GET", "/nowhere", "", 404, "route_not_found", "/nowhere"),
    ("GET", "/api/v1/agent", "", 404, "route_not_found", "did you mean '/api/v1/agents'?"),
    ("GET", "/api/v1/keyring", "", 404, "route_not_found", ""),
    ("GET", "/api/v1/keys", "", 501, "not_in_this_version", "API keys: not in this version"),
    ("POST", "/api/v1/keys", "{}", 501, "not_in_this_version", "API keys"),
    ("DELETE", "/api/v1/keys/key_1", "", 501, "not_in_this_version", "API keys"),
    ("POST", "/api/v1/keys/key_1:rotate", "", 501, "not_in_this_version", "API keys"),
    ("POST", "/api/v1/auth/token", "{}", 501, "not_in_this_version", "tokens"),
    ("GET", "/api/v1/audit", "", 501, "not_in_this_version", "the audit trail"),
    ("POST", "/api/v1/audit:verify", "", 501, "not_in_this_version", "the audit trail"),
    ("POST", "/api/v1/agents/echo:strat", "", 404, "route_not_found", "did you mean ':start'?"),
    ("DELETE", "/api/v1/tasks", "", 405, "method_not_allowed", "GET, POST"),
    ("POST", "/livez", "", 405, "method_not_allowed", "GET"),
    ("GET", "/api/v1/agents/echo:stop", "", 405, "method_not_allowed", "POST"),
    ("GET", "/api/v1/agents/ehco", "", 404, "agent_not_found", "did you mean 'echo'?"),
    ("GET", "/api/v1/agents/%2e%2e", "", 404, "agent_not_found", "'..'"),
    ("GET", "/api/v1/agents/ehco/crashes", "", 404, "agent_not_found", "ehco"),
    ("POST", "/api/v1/agents/ehco:stop", "", 404, "agent_not_found", "ehco"),
    ("GET", "/api/v1/tasks/nonsense", "", 404, "task_not_found", "tsk_"),
    ("GET", "/api/v1/tasks/tsk_00000000000000000000000000000000", "", 404, "task_not_found", "tsk_0000"),
    ("GET", "/api/v1/workflows/wfl_00000000000000000000000000000000/graph", "", 404, "workflow_not_found", "wfl_0000"),
    ("GET", "/api/v1/health/checks/agent.ehco", "", 404, "check_not_found", "did you mean 'agent.echo'?"),
    ("POST", "/api/v1/recovery/actions/restart_eco:run", "", 404, "action_not_found", "did you mean 'restart_echo'?"),
    ("POST", "/api/v1/recovery/actions/restart-agent:run", "", 422, "validation_failed", "say for which check, such as agent.echo"),
    ("GET", "/api/v1/queues/defalt", "", 404, "queue_not_found", "defalt"),
    ("GET", "/api/v1/artifacts/uploads%2Fnone", "", 404, "artifact_not_found", "uploads/none"),
    ("GET", "/api/v1/artifacts/..%2F..%2Fetc", "", 404, "artifact_not_found", ""),
    ("GET", "/api/v1/agents?state=redy", "", 400, "invalid_request", "'redy' is none of pending, starting, ready"),
    ("GET", "/api/v1/agents?kind=actor,robot", "", 400, "invalid_request", "'robot' is none of actor, process, http"),
    ("GET", "/api/v1/tasks?limt=1", "", 400, "invalid_request", "did you mean 'limit'?"),
    ("GET", "/api/v1/tasks?limit=0", "", 400, "invalid_request", "1 to 500"),
    ("GET", "/api/v1/tasks?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/workflows?cursor=-1", "", 400, "invalid_request", "'-1' is no cursor of this list"),
    ("GET", "/api/v1/messages?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/recovery/runs?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/agents?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/queues?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/queues?limit=0", "", 400, "invalid_request", "1 to 500"),
    ("GET", "/api/v1/schedules?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/schedules?limit=501", "", 400, "invalid_request", "1 to 500"),
    ("GET", "/api/v1/health/checks?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/health/checks?limit=0", "", 400, "invalid_request", "1 to 500"),
    ("GET", "/api/v1/recovery/actions?cursor=zz", "", 400, "invalid_request", "'zz' is no cursor of this list"),
    ("GET", "/api/v1/recovery/actions?limit=0", "", 400, "invalid_request", "1 to 500"),
    ("GET", "/api/v1/tasks?state=done", "", 400, "invalid_request", "succeeded"),
    ("GET", "/api/v1/tasks/tsk_00000000000000000000000000000000?wait=2h", "", 400, "invalid_request", "'2h'"),
    ("GET", "/api/v1/events?types=task.suceeded", "", 400, "invalid_request", "did you mean"),
    ("POST", "/api/v1/tasks?wait=2h", "{\"agent\":\"echo\"}", 400, "invalid_request", "'2h'"),
    ("POST", "/api/v1/tasks", "{\"agent\":", 400, "invalid_request", "line 1"),
    ("POST", "/api/v1/tasks", "", 400, "invalid_request", "not JSON"),
    ("POST", "/api/v1/tasks", "[]", 422, "validation_failed", "#: expected an object, not a list"),
    ("POST", "/api/v1/tasks", "[\"echo\",null,null,null,1,null,null,null,null,{},null,null,null,null]", 422, "validation_failed", "expected an object"),
    ("POST", "/api/v1/tasks", "7", 422, "validation_failed", "expected an object"),
    ("POST", "/api/v1/tasks", "{\"agent\":\"echo\",\"unique\":\"k\"}", 422, "validation_failed", "#/unique: invalid type: string \"k\", expected an object"),
    ("POST", "/api/v1/agents/echo:scale", "{\"replicas\":1.5}", 422, "validation_failed", "expected a whole number"),
    ("POST", "/api/v1/tasks", "{\"agnt\":\"echo\"}", 422, "validation_failed", "did you mean 'agent'?"),
    ("POST", "/api/v1/tasks", "{}", 422, "validation_failed", "exactly one of"),
    ("POST", "/api/v1/tasks", "{\"agent\":\"echo\",\"queue\":\"default\"}", 422, "validation_failed", "exactly one of"),
    ("POST", "/api/v1/tasks", "{\"agent\":\"Echo\"}", 422, "validation_failed", "'Echo' is not a name"),
    ("POST", "/api/v1/tasks", "{\"agent\":\"echo\",\"priority\":10}", 422, "validation_failed", "1 to 9"),
    ("POST", "/api/v1/tasks", "{\"agent\":\"echo\",\"run_at\":\"soon\"}", 422, "validation_failed", "'soon'"),
    ("POST", "/api/v1/agents/echo:scale", "{\"replicas\":-1}", 422, "validation_failed", "#/replicas"),
    ("POST", "/api/v1/agents/echo:scale", "", 400, "invalid_request", "not JSON"),
    ("POST", "/api/v1/agents/echo:stop", "{\"now\":true}", 422, "validation_failed", "'now'"),
    ("POST", "/api/v1/agents/echo%231:scale", "{\"replicas\":1}", 400, "invalid_request", "name the agent"),
    ("POST", "/api/v1/workflows", "{\"name\":\"w\",\"tasks\":[{\"name\":\"a\",\"agent\":\"echo\",\"depends_on\":[\"a\"]}]}", 422, "validation_failed", "a"),
    ("POST", "/api/v1/workflows", "{\"name\":\"w\",\"taks\":[]}", 422, "validation_failed", "faults"),
    ("POST", "/api/v1/queues/default:pause", "{\"until\":\"2020-01-01T00:00:00Z\"}", 422, "validation_failed", "until: 2020-01-01T00:00:00.000Z is past"),
    ("POST", "/api/v1/schedules/nightly:pause", "{\"until\":\"2020-01-01T00:00:00Z\"}", 422, "validation_failed", "until: 2020-01-01T00:00:00.000Z is past"),
    ("POST", "/api/v1/agents/echo:pause", "", 500, "internal_error", "its log says why"),
];

#[tokio::test]
async fn every_bad_request_is_a_problem_that_names_the_thing_and_the_way_out() {
    let house = House::open().await;
    for (method, path, body, status, code, detail) in CASES {
        let method: Method = method.parse().unwrap();
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", "mine-1"),
        ];
        let heard = house.ask(method.clone(), path, &headers, body).await;
        let at = format!("{method} {path} {body}: {heard:?}");
        let problem = heard.json();
        assert_eq!(heard.status.as_u16(), *status, "{at}");
        assert_eq!(
            heard.header("content-type"),
            "application/problem+json",
            "{at}"
        );
        assert_eq!(problem["code"], *code, "{at}");
        assert_eq!(problem["status"], *status, "{at}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{at}");
        assert_eq!(problem["request_id"], "mine-1", "{at}");
        assert_eq!(heard.header("x-request-id"), "mine-1", "{at}");
        let bare = path.split('?').next().unwrap();
        assert_eq!(problem["instance"], bare, "{at}");
        for member in ["type", "title"] {
            assert!(problem[member].is_string(), "{at}");
        }
        assert_eq!(heard.header("allow").is_empty(), *status != 405, "{at}");
    }
    assert_eq!(house.get("/livez").await.status, 200);
}

#[tokio::test]
async fn a_body_of_another_type_is_415_and_one_that_is_too_long_413() {
    let house = House::open().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let heard = house
        .ask(Method::POST, "/api/v1/tasks", &form, "agent=echo")
        .await;
    assert_eq!(
        (heard.status.as_u16(), &heard.json()["code"]),
        (415, &"unsupported_media_type".into())
    );
    let long = format!(
        "{{\"agent\":\"echo\",\"payload\":\"{}\"}}",
        "x".repeat(3 << 20)
    );
    let heard = house.post("/api/v1/tasks", &long).await;
    assert_eq!(
        (heard.status.as_u16(), &heard.json()["code"]),
        (413, &"payload_too_large".into())
    );
    let heard = house
        .ask(Method::POST, "/api/v1/artifacts", &[], &"x".repeat(1001))
        .await;
    assert_eq!(heard.status.as_u16(), 413);
}

#[tokio::test]
async fn a_page_of_another_site_may_not_change_anything() {
    let house = House::open().await;
    let foreign = [("origin", "https://example.org")];
    let heard = house
        .ask(Method::POST, "/api/v1/agents/echo:stop", &foreign, "")
        .await;
    assert_eq!(
        (heard.status.as_u16(), &heard.json()["code"]),
        (403, &"cross_origin".into())
    );
    let own = format!("http://{}", house.server.address());
    let heard = house
        .ask(
            Method::POST,
            "/api/v1/agents/echo:stop",
            &[("origin", &own)],
            "",
        )
        .await;
    assert_eq!(heard.status.as_u16(), 200);
}

#[tokio::test]
async fn a_request_without_an_id_gets_one() {
    let house = House::open().await;
    let heard = house.get("/livez").await;
    assert!(
        heard.header("x-request-id").starts_with("req_"),
        "{heard:?}"
    );
}

#[tokio::test]
async fn the_same_key_gives_the_first_task_and_another_body_is_refused() {
    let house = House::open().await;
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "k1"),
    ];
    let send = |body| house.ask(Method::POST, "/api/v1/tasks", &headers, body);
    let first = send("{\"agent\":\"echo\",\"priority\":3}").await;
    assert_eq!(first.status.as_u16(), 202);
    let again = send("{\"priority\":3, \"agent\":\"echo\"}").await;
    assert_eq!(again.status.as_u16(), 200);
    assert_eq!(first.json()["id"], again.json()["id"]);
    let other = send("{\"agent\":\"echo\",\"priority\":4}").await;
    assert_eq!(
        (other.status.as_u16(), &other.json()["code"]),
        (422, &"idempotency_mismatch".into())
    );
}
