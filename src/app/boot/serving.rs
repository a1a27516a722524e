//! Both ports, and who answers on them.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::ground::{Ground, node};
use super::inner::Inner;
use crate::actors::health::MetricsSampler;
use crate::actors::supervisor::SupervisorHandle;
use crate::app::StartError;
use crate::app::ports::{About, Listeners};
use crate::app::reload::{Configured, Reloader};
use crate::app::view::View;
use crate::config::Config;
use crate::http::{
    Close, Fleet, Handles, Limits, PROBES, Ports, Readiness, SCRAPED, Server, VersionInfo, closing,
    metrics_routes, routes,
};
use crate::persistence::artifacts::Artifacts;
use crate::telemetry::metrics::Metrics;

/// Connections that scrape at once.
const SCRAPERS: usize = 16;

/// What is served.
pub(super) struct Served {
    pub(super) close: Close,
    pub(super) servers: [Arc<Server>; 2],
    pub(super) about: About,
}

/// Who answers on the API's port, and who on that of the metrics.
pub(super) struct Answering<'a> {
    pub(super) config: &'a Config,
    pub(super) reloader: Arc<Reloader>,
    pub(super) ground: &'a Ground,
    pub(super) inner: &'a Inner,
    pub(super) agents: SupervisorHandle,
    pub(super) view: Arc<View>,
    pub(super) artifacts: Artifacts,
    pub(super) metrics: Metrics,
    pub(super) readiness: watch::Sender<Readiness>,
}

impl Answering<'_> {
    /// Makes everything ready to serve; connections wait until somebody takes them.
    pub(super) fn open(self, listeners: Listeners) -> Result<Served, StartError> {
        let system = |source| StartError::System {
            what: "serve",
            source,
        };
        let api = listeners.api.local_addr().map_err(system)?;
        let metrics = listeners.metrics.local_addr().map_err(system)?;
        let (close, told) = closing();
        let hears = self.readiness.subscribe();
        let ports = Ports {
            http: api.port(),
            metrics: metrics.port(),
        };
        let connections = usize::try_from(self.config.server().max_connections).unwrap_or(SCRAPERS);
        let scrape = self.scrape();
        let about = About::write(self.config.data_dir(), api, metrics).map_err(system)?;
        let handles = self.handles(ports, hears, told.clone());
        let servers = [
            Server::new(
                listeners.api,
                routes(handles),
                connections,
                PROBES,
                told.clone(),
            ),
            Server::new(
                listeners.metrics,
                metrics_routes(scrape),
                SCRAPERS,
                SCRAPED,
                told,
            ),
        ];
        let [Ok(api_server), Ok(metrics_server)] = servers else {
            return Err(system(std::io::Error::other("a listener has no address")));
        };
        Ok(Served {
            close,
            servers: [api_server, metrics_server],
            about,
        })
    }

    fn handles(
        self,
        ports: Ports,
        readiness: watch::Receiver<Readiness>,
        closing: crate::http::Closing,
    ) -> Handles {
        let server = self.config.server();
        Handles {
            agents: Arc::new(Fleet {
                supervisor: self.agents,
                dispatcher: self.inner.dispatcher.clone(),
                health: self.inner.health.clone(),
            }),
            work: Arc::new(self.inner.dispatcher.clone()),
            schedules: Arc::new(self.inner.dispatcher.clone()),
            messages: Arc::new(self.inner.dispatcher.clone()),
            health: Arc::new(self.inner.health.clone()),
            recovery: Arc::new(self.inner.healer.clone()),
            facts: Arc::new(self.ground.journal.clone()),
            records: self.ground.store.clone(),
            artifacts: self.artifacts,
            limits: Limits {
                request_timeout: server.request_timeout,
                wait: server.wait_limit,
                body_bytes: usize::try_from(server.body_limit).unwrap_or(usize::MAX),
                ..Limits::default()
            },
            readiness,
            closing,
            about: VersionInfo {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                environment: self.config.environment().as_str().to_owned(),
                pid: std::process::id(),
                node: node(),
                started_at: self.ground.session.started_at,
                ports,
            },
            config: Arc::new(Configured(self.reloader)),
        }
    }

    fn scrape(&self) -> crate::http::Scrape {
        let store = Arc::new(self.ground.store.clone());
        let sampler = MetricsSampler::new(self.metrics.clone(), store, self.view.clone());
        Arc::new(move || {
            let sampler = sampler.clone();
            async move { sampler.scrape().await }.boxed()
        })
    }
}
