//! The checks, one function each: what is told, what must come, and the way out where it does not.

use serde_json::json;
use tokio::time::Duration;

use super::child::{Child, Trouble};
use super::{Limits, Seen, Trial, Wrong};
use crate::actors::agent::frames::{FromAgent, ToAgent, millis};
use crate::clock;
use crate::domain::ids::{LeaseId, MessageId, TaskId};
use crate::domain::message::MessageKind;

/// The checks of an agent that is up, in order.
pub(super) const NAMES: [&str; 9] = [
    "pong",
    "task",
    "unknown fields",
    "unknown frames",
    "unknown cancel",
    "message",
    "cancel",
    "shutdown",
    "end of input",
];

pub(super) const CORRECT_COMMAND: &str = "correct the command, or give its whole path";
pub(super) const SEE_STDERR: &str = "its last words on stderr say why";
const ANSWER_HELLO: &str = r#"answer the first line with {"type":"ready"} on stdout, and flush: print(…, flush=True) in Python"#;
const ANSWER_PING: &str = r#"answer {"type":"ping","n":1} with {"type":"pong","n":1}, and flush"#;
const ANSWER_TASK: &str = r#"answer with {"type":"result","task_id":…,"lease_id":…,"output":…} or {"type":"error",…} with the task's id and lease_id, and flush; a slow one may need --timeout, or another --payload"#;
const IGNORE_FIELDS: &str = "read the fields you know and ignore every other one";
const IGNORE_FRAMES: &str = "ignore a frame whose type you do not know";
const IGNORE_CANCEL: &str = "ignore a cancel of a task that you do not hold";
const IGNORE_MESSAGES: &str =
    "read on after a message, whatever you do with it, and answer the ping that follows";
const SEND_ACKS: &str = r#"`ready` said acks: answer each message with {"type":"ack","message_id":…}, or leave acks out"#;
const OBEY_CANCEL: &str = "on a cancel, give the task up and answer it with an error; the daemon restarts an agent that does not";
const LONGER_TASK: &str = "name a --payload that keeps it at work for a second or more";
const END_WITH_0: &str = r#"end with exit code 0 on {"type":"shutdown"}"#;
const END_AT_EOF: &str = "end with exit code 0 when stdin ends: the daemon is gone";
const MEND_LINES: &str = "one JSON object a line, at most 1 MiB, with the fields of the protocol; logs belong on stderr, large values into artifacts";

/// How long a task must stay open so that a cancel finds it.
const AT_WORK_FOR: Duration = Duration::from_millis(200);

/// Why there was no `ready`.
pub(super) fn never_ready(trouble: Trouble) -> Wrong {
    match trouble {
        Trouble::Silent(span) => {
            Wrong::Failed(format!("not ready within {span:?} of hello"), ANSWER_HELLO)
        }
        trouble @ Trouble::HungUp(_) => Wrong::Failed(trouble.to_string(), SEE_STDERR),
        Trouble::Ended(why) if why.starts_with("command '") => Wrong::Failed(why, CORRECT_COMMAND),
        Trouble::Ended(how) => Wrong::Failed(format!("it ended before `ready`: {how}"), SEE_STDERR),
    }
}

/// A task as its agent sees it.
struct Handed {
    id: TaskId,
    lease_id: LeaseId,
}

impl Handed {
    /// How it was answered, if `frame` answers it.
    fn answered(&self, frame: FromAgent) -> Option<Result<String, String>> {
        match frame {
            FromAgent::Result {
                task_id,
                lease_id,
                output,
                ..
            } if task_id == self.id => {
                let shown: String = output.to_string().chars().take(60).collect();
                Some(self.under(lease_id, format!("result {shown}")))
            }
            FromAgent::Error(error) if error.task_id == self.id => {
                let said = format!("error {}: {}", error.code, error.message);
                Some(self.under(error.lease_id, said))
            }
            _ => None,
        }
    }

