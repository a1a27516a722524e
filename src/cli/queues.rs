//! `queues`: what waits where, what limits it, and pausing it.

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
    /// All queues
    List(PageArgs),
    /// One queue
    Get {
        /// The queue
        name: String,
    },
    /// Hand out nothing more of it; what runs goes on
    Pause {
        /// The queue
        name: String,
        #[command(flatten)]
        pause: PauseArgs,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Hand out of it again
    Resume {
        /// The queue
        name: String,
    },
}

const COLUMNS: &[Column] = &[
    ("NAME", |queue| field(queue, "name")),
    ("STATE", state),
    ("QUEUED", |queue| count(queue, "queued")),
    ("RUNNING", |queue| count(queue, "running")),
    ("RETRYING", |queue| count(queue, "retrying")),
    ("DEAD", |queue| count(queue, "dead")),
    ("CAPACITY", |queue| field(queue, "capacity")),
    ("OLDEST", |queue| age(&queue["oldest_queued_at"])),
];

fn count(queue: &Value, state: &str) -> String {
    queue["tasks"][state].as_u64().unwrap_or(0).to_string()
}

fn state(queue: &Value) -> String {
    match (queue["paused"].as_bool(), queue["paused_until"].as_str()) {
        (Some(true), Some(until)) => format!("paused until {until}"),
        (Some(true), None) => "paused".to_owned(),
        _ => "open".to_owned(),
    }
}

pub(super) async fn run(context: &mut Context, command: Command) -> Result<(), Failure> {
    let Context { client, out, .. } = context;
    match command {
        Command::List(page) => {
            let answer = client.list("queues", page.filter()).await?;
            out.list(&answer, "name", COLUMNS)
        }
        Command::Get { name } => {
            out.object(&client.get("queues", &name).await?, "name", all_fields)
        }
        Command::Pause {
            name,
            pause,
            reason,
        } => {
            let body = json!({"until": pause.end(), "reason": reason});
            let answer = client.command("queues", &name, "pause", Some(body)).await?;
            out.object(&answer, "name", now_is)
        }
        Command::Resume { name } => {
            let answer = client.command("queues", &name, "resume", None).await?;
            out.object(&answer, "name", now_is)
        }
    }
}

fn now_is(queue: &Value) -> String {
    format!("{} is {}", field(queue, "name"), state(queue))
}
