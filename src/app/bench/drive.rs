//! Submitters: each hands one task in and waits for its result before it hands in the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::Method;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BenchError;
use super::figures::{Figures, Samples, Used};
use super::noop::{Commits, Stamp};
use super::wire::Wire;
use crate::actors::dispatcher::DispatcherHandle;
use crate::clock;
use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::task::{NewTask, Target, TaskState};
use crate::telemetry::process::ProcessFigures;

/// The longest a result is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Samples of resident memory in one measurement.
const MEMORY_SAMPLES: u64 = 10;

/// The way in.
#[derive(Clone)]
pub(super) enum Door {
    /// Through the library.
    Library {
        dispatcher: DispatcherHandle,
        agent: Name,
    },
    /// Over HTTP.
    Wire { address: String, agent: String },
}

/// Hands in `tasks` tasks from so many submitters at once.
pub(super) async fn drive(
    door: &Door,
    tasks: u64,
    submitters: u64,
    commits: Commits,
) -> Result<Figures, BenchError> {
    let left = Arc::new(AtomicU64::new(tasks));
    let memory_step = tasks.div_ceil(MEMORY_SAMPLES).max(1);
    let memory = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let mut callers = Vec::new();
    for _ in 0..submitters {
        callers.push(Caller::open(door, commits).await?);
    }
    let (began, commits_before, processor_before) = (Instant::now(), commits(), processor());
    let samples = Arc::<Samples>::default();
    let mut running = JoinSet::new();
    for mut caller in callers {
        let (left, memory, samples) = (left.clone(), memory.clone(), samples.clone());
        running.spawn(async move {
            while let Ok(before) = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
                caller.call(&samples).await?;
                if (before - 1) % memory_step == 0
                    && let Some(figures) = ProcessFigures::read()
                {
                    memory.lock().push(figures.resident_bytes);
                }
            }
            Ok::<_, BenchError>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.map_err(|error| BenchError::Refused(error.to_string()))??;
    }
    let used = Used {
        took: began.elapsed(),
        processor: processor().saturating_sub(processor_before),
        commits: commits() - commits_before,
        memory: std::mem::take(&mut *memory.lock()),
    };
    Ok(Figures::of(&samples, submitters, &used))
}

/// Processor time of this process so far.
fn processor() -> Duration {
    ProcessFigures::read().map_or(Duration::ZERO, |figures| {
        Duration::from_secs_f64(figures.cpu_seconds)
    })
}

/// One submitter.
enum Caller {
    Library(DispatcherHandle, Target, Commits),
    Wire(Wire, String, Commits),
}

impl Caller {
    async fn open(door: &Door, commits: Commits) -> Result<Self, BenchError> {
        Ok(match door {
            Door::Library { dispatcher, agent } => {
                Self::Library(dispatcher.clone(), Target::Agent(agent.clone()), commits)
            }
            Door::Wire { address, agent } => {
                Self::Wire(Wire::connect(address).await?, agent.clone(), commits)
            }
        })
    }

    /// One task, from its submission to its result.
    async fn call(&mut self, samples: &Samples) -> Result<(), BenchError> {
        let began = Instant::now();
        let (submitted, result) = match self {
            Self::Library(dispatcher, target, commits) => {
                let submitted = Stamp::now(*commits);
                (submitted, in_process(dispatcher, target, submitted).await?)
            }
            Self::Wire(wire, agent, commits) => {
                let submitted = Stamp::now(*commits);
                (submitted, over_http(wire, agent, submitted).await?)
            }
        };
        let handed = Stamp::deserialize(&result).ok();
        // An agent that only gives back what it got says nothing.
        let handed = handed.filter(|handed| *handed != submitted);
        samples.add(
            began.elapsed(),
            handed.map(|handed| submitted.until(handed)),
        );
        Ok(())
    }
}

async fn in_process(
    dispatcher: &DispatcherHandle,
    target: &Target,
    stamp: Stamp,
) -> Result<Value, BenchError> {
    let refused =
        |error: crate::actors::dispatcher::DispatchError| BenchError::Refused(error.to_string());
    let payload = serde_json::to_value(stamp).unwrap_or_default();
    let id = TaskId::from_bytes(clock::new_id());
    let task = NewTask::plain(id, "noop".to_owned(), target.clone(), payload);
    let task = dispatcher.run_task(task, PATIENCE).await;
    let task = task.map_err(refused)?.task;
    if task.state == TaskState::Succeeded {
        Ok(task.result.unwrap_or_default())
    } else {
        Err(BenchError::Ended(task.state.as_str().to_owned()))
    }
}

async fn over_http(wire: &mut Wire, agent: &str, stamp: Stamp) -> Result<Value, BenchError> {
    let body = json!({"agent": agent, "payload": stamp});
    let path = "/api/v1/tasks?wait=30s";
    let mut task = wire.ask(Method::POST, path, Some(&body)).await?;
    match task["state"].as_str() {
        Some("succeeded") => Ok(task["result"].take()),
        other => Err(BenchError::Ended(other.unwrap_or_default().to_owned())),
    }
}
