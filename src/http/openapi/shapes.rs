//! The shapes of bodies and answers: a field and its kind each.
//!
//! Kinds: `text`, `time` (RFC 3339), `int`, `num`, `bool`, `object`, `any`, `texts`, another shape, or `[Shape]`;
//! with `?` it may be null. A field with `-` in front may be left out; in a body so may every field
//! with `?`.

use serde_json::{Map, Value, json};

type Fields = &'static [(&'static str, &'static str)];

#[rustfmt::skip]
const PLAN: Fields = &[
    ("plan", "text"), ("changes", "bool"), ("counts", "object"), ("units", "[object]"),
    ("pending", "[object]"), ("warnings", "texts"),
];
const STATUS: Fields = &[("status", "text"), ("-conditions", "[object]")];
#[rustfmt::skip]
const VERSION: Fields = &[
    ("version", "text"), ("environment", "text"), ("pid", "int"), ("node", "text"),
    ("started_at", "time"), ("ports", "object"),
];
const HEALTH_REPORT: Fields = &[
    ("status", "text"),
    ("checked_at", "time?"),
    ("checks", "[Check]"),
];
#[rustfmt::skip]
const CHECK: Fields = &[
    ("name", "text"), ("component", "text"), ("status", "text"), ("message", "text"), ("value", "num?"),
    ("threshold", "num?"), ("since", "time"), ("duration_ms", "int"), ("details", "any"),
];
#[rustfmt::skip]
const AGENT: Fields = &[
    ("name", "text"), ("kind", "text"), ("role", "text?"), ("group", "text?"), ("critical", "bool"),
    ("desired", "text"), ("paused_until", "time?"), ("state", "text"), ("replicas", "object"), ("instances", "[Instance]"),
    ("health", "object"), ("generation", "int"), ("pid", "int?"), ("started_at", "time?"),
    ("uptime_ms", "int?"), ("restarts", "object"), ("queue", "object"), ("usage", "object"),
    ("spend", "Spend?"), ("labels", "object"),
];
#[rustfmt::skip]
const SPEND: Fields = &[
    ("per", "text"), ("since", "time"), ("renews_at", "time"), ("used", "SpendUsed"),
    ("reserved", "Amount"), ("ceiling", "Ceiling"), ("task_ceiling", "Ceiling"), ("reserve", "Amount"),
    ("ratio", "num"), ("state", "text"), ("held", "bool"), ("on_exhausted", "text"), ("tasks", "int"),
];
#[rustfmt::skip]
const SPEND_USED: Fields = &[
    ("cost_usd", "num"), ("tokens", "int"), ("input_tokens", "int"), ("output_tokens", "int"),
    ("presumed", "Amount"),
];
#[rustfmt::skip]
const INSTANCE: Fields = &[
    ("index", "int"), ("pid", "int?"), ("generation", "int"), ("state", "text"), ("verdict", "text"),
    ("started_at", "time?"), ("uptime_ms", "int?"), ("restarts", "int"), ("errors", "int"),
    ("running", "int"), ("probes", "[object]"), ("next_at", "time?"), ("last_reason", "text?"),
];
#[rustfmt::skip]
const CRASH: Fields = &[
    ("id", "text"), ("agent", "text"), ("index", "int"), ("generation", "int"), ("reason", "object"),
    ("message", "text"), ("signature", "text?"), ("new_signature", "bool"), ("seen", "object"),
    ("at", "time"), ("uptime_ms", "int"), ("config_hash", "text?"), ("config_since", "time?"),
    ("config_changed", "bool"), ("tasks", "[any]"), ("peak_memory_bytes", "int?"), ("cpu_seconds", "num?"),
    ("io_bytes", "int?"), ("log", "[any]"), ("frames", "[any]"),
];
#[rustfmt::skip]
const AGENT_FIGURES: Fields = &[
    ("agent", "text"), ("at", "time"), ("cpu_seconds", "num?"), ("memory_bytes", "int?"),
    ("queue_depth", "int"), ("running", "int"), ("errors_total", "int"), ("restarts_total", "int"),
];
#[rustfmt::skip]
const TASK: Fields = &[
    ("id", "text"), ("workflow_id", "text?"), ("name", "text"), ("agent", "text?"), ("role", "text?"),
    ("queue", "text"), ("state", "text"), ("priority", "int"), ("payload", "any"), ("result", "any"),
    ("error", "object?"), ("reason", "text?"), ("attempt", "int"), ("max_attempts", "int"),
    ("crash_attempts", "int"), ("interruptions", "int"), ("lease", "object?"), ("progress", "object?"),
    ("depends_on", "texts"), ("labels", "object"), ("timeout_ms", "int"), ("waiting_timeout_ms", "int?"),
    ("total_timeout_ms", "int?"), ("expires_at", "time?"), ("concurrency_key", "text?"),
    ("unique_key", "text?"), ("traceparent", "text?"), ("run_at", "time?"), ("created_at", "time"), ("started_at", "time?"),
    ("finished_at", "time?"), ("-unique_conflict", "bool"),
];
#[rustfmt::skip]
const TASK_REQUEST: Fields = &[
    ("agent", "text?"), ("role", "text?"), ("queue", "text?"), ("name", "text?"), ("payload", "any?"),
    ("priority", "int?"), ("run_at", "time?"), ("max_attempts", "int?"), ("timeout_ms", "int?"),
    ("labels", "object?"), ("waiting_timeout_ms", "int?"), ("total_timeout_ms", "int?"),
    ("concurrency_key", "text?"), ("unique", "object?"),
];
#[rustfmt::skip]
const ATTEMPT: Fields = &[
    ("task_id", "text"), ("attempt", "int"), ("lease_id", "text"), ("session_id", "text"),
    ("instance", "text"), ("outcome", "text?"), ("error", "object?"), ("stale_result", "any"), ("usage", "object?"),
    ("started_at", "time"), ("finished_at", "time?"),
];
const BULK: Fields = &[
    ("action", "text"),
    ("filter", "object"),
    ("dry_run", "bool?"),
    ("reason", "text?"),
];
#[rustfmt::skip]
const DONE: Fields = &[
    ("dry_run", "bool"), ("matched", "int"), ("done", "int"), ("skipped", "int"), ("complete", "bool"),
];
#[rustfmt::skip]
const WORKFLOW: Fields = &[
    ("id", "text"), ("name", "text"), ("description", "text?"), ("state", "text"), ("input", "any"),
    ("output", "any"), ("error", "object?"), ("definition_hash", "text"), ("labels", "object"),
    ("traceparent", "text?"), ("created_at", "time"), ("started_at", "time?"), ("finished_at", "time?"), ("tasks", "object"),
    ("waits", "[object]"),
];
#[rustfmt::skip]
const DEFINITION: Fields = &[
    ("name", "text"), ("description", "text?"), ("input", "any?"), ("tasks", "[object]"), ("output", "any?"),
];
#[rustfmt::skip]
const QUEUE: Fields = &[
    ("name", "text"), ("queue", "text"), ("tasks", "object"), ("oldest_queued_at", "time?"),
    ("paused", "bool"), ("paused_at", "time?"), ("paused_until", "time?"), ("pause_reason", "text?"),
    ("capacity", "int"), ("concurrency", "int?"), ("rate_limit", "any"), ("per_key", "object"),
];
#[rustfmt::skip]
const SCHEDULE: Fields = &[
    ("name", "text"), ("rule", "text"), ("starts", "text"), ("overlap", "text"), ("catch_up", "text"),
    ("paused", "bool"), ("paused_until", "time?"), ("reason", "text?"), ("next_at", "time?"),
    ("last", "Fired?"),
];
#[rustfmt::skip]
const FIRED: Fields = &[
    ("schedule", "text"), ("due_at", "time"), ("outcome", "text"), ("reason", "text?"), ("task_id", "text?"),
    ("workflow_id", "text?"), ("state", "text?"), ("at", "time"),
];
#[rustfmt::skip]
const MESSAGE: Fields = &[
    ("id", "text"), ("from", "text?"), ("to", "text"), ("type", "text"), ("content", "any"), ("state", "text"),
    ("deaths", "int"), ("reason", "text?"), ("created_at", "time"), ("delivered_at", "time?"),
];
#[rustfmt::skip]
const RUN: Fields = &[
    ("id", "text"), ("action", "text"), ("cause", "text"), ("outcome", "text"), ("message", "text"),
    ("attempt", "int"), ("started_at", "time"), ("finished_at", "time?"),
];
const ARTIFACT: Fields = &[("$artifact", "text"), ("bytes", "int"), ("sha256", "text")];
#[rustfmt::skip]
const PROBLEM: Fields = &[
    ("type", "text"), ("title", "text"), ("status", "int"), ("code", "text"), ("detail", "text"),
    ("instance", "text"), ("request_id", "text"), ("-errors", "[Fault]"),
];
const FAULT: Fields = &[("pointer", "text"), ("detail", "text")];

