//! `config plan` and `config apply`: what the running daemon would take over of its changed files.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::Context;
use crate::cli::exit::{BAD_CONFIGURATION, Failure};
use crate::cli::out::text;
use crate::client::{Answer, ClientError};

/// Characters of a value that are shown.
const SHOWN: usize = 60;

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// Only if this is still the plan: the digest that `config plan` printed
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
}

/// What would change.
pub(super) async fn plan(context: &Context) -> Result<(), Failure> {
    let answer = context.client.verb("config:plan", json!({})).await;
    let answer = answer.map_err(refused)?;
    context.out.object(&answer, "plan", |plan| {
        let digest = text(&plan["plan"]);
        match plan["changes"].as_bool() {
            Some(true) => format!(
                "{}\ntake it over: agent-system config apply --plan {digest}",
                described(plan)
            ),
            _ => described(plan),
        }
    })
}

/// Changes it.
pub(super) async fn apply(context: &Context, args: Apply) -> Result<(), Failure> {
    let body = match args.plan {
        Some(plan) => json!({"plan": plan}),
        None => json!({}),
    };
    let answer: Result<Answer, ClientError> = context.client.verb("config:apply", body).await;
    let answer = answer.map_err(refused)?;
    context.out.object(&answer, "plan", described)
}

/// What is wrong with the files is what is wrong with any configuration.
fn refused(error: ClientError) -> Failure {
    match &error {
        ClientError::Refused(refusal) if is_bad_configuration(&refusal.faults) => {
            Failure::new(BAD_CONFIGURATION, error.to_string())
        }
        _ => error.into(),
    }
}

fn is_bad_configuration(faults: &[(String, String)]) -> bool {
    !faults.is_empty() && faults.iter().all(|(place, _)| place != "#/plan")
}

/// For people: a line a unit, a line a key.
fn described(plan: &Value) -> String {
    let units = items(&plan["units"]);
    let pending = items(&plan["pending"]);
    let mut lines: Vec<String> = Vec::new();
    if units.is_empty() {
        lines.push("no change".to_owned());
    }
    for unit in units {
        let sign = match unit["change"].as_str() {
            Some("added") => '+',
            Some("removed") => '-',
            _ => '~',
        };
        let kind = text(&unit["kind"]).replace('_', " ");
        let (name, does) = (text(&unit["name"]), text(&unit["does"]).replace('_', " "));
        lines.push(format!("{sign} {kind} {name}: {does}"));
        // All that is new of one that is new, or was of one that goes, is in the files.
        if sign == '~' {
            lines.extend(items(&unit["keys"]).iter().map(key));
        }
    }
    if !pending.is_empty() {
        lines.push("waits for a restart of the daemon:".to_owned());
        lines.extend(pending.iter().map(key));
    }
    let warnings = items(&plan["warnings"]);
    lines.extend(warnings.iter().map(|it| format!("warning: {}", text(it))));
    lines.join("\n")
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn key(change: &Value) -> String {
    format!(
        "    {}: {} → {}",
        text(&change["key"]),
        short(&change["before"]),
        short(&change["after"])
    )
}

fn short(value: &Value) -> String {
    if value.is_null() {
        return "(not set)".to_owned();
    }
    let whole = value.to_string();
    match whole.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_told_a_line_a_unit_and_a_line_a_key() {
        let plan = json!({
            "units": [
                {"kind": "agent", "name": "a", "change": "changed", "does": "restart",
                 "keys": [{"key": "agents.a.role", "before": null, "after": "w"}]},
                {"kind": "recovery_action", "name": "r", "change": "added", "does": "in_place",
                 "keys": [{"key": "recovery.actions.r.do", "before": null, "after": "exit"}]},
            ],
            "pending": [{"key": "server.port", "before": 1, "after": 2}],
            "warnings": ["mind"],
        });
        let told = "~ agent a: restart\n    agents.a.role: (not set) → \"w\"\n\
            + recovery action r: in place\n\
            waits for a restart of the daemon:\n    server.port: 1 → 2\nwarning: mind";
        assert_eq!(described(&plan), told);
        assert_eq!(described(&json!({})), "no change");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = json!("é".repeat(100));
        assert_eq!(short(&long).chars().count(), SHOWN + 1);
    }
}
