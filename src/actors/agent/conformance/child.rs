//! The program on trial: one process, what it is told, what it says.
//!
//! Rely on: nothing is waited for without a bound, and a dropped child is killed with its group.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::actors::agent::exec::{FAILURE_MARK, is_failure_code};
use crate::actors::agent::family::signal_group;
use crate::actors::agent::frames::{FromAgent, Heard, MAX_LINE, ToAgent, hear};
use crate::actors::agent::launcher::{Input, Launched, Launcher};
use crate::actors::agent::lines::{Line, Lines};
use crate::domain::agent::ProcessSpec;

/// How long a frame may lie unread.
const READS_WITHIN: Duration = Duration::from_secs(10);
/// From the end of its output to the end of the process.
const END_FOLLOWS_WITHIN: Duration = Duration::from_secs(1);
/// Lines of stderr that are kept to show.
const LAST_WORDS: usize = 20;
/// The longest line of stderr that is kept, bytes.
const MAX_WORDS: usize = 1024;
/// Frames that may wait to be looked at.
const MAX_UNHEARD: usize = 1024;

/// Why something that was waited for did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The process lives and says nothing of it.
    Silent(Duration),
    /// The process has ended.
    Ended(String),
    /// The process lives, but not one of its pipes.
    HungUp(&'static str),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent(span) => write!(f, "nothing came within {span:?}"),
            Self::Ended(how) => write!(f, "the process ended: {how}"),
            Self::HungUp(pipe) => write!(f, "it closed its {pipe} and runs on"),
        }
    }
}

/// What all of its lines were.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Frames.
    pub(super) frames: u64,
    /// Lines that are no JSON object: the log.
    pub(super) texts: u64,
    /// JSON objects that are no frame, or hold a figure that is none: why, the first few.
    pub(super) broken: Vec<String>,
    /// Lines over the limit.
    pub(super) too_long: u64,
}

impl Tally {
    /// Keeps why a line is not as the protocol has it, of the first few.
    fn break_with(&mut self, why: &str, line: &Line) {
        const MAX_BROKEN: usize = 5;
        if self.broken.len() < MAX_BROKEN {
            let start: String = line.text().chars().take(120).collect();
            self.broken.push(format!("{why}: {start}"));
        }
    }
}

/// What is kept of what it said, over all lives.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) tally: Mutex<Tally>,
    pub(super) last_words: Mutex<VecDeque<String>>,
}

/// One life of the program.
pub(super) struct Child {
    launched: Launched,
    stdin: Option<ChildStdin>,
    frames: mpsc::Receiver<FromAgent>,
    record: Arc<Record>,
    pings: u64,
}

impl Child {
    /// Starts it, as the daemon would.
    pub(super) async fn start(
        launcher: &Launcher,
        spec: &ProcessSpec,
        record: Arc<Record>,
    ) -> Result<Self, String> {
        let launched = launcher.launch(spec, Input::Piped).await;
        let mut launched = launched.map_err(|error| error.to_string())?;
        let (tell, frames) = mpsc::channel(MAX_UNHEARD);
        if let Some(stdout) = launched.child.stdout.take() {
            tokio::spawn(read_frames(stdout, tell, record.clone()));
        }
        if let Some(stderr) = launched.child.stderr.take() {
            tokio::spawn(read_words(stderr, record.clone()));
        }
        Ok(Self {
            stdin: launched.child.stdin.take(),
            launched,
            frames,
            record,
            pings: 0,
        })
    }

    /// Tells it a frame, with a field that no version of the protocol knows if `new` says so.
    pub(super) async fn tell(&mut self, frame: &ToAgent<'_>, new: bool) -> Result<(), Trouble> {
        let mut frame = serde_json::to_value(frame).unwrap_or_default();
        if let (true, Value::Object(fields)) = (new, &mut frame) {
            fields.insert("x_future".into(), json!({"unknown": [1, "two"]}));
        }
        self.tell_raw(&frame).await
    }

