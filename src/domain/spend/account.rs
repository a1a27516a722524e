//! The account of one agent: what its replicas have spent in the present window, and what their open
//! tasks hold.
//!
//! Rely on: `used` never falls within a window, whatever comes in which order; what is handed over
//! while [`Account::room`] allows it never passes a ceiling by more than what tasks spend over their
//! reservations.

use std::collections::HashMap;

use serde::Serialize;

use super::open::{Closed, Open};
use super::{Amount, AttemptSpend, Ceiling, Reserve, SpendSpec, Stored, Sum, Usage, Window};
use crate::domain::ids::{LeaseId, TaskId};

/// How far a window is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Below the line of the warning.
    Open,
    /// Above it.
    Warned,
    /// One more task would pass a ceiling, even if none were open.
    Exhausted,
}

/// The account of one agent.
#[derive(Debug, Clone)]
pub struct Account {
    spec: SpendSpec,
    window: Window,
    /// What was stored of the window is known.
    opened: bool,
    inside: Sum,
    own: Sum,
    open: HashMap<LeaseId, Open>,
    /// What open tasks hold, all together.
    held: Amount,
    /// Slots that are offered, and may each bring a task.
    offered: u32,
}

impl Account {
    /// An account of which nothing is known yet: it hands nothing over.
    #[must_use]
    pub fn new(spec: SpendSpec, window: Window) -> Self {
        Self {
            spec,
            window,
            opened: false,
            inside: Sum::default(),
            own: Sum::default(),
            open: HashMap::new(),
            held: Amount::default(),
            offered: 0,
        }
    }

    /// Another window begins, or the first one, with what is stored of it. What was reported before
    /// anything was known counts in it.
    pub fn enter(&mut self, window: Window, stored: Stored) {
        let early = if self.opened {
            Sum::default()
        } else {
            self.own
        };
        (self.window, self.opened) = (window, true);
        self.inside = stored.inside;
        self.own = stored.own.plus(early);
        // Their reservations count where they are now.
        self.open.values_mut().for_each(|open| open.news = true);
    }

    /// Other settings; open tasks keep what they hold. Windows of another length are to be entered
    /// anew.
    pub fn redeclare(&mut self, spec: SpendSpec) {
        if spec.per != self.spec.per {
            self.opened = false;
            self.own = Sum::default();
            self.inside = Sum::default();
        }
        self.spec = spec;
    }

    /// The settings.
    #[must_use]
    pub const fn spec(&self) -> &SpendSpec {
        &self.spec
    }

    /// The present window.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// Whether what was stored of the window is known.
    #[must_use]
    pub const fn is_opened(&self) -> bool {
        self.opened
    }

    /// What counts in this window under its own start.
    #[must_use]
    pub const fn own(&self) -> Sum {
        self.own
    }

    /// All that counts in this window.
    #[must_use]
    pub const fn sum(&self) -> Sum {
        self.own.plus(self.inside)
    }

    /// What counts against the ceilings.
    #[must_use]
    pub const fn used(&self) -> Amount {
        self.sum().amount()
    }

    /// What open tasks hold beside it.
    #[must_use]
    pub const fn reserved(&self) -> Amount {
        self.held
    }

    /// How many more tasks may be handed over now.
    #[must_use]
    pub fn room(&self) -> u32 {
        if !self.opened {
            return 0;
        }
        let offered = self.spec.reserve.times(u64::from(self.offered));
        self.room_beside(self.held.plus(offered))
    }

    fn room_beside(&self, held: Amount) -> u32 {
        let taken = self.used().plus(held);
        let sides = self.spec.ceiling.sides(taken, self.spec.reserve);
        sides.map(super::Side::room).min().unwrap_or(u32::MAX)
    }

