//! The load: callers that hand in work of every kind under idempotency keys and ask again until
//! they have an answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::daemon::http;

/// Callers at once.
const CALLERS: u64 = 4;
/// The longest pause between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(25);

/// What a caller was promised.
#[derive(Debug, Clone)]
pub(super) struct Acknowledged {
    pub(super) id: String,
    pub(super) what: What,
}

/// What was handed in.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// Gives this result, after so many failures at most.
    Task { result: Value, failures: u32 },
    /// Fails for good at its first execution.
    Failing,
    /// Is cancelled together with others before it may run.
    Doomed,
    /// Gives this output.
    Workflow { output: Value },
    /// Is taken by its recipient.
    Message,
}

pub(super) struct Load {
    /// Nothing while nobody listens: another's daemon may be given the port meanwhile.
    address: Arc<Mutex<Option<String>>>,
    pub(super) stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Vec<Acknowledged>>>,
}

impl Load {
    pub(super) fn begin(address: &str, seed: u64) -> Self {
        let address = Arc::new(Mutex::new(Some(address.to_owned())));
        let stop = Arc::new(AtomicBool::new(false));
        let caller = |number| {
            let caller = Caller {
                number,
                address: address.clone(),
                draw: StdRng::seed_from_u64(seed.wrapping_add(number + 1)),
                calls: 0,
            };
            let stop = stop.clone();
            std::thread::spawn(move || caller.work(&stop))
        };
        Self {
            callers: (0..CALLERS).map(caller).collect(),
            address: address.clone(),
            stop,
        }
    }

    /// The daemon is dead.
    pub(super) fn nowhere(&self) {
        *self.address.lock().unwrap() = None;
    }

    /// The daemon listens here now.
    pub(super) fn moved_to(&self, address: &str) {
        *self.address.lock().unwrap() = Some(address.to_owned());
    }

    /// What all callers were promised.
    pub(super) fn end(self) -> Vec<Acknowledged> {
        let callers = self.callers.into_iter();
        callers.flat_map(|caller| caller.join().unwrap()).collect()
    }
}

struct Caller {
    number: u64,
    address: Arc<Mutex<Option<String>>>,
    draw: StdRng,
    calls: u64,
}

impl Caller {
    fn work(mut self, stop: &AtomicBool) -> Vec<Acknowledged> {
        let mut promised = Vec::new();
        while !stop.load(Ordering::Acquire) {
            self.calls += 1;
            promised.extend(self.one());
            super::rest(self.draw.random_range(Duration::ZERO..PAUSE));
        }
        promised
    }

    fn one(&mut self) -> Vec<Acknowledged> {
        let number = self.number * 1_000_000 + self.calls;
        let payload = json!({"number": number, "text": "x".repeat(self.draw.random_range(0..300))});
        let task = |to: Value, result, failures| {
            let mut body = to;
            body["payload"] = Value::clone(&result);
            (body, What::Task { result, failures })
        };
        let (body, what) = match self.draw.random_range(0..16) {
            0..=3 => task(json!({"agent": "echo"}), payload, 0),
            4 | 5 => task(json!({"role": "worker", "priority": 9}), payload, 0),
            6 | 7 => {
                let to = json!({"queue": "bulk", "concurrency_key": format!("k{}", number % 3)});
                task(to, payload, 0)
            }
            8 | 9 => {
                let slow = json!({"sleep_ms": self.draw.random_range(0..80), "number": number});
                task(json!({"agent": "flaky"}), slow, 0)
            }
            10 => {
                let again = json!({"fail": "once", "below_attempt": 2, "number": number});
                task(json!({"agent": "flaky", "max_attempts": 2}), again, 1)
            }
            11 => {
                let broken = json!({"fail": "for good", "retryable": false});
                (json!({"agent": "flaky", "payload": broken}), What::Failing)
            }
            12 => {
                let soon = json!({"agent": "echo", "unique": {"key": format!("u{number}")}});
                task(soon, payload, 0)
            }
            13 => return self.doomed(number),
            14 => return vec![self.workflow(number)],
            _ => return vec![self.message(number)],
        };
        vec![self.submit(&body, number, what)]
    }

    fn submit(&self, body: &Value, number: u64, what: What) -> Acknowledged {
        self.submit_as(&format!("t{number}"), body, what)
    }

    fn submit_as(&self, key: &str, body: &Value, what: What) -> Acknowledged {
        let id = self.post("/api/v1/tasks", key, body);
        Acknowledged { id, what }
    }

    /// Some that may run tomorrow, cancelled together.
    fn doomed(&self, number: u64) -> Vec<Acknowledged> {
        let batch = number.to_string();
        let far = json!({"agent": "echo", "run_at": "2099-01-01T00:00:00.000Z",
            "labels": {"batch": batch}});
        let one = |part| self.submit_as(&format!("d{number}-{part}"), &far, What::Doomed);
        let doomed: Vec<_> = (0..3).map(one).collect();
        let all = json!({"action": "cancel", "filter": {"labels": {"batch": batch}}});
        // What is cancelled already is not counted again.
        self.until_answered("/api/v1/tasks:bulk", None, &all);
        doomed
    }

    fn workflow(&mut self, number: u64) -> Acknowledged {
        let items: Vec<u64> = (0..self.draw.random_range(0..5)).collect();
        let definition = json!({"name": "storm", "tasks": [
            {"name": "list", "agent": "list", "payload": {"items": items}},
            {"name": "each", "role": "worker", "for_each": {"$ref": "tasks.list.result.items"},
             "payload": {"item": {"$ref": "item"}, "of": number}},
            {"name": "join", "agent": "echo", "payload": {"all": {"$ref": "tasks.each.result"}}},
        ], "output": {"$ref": "tasks.join.result.all"}});
        let each = |item: &u64| json!({"item": item, "of": number});
        let output = items.iter().map(each).collect();
        let id = self.post("/api/v1/workflows", &format!("w{number}"), &definition);
        let what = What::Workflow { output };
        Acknowledged { id, what }
    }

    fn message(&self, number: u64) -> Acknowledged {
        let message = json!({"to": "echo", "content": {"number": number}});
        let id = self.post("/api/v1/messages", &format!("m{number}"), &message);
        let what = What::Message;
        Acknowledged { id, what }
    }

    fn post(&self, path: &str, key: &str, body: &Value) -> String {
        let answer = self.until_answered(path, Some(key), body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Asks again until there is an answer; nothing but a success is one, unless the daemon says
    /// that it never will be.
    fn until_answered(&self, path: &str, key: Option<&str>, body: &Value) -> String {
        let mut headers = vec![("Content-Type", "application/json")];
        headers.extend(key.map(|key| ("Idempotency-Key", key)));
        loop {
            let Some(address) = self.address.lock().unwrap().clone() else {
                super::rest(PAUSE);
                continue;
            };
            match http(&address, "POST", path, &headers, &body.to_string()) {
                (200..=202, answer) => return answer,
                (status, answer) => {
                    let may_pass = matches!(status, 0 | 429 | 503);
                    assert!(may_pass, "{path} answered {status}: {answer}\n{body}");
                    super::rest(PAUSE);
                }
            }
        }
    }
}
