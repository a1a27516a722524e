//! `messages`: what agents and operators say to agents.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::Failure;
use super::records::PageArgs;
use super::show::{all_fields, field};
use super::table::Column;
use super::tasks::read_json;
use super::wait::new_key;
use crate::domain::message::{MessageKind, MessageState};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Messages, the newest first
    List(List),
    /// Send one to an agent; it waits until a life of the agent has taken it
    Send(Send),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only to this agent
    #[arg(long)]
    to: Option<String>,
    /// Only from this agent
    #[arg(long)]
    from: Option<String>,
    /// Only of this type
    #[arg(long = "type", value_parser = kinds())]
    kind: Option<String>,
    /// Only in this state
    #[arg(long, value_parser = states())]
    state: Option<String>,
    #[command(flatten)]
    page: PageArgs,
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The agent it is for
    #[arg(required_unless_present = "to")]
    name: Option<String>,
    /// What it says, as JSON
    #[arg(conflicts_with = "content")]
    text: Option<String>,
    /// The same as NAME
    #[arg(long, conflicts_with = "name")]
    to: Option<String>,
    /// What it is about
    #[arg(long = "type", value_parser = kinds(), default_value = "custom")]
    kind: String,
    /// The same as TEXT
    #[arg(long)]
    content: Option<String>,
    /// The same key again gives the first message
    #[arg(long)]
    idempotency_key: Option<String>,
}

fn kinds() -> impl clap::builder::TypedValueParser<Value = String> {
    words(MessageKind::ALL.iter().map(|kind| kind.as_str()))
}

fn states() -> impl clap::builder::TypedValueParser<Value = String> {
    words(MessageState::ALL.iter().map(|state| state.as_str()))
}

fn words(
    words: impl Iterator<Item = &'static str>,
) -> impl clap::builder::TypedValueParser<Value = String> {
    clap::builder::PossibleValuesParser::new(words.collect::<Vec<_>>())
}

const COLUMNS: &[Column] = &[
    ("ID", |message| field(message, "id")),
    ("AT", |message| field(message, "created_at")),
    ("FROM", |message| field(message, "from")),
    ("TO", |message| field(message, "to")),
    ("TYPE", |message| field(message, "type")),
    ("STATE", |message| field(message, "state")),
    ("CONTENT", |message| message["content"].to_string()),
];

pub(super) async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let Context { client, out, .. } = context;
    match command {
        Command::List(list) => {
            let mut filter = list.page.filter();
            let narrowed = [
                ("to", list.to),
                ("from", list.from),
                ("type", list.kind),
                ("state", list.state),
            ];
            for (key, value) in narrowed {
                filter.extend(value.map(|value| (key, value)));
            }
            out.list(&client.list("messages", filter).await?, "id", COLUMNS)
        }
        Command::Send(send) => {
            let key = send.idempotency_key.unwrap_or_else(new_key);
            let mut body = Map::from_iter([
                ("to".to_owned(), json!(send.name.or(send.to))),
                ("type".to_owned(), json!(send.kind)),
            ]);
            if let Some(text) = send.text.or(send.content) {
                let content: Value = read_json("the content", &text)?;
                body.insert("content".to_owned(), content);
            }
            let sent = client.create("messages", Value::Object(body), &key).await?;
            out.object(&sent, "id", all_fields)
        }
    }
}
