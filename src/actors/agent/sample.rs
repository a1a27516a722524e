//! `agent-system sample-agent echo|sum|flaky`: agents to try the daemon with.
//!
//! They speak the stdio protocol with nothing but the standard library and serde_json, as an
//! agent in any language would:
//! - `echo` gives its payload back;
//! - `sum` adds the numbers of a list, or of the list under `numbers`;
//! - `flaky` does what its payload says: `{"sleep_ms": n}`, `{"fail": "why"}`, `{"crash": true}`,
//!   and with `{"below_attempt": n}` only in attempts before the n-th.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Frames read ahead while a task runs.
const READ_AHEAD: usize = 64;

/// Speaks the protocol until stdin ends.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let name = arguments.next().unwrap_or_default();
    let work: Work = match name.to_str() {
        Some("echo") => |task, _| Ok(task["payload"].clone()),
        Some("sum") => |task, _| sum(&task["payload"]),
        Some("flaky") => flaky,
        _ => {
            let _told = writeln!(
                io::stderr(),
                "unknown sample agent '{}': there are echo, sum and flaky",
                name.to_string_lossy()
            );
            return ExitCode::from(2);
        }
    };
    match serve(work) {
        Ok(()) => ExitCode::SUCCESS,
        // The daemon is gone; so is the reader of any message.
        Err(_broken_pipe) => ExitCode::FAILURE,
    }
}

/// What one of them does with a task.
type Work = fn(&Value, &Frames) -> Result<Value, Fault>;

enum Fault {
    Cancelled,
    Error { message: String, retryable: bool },
}

/// The frames that the daemon sends, read by a thread of their own so that a sleeping task hears
/// pings and cancels.
struct Frames {
    read: Receiver<Value>,
    /// What came while a task slept and is none of its business.
    later: RefCell<VecDeque<Value>>,
}

impl Frames {
    fn start() -> io::Result<Self> {
        let (frames, receiver) = sync_channel(READ_AHEAD);
        let read = move || {
            for line in io::stdin().lock().lines().map_while(Result::ok) {
                let frame = serde_json::from_str(&line).unwrap_or(Value::Null);
                if frames.send(frame).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(read)?;
        Ok(Self {
            read: receiver,
            later: RefCell::default(),
        })
    }

    /// The next frame; `None` at the end of input.
    fn next(&self) -> Option<Value> {
        let waiting = self.later.borrow_mut().pop_front();
        waiting.or_else(|| self.read.recv().ok())
    }

    /// Waits as a task does that has nothing to compute.
    fn sleep(&self, task: &Value, span: Duration) -> Result<(), Fault> {
        let end = Instant::now() + span;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.read.recv_timeout(left) {
                Ok(frame) if frame["type"] == "cancel" && frame["task_id"] == task["id"] => {
                    return Err(Fault::Cancelled);
                }
                Ok(frame) if frame["type"] == "ping" => answer_ping(&frame),
                Ok(frame) => self.later.borrow_mut().push_back(frame),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                // End of input means: exit.
                Err(RecvTimeoutError::Disconnected) => std::process::exit(0),
            }
        }
    }
}

fn answer_ping(frame: &Value) {
    if frame["type"] == "ping" {
        // A daemon that went away is noticed by the end of input.
        let _sent = send(&json!({"type": "pong", "n": frame["n"]}));
    }
}

fn send(frame: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{frame}")?;
    out.flush()
}

fn serve(work: Work) -> io::Result<()> {
    let frames = Frames::start()?;
    while let Some(frame) = frames.next() {
        match frame["type"].as_str() {
            Some("hello") => send(&json!({"type": "ready", "version": env!("CARGO_PKG_VERSION")}))?,
            Some("task") => send(&outcome(&frame, work(&frame, &frames)))?,
            Some("shutdown") => break,
            _ => answer_ping(&frame),
        }
    }
    Ok(())
}

fn outcome(task: &Value, done: Result<Value, Fault>) -> Value {
    let (id, lease) = (&task["id"], &task["lease_id"]);
    match done {
        Ok(output) => {
            json!({"type": "result", "task_id": id, "lease_id": lease, "output": output})
        }
        Err(Fault::Cancelled) => json!({
            "type": "error", "task_id": id, "lease_id": lease,
            "code": "cancelled", "message": "cancelled as asked", "retryable": false,
        }),
        Err(Fault::Error { message, retryable }) => json!({
            "type": "error", "task_id": id, "lease_id": lease,
            "code": "failed", "message": message, "retryable": retryable,
        }),
    }
}

fn sum(payload: &Value) -> Result<Value, Fault> {
    let wrong = || Fault::Error {
        message: "expected a list of numbers, or one under 'numbers'".into(),
        retryable: false,
    };
    let list = payload.get("numbers").unwrap_or(payload).as_array();
    let numbers = list.ok_or_else(wrong)?;
    let exact = numbers
        .iter()
        .map(Value::as_i64)
        .collect::<Option<Vec<_>>>();
    let exact = exact.and_then(|all| all.into_iter().try_fold(0_i64, i64::checked_add));
    if let Some(sum) = exact {
        return Ok(json!({ "sum": sum }));
    }
    let all = numbers
        .iter()
        .map(Value::as_f64)
        .collect::<Option<Vec<_>>>();
    Ok(json!({"sum": all.ok_or_else(wrong)?.iter().sum::<f64>()}))
}

fn flaky(task: &Value, frames: &Frames) -> Result<Value, Fault> {
    let payload = &task["payload"];
    let below = payload["below_attempt"].as_u64().unwrap_or(u64::MAX);
    if task["attempt"].as_u64().unwrap_or(1) >= below {
        return Ok(payload.clone());
    }
    let sleep = payload["sleep_ms"].as_u64().unwrap_or(0);
    frames.sleep(task, Duration::from_millis(sleep))?;
    if payload["crash"] == true {
        let _told = writeln!(io::stderr(), "flaky: crashing as the payload says");
        std::process::exit(1);
    }
    match &payload["fail"] {
        Value::Null | Value::Bool(false) => Ok(payload.clone()),
        why => Err(Fault::Error {
            message: why.as_str().unwrap_or("failing as the payload says").into(),
            retryable: payload["retryable"] != false,
        }),
    }
}
