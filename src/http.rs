//! The HTTP interface: the API, the probes, the status page.
//!
//! [`routes`] is one warp filter that hands every request to the route table below. The table is
//! ours and not warp's combinators, because a `:verb` shares its segment with a name, a 405 needs
//! its `Allow`, metrics need the pattern as a label, and a table can be read.
//!
//! ```text
//! serve.rs ─▶ routes ─▶ router.rs ─▶ table ─▶ one file a noun ─▶ handles.rs ─▶ other rooms
//! ```
//!
//! A user may rely on the paths, the JSON shapes and the `code` of each problem. `http` sees
//! handles, never an actor's address.

mod agents;
mod artifacts;
mod body;
mod call;
mod config;
mod database;
mod events;
mod handles;
mod health;
mod messages;
mod metrics;
mod openapi;
mod page;
mod pattern;
mod pause;
mod probes;
mod problem;
mod queues;
mod recovery;
mod reply;
mod rooms;
mod router;
mod schedules;
mod serve;
mod tasks;
mod workflows;

use std::sync::Arc;

use bytes::Buf;
use futures_util::StreamExt;
use hyper::{HeaderMap, Method};
use warp::Filter;
use warp::path::FullPath;

pub use agents::view::{
    AgentHealth, AgentView, InstanceView, QueueView, Replicas, Restarts, Usage,
};
pub use handles::{
    AgentCommand, Agents, Answer, Configuration, Facts, Handles, Health, Limits, Messages, Ports,
    Readiness, Recovery, Schedules, VersionInfo, Work,
};
pub use openapi::openapi;
pub use problem::{Fault, Problem};
pub use rooms::Fleet;
pub use serve::{
    Close, Closing, HEADER_TIMEOUT, MAX_CONNECTIONS, PROBES, Routes, SCRAPED, Scrape, Server,
    closing, metrics_routes,
};

use router::{Request, Router};

/// Every path there is.
fn table() -> Router {
    let router = Router::default()
        .get("/", page::get)
        .get("/docs", openapi::docs)
        .get("/openapi.json", openapi::get)
        .get("/livez", probes::livez)
        .get("/readyz", probes::readyz)
        .get("/startupz", probes::startupz)
        .get("/version", probes::version)
        .get("/health", health::report);
    let router = router
        .get("/api/v1/tree", agents::tree)
        .get("/api/v1/agents", agents::list)
        .get("/api/v1/agents/{name}", agents::get)
        .get("/api/v1/agents/{name}/logs", agents::logs)
        .get("/api/v1/agents/{name}/crashes", agents::crashes)
        .get("/api/v1/agents/{name}/crashes/{id}", agents::crash)
        .get("/api/v1/agents/{name}/health", agents::health)
        .get("/api/v1/agents/{name}/metrics", metrics::agent)
        .get("/api/v1/agents/{name}/explain", agents::explain)
        .post("/api/v1/agents/{name}:start", agents::start)
        .post("/api/v1/agents/{name}:stop", agents::stop)
        .post("/api/v1/agents/{name}:restart", agents::restart)
        .post("/api/v1/agents/{name}:pause", agents::pause)
        .post("/api/v1/agents/{name}:resume", agents::resume)
        .post("/api/v1/agents/{name}:scale", agents::scale);
    let router = work(dead_letters(router));
    router
        .get("/api/v1/health/checks", health::checks)
        .get("/api/v1/health/checks/{name}", health::check)
        .get("/api/v1/health/checks/{name}/history", health::history)
        .post("/api/v1/health/checks/{name}:run", health::run)
        .get("/api/v1/recovery/actions", recovery::actions)
        .get("/api/v1/recovery/runs", recovery::runs)
        .post("/api/v1/recovery/actions/{name}:run", recovery::run)
        .stream("/api/v1/events", events::list)
        .get("/api/v1/metrics/system", metrics::system)
        .get("/api/v1/metrics/agents", metrics::agents)
        .get("/api/v1/database", database::status)
        .get("/api/v1/database/migrations", database::migrations)
        .get("/api/v1/database/history", database::history)
        .get("/api/v1/config", config::get)
        .post("/api/v1/config:plan", config::plan)
        .post("/api/v1/config:apply", config::apply)
        .long("/api/v1/database:backup", database::backup)
        .long("/api/v1/database:prune", database::prune)
}

