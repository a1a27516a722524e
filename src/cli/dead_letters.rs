//! `dead-letters`: tasks that are given up, and what is done about them.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::context::Context;
use super::exit::{CONFLICT, Failure};
use super::named::{self, Purpose};
use super::show::{all_fields, field};
use super::table::Column;
use super::tasks::now_is;
use super::wait::{Work, pair};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All of them, the newest first
    List(List),
    /// One, whole
    Get {
        /// The task
        id: String,
    },
    /// Queue one again, or all, or all that a filter names
    Retry {
        /// The task
        #[arg(conflicts_with_all = ["filter", "dry_run"])]
        id: Option<String>,
        #[command(flatten)]
        many: Many,
    },
    /// Remove them for good
    Purge(Many),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    marks: super::tasks::Marks,
    #[command(flatten)]
    page: super::records::PageArgs,
}

/// Which tasks, and whether to count them only.
#[derive(Debug, Args)]
pub(super) struct Many {
    /// Only those with FIELD=VALUE (state, agent, role, queue, workflow_id, name, label.KEY); may repeat
    #[arg(long, value_parser = pair, value_name = "FIELD=VALUE")]
    pub(super) filter: Vec<(String, String)>,
    /// Count them and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

impl Many {
    /// The filter as the API takes it.
    pub(super) fn filter(&self) -> Value {
        let mut filter = Map::new();
        for (key, value) in &self.filter {
            match key.split_once('.') {
                Some(("label", label)) => {
                    let labels = filter.entry("labels").or_insert_with(|| json!({}));
                    labels[label] = value.as_str().into();
                }
                _ if key == "state" => {
                    let states = filter.entry("state").or_insert_with(|| json!([]));
                    if let Some(states) = states.as_array_mut() {
                        states.push(value.as_str().into());
                    }
                }
                _ => {
                    filter.insert(key.clone(), value.as_str().into());
                }
            }
        }
        Value::Object(filter)
    }
}

const COLUMNS: &[Column] = &[
    ("ID", |task| field(task, "id")),
    ("NAME", |task| field(task, "name")),
    ("QUEUE", |task| field(task, "queue")),
    ("REASON", |task| field(task, "reason")),
    ("ATTEMPT", |task| field(task, "attempt")),
    ("DIED", |task| field(task, "finished_at")),
    ("ERROR", |task| {
        task["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }),
];

pub(super) async fn run(context: &mut Context, command: Command) -> Result<(), Failure> {
    let context: &Context = context;
    let Context { client, out, .. } = context;
    let (verb, many) = match command {
        Command::List(list) => {
            let mut filter = list.page.filter();
            filter.extend(list.marks.filter());
            let answer = client.list("dead-letters", filter).await?;
            return out.list(&answer, "id", COLUMNS);
        }
        Command::Get { id } => {
            let id = named::id(context, Work::Task, &id, Purpose::Look).await?;
            return out.object(&client.get("tasks", &id).await?, "id", all_fields);
        }
        Command::Retry { id: Some(id), .. } => {
            let id = named::id(context, Work::Task, &id, Purpose::Change).await?;
            let answer = client.get("tasks", &id).await?;
            if answer.value["state"] != "dead" {
                let state = field(&answer.value, "state");
                let said = format!("task '{id}' is {state}, and no dead letter");
                return Err(Failure::new(CONFLICT, said));
            }
            let answer = client.command("tasks", &id, "retry", None).await?;
            return out.object(&answer, "id", now_is);
        }
        Command::Retry { many, .. } => ("retry", many),
        Command::Purge(many) => ("purge", many),
    };
    let body = json!({"filter": many.filter(), "dry_run": many.dry_run});
    let answer = client.verb(&format!("dead-letters:{verb}"), body).await?;
    out.object(&answer, "done", counts)
}

/// What came of a command to many.
pub(super) fn counts(value: &Value) -> String {
    let of = |key: &str| value[key].as_u64().unwrap_or(0);
    let rest = match value["complete"].as_bool() {
        Some(false) => "; there are more, ask again",
        _ => "",
    };
    if value["dry_run"] == true {
        return format!("{} tasks fit; nothing was done{rest}", of("matched"));
    }
    format!(
        "{} of {} tasks done, {} skipped{rest}",
        of("done"),
        of("matched"),
        of("skipped")
    )
}
