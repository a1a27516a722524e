//! The running daemon: whether it answers, what it says of itself, of its agents and of its work.

use serde_json::Value;

use super::findings::{Finding, Level};
use crate::cli::context::{Context, UrlFrom};
use crate::cli::db::place::Place;
use crate::cli::show::field;
use crate::client::{Client, ClientError};
use crate::config::Config;

/// Looks at the daemon that is meant: the named one, else the owner of the data directory.
pub(super) async fn look(context: &Context, config: Option<&Config>) -> Vec<Finding> {
    let client = match client(context, config).await {
        Ok(Some(client)) => client,
        Ok(None) => {
            let said = "none runs on this data directory";
            return vec![Finding::warning(
                "daemon",
                said,
                "start it: agent-system serve",
            )];
        }
        Err(finding) => return vec![finding],
    };
    match client.version().await {
        Ok(answer) => {
            let said = format!(
                "{} answers at {} (process {})",
                field(&answer.value, "version"),
                client.url(),
                answer.value["pid"]
            );
            let mut found = vec![Finding::ok("daemon", said)];
            found.extend(
                asked(&client)
                    .await
                    .unwrap_or_else(|error| vec![silent(&error)]),
            );
            found
        }
        Err(error) => vec![silent(&error)],
    }
}

fn silent(error: &ClientError) -> Finding {
    let way_out = "start it: agent-system serve; or name another by --url";
    Finding::critical("daemon", error.to_string(), way_out)
}

async fn client(context: &Context, config: Option<&Config>) -> Result<Option<Client>, Finding> {
    let named = || context.client_of(context.client.url());
    let chosen = match (config, context.url_from) {
        (None, UrlFrom::Default) => return Ok(None),
        (None, _) => named().map(Some),
        (Some(config), _) => Place::from(config).daemon(context).await,
    };
    chosen.map_err(|failure| {
        let way_out = "wait a moment and look again; or name it by --url";
        Finding::critical("daemon", failure.message, way_out)
    })
}

async fn asked(client: &Client) -> Result<Vec<Finding>, ClientError> {
    let mut found = vec![readiness(&client.ready().await?.value)];
    found.extend(health(&client.health().await?.value));
    found.push(critical_agents(client).await?);
    found.push(dead_letters(client).await?);
    Ok(found)
}

fn readiness(answer: &Value) -> Finding {
    if answer["status"] == "ready" {
        return Finding::ok("readiness", "ready for work");
    }
    let way_out = "see the lines below; agent-system health --ready says when it is ready";
    Finding::critical("readiness", field(answer, "detail"), way_out)
}

/// What is not healthy, a line each; one line if all is.
fn health(report: &Value) -> Vec<Finding> {
    let none = Vec::new();
    let checks = report["checks"].as_array().unwrap_or(&none);
    let bad: Vec<Finding> = checks.iter().filter_map(unhealthy).collect();
    if bad.is_empty() {
        return vec![Finding::ok(
            "health",
            format!("all {} checks are healthy", checks.len()),
        )];
    }
    bad
}

fn unhealthy(check: &Value) -> Option<Finding> {
    let level = match check["status"].as_str()? {
        "healthy" => return None,
        "critical" => Level::Critical,
        _ => Level::Warning,
    };
    let name = field(check, "name");
    let way_out = match name.strip_prefix("agent.") {
        Some(agent) => format!("agent-system agents explain {agent}"),
        None => format!("agent-system health history {name}"),
    };
    Some(Finding::bad(
        level,
        &name,
        field(check, "message"),
        &way_out,
    ))
}

async fn critical_agents(client: &Client) -> Result<Finding, ClientError> {
    const NAME: &str = "critical agents";
    let all = client.list("agents", vec![("limit", "500".into())]).await?;
    let none = Vec::new();
    let agents = all.value["items"].as_array().unwrap_or(&none);
    let critical: Vec<&Value> = agents.iter().filter(|it| it["critical"] == true).collect();
    let down = critical.iter().filter(|it| it["replicas"]["ready"] == 0);
    let down: Vec<String> = down
        .map(|it| format!("{} is {}", field(it, "name"), field(it, "state")))
        .collect();
    if down.is_empty() {
        return Ok(Finding::ok(NAME, format!("all {} are up", critical.len())));
    }
    let way_out =
        "agent-system agents explain NAME; the daemon exits with 70 when its grace is over";
    Ok(Finding::critical(NAME, down.join(", "), way_out))
}

async fn dead_letters(client: &Client) -> Result<Finding, ClientError> {
    let queues = client.list("queues", vec![("limit", "500".into())]).await?;
    let none = Vec::new();
    let queues = queues.value["items"].as_array().unwrap_or(&none);
    let dead: u64 = queues
        .iter()
        .filter_map(|it| it["tasks"]["dead"].as_u64())
        .sum();
    if dead == 0 {
        return Ok(Finding::ok("dead letters", "none"));
    }
    let way_out = "agent-system dead-letters list, then retry or purge";
    Ok(Finding::warning(
        "dead letters",
        format!("{dead} tasks were given up"),
        way_out,
    ))
}