    /// Tells it any object.
    pub(super) async fn tell_raw(&mut self, frame: &Value) -> Result<(), Trouble> {
        let line = format!("{frame}\n");
        let Some(stdin) = &mut self.stdin else {
            return Err(Trouble::HungUp("input"));
        };
        match timeout(READS_WITHIN, stdin.write_all(line.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.trouble("input").await),
            Err(_) => Err(Trouble::Silent(READS_WITHIN)),
        }
    }

    /// Waits for a frame that `wanted` takes.
    pub(super) async fn hear<T>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(FromAgent) -> Option<T>,
    ) -> Result<T, Trouble> {
        let end = Instant::now() + within;
        loop {
            match timeout_at(end, self.frames.recv()).await {
                Ok(Some(frame)) => {
                    if let Some(found) = wanted(frame) {
                        return Ok(found);
                    }
                }
                Ok(None) => return Err(self.trouble("output").await),
                Err(_) => return Err(Trouble::Silent(within)),
            }
        }
    }

    /// Asks for a sign of life, and waits for it.
    pub(super) async fn ping(&mut self, new: bool, within: Duration) -> Result<(), Trouble> {
        self.pings += 1;
        let n = self.pings;
        self.tell(&ToAgent::Ping { n }, new).await?;
        let pong = |frame| matches!(frame, FromAgent::Pong { n: answered } if answered == n);
        self.hear(within, |frame| pong(frame).then_some(())).await
    }

    /// Closes its input.
    pub(super) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end; whether that was one with code 0, and how it was.
    pub(super) async fn end(&mut self, within: Duration) -> Result<(bool, String), Trouble> {
        match timeout(within, self.launched.child.wait()).await {
            Ok(Ok(status)) => Ok((status.success(), self.how(status))),
            Ok(Err(error)) => Ok((false, error.to_string())),
            Err(_) => Err(Trouble::Silent(within)),
        }
    }

    /// Why a pipe has ended: with its process, or before it.
    async fn trouble(&mut self, pipe: &'static str) -> Trouble {
        match self.end(END_FOLLOWS_WITHIN).await {
            Ok((_, how)) => Trouble::Ended(how),
            Err(_) => Trouble::HungUp(pipe),
        }
    }

    fn how(&self, status: ExitStatus) -> String {
        let said = self.record.last_words.lock().back().cloned();
        let launcher = said.as_deref().and_then(|it| it.strip_prefix(FAILURE_MARK));
        match (status.code(), status.signal(), launcher) {
            (Some(code), _, Some(why)) if is_failure_code(code) => why.to_owned(),
            (Some(code), ..) => format!("exit code {code}"),
            (None, signal, _) => format!("signal {}", signal.unwrap_or_default()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // What it forked goes with it.
        signal_group(self.launched.pid, Signal::KILL);
    }
}

async fn read_frames(stdout: ChildStdout, tell: mpsc::Sender<FromAgent>, record: Arc<Record>) {
    let mut lines = Lines::new(stdout, MAX_LINE);
    while let Some(line) = lines.next().await {
        let frame = {
            let mut tally = record.tally.lock();
            if line.cut > 0 {
                tally.too_long += 1;
                continue;
            }
            match hear(&line.bytes) {
                Heard::Frame(frame) => {
                    tally.frames += 1;
                    if let Some(bad) = frame.bad_figure() {
                        tally.break_with(&bad, &line);
                    }
                    frame
                }
                Heard::Text => {
                    tally.texts += 1;
                    continue;
                }
                Heard::Broken { why, .. } => {
                    tally.break_with(&why, &line);
                    continue;
                }
            }
        };
        if tell.send(frame).await.is_err() {
            break;
        }
    }
}

async fn read_words(stderr: ChildStderr, record: Arc<Record>) {
    let mut lines = Lines::new(stderr, MAX_WORDS);
    while let Some(line) = lines.next().await {
        let mut words = record.last_words.lock();
        if words.len() == LAST_WORDS {
            words.pop_front();
        }
        words.push_back(line.text());
    }
}
