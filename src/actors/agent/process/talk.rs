//! The conversation with one child over stdin and stdout: what it says is passed on, what it is
//! told is queued.
//!
//! Rely on: nothing here blocks; a result goes on with the lease it came with, whether its task is
//! open or not, since the store fences it.

mod figures;
mod port;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use self::port::TalkPort;
use super::frame_tail::FrameTail;
use super::leash::Leash;
use super::log::{AgentLog, Level};
use super::mail::Mail;
use crate::actors::agent::frames::{
    ErrorFrame, FromAgent, Heard, LogFrame, PROTOCOL, ReadyFrame, ToAgent, hear, millis,
};
use crate::actors::agent::lines::Line;
use crate::actors::agent::open_tasks::OpenTasks;
use crate::actors::life::{Evidence, Life, LifeNote, Ready};
use crate::actors::work::{AgentMessage, AgentOutcome, AgentSubmission, Receipt, WorkSink};
use crate::domain::crash::FrameDirection;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::task::TaskError;

/// Frames that wait for the child to read.
pub(super) const MAX_UNREAD: usize = 256;
/// Missed heartbeats after which a child with open tasks shows no sign.
const MISSED_HEARTBEATS: u32 = 3;
/// Probes that wait for the child's answer.
const MAX_PROBES: usize = 8;
/// Tasks a child may ask for at once.
const MAX_CONCURRENCY: u32 = 128;
/// The shortest heartbeat that is taken at its word.
const MIN_HEARTBEAT: Duration = Duration::from_millis(100);
/// The longest word (a code, a kind, a version) kept of a child's frame, bytes.
const MAX_WORD: usize = 128;
/// The longest text (a message for people) kept of a child's frame, bytes.
const MAX_TEXT: usize = 4 * 1024;

/// A text of a child, cut to what is kept.
fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

/// A line for the child.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) line: Vec<u8>,
    /// The task it hands over.
    pub(super) task: Option<TaskId>,
}

/// The conversation of one life.
#[derive(Debug)]
pub(super) struct Talk {
    life: Life,
    work: Arc<dyn WorkSink>,
    log: Arc<AgentLog>,
    leash: Arc<Leash>,
    pub(super) tasks: OpenTasks,
    pub(super) frames: FrameTail,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    outbox: Option<mpsc::Sender<Outgoing>>,
    ready: bool,
    heartbeat: Option<Duration>,
    probes: Vec<oneshot::Sender<Evidence>>,
    pings: u64,
    mail: Mail,
}

