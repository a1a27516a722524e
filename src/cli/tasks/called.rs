//! Which task a command calls by its id or name.

use super::{Command, Get, Id};
use crate::cli::named::Purpose;

impl Command {
    /// The text that means one task, and what is done with that.
    pub(super) fn called(&mut self) -> Option<(&mut String, Purpose)> {
        match self {
            Self::Get(Get { id, .. })
            | Self::Wait { id, .. }
            | Self::Explain(Id { id })
            | Self::Attempts(Id { id }) => Some((id, Purpose::Look)),
            Self::Cancel { id: Some(id), .. } | Self::Retry { id: Some(id), .. } => {
                Some((id, Purpose::Change))
            }
            _ => None,
        }
    }
}