    /// Whether nothing more may be handed over until a task ends, a window does, or the ceiling is
    /// raised.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.opened || self.room_beside(self.held) == 0
    }

    /// How far the window is used.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let sides = || self.spec.ceiling.sides(self.used(), self.spec.reserve);
        if sides().any(super::Side::is_full) {
            Standing::Exhausted
        } else if self.ratio() >= self.spec.warn_at {
            Standing::Warned
        } else {
            Standing::Open
        }
    }

    /// The share that is used: of money or tokens, the greater.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        let sides = self.spec.ceiling.sides(self.used(), Amount::default());
        sides.map(super::Side::ratio).fold(0.0, f64::max)
    }

    /// Slots are offered: each holds a reservation until it is withdrawn.
    pub fn offer(&mut self, slots: u32) {
        self.offered = self.offered.saturating_add(slots);
    }

    /// Slots are offered no more.
    pub fn withdraw(&mut self, slots: u32) {
        self.offered = self.offered.saturating_sub(slots);
    }

    /// A task is on its way to the agent; `before` is what earlier executions of it have spent.
    pub fn open(&mut self, lease: LeaseId, task: TaskId, before: Amount) {
        let open = Open {
            task,
            reserve: self.spec.reserve,
            before,
            said: Usage::default(),
            delivered: false,
            answered: false,
            news: false,
        };
        self.held = self.held.plus(open.held());
        if let Some(twice) = self.open.insert(lease, open) {
            self.held = self.held.minus(twice.held());
        }
    }

    /// It is in the agent's hands, or has come back unread.
    pub fn delivered(&mut self, lease: LeaseId, delivered: bool) {
        if let Some(open) = self.open.get_mut(&lease) {
            if delivered && !open.delivered {
                self.own.tasks = self.own.tasks.saturating_add(1);
            }
            open.delivered = delivered;
        }
    }

    /// The agent says what it has spent, for a task that is open or for none.
    pub fn report(&mut self, lease: Option<LeaseId>, usage: Usage) {
        let usage = usage.bounded();
        self.own.add(usage);
        if let Some(open) = lease.and_then(|lease| self.open.get_mut(&lease)) {
            let before = open.held();
            open.said = open.said.and(usage);
            open.news = true;
            self.held = self.held.minus(before).plus(open.held());
        }
    }

    /// The agent has given a task back.
    pub fn answered(&mut self, lease: LeaseId) {
        if let Some(open) = self.open.get_mut(&lease) {
            open.answered = true;
        }
    }

    /// A task is over: what it held is counted, or free. `None` if it is not open here.
    pub fn close(&mut self, lease: LeaseId) -> Option<Closed> {
        let open = self.open.remove(&lease)?;
        self.held = self.held.minus(open.held());
        let presumed = open.presumed();
        self.own.presumed = self.own.presumed.plus(presumed);
        Some(Closed {
            task: open.task,
            usage: open.said,
            presumed,
        })
    }

    /// The tasks that are to be stopped, and why: those over their own ceiling, and all of them
    /// when the window's is reached and the settings say so.
    #[must_use]
    pub fn to_stop(&self) -> Vec<(LeaseId, String)> {
        let all = self.spec.on_exhausted == super::OnSpent::Cancel && self.is_spent();
        let per = self.spec.per.as_str();
        if !all && self.spec.task_ceiling.is_open() {
            return Vec::new();
        }
        let stopped = self.open.iter().filter(|(_, open)| !open.answered);
        let stopped = stopped.filter_map(|(lease, open)| {
            let own = open.before.plus(open.said.amount());
            let why = match self.spec.task_ceiling.passed_by(own) {
                Some(passed) => Some(format!("the task has spent {passed}")),
                None if all => Some(format!("the spend of the {per} is exhausted")),
                None => None,
            };
            Some((*lease, why?))
        });
        stopped.collect()
    }

    /// Whether a ceiling is reached, reservations aside.
    fn is_spent(&self) -> bool {
        let Ceiling { micros, tokens } = self.spec.ceiling;
        let used = self.used();
        micros.is_some_and(|most| used.micros >= most)
            || tokens.is_some_and(|most| used.tokens >= most)
    }

    /// What a hand-over is to keep for its task.
    #[must_use]
    pub const fn reserve(&self) -> Reserve {
        Reserve {
            window: self.window.start,
            amount: self.spec.reserve,
            counts_tasks: !self.spec.task_ceiling.is_open(),
        }
    }

    /// The open tasks that have said something since this was last asked.
    pub fn take_news(&mut self) -> Vec<AttemptSpend> {
        let window = self.window.start;
        let news = self.open.iter_mut().filter(|(_, open)| open.news);
        let news = news.map(|(lease, open)| {
            open.news = false;
            AttemptSpend {
                task: open.task,
                lease: *lease,
                window,
                usage: open.said,
            }
        });
        news.collect()
    }
}
