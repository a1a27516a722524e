//! What a life has said, for who reads it without asking the life.

use std::sync::Arc;

use super::log::AgentLog;
use super::talk::Talk;
use crate::actors::life::Tail;
use crate::domain::crash::Frame;

/// The log of a replica, and the conversation of one of its lives.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) log: Arc<AgentLog>,
    pub(super) talk: Option<Arc<Talk>>,
    pub(super) life: u64,
}

impl Tail for Spoken {
    fn recent(&self) -> Vec<String> {
        self.log.lines()
    }

    fn log(&self) -> Vec<String> {
        self.log.lines_of(self.life)
    }

    fn frames(&self) -> Vec<Frame> {
        let talk = self.talk.as_ref();
        talk.map_or_else(Vec::new, |talk| talk.frames.frames())
    }
}
