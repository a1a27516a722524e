//! A task as asked for over HTTP: what it may say, and its faults, all at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::unique::UniqueRequest;
use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::task::{IdempotencyKey, NewTask, Target};
use crate::domain::timestamp::Timestamp;
use crate::http::call::Call;
use crate::http::problem::Problem;

/// The largest payload, as JSON; larger values travel as artifacts.
const MAX_PAYLOAD_BYTES: usize = 256 << 10;
/// The priority of a task that names none.
const DEFAULT_PRIORITY: u8 = 5;
/// The attempts of a task that names none.
const DEFAULT_ATTEMPTS: u32 = 3;
/// The most attempts that a task may ask for.
const MAX_ATTEMPTS: u32 = 100;
/// The attempt timeout of a task that names none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The longest timeout of any kind.
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest name, in bytes.
const MAX_TITLE_BYTES: usize = 200;
/// The most labels, and the longest key or value.
const MAX_LABELS: (usize, usize) = (32, 128);
/// The longest key of any kind.
const MAX_KEY_BYTES: usize = 255;

/// `POST /api/v1/tasks`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskRequest {
    agent: Option<Name>,
    role: Option<Name>,
    queue: Option<Name>,
    name: Option<String>,
    #[serde(default)]
    payload: Value,
    priority: Option<u8>,
    run_at: Option<Timestamp>,
    max_attempts: Option<u32>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    waiting_timeout_ms: Option<u64>,
    total_timeout_ms: Option<u64>,
    concurrency_key: Option<String>,
    unique: Option<UniqueRequest>,
}

impl TaskRequest {
    /// The task, or everything that is wrong with it.
    pub(super) fn checked(self, idempotency: Option<IdempotencyKey>) -> Result<NewTask, Problem> {
        self.payload_fits()?;
        let faults = self.faults();
        let target = match (self.agent, self.role, self.queue) {
            (Some(agent), None, None) => Some(Target::Agent(agent)),
            (None, Some(role), None) => Some(Target::Role(role)),
            (None, None, Some(queue)) => Some(Target::Queue(queue)),
            _ => None,
        };
        let Some(target) = target.filter(|_| faults.is_empty()) else {
            return Err(refusal(&faults));
        };
        Ok(NewTask {
            id: TaskId::from_bytes(crate::clock::new_id()),
            workflow_id: None,
            name: self.name.unwrap_or_else(|| title(&target)),
            target,
            payload: self.payload,
            priority: self.priority.unwrap_or(DEFAULT_PRIORITY),
            run_at: self.run_at,
            max_attempts: self.max_attempts.unwrap_or(DEFAULT_ATTEMPTS),
            timeout: self
                .timeout_ms
                .map_or(DEFAULT_TIMEOUT, Duration::from_millis),
            depends_on: Vec::new(),
            labels: self.labels,
            idempotency,
            waiting_timeout: self.waiting_timeout_ms.map(Duration::from_millis),
            total_timeout: self.total_timeout_ms.map(Duration::from_millis),
            concurrency_key: self.concurrency_key,
            unique: self.unique.map(UniqueRequest::checked),
            traceparent: None,
        })
    }

    fn payload_fits(&self) -> Result<(), Problem> {
        let bytes = self.payload.to_string().len();
        if bytes <= MAX_PAYLOAD_BYTES {
            return Ok(());
        }
        let detail = format!(
            "{bytes} bytes are more than {MAX_PAYLOAD_BYTES}; upload large values to /api/v1/artifacts and refer to them"
        );
        Err(Problem::too_large(format!("payload: {detail}")).at("#/payload", detail))
    }

    /// Every fault: its field and what is allowed.
    fn faults(&self) -> Vec<(&'static str, String)> {
        let targets = [&self.agent, &self.role, &self.queue];
        let targets = targets.into_iter().flatten().count();
        let priority = self.priority.unwrap_or(DEFAULT_PRIORITY);
        let attempts = self.max_attempts.unwrap_or(DEFAULT_ATTEMPTS);
        let spans = self.spans();
        let title = self.name.as_deref().unwrap_or("-");
        let key = self.concurrency_key.as_deref().unwrap_or("-");
        let unique = self.unique.as_ref().and_then(|it| it.fault(MAX_KEY_BYTES));
        let claims = [
            (
                targets == 1,
                "",
                format!("exactly one of agent, role and queue is needed, {targets} are given"),
            ),
            (
                (1..=9).contains(&priority),
                "priority",
                format!("{priority} is not 1 to 9"),
            ),
            (
                (1..=MAX_ATTEMPTS).contains(&attempts),
                "max_attempts",
                format!("{attempts} is not 1 to {MAX_ATTEMPTS}"),
            ),
            (
                (1..=MAX_TITLE_BYTES).contains(&title.len()),
                "name",
                format!("must hold 1 to {MAX_TITLE_BYTES} bytes"),
            ),
            (self.labels_fit(), "labels", labels_allowed()),
            (
                (1..=MAX_KEY_BYTES).contains(&key.len()),
                "concurrency_key",
                format!("must hold 1 to {MAX_KEY_BYTES} bytes"),
            ),
            unique.map_or((true, "", String::new()), |(field, allowed)| {
                (false, field, allowed)
            }),
        ];
        let broken = claims.into_iter().chain(spans).filter(|(holds, ..)| !holds);
        broken.map(|(_, field, allowed)| (field, allowed)).collect()
    }

