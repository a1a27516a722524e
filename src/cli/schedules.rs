//! `schedules`: what falls due by itself.

use clap::Subcommand;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::pause::PauseArgs;
use super::records::PageArgs;
use super::show::{age, all_fields, field};
use super::table::Column;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All schedules
    List(PageArgs),
    /// One schedule
    Get {
        /// The schedule
        name: String,
    },
    /// What came of it, the newest first
    History {
        /// The schedule
        name: String,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Fire it no more; what falls due meanwhile is left out
    Pause {
        /// The schedule
        name: String,
        #[command(flatten)]
        pause: PauseArgs,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Fire it again
    Resume {
        /// The schedule
        name: String,
    },
    /// Fire it now, paused or not
    Trigger {
        /// The schedule
        name: String,
    },
}

const COLUMNS: &[Column] = &[
    ("NAME", |schedule| field(schedule, "name")),
    ("RULE", |schedule| field(schedule, "rule")),
    ("STARTS", |schedule| field(schedule, "starts")),
    ("STATE", |schedule| {
        let paused = schedule["paused"] == true;
        (if paused { "paused" } else { "active" }).to_owned()
    }),
    ("NEXT", |schedule| field(schedule, "next_at")),
    ("LAST", |schedule| field(&schedule["last"], "outcome")),
];

const RUNS: &[Column] = &[
    ("DUE", |run| field(run, "due_at")),
    ("OUTCOME", |run| field(run, "outcome")),
    ("REASON", |run| field(run, "reason")),
    ("STARTED", started),
    ("STATE", |run| field(run, "state")),
    ("AGE", |run| age(&run["at"])),
];

fn started(run: &Value) -> String {
    let id = run["task_id"].as_str().or(run["workflow_id"].as_str());
    id.unwrap_or_default().to_owned()
}

pub(super) async fn run(context: &mut Context, command: Command) -> Result<(), Failure> {
    let Context { client, out, .. } = context;
    match command {
        Command::List(page) => {
            let answer = client.list("schedules", page.filter()).await?;
            out.list(&answer, "name", COLUMNS)
        }
        Command::Get { name } => {
            out.object(&client.get("schedules", &name).await?, "name", all_fields)
        }
        Command::History { name, page } => {
            let answer = client.part("schedules", &name, "history", page.filter());
            out.list(&answer.await?, "due_at", RUNS)
        }
        Command::Pause {
            name,
            pause,
            reason,
        } => {
            let body = json!({"until": pause.end(), "reason": reason});
            let answer = client.command("schedules", &name, "pause", Some(body));
            out.object(&answer.await?, "name", stands)
        }
        Command::Resume { name } => {
            let answer = client.command("schedules", &name, "resume", None);
            out.object(&answer.await?, "name", stands)
        }
        Command::Trigger { name } => {
            let answer = client.command("schedules", &name, "trigger", None);
            out.object(&answer.await?, "task_id", |run| {
                format!("{} started {}", field(run, "schedule"), started(run))
            })
        }
    }
}

fn stands(schedule: &Value) -> String {
    let name = field(schedule, "name");
    match schedule["paused"] == true {
        true => format!("{name} is paused"),
        false => format!("{name} fires next at {}", field(schedule, "next_at")),
    }
}
