//! `agents crashes`: how an agent's lives ended, and the black box of one end.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::out::{Format, text};
use super::show::{bytes, field, fields, millis};
use super::table::{Column, one_line};
use crate::client::Answer;

#[derive(Debug, Args)]
pub(super) struct Crashes {
    /// The agent
    name: String,
    /// One crash, whole: its settings, tasks, last log lines and frames
    id: Option<String>,
    /// A line for each crash, not for each fault
    #[arg(long)]
    each: bool,
    #[command(flatten)]
    page: super::records::PageArgs,
}

const COLUMNS: &[Column] = &[
    ("LAST", |crash| field(crash, "at")),
    ("SEEN", seen),
    ("REPLICA", |crash| field(crash, "index")),
    ("UPTIME", |crash| millis(&crash["uptime_ms"])),
    ("TASKS", |crash| {
        crash["tasks"].as_array().map_or(0, Vec::len).to_string()
    }),
    ("PEAK MEMORY", |crash| bytes(&crash["peak_memory_bytes"])),
    ("SETTINGS", |crash| changed(crash).to_owned()),
    ("REASON", |crash| one_line(&field(crash, "message"))),
    ("ID", |crash| field(crash, "id")),
];

pub(super) async fn run(context: &Context, asked: Crashes) -> Result<(), Failure> {
    let Context { client, out, .. } = context;
    if let Some(id) = &asked.id {
        let part = format!("crashes/{id}");
        let answer = client
            .part("agents", &asked.name, &part, Vec::new())
            .await?;
        return out.object(&answer, "id", whole);
    }
    let filter = asked.page.filter();
    let answer = client
        .part("agents", &asked.name, "crashes", filter)
        .await?;
    let shown = if asked.each || out.format != Format::Table {
        answer
    } else {
        one_a_fault(answer)
    };
    out.list(&shown, "id", COLUMNS)
}

/// The newest crash of each fault; the figures in it tell of the others.
fn one_a_fault(mut answer: Answer) -> Answer {
    let mut known = BTreeSet::new();
    if let Some(items) = answer.value["items"].as_array_mut() {
        items.retain(|crash| known.insert(fault(crash)));
    }
    answer
}

/// What crashes of one fault share.
fn fault(crash: &Value) -> String {
    match crash["signature"].as_str() {
        Some(signature) => signature.to_owned(),
        None => text(&crash["reason"]["kind"]),
    }
}

/// `×17 since …`, or that it is new.
fn seen(crash: &Value) -> String {
    match crash["seen"]["count"].as_u64() {
        Some(count) if count > 1 => format!("×{count} since {}", text(&crash["seen"]["since"])),
        _ => "new".to_owned(),
    }
}

fn changed(crash: &Value) -> &'static str {
    match crash["config_changed"].as_bool() {
        Some(true) => "changed",
        _ => "as before",
    }
}

/// One black box, for people.
fn whole(crash: &Value) -> String {
    let tasks: Vec<String> = each(crash, "tasks")
        .map(|task| format!("{} attempt {}", text(&task["id"]), text(&task["attempt"])))
        .collect();
    let settings = format!(
        "{} ({} since {})",
        changed(crash),
        text(&crash["config_hash"])
            .chars()
            .take(12)
            .collect::<String>(),
        text(&crash["config_since"])
    );
    let facts = fields(&[
        ("crash", field(crash, "id")),
        (
            "agent",
            format!("{}#{}", field(crash, "agent"), field(crash, "index")),
        ),
        ("at", field(crash, "at")),
        ("reason", field(crash, "message")),
        ("signature", field(crash, "signature")),
        ("seen", seen(crash)),
        ("generation", field(crash, "generation")),
        ("uptime", millis(&crash["uptime_ms"])),
        ("peak memory", bytes(&crash["peak_memory_bytes"])),
        ("processor", format!("{} s", text(&crash["cpu_seconds"]))),
        ("settings", settings),
        (
            "tasks",
            if tasks.is_empty() {
                "-".to_owned()
            } else {
                tasks.join(", ")
            },
        ),
    ]);
    let frames: Vec<String> = each(crash, "frames").map(frame).collect();
    let log: Vec<String> = each(crash, "log")
        .map(|line| one_line(&text(line)))
        .collect();
    format!(
        "{facts}{}{}",
        section("last frames", &frames),
        section("last log lines", &log)
    )
}

fn each<'a>(crash: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    crash[key].as_array().into_iter().flatten()
}

fn frame(frame: &Value) -> String {
    let arrow = match frame["direction"].as_str() {
        Some("to_agent") => "→ agent",
        _ => "← agent",
    };
    format!(
        "{arrow} {} before  {}",
        millis(&frame["before_ms"]),
        one_line(&text(&frame["text"]))
    )
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return format!("\n\n{title}: none");
    }
    format!("\n\n{title}:\n  {}", lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn crash(signature: Option<&str>, count: u64) -> Value {
        json!({"id": "crs_1", "at": "2026-01-02T00:00:00.000Z", "signature": signature,
            "reason": {"kind": "signal"}, "config_changed": true,
            "seen": {"count": count, "since": "2026-01-01T00:00:00.000Z"},
            "frames": [{"direction": "to_agent", "before_ms": 5, "text": "{}"}],
            "log": ["a\u{7}b"], "tasks": [{"id": "tsk_1", "attempt": 2}]})
    }

    #[test]
    fn one_line_is_shown_for_each_fault_with_how_often_it_was_seen() {
        let items = [crash(Some("a"), 17), crash(Some("a"), 17), crash(None, 1)];
        let answer = Answer {
            status: 200,
            text: Vec::new().into(),
            value: json!({"items": items}),
        };
        let shown = one_a_fault(answer);
        let items = shown.value["items"].as_array().unwrap();
        let seen: Vec<_> = items.iter().map(seen).collect();
        assert_eq!(seen, ["×17 since 2026-01-01T00:00:00.000Z", "new"]);
    }

    #[test]
    fn a_black_box_shows_settings_tasks_frames_and_log_without_control_characters() {
        let shown = whole(&crash(Some("a"), 1));
        for wanted in [
            "changed",
            "tsk_1 attempt 2",
            "→ agent 5ms before  {}",
            "last log lines:",
        ] {
            assert!(shown.contains(wanted), "no {wanted} in {shown}");
        }
        assert!(!shown.contains('\u{7}'), "{shown}");
    }
}