    /// The timeouts, each with its range.
    fn spans(&self) -> [(bool, &'static str, String); 3] {
        [
            ("timeout_ms", self.timeout_ms),
            ("waiting_timeout_ms", self.waiting_timeout_ms),
            ("total_timeout_ms", self.total_timeout_ms),
        ]
        .map(|(field, millis)| {
            let span = millis.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
            let fits = !span.is_zero() && span <= MAX_TIMEOUT;
            let most = MAX_TIMEOUT.as_millis();
            let allowed = format!("{} is not 1 to {most}", span.as_millis());
            (fits, field, allowed)
        })
    }

    fn labels_fit(&self) -> bool {
        let (most, longest) = MAX_LABELS;
        let fits = |text: &String| text.len() <= longest;
        self.labels.len() <= most
            && self
                .labels
                .iter()
                .all(|(key, value)| !key.is_empty() && fits(key) && fits(value))
    }
}

fn labels_allowed() -> String {
    let (most, longest) = MAX_LABELS;
    format!("at most {most} labels, key and value of at most {longest} bytes")
}

fn refusal(faults: &[(&'static str, String)]) -> Problem {
    let shown = |(field, allowed): &(&str, String)| {
        if field.is_empty() {
            allowed.clone()
        } else {
            format!("{field}: {allowed}")
        }
    };
    let detail = faults.iter().map(shown).collect::<Vec<_>>().join("; ");
    let pointer = |field: &str| {
        if field.is_empty() {
            "#".to_owned()
        } else {
            format!("#/{field}")
        }
    };
    faults
        .iter()
        .fold(Problem::validation(detail), |problem, (field, allowed)| {
            problem.at(pointer(field), allowed)
        })
}

/// The name of a task that has none.
fn title(target: &Target) -> String {
    match target {
        Target::Agent(name) | Target::Role(name) | Target::Queue(name) => name.to_string(),
    }
}

/// The caller's idempotency key with the digest of what it asks.
pub(in crate::http) fn idempotency(
    call: &Call,
    body: &Value,
) -> Result<Option<IdempotencyKey>, Problem> {
    // The keys of a JSON object are sorted here, so the order in which they were sent is no matter.
    let digest = || Sha256::digest(body.to_string()).into();
    Ok(idempotency_key(call)?.map(|key| IdempotencyKey {
        key,
        digest: digest(),
    }))
}

/// The key under which a caller may send the same again, if it gives one.
pub(in crate::http) fn idempotency_key(call: &Call) -> Result<Option<String>, Problem> {
    const HEADER: hyper::header::HeaderName =
        hyper::header::HeaderName::from_static("idempotency-key");
    let Some(value) = call.headers.get(HEADER) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        let detail = format!("Idempotency-Key must hold 1 to {MAX_KEY_BYTES} visible characters");
        return Err(Problem::invalid_request(detail));
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::body;

    fn checked(value: Value) -> Result<NewTask, Problem> {
        body::shape::<TaskRequest>(&value)?.checked(None)
    }

    #[test]
    fn a_task_that_says_only_who_it_is_for_gets_the_defaults() {
        let task = checked(json!({"agent": "echo"})).unwrap();
        assert_eq!(
            (task.name.as_str(), task.priority, task.max_attempts),
            ("echo", 5, 3)
        );
        assert_eq!(task.timeout, DEFAULT_TIMEOUT);
    }

    #[test]
    fn every_fault_of_a_task_is_named_at_once() {
        let refused = checked(
            json!({"priority": 0, "max_attempts": 0, "timeout_ms": 0, "waiting_timeout_ms": 0,
                "name": "", "concurrency_key": "", "unique": {"key": ""}}),
        )
        .unwrap_err();
        let places: Vec<_> = refused
            .faults()
            .iter()
            .map(|fault| fault.pointer.as_str())
            .collect();
        assert_eq!(
            places,
            [
                "#",
                "#/priority",
                "#/max_attempts",
                "#/name",
                "#/concurrency_key",
                "#/unique/key",
                "#/timeout_ms",
                "#/waiting_timeout_ms"
            ]
        );
    }

    #[test]
    fn a_payload_over_its_cap_is_413_and_shows_the_way_out() {
        let refused = checked(json!({"agent": "echo", "payload": "x".repeat(MAX_PAYLOAD_BYTES)}))
            .unwrap_err();
        assert_eq!(refused.status().as_u16(), 413);
        assert!(refused.detail().contains("/api/v1/artifacts"));
    }
}
