//! Who may ask for other settings: the API, and whoever may send SIGHUP.

use std::sync::Arc;

use futures_util::FutureExt as _;
use serde_json::Value;
use tokio::signal::unix::Signal;

use super::{ReloadError, Reloader};
use crate::domain::explain::AgentSettings;
use crate::domain::name::Name;
use crate::domain::reload::ReloadPlan;
use crate::http::{Answer, Configuration, Problem};

/// The configuration, as the API sees it.
pub(in crate::app) struct Configured(pub(in crate::app) Arc<Reloader>);

impl Configuration for Configured {
    fn shown(&self) -> Arc<Value> {
        self.0.running().shown.clone()
    }

    fn settings_of(&self, agent: &Name) -> Option<AgentSettings> {
        let running = self.0.running();
        running.config.all_settings().get(agent).cloned()
    }

    fn plan(&self) -> Answer<'_, ReloadPlan> {
        async move { Ok(self.0.plan().await?) }.boxed()
    }

    fn apply(&self, planned: Option<String>) -> Answer<'_, ReloadPlan> {
        let reloader = self.0.clone();
        // What has begun is carried out, whether or not the caller still listens.
        let done = tokio::spawn(async move { reloader.apply(planned.as_deref(), "api").await });
        async move {
            let done = done.await;
            Ok(done.map_err(|broken| ReloadError::Broken(broken.to_string()))??)
        }
        .boxed()
    }
}

impl From<ReloadError> for Problem {
    fn from(error: ReloadError) -> Self {
        let detail = error.to_string();
        match error {
            ReloadError::Invalid(problems) => {
                let first = detail.lines().next().unwrap_or_default().to_owned();
                let refused = Self::validation(first.trim_end_matches(':'));
                problems
                    .into_iter()
                    .fold(refused, |refused, (key, message)| {
                        refused.at(format!("#/{}", key.replace('.', "/")), message)
                    })
            }
            ReloadError::Stale { .. } => Self::conflict(detail),
            ReloadError::Store(error) => error.into(),
            ReloadError::Supervisor(error) => error.into(),
            ReloadError::Broken(_) => Self::internal(detail),
        }
    }
}

/// Takes over what is read anew at each SIGHUP. Never ends.
pub(in crate::app) async fn hang_ups(reloader: &Reloader, hang_ups: &mut Signal) {
    while hang_ups.recv().await.is_some() {
        tracing::info!("SIGHUP: reading the configuration anew");
        if let Err(error) = reloader.apply(None, "SIGHUP").await {
            tracing::error!("nothing was taken over: {error}");
        }
    }
    std::future::pending().await
}
