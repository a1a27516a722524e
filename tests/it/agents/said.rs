//! What an agent has said, read from where its life keeps it.

use agent_system::actors::life::LifeNote;

use super::rig::{Rig, eventually};

impl Rig {
    /// What the replica has said last.
    pub(super) fn log(&self) -> Vec<String> {
        let notes = self.memory.notes.lock();
        notes.iter().rev().find_map(tail).unwrap_or_default()
    }

    /// Waits until the log holds a line with `text`.
    pub(super) async fn logged(&self, text: &str) -> Vec<String> {
        eventually(&format!("a log line with {text}"), async || {
            let log = self.log();
            log.iter().any(|line| line.contains(text)).then_some(log)
        })
        .await
    }
}

fn tail(note: &LifeNote) -> Option<Vec<String>> {
    let LifeNote::Tail(tail) = note else {
        return None;
    };
    Some(tail.0.recent())
}
