//! Waiting for a task or a workflow, and printing what came of it.
//!
//! A daemon that goes away meanwhile is waited for up to [`AWAY`]: the work is durable and goes
//! on in its next life.

use std::process::ExitCode;
use std::time::Duration;

use rand::Rng as _;
use serde_json::Value;
use tokio::time::Instant;

use super::context::Context;
use super::exit::{Failure, TIMEOUT, UNHEALTHY};
use super::out::{Format, text};
use crate::client::{Answer, ClientError};

/// How long one question waits.
const ROUND: Duration = Duration::from_secs(30);
/// How long one question waits while somebody watches the progress.
const WATCHED_ROUND: Duration = Duration::from_millis(500);
/// How long a daemon may be away.
const AWAY: Duration = Duration::from_secs(60);
/// The shortest and the longest pause before a daemon that is away is asked again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Final states, of tasks and of workflows.
const FINAL: [&str; 6] = [
    "succeeded",
    "completed",
    "failed",
    "cancelled",
    "timed_out",
    "dead",
];

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Task,
    Workflow,
}

impl Work {
    pub(super) const fn list(self) -> &'static str {
        match self {
            Self::Task => "tasks",
            Self::Workflow => "workflows",
        }
    }

    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Workflow => "workflow",
        }
    }

    /// What its ids begin with.
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Task => "tsk_",
            Self::Workflow => "wfl_",
        }
    }

    /// The field that holds what came of it.
    const fn result(self) -> &'static str {
        match self {
            Self::Task => "result",
            Self::Workflow => "output",
        }
    }
}

/// The task or workflow once it is final.
pub(super) async fn until_final(
    context: &Context,
    work: Work,
    id: &str,
    at_most: Option<Duration>,
) -> Result<Answer, Failure> {
    let deadline = at_most.map(|span| Instant::now() + span);
    let mut away = Away::default();
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let round = if context.out.watched() {
            WATCHED_ROUND
        } else {
            ROUND
        };
        let round = left.map_or(round, |left| left.min(round));
        match context.client.wait(work.list(), id, round).await {
            Ok(answer) if FINAL.contains(&answer.value["state"].as_str().unwrap_or_default()) => {
                context.out.progress("");
                return Ok(answer);
            }
            Ok(answer) => {
                away = Away::default();
                context.out.progress(&progress(work, &answer.value));
            }
            Err(error) if passes(&error) => away.pause(context, error).await?,
            Err(error) => return Err(error.into()),
        }
        if left.is_some_and(|left| left.is_zero()) {
            let message = format!("{} {id} is not finished yet; it goes on", work.noun());
            return Err(Failure::new(TIMEOUT, message));
        }
    }
}

/// Whether the daemon may come back and answer.
fn passes(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } | ClientError::Timeout { .. } => true,
        ClientError::Refused(refusal) => refusal.status == 503,
        _ => false,
    }
}

/// A daemon that does not answer for the moment.
#[derive(Default)]
struct Away {
    since: Option<Instant>,
    pauses: u32,
}

impl Away {
    /// Waits a little, or gives up.
    async fn pause(&mut self, context: &Context, error: ClientError) -> Result<(), Failure> {
        let since = *self.since.get_or_insert_with(|| {
            context
                .out
                .note("the daemon is away; waiting for it to come back");
            Instant::now()
        });
        if since.elapsed() > AWAY {
            return Err(error.into());
        }
        let longest = (PAUSE.0 * 2_u32.saturating_pow(self.pauses.min(10))).min(PAUSE.1);
        self.pauses += 1;
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        let pause = Duration::from_millis(rand::rng().random_range(millis / 2..=millis));
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// One line about work that is not done yet.
fn progress(work: Work, value: &Value) -> String {
    let state = text(&value["state"]);
    match work {
        Work::Task => match value["progress"]["percent"].as_f64() {
            Some(percent) => format!("{state} {percent:.0}% {}", bar(percent / 100.0)),
            None => format!("{state}, attempt {}", value["attempt"]),
        },
        Work::Workflow => {
            let counts = value["tasks"].as_object();
            let count = |wanted: &str| {
                counts
                    .and_then(|all| all.get(wanted)?.as_u64())
                    .unwrap_or(0)
            };
            let all: u64 = counts
                .map(|all| all.values().filter_map(Value::as_u64).sum())
                .unwrap_or(0);
            let done = count("succeeded");
            #[expect(
                clippy::cast_precision_loss,
                reason = "a bar is twenty characters wide"
            )]
            let share = done as f64 / all.max(1) as f64;
            format!(
                "{state} {} {done}/{all} tasks, {} running",
                bar(share),
                count("running")
            )
        }
    }
}

fn bar(share: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 to 20"
    )]
    let full = (share.clamp(0.0, 1.0) * 20.0) as usize;
    format!("[{}{}]", "#".repeat(full), "·".repeat(20 - full))
}

/// Prints the result alone, or the whole object; the code says whether it succeeded.
pub(super) async fn print(
    context: &Context,
    work: Work,
    answer: &Answer,
) -> Result<ExitCode, Failure> {
    let succeeded = matches!(
        answer.value["state"].as_str(),
        Some("succeeded" | "completed")
    );
    if context.out.format != Format::Table {
        context.out.object(answer, "id", |_| String::new())?;
    } else if succeeded {
        result(context, &answer.value[work.result()]).await?;
    }
    if succeeded {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failure::new(UNHEALTHY, ending(work, &answer.value)))
}

/// How work ended that did not succeed.
fn ending(work: Work, value: &Value) -> String {
    let (id, state) = (text(&value["id"]), text(&value["state"]));
    let error = &value["error"];
    let why = match error["message"].as_str() {
        None => String::new(),
        Some(message) => format!(": {}: {message}", text(&error["code"])),
    };
    format!("{} {id} is {state}{why}", work.noun())
}

/// A result as it is: a text with a line's end, an artifact's bytes, or JSON.
async fn result(context: &Context, value: &Value) -> Result<(), Failure> {
    if let Some(name) = value["$artifact"].as_str() {
        let mut download = context.client.artifact(name).await?;
        while let Some(piece) = download.next().await? {
            context.out.bytes(&piece)?;
        }
        return Ok(());
    }
    match value {
        Value::String(text) if text.is_empty() || text.ends_with('\n') => {
            context.out.bytes(text.as_bytes())
        }
        Value::String(text) => context.out.line(text),
        other => context.out.line(&format!("{other:#}")),
    }
}

/// A span such as `30s`, `500ms`, `2m`, `1h`.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let amount: u64 = text[..digits].parse().map_err(|_| wrong_span(text))?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong_span(text)),
    };
    amount
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(|| wrong_span(text))
}

fn wrong_span(text: &str) -> String {
    format!("'{text}' is not a span such as 30s, 500ms, 2m or 1h")
}

/// A new key that makes a repeated submission answer with the first one.
pub(super) fn new_key() -> String {
    let hex: String = crate::clock::new_id()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("cli-{hex}")
}

/// `KEY=VALUE`
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("'{text}' is not KEY=VALUE")),
    }
}
