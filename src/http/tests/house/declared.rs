//! A configuration of one agent that can be changed once.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::done;
use crate::domain::explain::AgentSettings;
use crate::domain::name::Name;
use crate::domain::reload::{Change, Does, KeyChange, ReloadPlan, UnitChange, UnitKind};
use crate::http::{Answer, Configuration, Problem};

/// The digest of what can be read.
pub(crate) const READ: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Whether the change was taken over.
#[derive(Default)]
pub(super) struct Declared(Mutex<bool>);

impl Declared {
    fn difference(&self) -> ReloadPlan {
        let change = UnitChange {
            kind: UnitKind::Agent,
            name: "echo".to_owned(),
            change: Change::Changed,
            does: Does::Restart,
            keys: vec![KeyChange {
                key: "agents.echo.command".to_owned(),
                before: Some(json!(["a"])),
                after: None,
            }],
        };
        let units = (!*self.0.lock()).then_some(change);
        let units = units.into_iter().collect();
        ReloadPlan::new(READ.to_owned(), units, Vec::new(), Vec::new())
    }
}

impl Configuration for Declared {
    fn shown(&self) -> Arc<Value> {
        Arc::new(json!({"security": {"jwt": {"secret": "…"}}}))
    }
    fn settings_of(&self, _: &Name) -> Option<AgentSettings> {
        None
    }
    fn plan(&self) -> Answer<'_, ReloadPlan> {
        done(Ok(self.difference()))
    }
    fn apply(&self, planned: Option<String>) -> Answer<'_, ReloadPlan> {
        if planned.is_some_and(|planned| planned != READ) {
            return done(Err(Problem::conflict(
                "it was changed since it was planned",
            )));
        }
        let plan = self.difference();
        *self.0.lock() = true;
        done(Ok(plan))
    }
}