impl Talk {
    /// Begins it; what comes back is to be written to the child.
    pub(super) fn begin(
        life: Life,
        work: Arc<dyn WorkSink>,
        log: Arc<AgentLog>,
        leash: Arc<Leash>,
    ) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (outbox, unread) = mpsc::channel(MAX_UNREAD);
        let talk = Self {
            life,
            work,
            log,
            leash,
            tasks: OpenTasks::new(),
            frames: FrameTail::default(),
            state: Mutex::new(State {
                outbox: Some(outbox),
                ready: false,
                heartbeat: None,
                probes: Vec::new(),
                pings: 0,
                mail: Mail::default(),
            }),
        };
        (Arc::new(talk), unread)
    }

    /// Greets the child.
    pub(super) fn hello(&self, config: serde_json::Value) {
        self.tell(&ToAgent::Hello {
            protocol: PROTOCOL,
            agent: self.life.instance.agent.as_str(),
            instance: self.life.instance.to_string(),
            generation: self.life.generation,
            config,
        });
    }

    /// Asks it to finish what it holds.
    pub(super) fn drain(&self, at_most: Duration) {
        self.tell(&ToAgent::Drain {
            deadline_ms: millis(at_most),
        });
    }

    /// Ends the conversation: the child is told, then its stdin ends.
    pub(super) fn shut_down(&self) {
        self.tell(&ToAgent::Shutdown);
        self.state.lock().outbox = None;
    }

    /// The life is over.
    pub(super) fn close(&self) {
        self.tasks.close();
        let untaken = {
            let mut state = self.state.lock();
            state.outbox = None;
            state.probes.clear();
            std::mem::take(&mut state.mail)
        };
        drop(untaken);
    }

    /// The child is gone. A task that it never read has not killed it, and goes back without
    /// blame: many die at once, and a task may be handed to one of them before its end is known.
    pub(super) fn give_back_undelivered(&self) {
        for (task, lease) in self.tasks.take_undelivered() {
            let instance = &self.life.instance;
            self.nothing_spent((task, lease));
            self.work
                .settled(instance, task, lease, AgentOutcome::Cancelled);
        }
    }

    fn tell(&self, frame: &ToAgent<'_>) -> bool {
        self.send(frame.line(), None)
    }

    fn send(&self, line: Vec<u8>, task: Option<TaskId>) -> bool {
        let outbox = self.state.lock().outbox.clone();
        outbox.is_some_and(|outbox| outbox.try_send(Outgoing { line, task }).is_ok())
    }

    /// What it holds, and what its process tree uses.
    pub(super) fn evidence(&self) -> Evidence {
        let mut shown = self.tasks.evidence();
        self.leash.show(&mut shown);
        shown
    }

    /// Asks for a sign. A child that computes cannot answer a ping, so only one without a task, or
    /// with a heartbeat and no zone of silence declared, is held to it.
    pub(super) fn probe(&self, answer: oneshot::Sender<Evidence>) {
        let heartbeat = self.state.lock().heartbeat;
        let heartbeat = heartbeat.filter(|_| !self.tasks.is_busy());
        match heartbeat {
            _ if self.tasks.is_empty() => self.ping(answer),
            Some(beat) if self.tasks.since_sign() > beat * MISSED_HEARTBEATS => drop(answer),
            // Who asked may have stopped waiting.
            _ => drop(answer.send(self.evidence())),
        }
    }

    fn ping(&self, answer: oneshot::Sender<Evidence>) {
        let n = {
            let mut state = self.state.lock();
            state.probes.retain(|probe| !probe.is_closed());
            if state.probes.len() >= MAX_PROBES {
                return;
            }
            state.pings += 1;
            state.probes.push(answer);
            state.pings
        };
        self.tell(&ToAgent::Ping { n });
    }

    fn answer_probes(&self) {
        let probes = std::mem::take(&mut self.state.lock().probes);
        for probe in probes {
            drop(probe.send(self.evidence()));
        }
    }

    /// Takes a line of the child's stdout.
    pub(super) fn hear(self: &Arc<Self>, line: &Line) {
        self.tasks.sign();
        if line.cut > 0 {
            let kept = line.bytes.len();
            self.complain(&format!(
                "a line of {} bytes was cut to {kept}",
                line.cut + kept as u64
            ));
            return;
        }
        match hear(&line.bytes) {
            Heard::Text => self.log.line(Level::Info, &line.text()),
            Heard::Broken { why, task } => {
                self.frames.say(FrameDirection::FromAgent, &line.bytes);
                self.broken(&why, task);
            }
            Heard::Frame(frame) => {
                self.frames.say(FrameDirection::FromAgent, &line.bytes);
                self.frame(frame);
            }
        }
        // Anything that the child says after a ping shows that it lives.
        self.answer_probes();
    }

    /// An error that does not end the life.
    fn complain(&self, what: &str) {
        self.tasks.error();
        self.life.note(LifeNote::Error);
        self.log
            .line(Level::Warning, &format!("[agent-system] {what}"));
    }

    /// A frame that cannot be read. If it was to settle a task, nobody would ever settle it.
    fn broken(&self, why: &str, task: Option<TaskId>) {
        self.complain(&format!("not a frame: {why}"));
        let open = task.and_then(|task| Some((task, self.tasks.lease(task)?)));
        if let Some((task, lease)) = open {
            let error = TaskError {
                code: "invalid_frame".to_owned(),
                message: format!("the agent sent a frame that cannot be read: {why}"),
                retryable: false,
            };
            self.settle(task, lease, AgentOutcome::Failed(error));
        }
    }

    fn frame(self: &Arc<Self>, frame: FromAgent) {
        match frame {
            FromAgent::Ready(ready) => self.ready(ready),
            FromAgent::Progress {
                task_id,
                percent,
                message,
            } => {
                if let Some(lease) = self.tasks.progress(task_id) {
                    let percent = percent.map(|percent| percent.clamp(0.0, 100.0));
                    let message = message.map(|message| cut(message, MAX_TEXT));
                    self.work.progress(task_id, lease, percent, message);
                }
            }
            FromAgent::Busy {
                task_id,
                reason,
                max_ms,
            } => {
                if let Some(span) = self.tasks.busy(task_id, Duration::from_millis(max_ms)) {
                    self.work.busy(task_id, &cut(reason, MAX_TEXT), span);
                }
            }
            FromAgent::Result {
                task_id,
                lease_id,
                output,
                usage,
            } => {
                self.usage_with((task_id, lease_id), usage);
                self.settle(task_id, lease_id, AgentOutcome::Output(output));
            }
            FromAgent::Error(error) => self.error(error),
            FromAgent::Log(log) => self.line(log),
            FromAgent::Message { to, kind, content } => self.work.message(AgentMessage {
                from: self.life.instance.clone(),
                to,
                kind: cut(kind, MAX_WORD),
                content,
            }),
            FromAgent::Submit {
                name,
                agent,
                role,
                payload,
                task_id,
            } => self.work.submit(AgentSubmission {
                traceparent: self.tasks.trace(task_id),
                from: self.life.instance.clone(),
                name: name.map(|name| cut(name, MAX_WORD)),
                agent,
                role,
                payload,
            }),
            FromAgent::Pong { n } => self.took(|mail| mail.read_up_to(n)),
            FromAgent::Ack { message_id } => self.took(|mail| mail.acknowledged(message_id)),
            FromAgent::Heartbeat => {}
            FromAgent::Metric { name, value } => self.metric(&name, value),
            FromAgent::Usage(usage) => self.usage(&usage),
        }
    }

    /// A line for people.
    fn line(&self, log: LogFrame) {
        let text = match &log.fields {
            serde_json::Value::Null => log.message,
            fields => format!("{} {fields}", log.message),
        };
        self.log.line(Level::from_word(&log.level), &text);
    }

    /// The child has taken messages; who is told of it may call back, so no lock is held then.
    fn took<T: IntoIterator<Item = Receipt>>(&self, which: impl FnOnce(&mut Mail) -> T) {
        let taken = which(&mut self.state.lock().mail);
        taken.into_iter().for_each(Receipt::taken);
    }

    fn ready(self: &Arc<Self>, ready: ReadyFrame) {
        let first = {
            let mut state = self.state.lock();
            let heartbeat = ready.heartbeat_ms.map(Duration::from_millis);
            state.heartbeat = heartbeat.map(|beat| beat.max(MIN_HEARTBEAT));
            state.mail.acknowledges(ready.acks);
            !std::mem::replace(&mut state.ready, true)
        };
        if first {
            self.life.ready(Ready {
                port: Some(Arc::new(TalkPort(self.clone()))),
                concurrency: ready
                    .concurrency
                    .map(|at_once| at_once.clamp(1, MAX_CONCURRENCY)),
                version: ready.version.map(|version| cut(version, MAX_WORD)),
            });
        }
    }

    fn error(&self, error: ErrorFrame) {
        self.usage_with((error.task_id, error.lease_id), error.usage);
        let failed = AgentOutcome::Failed(TaskError {
            code: cut(error.code, MAX_WORD),
            message: cut(error.message, MAX_TEXT),
            retryable: error.retryable,
        });
        self.settle(error.task_id, error.lease_id, failed);
    }

    fn settle(&self, task: TaskId, lease: LeaseId, outcome: AgentOutcome) {
        let failed = matches!(outcome, AgentOutcome::Failed(_));
        let outcome = match self.tasks.settle(task, lease) {
            // One that fails after it was told to give up obeyed.
            Some(true) if failed => AgentOutcome::Cancelled,
            Some(_) => {
                if failed {
                    self.tasks.error();
                    self.life.note(LifeNote::Error);
                }
                outcome
            }
            None => {
                self.complain(&format!(
                    "a result for {task}, which is not open under {lease}"
                ));
                outcome
            }
        };
        self.work.settled(&self.life.instance, task, lease, outcome);
    }
}
