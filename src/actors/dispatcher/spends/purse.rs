//! One agent's account in the dispatcher's memory: what of it is not yet in the database, and which
//! edges have been told.

use serde_json::json;

use crate::domain::event::NewEvent;
use crate::domain::name::Name;
use crate::domain::spend::{
    Account, AttemptSpend, SpendSpec, SpendWrite, Standing, Stored, Window,
};
use crate::domain::timestamp::Timestamp;

/// One agent's account, and what becomes of it.
#[derive(Debug)]
pub(super) struct Purse {
    pub(super) account: Account,
    /// Up to where edges have been told.
    told: Standing,
    /// There is something to write.
    pub(super) dirty: bool,
    /// A write is on its way.
    pub(super) writing: bool,
    /// A window is being read.
    pub(super) reading: bool,
    /// Tasks that have ended since the last write.
    pub(super) closed: Vec<AttemptSpend>,
}

impl Purse {
    pub(super) fn new(spec: &SpendSpec, now: Timestamp) -> Self {
        Self {
            account: Account::new(spec.clone(), Window::at(spec.per, now)),
            told: Standing::Open,
            dirty: false,
            writing: false,
            reading: false,
            closed: Vec::new(),
        }
    }

    pub(super) fn redeclare(&mut self, spec: &SpendSpec) {
        self.account.redeclare(spec.clone());
        // Another ceiling may have passed an edge.
        self.dirty = true;
    }

    /// Enters a window. Edges that the database knows of, since they were passed before the daemon
    /// began, are no news; that a window has ended meanwhile which was used up is.
    pub(super) fn enter(&mut self, window: Window, stored: Stored) {
        if !self.account.is_opened() {
            let before = stored.before.map(|own| Stored {
                own,
                ..Stored::default()
            });
            let mut known = Account::new(self.account.spec().clone(), window);
            known.enter(window, before.unwrap_or(stored));
            self.told = known.standing();
        }
        self.account.enter(window, stored);
        // What is on its way is of the window before.
        (self.dirty, self.writing) = (true, false);
    }

    /// All that is not yet in the database, with the edges that were passed; nothing while it is not
    /// known what stands there.
    pub(super) fn write(&mut self, agent: &Name, now: Timestamp) -> Option<SpendWrite> {
        if !self.account.is_opened() {
            return None;
        }
        self.dirty = false;
        let mut attempts = std::mem::take(&mut self.closed);
        attempts.extend(self.account.take_news());
        Some(SpendWrite {
            agent: agent.clone(),
            window: self.account.window().start,
            sum: self.account.own(),
            attempts,
            events: self.edge(agent, now).into_iter().collect(),
        })
    }

    /// The edge that was passed since the last one was told.
    fn edge(&mut self, agent: &Name, at: Timestamp) -> Option<NewEvent> {
        let standing = self.account.standing();
        let before = std::mem::replace(&mut self.told, standing);
        let kind = match (before, standing) {
            (Standing::Exhausted, Standing::Open | Standing::Warned) => "spend.renewed",
            (Standing::Open, Standing::Warned) => "spend.warning",
            (Standing::Open | Standing::Warned, Standing::Exhausted) => "spend.exhausted",
            _ => return None,
        };
        let view = self.account.view();
        Some(NewEvent {
            kind,
            subject: agent.to_string(),
            at,
            data: json!({
                "per": view.per, "used": view.used, "ceiling": view.ceiling,
                "renews_at": view.renews_at, "ratio": view.ratio,
            }),
        })
    }
}
