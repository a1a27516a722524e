//! `/api/v1/queues`: what waits where.

use serde::Serialize;

use super::call::Call;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use crate::domain::name::nearest;
use crate::domain::query::QueueStats;

/// A queue as its JSON shows it.
#[derive(Serialize)]
struct QueueView {
    name: String,
    #[serde(flatten)]
    stats: QueueStats,
}

impl From<QueueStats> for QueueView {
    fn from(stats: QueueStats) -> Self {
        Self {
            name: stats.queue.to_string(),
            stats,
        }
    }
}

/// `GET /api/v1/queues`
pub(super) async fn list(call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    let queues = call.handles.records.queues().await?;
    reply::whole(queues.into_iter().map(QueueView::from).collect())
}

/// `GET /api/v1/queues/{name}`
pub(super) async fn get(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name = call.text();
    let queues = call.handles.records.queues().await?;
    let near = nearest(&name, queues.iter().map(|stats| stats.queue.as_str())).map(str::to_owned);
    match queues
        .into_iter()
        .find(|stats| stats.queue.as_str() == name)
    {
        Some(stats) => reply::json(&QueueView::from(stats)),
        None => Err(Problem::not_found("queue", &name, near.as_deref())),
    }
}
