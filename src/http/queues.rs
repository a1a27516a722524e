//! `/api/v1/queues`: what waits where, what limits it, and pausing it.
//!
//! A paused queue hands nothing out; what runs goes on, and submissions are accepted until it is
//! full. A pause holds over restarts, and ends by itself at `until`.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::pause;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use super::tasks::Nothing;
use crate::domain::name::Name;
use crate::domain::query::{QueueState, QueueStats};
use crate::domain::queue::{Limits, RateLimit};
use crate::domain::timestamp::Timestamp;

/// The longest reason of a pause.
const MAX_REASON_BYTES: usize = 1024;

/// A queue as its JSON shows it.
#[derive(Serialize)]
struct QueueView {
    name: String,
    #[serde(flatten)]
    stats: QueueStats,
    paused: bool,
    paused_at: Option<Timestamp>,
    paused_until: Option<Timestamp>,
    pause_reason: Option<String>,
    capacity: u64,
    #[serde(flatten)]
    limits: LimitsView,
    per_key: LimitsView,
}

#[derive(Serialize)]
struct LimitsView {
    concurrency: Option<u32>,
    rate_limit: Option<RateView>,
}

#[derive(Serialize)]
struct RateView {
    max: u32,
    period_ms: u64,
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        let rate = |RateLimit { max, period }| RateView {
            max,
            period_ms: u64::try_from(period.as_millis()).unwrap_or(u64::MAX),
        };
        Self {
            concurrency: limits.concurrency,
            rate_limit: limits.rate.map(rate),
        }
    }
}

impl From<QueueState> for QueueView {
    fn from(QueueState { spec, stats, pause }: QueueState) -> Self {
        Self {
            name: spec.name.to_string(),
            stats,
            paused: pause.is_some(),
            paused_at: pause.as_ref().map(|pause| pause.paused_at),
            paused_until: pause.as_ref().and_then(|pause| pause.until),
            pause_reason: pause.and_then(|pause| pause.reason),
            capacity: spec.capacity,
            limits: spec.limits.into(),
            per_key: spec.per_key.into(),
        }
    }
}

/// `GET /api/v1/queues`
pub(super) async fn list(call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    let queues = call.handles.work.queues().await?;
    let queues: Vec<_> = queues.into_iter().map(QueueView::from).collect();
    reply::turned(&call, queues, |queue| &queue.name, |_| true)
}

/// `GET /api/v1/queues/{name}`
pub(super) async fn get(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name: Name = call.name("queue")?;
    reply::json(&QueueView::from(call.handles.work.queue(name).await?))
}

/// `:pause` of a queue or a schedule: for how long, and why.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pause {
    pub(super) until: Option<Timestamp>,
    pub(super) reason: Option<String>,
}

impl Pause {
    /// The same, or what is wrong with it.
    pub(super) fn checked(self) -> Result<Self, Problem> {
        let length = self.reason.as_ref().map_or(0, String::len);
        if length > MAX_REASON_BYTES {
            let detail = "longer than 1024 bytes";
            return Err(Problem::validation(format!("reason: {detail}")).at("#/reason", detail));
        }
        Ok(Self {
            until: pause::ahead(self.until)?,
            ..self
        })
    }
}

/// `POST /api/v1/queues/{name}:pause`
pub(super) async fn pause(mut call: Call) -> Outcome {
    let Pause { until, reason } = call.json_or_default::<Pause>().await?.checked()?;
    let name: Name = call.name("queue")?;
    let paused = call.handles.work.pause_queue(name, until, reason).await?;
    reply::json(&QueueView::from(paused))
}

/// `POST /api/v1/queues/{name}:resume`
pub(super) async fn resume(mut call: Call) -> Outcome {
    let Nothing {} = call.json_or_default().await?;
    let name: Name = call.name("queue")?;
    reply::json(&QueueView::from(
        call.handles.work.resume_queue(name).await?,
    ))
}
