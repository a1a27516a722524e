//! `top`: the daemon at a glance, drawn anew every second; one picture where nobody watches.
//!
//! The worst stand first. A daemon that does not answer is shown as such and asked again.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::out::{Format, text};
use super::show::{age, bytes, field, millis};
use super::table::{Column, coloured, table};
use crate::client::{Client, ClientError};

/// From one picture to the next.
const EVERY: Duration = Duration::from_secs(1);
/// To another screen, and back to what stood there before.
const ANOTHER_SCREEN: &str = "\x1b[?1049h";
const FORMER_SCREEN: &str = "\x1b[?1049l";
const CLEAR: &str = "\x1b[H\x1b[2J";
/// Lines above the agents, and one that is left free.
const OTHER_LINES: usize = 5;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// One picture, and no more
    #[arg(long)]
    once: bool,
}

const COLUMNS: &[Column] = &[
    ("NAME", |agent| field(agent, "name")),
    ("STATE", |agent| field(agent, "state")),
    ("VERDICT", |agent| text(&agent["health"]["verdict"])),
    ("HEALTH", |agent| text(&agent["health"]["status"])),
    ("READY", |agent| {
        let replicas = &agent["replicas"];
        format!("{}/{}", replicas["ready"], replicas["desired"])
    }),
    ("CPU", |agent| {
        let share = agent["usage"]["cpu_percent"].as_f64();
        share.map_or_else(|| "-".to_owned(), |share| format!("{share:.1}%"))
    }),
    ("MEMORY", |agent| bytes(&agent["usage"]["memory_bytes"])),
    ("QUEUE", |agent| text(&agent["queue"]["depth"])),
    ("RUNNING", |agent| text(&agent["queue"]["running"])),
    ("RESTARTS", |agent| text(&agent["restarts"]["total"])),
    ("UPTIME", |agent| millis(&agent["uptime_ms"])),
    ("LAST END", |agent| text(&agent["restarts"]["last_reason"])),
];

pub(super) async fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let is_watched = std::io::stdout().is_terminal() && context.out.format == Format::Table;
    if args.once || !is_watched {
        return once(context).await;
    }
    context.out.bytes(ANOTHER_SCREEN.as_bytes())?;
    let watched = tokio::select! {
        ended = watch(context) => ended,
        _told = tokio::signal::ctrl_c() => Ok(()),
    };
    context.out.bytes(FORMER_SCREEN.as_bytes())?;
    watched
}

async fn once(context: &Context) -> Result<(), Failure> {
    let out = &context.out;
    let picture = Picture::take(&context.client).await?;
    match out.format {
        Format::Table => out.bytes(picture.drawn(None, usize::MAX, out.color()).as_bytes()),
        _ => out.value(&picture.0, "status", |_| String::new()),
    }
}

async fn watch(context: &Context) -> Result<(), Failure> {
    let mut before: Option<(Instant, u64)> = None;
    loop {
        let taken = Instant::now();
        let shown = match Picture::take(&context.client).await {
            Ok(picture) => {
                let finished = picture.finished();
                let rate = before.map(|(then, count)| {
                    // What retention removes is no work undone.
                    let done = finished.saturating_sub(count) as f64;
                    done / (taken - then).as_secs_f64()
                });
                before = Some((taken, finished));
                picture.drawn(rate, room(), context.out.color())
            }
            Err(error) => format!("{error}\n"),
        };
        context.out.bytes(format!("{CLEAR}{shown}").as_bytes())?;
        tokio::time::sleep(EVERY).await;
    }
}

/// Agents that fit on the screen.
fn room() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(usize::MAX, |it| {
        usize::from(it.ws_row).saturating_sub(OTHER_LINES)
    })
}

/// What is shown: `{version, node, started_at, status, checks, tasks, agents}`.
struct Picture(Value);

