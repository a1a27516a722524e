//! What the daemon's own actors go through, told to operators: the log, and readiness.
//!
//! A part that is restarted in place is never missed; one that waits for its next life is, and until
//! then the daemon says that it is not ready.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::actors::supervisor::Facts;
use crate::domain::event::NewEvent;
use crate::http::Readiness;

/// Hears what the supervisor of the daemon's own actors says.
#[derive(Debug)]
pub(super) struct Parts {
    names: &'static [&'static str],
    down: Mutex<BTreeSet<&'static str>>,
    readiness: watch::Sender<Readiness>,
}

impl Parts {
    /// For parts of these names.
    pub(super) fn new(names: &'static [&'static str], readiness: watch::Sender<Readiness>) -> Self {
        Self {
            names,
            down: Mutex::default(),
            readiness,
        }
    }

    /// A part is there, or it is not.
    fn set(&self, name: &str, is_down: bool) {
        let Some(name) = self.names.iter().find(|known| **known == name) else {
            return;
        };
        let mut down = self.down.lock();
        let changed = match is_down {
            true => down.insert(name),
            false => down.remove(name),
        };
        if changed {
            let first = down.first().copied();
            self.readiness
                .send_modify(|readiness| readiness.part_down = first);
        }
    }
}

impl Facts for Parts {
    fn record(&self, event: NewEvent) {
        let subject = event.subject;
        let part = subject.split('#').next().unwrap_or(&subject);
        let said = |member: &str| event.data[member].as_str().unwrap_or_default().to_owned();
        match event.kind {
            "agent.crashed" => {
                let message = said("message");
                tracing::error!(
                    part,
                    message,
                    "a part of the daemon has died and is restarted"
                );
            }
            "agent.backoff" | "agent.quarantined" | "agent.failed" => self.set(part, true),
            "agent.ready" => self.set(part, false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn a_part_that_waits_for_its_next_life_makes_the_daemon_not_ready_until_it_is_back() {
        let (readiness, seen) = watch::channel(Readiness::default());
        let parts = Parts::new(&["dispatcher", "journal"], readiness);
        let say = |kind, subject: &str| {
            parts.record(NewEvent {
                kind,
                subject: subject.to_owned(),
                at: Timestamp::from_micros(1),
                data: json!({}),
            });
            seen.borrow().part_down
        };
        assert_eq!(say("agent.ready", "journal#0"), None);
        assert_eq!(
            say("agent.crashed", "journal#0"),
            None,
            "restarted in place"
        );
        assert_eq!(say("agent.backoff", "journal#0"), Some("journal"));
        assert_eq!(say("agent.backoff", "dispatcher#0"), Some("dispatcher"));
        assert_eq!(say("agent.ready", "dispatcher#0"), Some("journal"));
        assert_eq!(say("agent.ready", "journal#0"), None);
    }
}
