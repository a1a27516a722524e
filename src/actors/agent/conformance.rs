//! Whether a program speaks the stdio protocol: what `agents test` asks of an agent's author.
//!
//! The program is started as the daemon starts it (launcher, environment, limits) and told what the
//! daemon tells, then some things that a later daemon might tell. Each check stands alone: one that
//! kills or hangs the program fails, and the next one gets a new life.
//!
//! Not here: durable work and supervision; no database is opened and no daemon asked.

mod checks;
mod child;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use super::frames::{FromAgent, PROTOCOL, ReadyFrame, ToAgent};
use super::launcher::Launcher;
use crate::domain::agent::ProcessSpec;
use child::{Child, Record, Trouble};

/// The program on trial, and what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// What it is told to be called.
    pub(crate) name: String,
    /// How it is started.
    pub(crate) process: ProcessSpec,
    /// The payload of its tasks.
    pub(crate) payload: Value,
    /// An existing directory for large values.
    pub(crate) artifacts: PathBuf,
    /// The limits.
    pub(crate) limits: Limits,
}

/// How long each thing may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From the start to `ready`.
    pub(crate) startup: Duration,
    /// A pong.
    pub(crate) pong: Duration,
    /// A task, and a task that was cancelled.
    pub(crate) task: Duration,
    /// From `shutdown`, or the end of stdin, to the end.
    pub(crate) stop: Duration,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Ok,
    Failed,
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    /// What was seen.
    pub(crate) message: String,
    /// What to do, where it did not pass.
    pub(crate) way_out: Option<String>,
    pub(crate) duration_ms: u64,
}

/// All that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) agent: String,
    pub(crate) command: Vec<String>,
    /// Whether nothing failed.
    pub(crate) passed: bool,
    pub(crate) checks: Vec<Check>,
    /// The last lines of its stderr.
    pub(crate) stderr: Vec<String>,
}

/// Puts the program on trial.
pub(crate) async fn run(launcher: &Launcher, subject: Subject) -> Report {
    let mut trial = Trial {
        launcher,
        record: Arc::default(),
        child: None,
        ready: None,
        generation: 0,
        subject,
    };
    let checks = trial.all().await;
    let stderr = trial.record.last_words.lock().iter().cloned().collect();
    Report {
        agent: trial.subject.name,
        command: trial.subject.process.command,
        passed: checks.iter().all(|it| it.outcome != Outcome::Failed),
        checks,
        stderr,
    }
}

/// A check's way to its end: what was seen, or what went wrong with the way out.
type Seen = Result<String, Wrong>;

/// Why a check did not pass.
enum Wrong {
    /// What was seen, and the way out.
    Failed(String, &'static str),
    /// Why there was nothing to see, and the way out, if it has one of its own.
    Skipped(String, Option<&'static str>),
}

/// The trial as it goes.
struct Trial<'a> {
    launcher: &'a Launcher,
    subject: Subject,
    record: Arc<Record>,
    child: Option<Child>,
    /// What the first life said in `ready`.
    ready: Option<ReadyFrame>,
    generation: u64,
}

impl Trial<'_> {
    async fn all(&mut self) -> Vec<Check> {
        let begun = Instant::now();
        let ready = self.started().await;
        let mut found = vec![check("ready", begun, ready)];
        let is_up = found[0].outcome == Outcome::Ok;
        for name in checks::NAMES {
            let begun = Instant::now();
            let seen = match found.iter().find(|it| it.outcome == Outcome::Failed) {
                _ if !is_up => Err(Wrong::Skipped("it was never ready".into(), None)),
                Some(failed) if (failed.name, name) == ("task", "unknown fields") => {
                    let why = "a task of known fields failed already";
                    Err(Wrong::Skipped(why.into(), None))
                }
                _ => self.one(name).await,
            };
            found.push(check(name, begun, seen));
        }
        self.child = None;
        let begun = Instant::now();
        found.push(check("output", begun, self.output()));
        found
    }

    /// The living child, or a new one.
    async fn child(&mut self) -> Result<&mut Child, Wrong> {
        if self.child.is_none() {
            self.started().await?;
        }
        self.child
            .as_mut()
            .ok_or_else(|| Wrong::Failed("it is gone".into(), checks::SEE_STDERR))
    }

    /// Starts a life and waits for its `ready`.
    async fn started(&mut self) -> Seen {
        self.child = None;
        self.generation += 1;
        let begun = Instant::now();
        let record = self.record.clone();
        let started = Child::start(self.launcher, &self.subject.process, record).await;
        let mut child = started.map_err(|why| Wrong::Failed(why, checks::CORRECT_COMMAND))?;
        let ready = self.greet(&mut child).await.map_err(checks::never_ready)?;
        let said = described(&ready);
        self.ready = Some(ready);
        self.child = Some(child);
        Ok(format!("after {} ms{said}", begun.elapsed().as_millis()))
    }

    async fn greet(&self, child: &mut Child) -> Result<ReadyFrame, Trouble> {
        let hello = ToAgent::Hello {
            protocol: PROTOCOL,
            agent: &self.subject.name,
            instance: format!("{}#0", self.subject.name),
            generation: self.generation,
            config: self.config(),
        };
        child.tell(&hello, true).await?;
        let ready = |frame| match frame {
            FromAgent::Ready(ready) => Some(ready),
            _ => None,
        };
        child.hear(self.subject.limits.startup, ready).await
    }

    /// `hello.config`: the settings, and where large values lie.
    fn config(&self) -> Value {
        let mut config = match self.subject.process.settings.clone() {
            Value::Null => json!({}),
            settings => settings,
        };
        if let Value::Object(config) = &mut config {
            let place = self.subject.artifacts.to_string_lossy();
            config.insert("artifacts".to_owned(), json!(place));
        }
        config
    }
}

fn described(ready: &ReadyFrame) -> String {
    let mut words = String::new();
    if let Some(version) = &ready.version {
        words.push_str(&format!(", version {version}"));
    }
    if let Some(concurrency) = ready.concurrency {
        words.push_str(&format!(", {concurrency} tasks at once"));
    }
    words
}

fn check(name: &'static str, begun: Instant, seen: Seen) -> Check {
    let (outcome, message, way_out) = match seen {
        Ok(message) => (Outcome::Ok, message, None),
        Err(Wrong::Failed(message, way_out)) => (Outcome::Failed, message, Some(way_out)),
        Err(Wrong::Skipped(message, way_out)) => (Outcome::Skipped, message, way_out),
    };
    Check {
        name,
        outcome,
        message,
        way_out: way_out.map(str::to_owned),
        duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}