impl Picture {
    async fn take(client: &Client) -> Result<Self, ClientError> {
        let all = || vec![("limit", "500".to_owned())];
        let (about, health, agents, queues) = tokio::try_join!(
            client.version(),
            client.health(),
            client.list("agents", all()),
            client.list("queues", all()),
        )?;
        let (about, health) = (&about.value, &health.value);
        let mut agents = agents.value["items"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        agents.sort_by_key(trouble);
        Ok(Self(json!({
            "version": about["version"],
            "node": about["node"],
            "started_at": about["started_at"],
            "status": health["status"],
            "checks": counted(health["checks"].as_array(), |check| check["status"].clone()),
            "tasks": sum(queues.value["items"].as_array()),
            "agents": agents,
        })))
    }

    /// Tasks that ended.
    fn finished(&self) -> u64 {
        const FINAL: [&str; 5] = ["succeeded", "failed", "timed_out", "cancelled", "dead"];
        let tasks = &self.0["tasks"];
        FINAL
            .iter()
            .filter_map(|state| tasks[*state].as_u64())
            .sum()
    }

    fn drawn(&self, rate: Option<f64>, room: usize, color: bool) -> String {
        let it = &self.0;
        let status = field(it, "status");
        let status = if color { coloured(&status) } else { status };
        let rate = rate.map_or_else(String::new, |rate| format!("{rate:.1} a second; "));
        let agents = it["agents"].as_array().map_or(&[][..], Vec::as_slice);
        let shown = &agents[..agents.len().min(room)];
        let more = match agents.len() - shown.len() {
            0 => String::new(),
            more => format!("and {more} more\n"),
        };
        format!(
            "agent-system {} on {}, up {}\nhealth  {status}: {}\ntasks   {rate}{}\n\n{}{more}",
            field(it, "version"),
            field(it, "node"),
            age(&it["started_at"]),
            words(&it["checks"]),
            words(&it["tasks"]),
            table(COLUMNS, shown, color),
        )
    }
}

/// Agents that need somebody come first, the others as they are declared.
fn trouble(agent: &Value) -> u8 {
    match (agent["state"].as_str(), agent["health"]["status"].as_str()) {
        (Some("failed" | "quarantined" | "unreachable"), _) => 0,
        (Some("backoff"), _) | (_, Some("critical")) => 1,
        (_, Some("warning" | "unknown")) => 2,
        _ => 3,
    }
}

/// How many of each word there are.
fn counted(items: Option<&Vec<Value>>, word: impl Fn(&Value) -> Value) -> Value {
    let mut counts = json!({});
    for item in items.into_iter().flatten() {
        add(&mut counts, &text(&word(item)), 1);
    }
    counts
}

/// The tasks of all queues by state.
fn sum(queues: Option<&Vec<Value>>) -> Value {
    let mut counts = json!({});
    let states = queues
        .into_iter()
        .flatten()
        .filter_map(|it| it["tasks"].as_object());
    for (state, count) in states.flatten() {
        add(&mut counts, state, count.as_u64().unwrap_or(0));
    }
    counts
}

fn add(counts: &mut Value, word: &str, more: u64) {
    let now = counts[word].as_u64().unwrap_or(0);
    counts[word] = json!(now + more);
}

/// `2 critical, 9 healthy`.
fn words(counts: &Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let shown: Vec<String> = counts
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(name: &str, state: &str, health: &str) -> Value {
        json!({
            "name": name, "state": state, "health": {"status": health, "verdict": "idle"},
            "replicas": {"ready": 1, "desired": 2}, "usage": {"cpu_percent": 12.34, "memory_bytes": 2048},
            "queue": {"depth": 3, "running": 1}, "restarts": {"total": 4, "last_reason": null},
            "uptime_ms": 61_000,
        })
    }

    fn picture() -> Picture {
        let mut agents = vec![
            agent("calm", "ready", "healthy"),
            agent("warm", "ready", "warning"),
            agent("gone", "quarantined", "healthy"),
            agent("ill", "ready", "critical"),
        ];
        agents.sort_by_key(trouble);
        Picture(json!({
            "version": "1", "node": "n", "status": "critical", "checks": {"critical": 1, "healthy": 3},
            "tasks": {"succeeded": 7, "dead": 2, "queued": 0}, "agents": agents,
        }))
    }

    #[test]
    fn the_worst_agents_stand_first_and_those_that_do_not_fit_are_counted() {
        let drawn = picture().drawn(Some(2.5), 3, false);
        let names: Vec<&str> = drawn
            .lines()
            .skip(5)
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(names, ["gone", "ill", "warm", "and"]);
        assert!(drawn.contains("and 1 more"), "{drawn}");
        assert!(
            drawn.contains("health  critical: 1 critical, 3 healthy"),
            "{drawn}"
        );
        assert!(drawn.contains("tasks   2.5 a second; "), "{drawn}");
        assert!(!drawn.contains("0 queued"), "{drawn}");
        assert!(drawn.contains("1/2    12.3%  2.0 KiB"), "{drawn}");
    }

    #[test]
    fn what_has_ended_in_any_way_counts_as_finished() {
        assert_eq!(picture().finished(), 9);
    }
}
