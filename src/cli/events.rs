//! `events`: the journal.

use clap::Args as ClapArgs;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::out::Format;
use super::records::PageArgs;
use super::show::field;
use super::table::{Column, one_line};
use crate::client::Download;
use crate::domain::timestamp::Timestamp;

/// The longest event that is put together from pieces.
const MAX_EVENT_BYTES: usize = 4 << 20;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Only of these types, with commas; task.* is a family
    #[arg(long)]
    types: Option<String>,
    /// Only about this agent, task, workflow or check
    #[arg(long)]
    subject: Option<String>,
    /// Not before this instant (RFC 3339)
    #[arg(long)]
    since: Option<Timestamp>,
    /// Go on printing what comes
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    page: PageArgs,
}

const COLUMNS: &[Column] = &[
    ("SEQ", |event| field(event, "seq")),
    ("AT", |event| field(event, "at")),
    ("TYPE", |event| field(event, "type")),
    ("SUBJECT", |event| field(event, "subject")),
    ("DATA", |event| event["data"].to_string()),
];

pub(super) async fn run(context: &mut Context, args: Args) -> Result<(), Failure> {
    let mut filter: Vec<_> = args
        .types
        .map(|types| ("types", types))
        .into_iter()
        .collect();
    filter.extend(args.subject.map(|subject| ("subject", subject)));
    filter.extend(args.since.map(|since| ("since", since.to_string())));
    if args.follow {
        return follow(context, context.client.events(filter).await?).await;
    }
    filter.extend(args.page.filter());
    context
        .out
        .list(&context.client.list("events", filter).await?, "id", COLUMNS)
}

/// Prints events as they come, until the daemon drains.
async fn follow(context: &Context, mut stream: Download) -> Result<(), Failure> {
    let mut text = Vec::new();
    while let Some(piece) = stream.next().await? {
        text.extend_from_slice(&piece);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            print(context, &String::from_utf8_lossy(&block))?;
        }
        if text.len() > MAX_EVENT_BYTES {
            return Err(Failure::failed("the daemon sent an event without end"));
        }
    }
    Ok(())
}

/// One event of the stream; comments are passed over.
fn print(context: &Context, block: &str) -> Result<(), Failure> {
    let data: String = block
        .lines()
        .filter_map(|line| line.strip_prefix("data:"))
        .map(str::trim_start)
        .collect();
    if data.is_empty() {
        return Ok(());
    }
    let event: Value = serde_json::from_str(&data).unwrap_or(Value::Null);
    if event["type"].is_null() {
        context
            .out
            .note(&format!("some events are missing here: {data}"));
        return Ok(());
    }
    match context.out.format {
        Format::Json | Format::Jsonl => context.out.line(&data),
        Format::Name => context.out.line(&field(&event, "id")),
        Format::Table => context.out.line(&one_line(&format!(
            "{}  {:22} {}  {}",
            field(&event, "at"),
            field(&event, "type"),
            field(&event, "subject"),
            event["data"]
        ))),
    }
}
