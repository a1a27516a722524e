//! Health monitor and healer.

use std::sync::Arc;

use futures_util::FutureExt;
use serde_json::Value;

use crate::actors::healer::{HealerError, HealerHandle};
use crate::actors::health::{HealthError, HealthHandle};
use crate::domain::health::{HealthCheck, HealthReport};
use crate::domain::record::RecoveryRun;
use crate::http::handles::{Answer, Health, Recovery};
use crate::http::problem::Problem;

/// Where a request for a run names its check.
const CHECK: &str = "#/check";

impl Health for HealthHandle {
    fn report(&self) -> Option<Arc<HealthReport>> {
        Self::report(self)
    }

    fn run<'a>(&'a self, check: &'a str) -> Answer<'a, HealthCheck> {
        async move {
            let report = Self::run(self, Some(check)).await?;
            let found = report.checks.iter().find(|found| found.name == check);
            found
                .cloned()
                .ok_or_else(|| Problem::not_found("check", check, None))
        }
        .boxed()
    }
}

impl From<HealthError> for Problem {
    fn from(error: HealthError) -> Self {
        match error {
            HealthError::NotFound { name, nearest } => {
                Self::not_found("check", &name, nearest.as_deref())
            }
            HealthError::Silent(error) => error.into(),
        }
    }
}

impl Recovery for HealerHandle {
    fn actions(&self) -> Answer<'_, Vec<Value>> {
        let views = Self::actions(self);
        let shown: Result<Vec<Value>, _> = views.iter().map(serde_json::to_value).collect();
        let shown = shown.map_err(|error| Problem::internal(error.to_string()));
        std::future::ready(shown).boxed()
    }

    fn run<'a>(&'a self, action: &'a str, check: Option<&'a str>) -> Answer<'a, RecoveryRun> {
        async move { Ok(Self::run(self, action, check).await?) }.boxed()
    }
}

impl From<HealerError> for Problem {
    fn from(error: HealerError) -> Self {
        let detail = error.to_string();
        match error {
            HealerError::NotFound { name, nearest } => {
                Self::not_found("action", &name, nearest.as_deref())
            }
            HealerError::NoCheck { name, nearest } => {
                Self::not_found("check", &name, nearest.as_deref())
            }
            HealerError::NeedsCheck { .. } | HealerError::WrongCheck { .. } => {
                Self::validation(&detail).at(CHECK, detail)
            }
            HealerError::UnderWay { .. } => Self::conflict(detail),
            HealerError::Silent(error) => error.into(),
        }
    }
}
