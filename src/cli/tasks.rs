//! `tasks`: durable work.

mod called;
mod payload;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::dead_letters::{Many, counts};
use super::exit::Failure;
use super::named;
use super::show::{age, all_fields, field};
use super::table::Column;
use super::wait::{self, Work, new_key, pair, span};
use crate::domain::timestamp::Timestamp;

use payload::payload;
pub(super) use payload::{read, read_json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Hand in a task
    Submit(Box<Submit>),
    /// Tasks, the newest first
    List(List),
    /// One task, whole
    Get(Get),
    /// Wait until it is final and print its result
    Wait {
        /// The task
        id: String,
        /// Give up after this span; the task goes on
        #[arg(long, value_parser = span)]
        timeout: Option<Duration>,
    },
    /// End one, whatever its state, or all that a filter names
    Cancel {
        /// The task
        #[arg(required_unless_present = "filter", conflicts_with_all = ["filter", "dry_run"])]
        id: Option<String>,
        /// Why
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        many: Many,
    },
    /// Queue one again, or all that a filter names
    Retry {
        /// The task
        #[arg(required_unless_present = "filter", conflicts_with_all = ["filter", "dry_run"])]
        id: Option<String>,
        #[command(flatten)]
        many: Many,
    },
    /// Why it stands where it stands
    Explain(Id),
    /// Its executions
    Attempts(Id),
}

#[derive(Debug, Args)]
pub(super) struct Get {
    /// The task
    id: String,
    /// Wait until it is final and print what came of it alone
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Id {
    /// The task
    id: String,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["agent", "role", "queue"]))]
pub(super) struct Submit {
    /// For this agent
    #[arg(long)]
    agent: Option<String>,
    /// For any agent of this role
    #[arg(long)]
    role: Option<String>,
    /// For whoever takes from this queue
    #[arg(long)]
    queue: Option<String>,
    /// A word for people
    #[arg(long)]
    name: Option<String>,
    /// What the agent gets, as JSON
    #[arg(long, conflicts_with = "payload_file")]
    payload: Option<String>,
    /// A file that holds the payload as JSON; - for stdin
    #[arg(long, value_name = "FILE")]
    payload_file: Option<PathBuf>,
    /// 1 to 9, 9 first
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=9))]
    priority: Option<u8>,
    /// Not before this instant (RFC 3339)
    #[arg(long)]
    run_at: Option<Timestamp>,
    /// Executions that may be its own fault
    #[arg(long)]
    max_attempts: Option<u32>,
    /// The longest one attempt may take
    #[arg(long, value_parser = span)]
    timeout: Option<Duration>,
    /// The longest it may wait for a slot
    #[arg(long, value_parser = span, value_name = "SPAN")]
    waiting_timeout: Option<Duration>,
    /// The longest it may take altogether
    #[arg(long, value_parser = span, value_name = "SPAN")]
    total_timeout: Option<Duration>,
    /// Tasks of the queue with the same key share its limits of keys
    #[arg(long, value_name = "KEY")]
    concurrency_key: Option<String>,
    /// Answer with an earlier task that has this key, if there is one
    #[arg(long, value_name = "KEY")]
    unique: Option<String>,
    /// How old that task may be
    #[arg(long, value_parser = span, value_name = "SPAN", requires = "unique")]
    unique_period: Option<Duration>,
    /// A label, KEY=VALUE; may repeat
    #[arg(long, value_parser = pair)]
    label: Vec<(String, String)>,
    /// The same key again gives the first task
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Wait until it is final and print its result
    #[arg(long)]
    wait: bool,
    /// Wait at most this long; the task goes on
    #[arg(long, value_parser = span, requires = "wait")]
    wait_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only in this state; may repeat
    #[arg(long)]
    state: Vec<String>,
    /// Only of this workflow
    #[arg(long)]
    workflow: Option<String>,
    #[command(flatten)]
    marks: Marks,
    #[command(flatten)]
    page: super::records::PageArgs,
}

/// What tasks are picked by in every list of them.
#[derive(Debug, Args)]
pub(super) struct Marks {
    /// Only for this agent
    #[arg(long)]
    agent: Option<String>,
    /// Only for this role
    #[arg(long)]
    role: Option<String>,
    /// Only in this queue
    #[arg(long)]
    queue: Option<String>,
    /// Only of this name
    #[arg(long)]
    name: Option<String>,
    /// Only with this label, KEY=VALUE; may repeat
    #[arg(long)]
    label: Vec<String>,
}

impl Marks {
    /// The filter as the API takes it.
    pub(super) fn filter(self) -> impl Iterator<Item = (&'static str, String)> {
        let one = [
            ("agent", self.agent),
            ("role", self.role),
            ("queue", self.queue),
            ("name", self.name),
        ];
        let one = one
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)));
        one.chain(self.label.into_iter().map(|label| ("label", label)))
    }
}

