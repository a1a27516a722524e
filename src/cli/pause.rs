//! For how long something is paused: agents, queues and schedules are asked the same way.

use std::time::Duration;

use clap::Args;

use super::wait::span;
use crate::clock;
use crate::domain::timestamp::Timestamp;

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// Until this instant (RFC 3339); without it, until resumed
    #[arg(long)]
    until: Option<Timestamp>,
    /// For this long (10m)
    #[arg(long = "for", value_parser = span, conflicts_with = "until", value_name = "SPAN")]
    span: Option<Duration>,
}

impl PauseArgs {
    /// The end, if there is to be one.
    pub(super) fn end(&self) -> Option<String> {
        let end = self.until.or_else(|| Some(clock::now().after(self.span?)));
        end.map(|end| end.to_string())
    }
}
