//! The rooms behind the routes: their handles as this room's traits, their errors as problems.
//!
//! Each error is mapped here, in one place a room. What may pass says when to come back; what may
//! have been done all the same is 504.

mod agents;
mod health;
mod schedules;
mod work;

use std::sync::Arc;

use tokio::sync::broadcast;

use super::handles::Facts;
use super::problem::Problem;
use crate::actors::journal::JournalHandle;
use crate::actors::runner::AskError;
use crate::domain::event::Event;

pub use agents::Fleet;

impl Facts for JournalHandle {
    fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        Self::subscribe(self)
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Full | AskError::Closed => Self::unavailable(error.to_string()),
            AskError::Timeout | AskError::Died => Self::deadline_exceeded(error.to_string()),
        }
    }
}