/// The paths of durable work.
fn work(router: Router) -> Router {
    router
        .get("/api/v1/tasks", tasks::list)
        .post_wait("/api/v1/tasks", tasks::submit)
        .wait("/api/v1/tasks/{id}", tasks::get)
        .get("/api/v1/tasks/{id}/attempts", tasks::attempts)
        .get("/api/v1/tasks/{id}/explain", tasks::explain)
        .post("/api/v1/tasks:bulk", tasks::bulk)
        .post("/api/v1/tasks/{id}:cancel", tasks::cancel)
        .post("/api/v1/tasks/{id}:retry", tasks::retry)
        .get("/api/v1/workflows", workflows::list)
        .post("/api/v1/workflows", workflows::run)
        .wait("/api/v1/workflows/{id}", workflows::get)
        .get("/api/v1/workflows/{id}/graph", workflows::graph)
        .post("/api/v1/workflows/{id}:cancel", workflows::cancel)
        .post("/api/v1/workflows/{id}:retry", workflows::retry)
        .post("/api/v1/workflows/{id}:signal", workflows::signal)
        .get("/api/v1/queues", queues::list)
        .get("/api/v1/queues/{name}", queues::get)
        .post("/api/v1/queues/{name}:pause", queues::pause)
        .post("/api/v1/queues/{name}:resume", queues::resume)
        .upload("/api/v1/artifacts", artifacts::create)
        .stream("/api/v1/artifacts/{name}", artifacts::get)
        .stream("/api/v1/artifacts/{owner}/{file}", artifacts::get_owned)
        .get("/api/v1/schedules", schedules::list)
        .get("/api/v1/schedules/{name}", schedules::get)
        .get("/api/v1/schedules/{name}/history", schedules::history)
        .post("/api/v1/schedules/{name}:pause", schedules::pause)
        .post("/api/v1/schedules/{name}:resume", schedules::resume)
        .post("/api/v1/schedules/{name}:trigger", schedules::trigger)
        .get("/api/v1/messages", messages::list)
        .post("/api/v1/messages", messages::send)
}

fn dead_letters(router: Router) -> Router {
    router
        .get("/api/v1/dead-letters", tasks::dead)
        .post("/api/v1/dead-letters:retry", tasks::retry_dead)
        .post("/api/v1/dead-letters:purge", tasks::purge_dead)
}

/// Everything that is served on the API's port.
#[must_use]
pub fn routes(handles: Handles) -> Routes {
    let router = Arc::new(table());
    let handles = Arc::new(handles);
    warp::any()
        .and(warp::method())
        .and(warp::path::full())
        .and(raw_query())
        .and(warp::header::headers_cloned())
        .and(warp::body::stream())
        .then(
            move |method: Method, path: FullPath, query: String, headers: HeaderMap, body| {
                let (router, handles) = (Arc::clone(&router), Arc::clone(&handles));
                let path = path.as_str().to_owned();
                let request = Request {
                    method,
                    path,
                    query,
                    headers,
                    body: pieces(body),
                };
                async move { router.answer(handles, request).await }
            },
        )
        .boxed()
}

/// What stands behind the `?`, which may be nothing.
fn raw_query() -> impl Filter<Extract = (String,), Error = std::convert::Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

/// A body as pieces of bytes.
fn pieces<B: Buf + 'static>(
    body: impl futures_util::Stream<Item = Result<B, warp::Error>> + Send + 'static,
) -> body::Body {
    body.map(|piece| piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())))
        .boxed()
}

#[cfg(test)]
pub(crate) mod tests;
