//! The stdio protocol: one JSON object a line, told apart by `type`.
//!
//! Unknown fields are ignored. A line that is no JSON object is a log line. A frame of unknown
//! type, or with fields of the wrong kind, is counted and logged; it never ends a life.

pub(crate) mod figures;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::actors::work::TaskFrame;
use crate::domain::ids::{LeaseId, MessageId, TaskId};
use crate::domain::message::{Message, MessageKind};
use crate::domain::name::Name;
use crate::domain::spend::UsageSaid;
use crate::domain::trace::TraceParent;

/// The version spoken here.
pub(crate) const PROTOCOL: u32 = 1;
/// The longest line, either way.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// What the daemon says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToAgent<'a> {
    Hello {
        protocol: u32,
        agent: &'a str,
        instance: String,
        generation: u64,
        config: Value,
    },
    Task {
        id: TaskId,
        workflow_id: Option<crate::domain::ids::WorkflowId>,
        name: &'a str,
        payload: &'a Value,
        attempt: u32,
        lease_id: LeaseId,
        deadline_ms: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<TraceParent>,
    },
    Cancel {
        task_id: TaskId,
        reason: &'a str,
    },
    Ping {
        n: u64,
    },
    Message {
        id: MessageId,
        from: Option<&'a Name>,
        kind: MessageKind,
        content: &'a Value,
    },
    Drain {
        deadline_ms: u64,
    },
    Shutdown,
}

impl<'a> ToAgent<'a> {
    /// A task, as handed over.
    pub(crate) fn task(task: &'a TaskFrame) -> Self {
        Self::Task {
            id: task.id,
            workflow_id: task.workflow_id,
            name: &task.name,
            payload: &task.payload,
            attempt: task.attempt,
            lease_id: task.lease_id,
            deadline_ms: millis(task.timeout),
            traceparent: task.traceparent,
        }
    }

    /// A message, as handed over.
    pub(crate) fn message(message: &'a Message) -> Self {
        Self::Message {
            id: message.id,
            from: message.from.as_ref(),
            kind: message.kind,
            content: &message.content,
        }
    }

    /// The line, with its end.
    pub(crate) fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

/// A span in the milliseconds of the protocol.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromAgent {
    Ready(ReadyFrame),
    Progress {
        task_id: TaskId,
        percent: Option<f64>,
        message: Option<String>,
    },
    Busy {
        task_id: TaskId,
        #[serde(default)]
        reason: String,
        max_ms: u64,
    },
    Heartbeat,
    Pong {
        n: u64,
    },
    Ack {
        message_id: MessageId,
    },
    Result {
        task_id: TaskId,
        lease_id: LeaseId,
        #[serde(default)]
        output: Value,
        usage: Option<Value>,
    },
    Error(ErrorFrame),
    Message {
        to: Name,
        #[serde(default = "custom")]
        kind: String,
        #[serde(default)]
        content: Value,
    },
    Submit {
        name: Option<String>,
        agent: Option<Name>,
        role: Option<Name>,
        #[serde(default)]
        payload: Value,
        /// On whose behalf; needed only where several tasks are open.
        task_id: Option<TaskId>,
    },
    Log(LogFrame),
    Metric {
        name: String,
        value: f64,
    },
    Usage(UsageFrame),
}

fn custom() -> String {
    "custom".to_owned()
}

/// `ready`: the agent takes work.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub(crate) struct ReadyFrame {
    pub(crate) version: Option<String>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) heartbeat_ms: Option<u64>,
    #[serde(default)]
    pub(crate) acks: bool,
}

/// `error`: a task failed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ErrorFrame {
    pub(crate) task_id: TaskId,
    pub(crate) lease_id: LeaseId,
    #[serde(default = "failed")]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default = "yes")]
    pub(crate) retryable: bool,
    pub(crate) usage: Option<Value>,
}

fn failed() -> String {
    "failed".to_owned()
}

const fn yes() -> bool {
    true
}

/// `usage`: what was spent, for a task or for none. Its figures are checked by who counts them: a bad
/// one is no reason to end the task that it names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct UsageFrame {
    pub(crate) task_id: Option<TaskId>,
    #[serde(flatten)]
    pub(crate) said: UsageSaid,
}

/// `log`: a line for people.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct LogFrame {
    #[serde(default)]
    pub(crate) level: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) fields: Value,
}

/// What a line of an agent's stdout is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    /// A frame.
    Frame(FromAgent),
    /// No JSON object: a log line.
    Text,
    /// A JSON object that is no frame; says why.
    Broken {
        why: String,
        /// The task it speaks of, if it names one.
        task: Option<TaskId>,
    },
}

/// Takes a line apart.
pub(crate) fn hear(line: &[u8]) -> Heard {
    let object = match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => object,
        Err(error) if line.first() == Some(&b'{') && is_beyond_us(&error) => {
            return Heard::Broken {
                why: error.to_string(),
                task: settled_by(line),
            };
        }
        _ => return Heard::Text,
    };
    let task = object
        .get("task_id")
        .and_then(|id| TaskId::deserialize(id).ok());
    match FromAgent::deserialize(Value::Object(object)) {
        Ok(frame) => Heard::Frame(frame),
        Err(error) => Heard::Broken {
            why: error.to_string(),
            task,
        },
    }
}