const COLUMNS: &[Column] = &[
    ("ID", |task| field(task, "id")),
    ("NAME", |task| field(task, "name")),
    ("FOR", target),
    ("STATE", |task| field(task, "state")),
    ("PRIORITY", |task| field(task, "priority")),
    ("ATTEMPT", |task| {
        format!("{}/{}", field(task, "attempt"), field(task, "max_attempts"))
    }),
    ("AGE", |task| age(&task["created_at"])),
    ("ERROR", |task| {
        task["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }),
];

const ATTEMPTS: &[Column] = &[
    ("ATTEMPT", |attempt| field(attempt, "attempt")),
    ("OUTCOME", |attempt| field(attempt, "outcome")),
    ("REPLICA", |attempt| field(attempt, "instance")),
    ("STARTED", |attempt| field(attempt, "started_at")),
    ("FINISHED", |attempt| field(attempt, "finished_at")),
    ("ERROR", |attempt| {
        attempt["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }),
];

fn target(task: &Value) -> String {
    let role = task["role"].as_str().map(|role| format!("role {role}"));
    let agent = task["agent"].as_str().map(str::to_owned);
    agent
        .or(role)
        .unwrap_or_else(|| format!("queue {}", field(task, "queue")))
}

pub(super) async fn run(context: &mut Context, mut command: Command) -> Result<ExitCode, Failure> {
    if let Some((task, purpose)) = command.called() {
        *task = named::id(context, Work::Task, task, purpose).await?;
    }
    let Context { client, out, .. } = context;
    match command {
        Command::Submit(submit) => return run_submit(context, *submit).await,
        Command::Wait { id, timeout } => {
            let answer = wait::until_final(context, Work::Task, &id, timeout).await?;
            return wait::print(context, Work::Task, &answer).await;
        }
        Command::List(list) => {
            out.list(&client.list("tasks", filter(list)).await?, "id", COLUMNS)?;
        }
        Command::Get(Get { id, wait: true }) => {
            let answer = wait::until_final(context, Work::Task, &id, None).await?;
            return wait::print(context, Work::Task, &answer).await;
        }
        Command::Get(Get { id, wait: false }) => {
            out.object(&client.get("tasks", &id).await?, "id", all_fields)?;
        }
        Command::Attempts(Id { id }) => {
            let answer = client.part("tasks", &id, "attempts", Vec::new()).await?;
            out.list(&answer, "attempt", ATTEMPTS)?;
        }
        Command::Explain(Id { id }) => {
            let answer = client.part("tasks", &id, "explain", Vec::new()).await?;
            out.object(&answer, "state", explained)?;
        }
        Command::Cancel {
            id: None,
            reason,
            many,
        } => {
            let body = json!({"action": "cancel", "filter": many.filter(),
                "dry_run": many.dry_run, "reason": reason});
            out.object(&client.verb("tasks:bulk", body).await?, "done", counts)?;
        }
        Command::Retry { id: None, many } => {
            let body = json!({"action": "retry", "filter": many.filter(),
                "dry_run": many.dry_run});
            out.object(&client.verb("tasks:bulk", body).await?, "done", counts)?;
        }
        Command::Cancel {
            id: Some(id),
            reason,
            ..
        } => {
            let body = reason.map(|reason| json!({"reason": reason}));
            let answer = client.command("tasks", &id, "cancel", body).await?;
            out.object(&answer, "id", now_is)?;
        }
        Command::Retry { id: Some(id), .. } => {
            let answer = client.command("tasks", &id, "retry", None).await?;
            out.object(&answer, "id", now_is)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The reasons, a line each.
fn explained(value: &Value) -> String {
    let none = Vec::new();
    let reasons = value["reasons"].as_array().unwrap_or(&none);
    let lines = reasons.iter().map(|reason| {
        format!(
            "\n  {}: {}",
            field(reason, "code"),
            field(reason, "message")
        )
    });
    format!(
        "{} is {}{}",
        field(value, "id"),
        field(value, "state"),
        lines.collect::<String>()
    )
}

pub(super) fn now_is(value: &Value) -> String {
    format!("{} is {}", field(value, "id"), field(value, "state"))
}

fn filter(list: List) -> Vec<(&'static str, String)> {
    let mut filter = list.page.filter();
    filter.extend(list.state.into_iter().map(|state| ("state", state)));
    filter.extend(list.workflow.map(|workflow| ("workflow_id", workflow)));
    filter.extend(list.marks.filter());
    filter
}

async fn run_submit(context: &Context, submit: Submit) -> Result<ExitCode, Failure> {
    let (waits, at_most) = (submit.wait, submit.wait_timeout);
    let key = submit.idempotency_key.clone().unwrap_or_else(new_key);
    let body = request(submit)?;
    let answer = context.client.create("tasks", body, &key).await?;
    if !waits {
        context.out.object(&answer, "id", now_is)?;
        return Ok(ExitCode::SUCCESS);
    }
    let id = field(&answer.value, "id");
    context.out.note(&format!("submitted {id}"));
    let answer = wait::until_final(context, Work::Task, &id, at_most).await?;
    wait::print(context, Work::Task, &answer).await
}

/// The body of the submission.
fn request(submit: Submit) -> Result<Value, Failure> {
    let mut body = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    set("payload", payload(&submit)?);
    set("agent", submit.agent.map(Value::from));
    set("role", submit.role.map(Value::from));
    set("queue", submit.queue.map(Value::from));
    set("name", submit.name.map(Value::from));
    set("priority", submit.priority.map(Value::from));
    set("run_at", submit.run_at.map(|at| at.to_string().into()));
    set("max_attempts", submit.max_attempts.map(Value::from));
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    for (key, span) in [
        ("timeout_ms", submit.timeout),
        ("waiting_timeout_ms", submit.waiting_timeout),
        ("total_timeout_ms", submit.total_timeout),
    ] {
        set(key, span.map(|span| millis(span).into()));
    }
    set("concurrency_key", submit.concurrency_key.map(Value::from));
    let period = submit.unique_period.map(millis);
    let unique = submit.unique.map(|key| match period {
        Some(period) => json!({"key": key, "period_ms": period}),
        None => json!({"key": key}),
    });
    set("unique", unique);
    let labels: Map<String, Value> = submit
        .label
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    set(
        "labels",
        (!labels.is_empty()).then_some(Value::Object(labels)),
    );
    Ok(Value::Object(body))
}
