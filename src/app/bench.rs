//! `agent-system bench`: how fast the house is on this machine, as its users meet it.
//!
//! A private daemon on a data directory of its own, with everything at its defaults (journal,
//! retention, metrics, WAL, `synchronous = "full"`), and tasks that do nothing. Each submitter hands
//! one task in and waits for its result before it hands in the next. With a URL a running daemon
//! is measured instead.
//!
//! Rely on: what is counted is what the reopened database holds.
//!
//! Not here: claims with slow disks and their bars, see `benches/README.md`.

mod drive;
mod figures;
mod noop;
pub(super) mod private;
mod spread;
mod wire;

use std::path::PathBuf;

pub(crate) use self::figures::{Figures, Report};

/// The most tasks on their way at once to the private daemon's agents.
const CONCURRENCY: usize = 128;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Submitters in this process, an agent in Rust.
    Library,
    /// Submitters over HTTP, a process agent.
    Http,
    /// One task at a time on an idle system, through both.
    Idle,
}

impl Measure {
    /// All of them, in the order in which they run.
    pub(crate) const ALL: [Self; 3] = [Self::Idle, Self::Library, Self::Http];
}

/// How it is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What is measured.
    pub(crate) measures: Vec<Measure>,
    /// Tasks of each measurement.
    pub(crate) tasks: u64,
    /// Tasks of the measurement with one submitter.
    pub(crate) idle_tasks: u64,
    /// Callers at once.
    pub(crate) submitters: u64,
    /// Finished tasks that stand in the table before.
    pub(crate) finished: u64,
    /// Where the private daemon writes; a directory that is removed afterwards if absent.
    pub(crate) data_dir: Option<PathBuf>,
    /// A running daemon, and its agent.
    pub(crate) running: Option<(String, String)>,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("the private daemon did not start: {0}")]
    Start(String),
    #[error("a task was refused: {0}")]
    Refused(String),
    #[error("a task ended as '{0}' and not as 'succeeded'")]
    Ended(String),
    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        source: std::io::Error,
    },
}

/// Measures, on the calling thread.
pub(crate) fn run(plan: &Plan) -> Result<Report, BenchError> {
    match &plan.running {
        Some((url, agent)) => running(plan, url, agent),
        None => private::run(plan),
    }
}

/// A daemon that somebody else started.
fn running(plan: &Plan, url: &str, agent: &str) -> Result<Report, BenchError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| BenchError::System {
            what: "start the runtime",
            source,
        })?;
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let door = drive::Door::Wire {
        address: address.to_owned(),
        agent: agent.to_owned(),
    };
    runtime.block_on(async {
        let mut report = Report::default();
        let one = drive::drive(&door, plan.idle_tasks, 1, || 0).await?;
        report.measurements.push(one.named("idle, http"));
        let many = drive::drive(&door, plan.tasks, plan.submitters, || 0).await?;
        report.measurements.push(many.named("http"));
        Ok(report)
    })
}
