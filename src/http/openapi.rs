//! `/openapi.json` and `/docs`: the interface described, from the very table that answers requests.
//!
//! Paths and methods come from the route table; what is said of each stands in [`routes`], the
//! shapes of bodies and answers in [`shapes`]. Tests hold that every route is described and nothing
//! else, that described parameters are taken, and that real answers have the described shapes.

mod routes;
mod shapes;

use std::sync::LazyLock;

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::page::POLICY;
use super::reply;
use super::router::Outcome;
use routes::{ROUTES, Words};

const DOCS: &str = include_str!("page/docs.html");

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| document(&super::table().described()));

/// `GET /openapi.json`
pub(super) async fn get(call: Call) -> Outcome {
    call.query.only(&[])?;
    reply::json(&*DOCUMENT)
}

/// `GET /docs`
pub(super) async fn docs(_call: Call) -> Outcome {
    let mut page = reply::text("text/html; charset=utf-8", DOCS);
    let policy = HeaderValue::from_static(POLICY);
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    Ok(page)
}

/// The interface of this binary, as `OpenAPI` 3.1.
#[must_use]
pub fn openapi() -> Value {
    DOCUMENT.clone()
}

/// The document for routes of the table: method and path each.
fn document(table: &[(String, &'static str)]) -> Value {
    let mut paths = Map::new();
    for (method, path) in table {
        let words = ROUTES.iter().find(|it| it.is(method, path));
        let entry = paths.entry(*path).or_insert_with(|| json!({}));
        entry[method.to_lowercase()] = operation(method, path, words);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "agent-system",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Supervised agents and durable work. Unknown fields and parameters are refused; \
                errors are problem+json with a code; lists take limit (1 to 500) and cursor.",
        },
        "paths": paths,
        "components": {"schemas": shapes::all()},
    })
}

fn operation(method: &str, path: &str, words: Option<&Words>) -> Value {
    let says = words.map_or("", |it| it.says);
    let mut parameters = Vec::new();
    for name in path.split(['{', '}']).skip(1).step_by(2) {
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": {"type": "string"},
        }));
    }
    for name in words.map_or("", |it| it.query).split_whitespace() {
        let kind = if name == "limit" { "integer" } else { "string" };
        parameters.push(json!({"name": name, "in": "query", "schema": {"type": kind}}));
    }
    let creates = |it: &Words| it.answer.starts_with("202 ") || it.body == "bytes";
    if method == "POST" && words.is_some_and(creates) {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "schema": {"type": "string"},
            "description": "the same key and body within 24 h give the first answer again",
        }));
    }
    let mut operation = json!({
        "operationId": id_of(method, path),
        "summary": says,
        "tags": [tag_of(path)],
        "parameters": parameters,
        "responses": responses(words.map_or("", |it| it.answer)),
    });
    match words.map_or("", |it| it.body) {
        "" => {}
        "bytes" => {
            let any = json!({"application/octet-stream": {}});
            operation["requestBody"] = json!({"required": true, "content": any});
        }
        body => {
            let (name, required) = match body.strip_suffix('?') {
                Some(name) => (name, false),
                None => (body, true),
            };
            let content = json!({"application/json": {"schema": shapes::answer(name)}});
            operation["requestBody"] = json!({"required": required, "content": content});
        }
    }
    operation
}

/// The answers: what is promised, and a problem for everything else.
fn responses(answer: &str) -> Value {
    let problem = json!({"application/problem+json": {"schema": shapes::reference("Problem")}});
    let mut all = json!({"default": {"description": "a problem", "content": problem}});
    let (stored, shape) = match answer.split_once(' ') {
        Some((status @ ("201" | "202"), shape)) => (Some(status), shape),
        _ => (None, answer),
    };
    let content = match shape {
        kinds if kinds.contains('/') => {
            let kinds = kinds.split_whitespace().map(str::to_owned);
            Value::Object(kinds.map(|kind| (kind, json!({}))).collect())
        }
        shape => json!({"application/json": {"schema": shapes::answer(shape)}}),
    };
    if stored != Some("201") {
        all["200"] = json!({"description": "done, or so already", "content": content});
    }
    if let Some(status) = stored {
        all[status] = json!({"description": "stored", "content": content});
    }
    if shape == "HealthReport" {
        all["503"] = json!({"description": "something is critical", "content": content});
    }
    all
}

/// `get_api_v1_agents_name_restart`: a name for generated programs.
fn id_of(method: &str, path: &str) -> String {
    let words = path.split(['/', '{', '}', ':', '-', '.']);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    format!("{}_{}", method.to_lowercase(), words.join("_"))
}

fn tag_of(path: &str) -> &str {
    let noun = path.strip_prefix("/api/v1/").unwrap_or("daemon");
    noun.split(['/', ':']).next().unwrap_or(noun)
}

#[cfg(test)]
mod tests;