/// Whether what cannot be read is JSON all the same: nested too deeply, or with a number that no float
/// holds. Such a line is no log line, and may be all that will ever settle its task.
fn is_beyond_us(error: &serde_json::Error) -> bool {
    let why = error.to_string();
    ["recursion limit exceeded", "number out of range"]
        .iter()
        .any(|known| why.starts_with(known))
}

/// The task that a line was to settle which cannot be read as a whole.
fn settled_by(line: &[u8]) -> Option<TaskId> {
    let settles = values_of(line, b"\"type\"").any(|kind| kind == "result" || kind == "error");
    let mut ids = values_of(line, b"\"task_id\"").filter_map(|id| id.parse().ok());
    ids.next().filter(|_| settles)
}

/// The texts that a member has wherever it stands in a line.
fn values_of<'a>(line: &'a [u8], member: &'a [u8]) -> impl Iterator<Item = &'a str> {
    let places = line.windows(member.len()).enumerate();
    let places = places.filter(move |(_, part)| *part == member);
    places.filter_map(move |(at, _)| {
        let rest = line[at + member.len()..].trim_ascii_start();
        let rest = rest.strip_prefix(b":")?.trim_ascii_start();
        let text = rest.strip_prefix(b"\"")?;
        let end = text.iter().position(|byte| *byte == b'"')?;
        std::str::from_utf8(&text[..end]).ok()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task_id() -> TaskId {
        TaskId::from_bytes([1; 16])
    }

    #[test]
    fn a_frame_is_read_whatever_else_it_holds() {
        for (line, frame) in [
            (
                r#"{"type":"ready","version":"2","new":1}"#,
                FromAgent::Ready(ReadyFrame {
                    version: Some("2".into()),
                    ..ReadyFrame::default()
                }),
            ),
            (r#"{"type":"heartbeat","x":[]}"#, FromAgent::Heartbeat),
            (r#"{"n":3,"type":"pong"}"#, FromAgent::Pong { n: 3 }),
            (
                r#"{"type":"metric","name":"a","value":1,"labels":{"b":"c"}}"#,
                FromAgent::Metric {
                    name: "a".into(),
                    value: 1.0,
                },
            ),
        ] {
            assert_eq!(hear(line.as_bytes()), Heard::Frame(frame), "{line}");
        }
    }

    #[test]
    fn an_error_says_how_it_ends_only_as_far_as_it_wants() {
        let lease = LeaseId::from_bytes([2; 16]);
        let line = json!({"type": "error", "task_id": task_id(), "lease_id": lease});
        let Heard::Frame(FromAgent::Error(error)) = hear(line.to_string().as_bytes()) else {
            panic!("no error frame");
        };
        assert_eq!((error.code.as_str(), error.retryable), ("failed", true));
    }

    #[test]
    fn what_is_no_object_is_a_log_line() {
        for line in [
            &b"hello"[..],
            b"",
            b"[1]",
            b"7",
            b"{\"type\":",
            b"\xff\xfe",
            b"null",
        ] {
            assert_eq!(hear(line), Heard::Text);
        }
    }

    #[test]
    fn a_result_without_its_lease_is_broken_and_names_its_task() {
        let line = json!({"type": "result", "task_id": task_id(), "output": 1}).to_string();
        let Heard::Broken { why, task } = hear(line.as_bytes()) else {
            panic!("not broken");
        };
        assert!(why.contains("lease_id"), "{why}");
        assert_eq!(task, Some(task_id()));
    }

    #[test]
    fn a_result_that_is_json_beyond_the_reader_is_broken_and_names_its_task() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for output in [deep.as_str(), "1e999"] {
            let id = task_id();
            let line = format!(r#"{{"type":"result","task_id": "{id}","output":{output}}}"#);
            let Heard::Broken { why, task } = hear(line.as_bytes()) else {
                panic!("not broken");
            };
            assert!(why.contains("limit") || why.contains("range"), "{why}");
            assert_eq!(task, Some(task_id()));
        }
        let line = format!(
            r#"{{"type":"usage","task_id":"{}","cost_usd":1e999}}"#,
            task_id()
        );
        let heard = hear(line.as_bytes());
        assert!(
            matches!(heard, Heard::Broken { task: None, .. }),
            "{heard:?}"
        );
    }

    #[test]
    fn an_unknown_type_is_broken_and_named() {
        for line in [r#"{"type":"sing"}"#, r#"{"kind":"ready"}"#] {
            assert!(
                matches!(hear(line.as_bytes()), Heard::Broken { .. }),
                "{line}"
            );
        }
    }

    #[test]
    fn a_frame_to_an_agent_is_one_line() {
        let line = ToAgent::Cancel {
            task_id: task_id(),
            reason: "a\nb",
        }
        .line();
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        assert!(
            text.starts_with(r#"{"type":"cancel","task_id":"tsk_0101"#),
            "{text}"
        );
    }
}