    fn under(&self, lease_id: LeaseId, said: String) -> Result<String, String> {
        if lease_id == self.lease_id {
            Ok(said)
        } else {
            Err(format!("{said}, but under another lease_id"))
        }
    }
}

impl Trial<'_> {
    /// One check by its name; a child that failed it is replaced.
    pub(super) async fn one(&mut self, name: &str) -> Seen {
        let seen = match name {
            "pong" => self.pong(false, ANSWER_PING).await,
            "task" => self.task(false, ANSWER_TASK).await,
            "unknown fields" => self.task(true, IGNORE_FIELDS).await,
            "unknown frames" => self.unknown_frames().await,
            "unknown cancel" => self.unknown_cancel().await,
            "message" => self.message().await,
            "cancel" => self.cancel().await,
            "shutdown" => self.shutdown().await,
            _ => self.end_of_input().await,
        };
        if matches!(seen, Err(Wrong::Failed(..))) {
            self.child = None;
        }
        seen
    }

    const fn limits(&self) -> Limits {
        self.subject.limits
    }

    async fn pong(&mut self, new: bool, way_out: &'static str) -> Seen {
        let within = self.limits().pong;
        let answered = self.child().await?.ping(new, within).await;
        answered.map_err(|trouble| Wrong::Failed(trouble.to_string(), way_out))?;
        Ok("answers a ping".into())
    }

    /// Hands a task over.
    async fn hand(&mut self, new: bool) -> Result<Handed, Wrong> {
        let handed = Handed {
            id: TaskId::from_bytes(clock::new_id()),
            lease_id: LeaseId::from_bytes(clock::new_id()),
        };
        let (payload, limit) = (self.subject.payload.clone(), self.limits().task);
        let name = self.subject.name.clone();
        let frame = ToAgent::Task {
            id: handed.id,
            workflow_id: None,
            name: &name,
            payload: &payload,
            attempt: 1,
            lease_id: handed.lease_id,
            deadline_ms: millis(limit),
            traceparent: None,
        };
        let told = self.child().await?.tell(&frame, new).await;
        told.map_err(|trouble| Wrong::Failed(trouble.to_string(), ANSWER_TASK))?;
        Ok(handed)
    }

    async fn task(&mut self, new: bool, way_out: &'static str) -> Seen {
        let handed = self.hand(new).await?;
        let within = self.limits().task;
        let child = self.child().await?;
        let answered = child.hear(within, |frame| handed.answered(frame)).await;
        match answered {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(said)) => Err(Wrong::Failed(said, ANSWER_TASK)),
            Err(trouble) => Err(Wrong::Failed(trouble.to_string(), way_out)),
        }
    }

    async fn unknown_frames(&mut self) -> Seen {
        let frame = json!({"type": "x_future", "n": 1});
        let told = self.child().await?.tell_raw(&frame).await;
        told.map_err(|trouble| Wrong::Failed(trouble.to_string(), IGNORE_FRAMES))?;
        self.pong(true, IGNORE_FRAMES).await?;
        Ok("goes on after a frame of unknown type".into())
    }

    async fn unknown_cancel(&mut self) -> Seen {
        let frame = ToAgent::Cancel {
            task_id: TaskId::from_bytes(clock::new_id()),
            reason: "a test",
        };
        let told = self.child().await?.tell(&frame, false).await;
        told.map_err(|trouble| Wrong::Failed(trouble.to_string(), IGNORE_CANCEL))?;
        self.pong(false, IGNORE_CANCEL).await?;
        Ok("goes on after a cancel of no task of its own".into())
    }

    async fn message(&mut self) -> Seen {
        let id = MessageId::from_bytes(clock::new_id());
        let content = json!({"text": "a test"});
        let frame = ToAgent::Message {
            id,
            from: None,
            kind: MessageKind::Custom,
            content: &content,
        };
        let (within, acks) = (
            self.limits().pong,
            self.ready.as_ref().is_some_and(|it| it.acks),
        );
        let child = self.child().await?;
        let told = child.tell(&frame, false).await;
        told.map_err(|trouble| Wrong::Failed(trouble.to_string(), IGNORE_MESSAGES))?;
        if !acks {
            self.pong(false, IGNORE_MESSAGES).await?;
            return Ok("reads a message".into());
        }
        let ack = |frame| {
            matches!(frame, FromAgent::Ack { message_id } if message_id == id).then_some(())
        };
        let acked = child.hear(within, ack).await;
        acked.map_err(|trouble| Wrong::Failed(trouble.to_string(), SEND_ACKS))?;
        Ok("takes a message".into())
    }

    async fn cancel(&mut self) -> Seen {
        let handed = self.hand(false).await?;
        let (limits, child) = (self.limits(), self.child().await?);
        let early = child
            .hear(AT_WORK_FOR, |frame| handed.answered(frame))
            .await;
        match early {
            Err(Trouble::Silent(_)) => {}
            Err(trouble) => return Err(Wrong::Failed(trouble.to_string(), SEE_STDERR)),
            Ok(_) => {
                let why = "the task was done before it could be cancelled";
                return Err(Wrong::Skipped(why.into(), Some(LONGER_TASK)));
            }
        }
        let frame = ToAgent::Cancel {
            task_id: handed.id,
            reason: "a test",
        };
        let told = child.tell(&frame, false).await;
        told.map_err(|trouble| Wrong::Failed(trouble.to_string(), OBEY_CANCEL))?;
        let answered = child
            .hear(limits.stop, |frame| handed.answered(frame))
            .await;
        match answered {
            Ok(Ok(said)) => Ok(format!("settles a cancelled task: {said}")),
            Ok(Err(said)) => Err(Wrong::Failed(said, ANSWER_TASK)),
            Err(trouble) => Err(Wrong::Failed(trouble.to_string(), OBEY_CANCEL)),
        }
    }

    async fn shutdown(&mut self) -> Seen {
        let stop = self.limits().stop;
        let child = self.child().await?;
        let deadline_ms = millis(stop);
        for frame in [ToAgent::Drain { deadline_ms }, ToAgent::Shutdown] {
            let told = child.tell(&frame, false).await;
            // One that ends at `drain`, with nothing open, has done all that `shutdown` asks.
            if let Err(Trouble::Silent(span)) = told {
                let why = format!("it read nothing for {span:?}");
                return Err(Wrong::Failed(why, END_WITH_0));
            }
        }
        let ended = ended(child, stop, END_WITH_0).await;
        self.child = None;
        ended
    }

    async fn end_of_input(&mut self) -> Seen {
        let stop = self.limits().stop;
        let child = self.child().await?;
        child.hang_up();
        let ended = ended(child, stop, END_AT_EOF).await;
        self.child = None;
        ended
    }

    /// What all of its lines were.
    pub(super) fn output(&self) -> Seen {
        let tally = self.record.tally.lock().clone();
        if tally.too_long > 0 {
            let why = format!("{} lines over 1 MiB", tally.too_long);
            return Err(Wrong::Failed(why, MEND_LINES));
        }
        if let Some(first) = tally.broken.first() {
            return Err(Wrong::Failed(first.clone(), MEND_LINES));
        }
        let logs = match tally.texts {
            0 => String::new(),
            lines => format!(", {lines} lines that are no JSON, taken as its log"),
        };
        Ok(format!("{} frames{logs}", tally.frames))
    }
}

async fn ended(child: &mut Child, within: Duration, way_out: &'static str) -> Seen {
    match child.end(within).await {
        Ok((true, _)) => Ok("ends with exit code 0".into()),
        Ok((false, how)) => Err(Wrong::Failed(how, way_out)),
        Err(_) => Err(Wrong::Failed(
            format!("it lives on after {within:?}"),
            way_out,
        )),
    }
}
