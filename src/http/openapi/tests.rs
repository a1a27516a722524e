//! Claims about the description: it names every route and nothing else, and real answers fit it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ROUTES, openapi};
use crate::http::table;
use crate::http::tests::house::House;

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let table: BTreeSet<String> = table()
        .described()
        .iter()
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let words: BTreeSet<String> = ROUTES.iter().map(|it| it.at().to_owned()).collect();
    let undescribed: Vec<_> = table.difference(&words).collect();
    assert_eq!(undescribed, Vec::<&String>::new());
    let unserved: Vec<_> = words.difference(&table).collect();
    assert_eq!(unserved, Vec::<&String>::new());
    assert_eq!(words.len(), ROUTES.len(), "one is described twice");
}

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(key, inner)| match inner.as_str() {
                Some(to) if key == "$ref" => drop(found.insert(to.to_owned())),
                _ => references(inner, found),
            }),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_shape_that_is_named_exists_and_is_used_and_names_of_operations_are_unique() {
    let document = openapi();
    let mut named = BTreeSet::new();
    references(&document, &mut named);
    let shapes = document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys();
    let shapes: BTreeSet<String> = shapes
        .map(|it| format!("#/components/schemas/{it}"))
        .collect();
    assert_eq!(named, shapes);
    let paths = document["paths"].as_object().unwrap().values();
    let ids: Vec<&str> = paths
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

/// What does not fit a schema, by place.
fn misfits(document: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(to) = schema["$ref"].as_str() {
        let shape = document.pointer(to.trim_start_matches('#')).unwrap();
        return misfits(document, shape, value, place, found);
    }
    if let Some(either) = schema["anyOf"].as_array() {
        let fits = |schema: &Value| {
            let mut wrong = Vec::new();
            misfits(document, schema, value, place, &mut wrong);
            wrong.is_empty()
        };
        if !either.iter().any(fits) {
            found.push(format!("{place}: {value} is neither of {schema}"));
        }
        return;
    }
    let fits = match schema["type"].as_str() {
        None => true,
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("array") => value.is_array(),
        Some(_) => value.is_object(),
    };
    if !fits {
        found.push(format!("{place}: {value} is no {schema}"));
    }
    for item in value.as_array().into_iter().flatten() {
        misfits(
            document,
            &schema["items"],
            item,
            &format!("{place}[]"),
            found,
        );
    }
    if let (Some(known), Some(members)) = (schema["properties"].as_object(), value.as_object()) {
        for (key, inner) in members {
            match known.get(key) {
                Some(schema) => misfits(document, schema, inner, &format!("{place}.{key}"), found),
                None => found.push(format!("{place}.{key} is not described")),
            }
        }
        let required = schema["required"].as_array().unwrap();
        let missing = required
            .iter()
            .filter(|key| !members.contains_key(key.as_str().unwrap()));
        found.extend(missing.map(|key| format!("{place} has no {key}")));
    }
}

#[tokio::test]
async fn real_answers_have_the_described_shapes_and_described_parameters_are_taken() {
    let house = House::open().await;
    let task = house
        .post("/api/v1/tasks", "{\"agent\":\"echo\"}")
        .await
        .json();
    let document = openapi();
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        // A stream would not end.
        let Some(get) = operations.get("get").filter(|_| !path.ends_with("/events")) else {
            continue;
        };
        let id = task["id"].as_str().unwrap();
        let path = path.replace("/tasks/{id}", &format!("/tasks/{id}"));
        let path = path.replace("/checks/{name}", "/checks/agent.echo");
        let path = path
            .replace("/queues/{name}", "/queues/default")
            .replace("{name}", "echo");
        for parameter in get["parameters"].as_array().unwrap() {
            if parameter["in"] == "query" {
                let name = parameter["name"].as_str().unwrap();
                let answer = house.get(&format!("{path}?{name}=")).await;
                let text = String::from_utf8_lossy(&answer.bytes).into_owned();
                if text.contains("is not known") {
                    wrong.push(format!("{path}: {text}"));
                }
            }
        }
        let schema = &get["responses"]["200"]["content"]["application/json"]["schema"];
        if schema.is_null() {
            continue;
        }
        let answer = house.get(&path).await;
        if answer.status.is_success() {
            misfits(&document, schema, &answer.json(), &path, &mut wrong);
            asked += 1;
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(asked >= 20, "only {asked} answers were looked at");
}

#[tokio::test]
async fn commands_are_answered_with_described_statuses_and_shapes() {
    let house = House::open().await;
    let document = openapi();
    let mut wrong = Vec::new();
    for (path, pattern, body) in [
        ("tasks", "tasks", "{\"agent\":\"echo\"}"),
        ("artifacts", "artifacts", "{}"),
        ("agents/echo:start", "agents/{name}:start", "{}"),
        (
            "dead-letters:retry",
            "dead-letters:retry",
            "{\"dry_run\":true}",
        ),
        ("queues/default:pause", "queues/{name}:pause", "{}"),
        (
            "health/checks/agent.echo:run",
            "health/checks/{name}:run",
            "{}",
        ),
        ("database:backup", "database:backup", "{}"),
    ] {
        let answer = house.post(&format!("/api/v1/{path}"), body).await;
        let post = &document["paths"][format!("/api/v1/{pattern}")]["post"];
        let described = &post["responses"][answer.status.as_str()];
        assert!(described.is_object(), "{path} answers {}", answer.status);
        let schema = &described["content"]["application/json"]["schema"];
        misfits(&document, schema, &answer.json(), path, &mut wrong);
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[tokio::test]
async fn the_description_is_served_for_programs_and_for_people() {
    let house = House::open().await;
    let served = house.get("/openapi.json").await;
    assert_eq!(served.json(), openapi());
    assert_eq!(served.json()["openapi"], "3.1.0");
    let page = house.get("/docs").await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    let text = String::from_utf8(page.bytes.to_vec()).unwrap();
    assert!(
        text.contains("/openapi.json") && !text.contains("http://") && !text.contains("https://")
    );
}
