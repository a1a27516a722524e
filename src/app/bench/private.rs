//! A daemon of the measurement's own: the very house that `serve` runs, with two agents that do
//! nothing, on a data directory that is thrown away.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use super::drive::{Door, drive};
use super::figures::Report;
use super::noop::Noop;
use super::{BenchError, CONCURRENCY, Measure, Plan};
use crate::actors::agent::Registry;
use crate::app::boot::House;
use crate::app::{StartError, house, stop};
use crate::clock;
use crate::config::{Config, Environment, LoadRequest};
use crate::domain::name::Name;
use crate::domain::task::TaskState;
use crate::persistence::{SqliteOptions, Store};

/// Tasks that run before anything is measured.
const WARM_UP: u64 = 500;
/// Tasks a second that the house is held to through the library, and over HTTP.
const BARS: (f64, f64) = (30_000.0, 8_000.0);
/// Milliseconds from submission to the agent on an idle system, likewise.
const IDLE_BARS: (f64, f64) = (0.5, 1.0);

/// The store whose commits are counted.
static STORE: OnceLock<Store> = OnceLock::new();

fn commits() -> u64 {
    STORE.get().map_or(0, Store::commits)
}

/// Starts it, measures, ends it, and counts what its database holds.
pub(super) fn run(plan: &Plan) -> Result<Report, BenchError> {
    let data = Data::new(plan.data_dir.clone())?;
    let config = configuration(&data.0)?;
    let database = config.database().path.clone();
    let registry = Registry::built_in().register("noop", |_| Ok(Noop { commits }));
    let measured = house::run(
        config,
        LoadRequest::default(),
        registry,
        Instant::now(),
        async |house, mut signals| {
            let measured = tokio::select! {
                measured = measure(plan, &house) => measured,
                name = signals.end.next() => Err(BenchError::Refused(format!("ended by {name}"))),
            };
            stop::close(house).await;
            measured
        },
    );
    let mut report =
        measured.map_err(|error: StartError| BenchError::Start(error.to_string()))??;
    report.settled_when_reopened = Some(settled(&database)?);
    Ok(report)
}

async fn measure(plan: &Plan, house: &House) -> Result<Report, BenchError> {
    // One run a process; the first store stays.
    STORE.get_or_init(|| house.store.clone());
    let library = Door::Library {
        dispatcher: house.dispatcher.clone(),
        agent: name("noop")?,
    };
    let wire = |agent: &str| Door::Wire {
        address: house.servers[0].address().to_string(),
        agent: agent.to_owned(),
    };
    let mut report = Report::default();
    for door in [&library, &wire("noop"), &wire("pipe")] {
        report.submitted += drive(door, WARM_UP, 10, commits).await?.tasks;
    }
    report.submitted += drive(&library, plan.finished, plan.submitters, commits)
        .await?
        .tasks;
    let mut keep = |figures: super::Figures| {
        report.submitted += figures.tasks;
        report.measurements.push(figures);
    };
    for measure in &plan.measures {
        match measure {
            Measure::Library => {
                let figures = drive(&library, plan.tasks, plan.submitters, commits).await?;
                keep(figures.named("library, actor agent").held_to(BARS.0));
            }
            Measure::Http => {
                let figures = drive(&wire("pipe"), plan.tasks, plan.submitters, commits).await?;
                keep(figures.named("http, process agent").held_to(BARS.1));
            }
            Measure::Idle => {
                let figures = drive(&library, plan.idle_tasks, 1, commits).await?;
                keep(figures.named("idle, library").held_to(IDLE_BARS.0));
                let figures = drive(&wire("noop"), plan.idle_tasks, 1, commits).await?;
                keep(figures.named("idle, http").held_to(IDLE_BARS.1));
            }
        }
    }
    Ok(report)
}

/// Settled tasks in the database, opened anew.
fn settled(database: &Path) -> Result<u64, BenchError> {
    let refused = |error: &dyn std::fmt::Display| BenchError::Refused(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::System {
            what: "start the runtime",
            source,
        })?;
    runtime.block_on(async {
        let store = Store::open(SqliteOptions::new(database))
            .await
            .map_err(|error| refused(&error))?;
        let queues = store.queues().await.map_err(|error| refused(&error))?;
        store.close().await.map_err(|error| refused(&error))?;
        let word = TaskState::Succeeded.as_str();
        let of = |tasks: &std::collections::BTreeMap<String, u64>| tasks.get(word).copied();
        Ok(queues.iter().filter_map(|queue| of(&queue.tasks)).sum())
    })
}

fn name(text: &str) -> Result<Name, BenchError> {
    text.parse()
        .map_err(|_| BenchError::Start(format!("'{text}' is no name")))
}

/// Where the daemon writes; removed with this, unless somebody named it.
struct Data(PathBuf, bool);

impl Data {
    fn new(named: Option<PathBuf>) -> Result<Self, BenchError> {
        let thrown_away = named.is_none();
        let path = named.unwrap_or_else(|| {
            let id = crate::domain::ids::SessionId::from_bytes(clock::new_id());
            std::env::temp_dir().join(format!("agent-system-bench-{id}"))
        });
        std::fs::create_dir_all(&path).map_err(|source| BenchError::System {
            what: "make the data directory",
            source,
        })?;
        Ok(Self(path, thrown_away))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.1 {
            // What is left lies in the system's directory for what is temporary.
            std::fs::remove_dir_all(&self.0).ok();
        }
    }
}

/// The defaults, two agents, free ports, a quiet log.
fn configuration(data: &Path) -> Result<Config, BenchError> {
    let file = data.join("bench.toml");
    let agents = format!(
        "[agents.noop]\nkind = \"actor\"\nactor = \"noop\"\nconcurrency = {CONCURRENCY}\n\
         [agents.pipe]\nkind = \"process\"\nconcurrency = {CONCURRENCY}\n\
         command = [\"agent-system\", \"sample-agent\", \"echo\"]\n"
    );
    std::fs::write(&file, agents).map_err(|source| BenchError::System {
        what: "write the configuration",
        source,
    })?;
    Config::load(quiet(data, file)).map_err(|invalid| BenchError::Start(invalid.to_string()))
}

/// A file's settings in the development environment, on free ports, with a quiet log.
pub(in crate::app) fn quiet(data: &Path, file: PathBuf) -> LoadRequest {
    let flags = [
        ("server.port", "0"),
        ("monitoring.metrics_port", "0"),
        ("logging.level", "WARNING"),
    ];
    LoadRequest {
        environment: Some(Environment::Development),
        files: vec![file],
        data_dir: Some(data.to_owned()),
        flags: flags
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        ..LoadRequest::default()
    }
}