/// Shapes by name, and whether unknown fields are refused: those are bodies.
const SHAPES: &[(&str, bool, Fields)] = &[
    ("Status", false, STATUS),
    ("Version", false, VERSION),
    ("HealthReport", false, HEALTH_REPORT),
    ("Check", false, CHECK),
    ("Agent", false, AGENT),
    ("Spend", false, SPEND),
    ("SpendUsed", false, SPEND_USED),
    ("Amount", false, &[("cost_usd", "num"), ("tokens", "int")]),
    (
        "Ceiling",
        false,
        &[("cost_usd", "num?"), ("tokens", "int?")],
    ),
    ("Instance", false, INSTANCE),
    ("Crash", false, CRASH),
    ("AgentFigures", false, AGENT_FIGURES),
    ("Task", false, TASK),
    ("Attempt", false, ATTEMPT),
    ("Done", false, DONE),
    ("Workflow", false, WORKFLOW),
    ("Queue", false, QUEUE),
    ("Schedule", false, SCHEDULE),
    ("Fired", false, FIRED),
    ("Message", false, MESSAGE),
    ("Run", false, RUN),
    ("Artifact", false, ARTIFACT),
    ("Problem", false, PROBLEM),
    ("Fault", false, FAULT),
    ("TaskRequest", true, TASK_REQUEST),
    ("Definition", true, DEFINITION),
    ("Bulk", true, BULK),
    (
        "OfDead",
        true,
        &[("filter", "object?"), ("dry_run", "bool?")],
    ),
    ("Nothing", true, &[]),
    ("Scale", true, &[("replicas", "int")]),
    ("Reason", true, &[("reason", "text?")]),
    ("AgentPause", true, &[("until", "time?")]),
    ("Pause", true, &[("until", "time?"), ("reason", "text?")]),
    ("Signal", true, &[("name", "text"), ("payload", "any?")]),
    (
        "MessageRequest",
        true,
        &[("to", "text"), ("type", "text?"), ("content", "any?")],
    ),
    ("OfCheck", true, &[("check", "text?")]),
    (
        "Backup",
        true,
        &[
            ("file", "text?"),
            ("force", "bool?"),
            ("artifacts", "bool?"),
        ],
    ),
    ("Prune", true, &[("dry_run", "bool?")]),
    ("Apply", true, &[("plan", "text?")]),
    ("Plan", false, PLAN),
];

