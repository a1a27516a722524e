//! `queues`: what waits where.

use clap::Subcommand;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::show::{age, all_fields, field};
use super::table::Column;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All queues
    List,
    /// One queue
    Get {
        /// The queue
        name: String,
    },
}

const COLUMNS: &[Column] = &[
    ("NAME", |queue| field(queue, "name")),
    ("QUEUED", |queue| count(queue, "queued")),
    ("RUNNING", |queue| count(queue, "running")),
    ("RETRYING", |queue| count(queue, "retrying")),
    ("DEAD", |queue| count(queue, "dead")),
    ("OLDEST", |queue| age(&queue["oldest_queued_at"])),
];

fn count(queue: &Value, state: &str) -> String {
    queue["tasks"][state].as_u64().unwrap_or(0).to_string()
}

pub(super) async fn run(context: &mut Context, command: Command) -> Result<(), Failure> {
    let Context { client, out } = context;
    match command {
        Command::List => out.list(&client.list("queues", Vec::new()).await?, "name", COLUMNS),
        Command::Get { name } => {
            out.object(&client.get("queues", &name).await?, "name", all_fields)
        }
    }
}
