//! What agents, queues and schedules have in common when they are paused.

use super::problem::Problem;
use crate::clock;
use crate::domain::timestamp::Timestamp;

/// The end of a pause, if it has one and that is still to come.
pub(super) fn ahead(until: Option<Timestamp>) -> Result<Option<Timestamp>, Problem> {
    match until.filter(|until| *until <= clock::now()) {
        None => Ok(until),
        Some(past) => {
            let detail = format!("{past} is past");
            Err(Problem::validation(format!("until: {detail}")).at("#/until", detail))
        }
    }
}