/// Every shape, as JSON Schema.
pub(super) fn all() -> Map<String, Value> {
    let schema = |(name, is_body, fields): &(&str, bool, Fields)| {
        ((*name).to_owned(), object(*is_body, fields))
    };
    SHAPES.iter().map(schema).collect()
}

fn object(is_body: bool, fields: Fields) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, kind) in fields {
        let plain = name.strip_prefix('-').unwrap_or(name);
        properties.insert(plain.to_owned(), schema(kind));
        if plain == *name && !(is_body && kind.ends_with('?')) {
            required.push(plain);
        }
    }
    let mut object = json!({"type": "object", "properties": properties, "required": required});
    if is_body {
        object["additionalProperties"] = json!(false);
    }
    object
}

/// The schema of a kind.
fn schema(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        return match schema(kind) {
            any if any == json!({}) => any,
            schema => json!({"anyOf": [schema, {"type": "null"}]}),
        };
    }
    if let Some(kind) = kind.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        return json!({"type": "array", "items": schema(kind)});
    }
    match kind {
        "text" => json!({"type": "string"}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "int" => json!({"type": "integer"}),
        "num" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "object" => json!({"type": "object"}),
        "texts" => json!({"type": "array", "items": {"type": "string"}}),
        "any" => json!({}),
        shape => reference(shape),
    }
}

/// The way to a shape.
pub(super) fn reference(shape: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{shape}")})
}

/// An answer: a kind, or a page of it.
pub(super) fn answer(kind: &str) -> Value {
    if !kind.starts_with('[') {
        return schema(kind);
    }
    json!({
        "type": "object",
        "properties": {
            "items": schema(kind),
            "next_cursor": schema("text?"),
            "has_more": schema("bool"),
        },
        "required": ["items", "next_cursor", "has_more"],
    })
}
