//! `agents explain`: the one answer first, then the evidence.

use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::out::text;
use super::show::{bytes, field, fields, millis};
use super::table::one_line;

pub(super) async fn run(context: &Context, name: &str) -> Result<(), Failure> {
    let Context { client, out, .. } = context;
    let answer = client.part("agents", name, "explain", Vec::new()).await?;
    out.object(&answer, "name", explained)
}

fn explained(told: &Value) -> String {
    let mut parts = vec![one_line(&text(&told["answer"]))];
    if let Some(way_out) = told["way_out"].as_str() {
        parts.push(format!("what to do: {}", one_line(way_out)));
    }
    parts.push(String::new());
    parts.push(evidence(told));
    parts.push(String::new());
    parts.push("settings, and where they come from:".to_owned());
    parts.extend(each(told, "settings").map(setting));
    parts.join("\n")
}

fn evidence(told: &Value) -> String {
    let mut pairs = vec![
        ("desired", desired(told)),
        ("state", field(told, "state")),
        ("budget", budget(&told["budget"])),
    ];
    pairs.extend(each(told, "replicas").map(|replica| ("replica", self::replica(replica))));
    pairs.extend(each(told, "waits_for").map(|on| {
        let shown = format!(
            "{} {}, is {}",
            text(&on["agent"]),
            text(&on["wanted"]),
            text(&on["state"])
        );
        ("waits for", shown)
    }));
    if told["group"].is_object() {
        let group = &told["group"];
        pairs.push((
            "group",
            format!("{} ({})", text(&group["name"]), text(&group["strategy"])),
        ));
    }
    let work = &told["work"];
    pairs.push((
        "work",
        format!(
            "{} waiting, {} running, {} at once; queue {}{}",
            text(&work["depth"]),
            text(&work["running"]),
            text(&work["capacity"]),
            text(&work["queue"]),
            if work["paused"].is_object() {
                " (paused)"
            } else {
                ""
            }
        ),
    ));
    pairs.push(("last crash", last_crash(&told["last_crash"])));
    pairs.push((
        "check",
        format!(
            "{}: {}",
            text(&told["check"]["status"]),
            text(&told["check"]["message"])
        ),
    ));
    fields(&pairs)
}

/// What was asked for, by whom, when, and until when.
fn desired(told: &Value) -> String {
    let by = &told["desired_by"];
    let word = |key: &str, before: &str| {
        let at = by[key].as_str();
        at.map_or_else(String::new, |at| format!(" {before} {at}"))
    };
    format!(
        "{} (by {}{}{})",
        field(told, "desired"),
        text(&by["by"]),
        word("at", "at"),
        word("until", "until")
    )
}

fn budget(budget: &Value) -> String {
    let max = budget["max"]
        .as_u64()
        .map_or_else(|| "any number".to_owned(), |max| max.to_string());
    let trial = if budget["on_trial"] == true {
        ", on trial"
    } else {
        ""
    };
    format!(
        "{}: {} deaths within {}, {max} allowed; {} quarantines in a row{trial}",
        text(&budget["owner"]),
        text(&budget["deaths"]),
        millis(&budget["within_ms"]),
        text(&budget["quarantines"])
    )
}

fn replica(replica: &Value) -> String {
    let mut words = vec![format!(
        "#{} {} {}, generation {}, up {}",
        text(&replica["index"]),
        text(&replica["state"]),
        text(&replica["verdict"]),
        text(&replica["generation"]),
        millis(&replica["uptime_ms"])
    )];
    if let Some(next) = replica["next_at"].as_str() {
        words.push(format!("next try at {next}"));
    }
    if let Some(message) = replica["last_end"]["message"].as_str() {
        words.push(format!(
            "last end: {message} at {}",
            text(&replica["last_end"]["at"])
        ));
    }
    if replica["probe"].is_object() {
        let probe = &replica["probe"];
        words.push(format!(
            "{} probe by {} fails: {}",
            text(&probe["probe"]),
            text(&probe["by"]),
            text(&probe["message"])
        ));
    }
    if replica["evidence"].is_object() {
        words.push(shown(&replica["evidence"]));
    }
    words.join("; ")
}

/// The three clocks, and what its processes use.
fn shown(evidence: &Value) -> String {
    format!(
        "{} tasks; last sign {}, progress {}, activity {} ago; memory {} (peak {})",
        text(&evidence["open_tasks"]),
        millis(&evidence["since_sign_ms"]),
        millis(&evidence["since_progress_ms"]),
        millis(&evidence["since_activity_ms"]),
        bytes(&evidence["memory_bytes"]),
        bytes(&evidence["peak_memory_bytes"])
    )
}

fn last_crash(crash: &Value) -> String {
    if !crash.is_object() {
        return "none".to_owned();
    }
    let changed = if crash["config_changed"] == true {
        ", with changed settings"
    } else {
        ""
    };
    format!(
        "{} at {}, ×{} since {}{changed} ({})",
        text(&crash["message"]),
        text(&crash["at"]),
        text(&crash["count"]),
        text(&crash["since"]),
        text(&crash["id"])
    )
}

fn setting(setting: &Value) -> String {
    let declared = &setting["declared"];
    let hidden = if declared.is_object() {
        format!(
            "; {} by {}",
            text(&declared["value"]),
            text(&declared["source"])
        )
    } else {
        String::new()
    };
    let shown = format!("{} = {}", text(&setting["key"]), setting["value"]);
    one_line(&format!(
        "  {shown}  # {}{hidden}",
        text(&setting["source"])
    ))
}

fn each<'a>(told: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    told[key].as_array().into_iter().flatten()
}
