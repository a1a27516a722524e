//! What agents spend, as the dispatcher remembers it: an account for each agent that has a ceiling,
//! and what of it is not yet in the database.
//!
//! Plain state without clock, store or actor. Rely on: an agent without a ceiling costs one look at an
//! empty table; of each account one write is on its way at most, and what is reported meanwhile goes
//! with the next, so however much an agent reports, what waits here is bounded by its open tasks.

mod purse;

use std::collections::{BTreeMap, HashMap};

use self::purse::Purse;
use crate::actors::work::AgentSpent;
use crate::domain::ids::LeaseId;
use crate::domain::name::Name;
use crate::domain::query::ClaimedTask;
use crate::domain::spend::{
    AttemptSpend, Reserve, SpendSpec, SpendView, SpendWrite, Stored, Window,
};
use crate::domain::timestamp::Timestamp;

/// All accounts.
#[derive(Debug, Default)]
pub(super) struct Spends {
    purses: BTreeMap<Name, Purse>,
    /// Whose account an open task is in.
    owners: HashMap<LeaseId, Name>,
    /// Sums of windows that are over, or that the database did not take: one a window.
    unsaved: Vec<SpendWrite>,
    /// The database did not take one: nothing is asked of it for a while.
    rests: bool,
    /// The actor has been told that there is something to do.
    pub(super) woken: bool,
}

impl Spends {
    /// The agents that have ceilings, from now on.
    pub(super) fn declare<'a>(
        &mut self,
        specs: impl Iterator<Item = (&'a Name, &'a SpendSpec)>,
        now: Timestamp,
    ) {
        let mut before = std::mem::take(&mut self.purses);
        for (agent, spec) in specs {
            let purse = match before.remove(agent) {
                Some(mut purse) => {
                    if purse.account.spec().per != spec.per {
                        let last = purse.write(agent, now);
                        self.keep(last);
                    }
                    purse.redeclare(spec);
                    purse
                }
                None => Purse::new(spec, now),
            };
            self.purses.insert(agent.clone(), purse);
        }
        for (agent, mut gone) in before {
            let last = gone.dirty.then(|| gone.write(&agent, now)).flatten();
            self.keep(last);
        }
        let purses = &self.purses;
        self.owners.retain(|_, agent| purses.contains_key(agent));
    }

    /// Keeps a write for the next time; of one window, all in one.
    fn keep(&mut self, write: Option<SpendWrite>) {
        let Some(write) = write else {
            return;
        };
        let mut unsaved = self.unsaved.iter_mut();
        match unsaved.find(|it| it.agent == write.agent && it.window == write.window) {
            Some(known) => known.join(write),
            None => self.unsaved.push(write),
        }
    }

    /// How many more tasks an agent may be handed.
    pub(super) fn room(&self, agent: &Name) -> u32 {
        if self.purses.is_empty() {
            return u32::MAX;
        }
        let purse = self.purses.get(agent);
        purse.map_or(u32::MAX, |purse| purse.account.room())
    }

    /// Slots are offered; says what each task is to hold.
    pub(super) fn offer(&mut self, agent: &Name, slots: u32) -> Option<Reserve> {
        let purse = self.purse(agent)?;
        purse.account.offer(slots);
        Some(purse.account.reserve())
    }

    /// They are offered no more.
    pub(super) fn withdraw(&mut self, agent: &Name, slots: u32) {
        if let Some(purse) = self.purse(agent) {
            purse.account.withdraw(slots);
        }
    }

    /// A claimed task is on its way to its agent.
    pub(super) fn open(&mut self, task: &ClaimedTask) {
        let agent = &task.instance.agent;
        let Some(purse) = self.purse(agent) else {
            return;
        };
        purse.account.open(task.lease_id, task.id, task.spent);
        self.owners.insert(task.lease_id, agent.clone());
    }

    /// It is in the agent's hands, or came back unread.
    pub(super) fn delivered(&mut self, lease: LeaseId, delivered: bool) {
        if let Some(purse) = self.owner(lease) {
            purse.account.delivered(lease, delivered);
        }
    }

    /// An agent says what it has spent. Whether the actor is to be told.
    pub(super) fn report(&mut self, said: &AgentSpent) -> bool {
        let Some(purse) = self.purse(&said.from.agent) else {
            return false;
        };
        let lease = said.of.map(|(_, lease)| lease);
        purse.account.report(lease, said.usage);
        if let Some(lease) = lease.filter(|_| said.with_answer) {
            purse.account.answered(lease);
        }
        purse.dirty = true;
        !std::mem::replace(&mut self.woken, true)
    }

    /// The agent has given a task back.
    pub(super) fn answered(&mut self, lease: LeaseId) {
        if let Some(purse) = self.owner(lease) {
            purse.account.answered(lease);
        }
    }

    /// A task is over. Gives what is to be kept with its end.
    pub(super) fn close(&mut self, lease: LeaseId, now: Timestamp) -> Option<SpendWrite> {
        if self.owners.is_empty() {
            return None;
        }
        let agent = self.owners.remove(&lease)?;
        let purse = self.purses.get_mut(&agent)?;
        let closed = purse.account.close(lease)?;
        let window = purse.account.window().start;
        purse.closed.push(AttemptSpend {
            task: closed.task,
            lease,
            window,
            usage: closed.usage,
        });
        purse.dirty = true;
        purse.write(&agent, now)
    }

    /// A task is over, and was settled without word of this: the next write brings it.
    pub(super) fn close_beside(&mut self, lease: LeaseId, now: Timestamp) {
        let write = self.close(lease, now);
        self.keep(write);
    }

    /// What is to be written now; of each agent's present window one write at once.
    pub(super) fn take_writes(&mut self, now: Timestamp) -> Vec<SpendWrite> {
        if self.rests {
            return Vec::new();
        }
        for (agent, purse) in &mut self.purses {
            if purse.dirty && !purse.writing {
                let write = purse.write(agent, now);
                purse.writing = write.is_some();
                let mut unsaved = self.unsaved.iter_mut();
                let same = |it: &&mut SpendWrite| it.agent == *agent;
                match (write, unsaved.find(same)) {
                    (Some(write), Some(known)) if known.window == write.window => known.join(write),
                    (write, _) => self.unsaved.extend(write),
                }
            }
        }
        std::mem::take(&mut self.unsaved)
    }

    /// A write was answered. One that the database did not take now comes back, and rests with all
    /// others until [`Self::go_on`]; says whether that is new.
    pub(super) fn written(&mut self, write: SpendWrite, failed: bool) -> bool {
        if let Some(purse) = self.purse(&write.agent)
            && purse.account.window().start == write.window
        {
            purse.writing = false;
        }
        if failed {
            self.keep(Some(write));
        }
        failed && !std::mem::replace(&mut self.rests, true)
    }

    /// The database may be asked again.
    pub(super) fn go_on(&mut self) {
        self.rests = false;
    }

    /// What was to be kept with the end of a task that was refused is kept alone.
    pub(super) fn keep_alone(&mut self, write: SpendWrite) {
        self.keep(Some(write));
    }

    /// The windows that are to be read: of accounts of which nothing is known, and of those whose
    /// window is not the present one. What they hold is written before.
    pub(super) fn take_reads(&mut self, now: Timestamp) -> Vec<(Name, Window)> {
        let mut reads = Vec::new();
        let Self {
            purses, unsaved, ..
        } = self;
        for (agent, purse) in purses {
            let window = Window::at(purse.account.spec().per, now);
            let stays = purse.account.is_opened() && purse.account.window() == window;
            // A read goes behind every write that is on its way, but not behind one that failed.
            let waits = unsaved.iter().any(|write| write.agent == *agent);
            if !stays && !purse.reading && !waits {
                purse.reading = true;
                reads.push((agent.clone(), window));
            }
        }
        reads
    }

    /// A window was read, or could not be; says whether there is something new to hand out.
    pub(super) fn read(
        &mut self,
        agent: &Name,
        window: Window,
        stored: Option<Stored>,
        now: Timestamp,
    ) -> bool {
        let Some(purse) = self.purses.get_mut(agent) else {
            return false;
        };
        purse.reading = false;
        let Some(stored) = stored else {
            return false;
        };
        let account = &purse.account;
        // Read twice, it would undo what came in between.
        let entered = account.is_opened() && account.window() == window;
        let of_now = Window::at(account.spec().per, window.start) == window;
        if entered || !of_now {
            return false;
        }
        let last = purse.dirty.then(|| purse.write(agent, now)).flatten();
        purse.enter(window, stored);
        self.keep(last);
        true
    }

    /// A new life of the dispatcher: what was on its way may never be answered.
    pub(super) fn begin_anew(&mut self) {
        (self.woken, self.rests) = (false, false);
        for purse in self.purses.values_mut() {
            (purse.writing, purse.reading, purse.dirty) = (false, false, true);
        }
    }

    /// The tasks that are to be stopped, and why.
    pub(super) fn to_stop(&self) -> Vec<(LeaseId, String)> {
        let purses = self.purses.values();
        purses.flat_map(|purse| purse.account.to_stop()).collect()
    }

    /// When the next window begins; `None` if nobody has a ceiling.
    pub(super) fn next_window(&self) -> Option<Timestamp> {
        let purses = self.purses.values();
        purses.map(|purse| purse.account.window().end).min()
    }

    /// Whether everything is in the database.
    pub(super) fn is_kept(&self) -> bool {
        let kept = |purse: &Purse| !purse.writing && (!purse.dirty || !purse.account.is_opened());
        self.unsaved.is_empty() && self.purses.values().all(kept)
    }

    /// One account as it is shown.
    pub(super) fn view(&self, agent: &Name) -> Option<SpendView> {
        Some(self.purses.get(agent)?.account.view())
    }

    /// The shares that are used.
    pub(super) fn ratios(&self) -> impl Iterator<Item = (&str, f64)> {
        let purses = self.purses.iter();
        purses.map(|(agent, purse)| (agent.as_str(), purse.account.ratio()))
    }

    fn purse(&mut self, agent: &Name) -> Option<&mut Purse> {
        if self.purses.is_empty() {
            return None;
        }
        self.purses.get_mut(agent)
    }

    fn owner(&mut self, lease: LeaseId) -> Option<&mut Purse> {
        if self.owners.is_empty() {
            return None;
        }
        let agent = self.owners.get(&lease)?;
        self.purses.get_mut(agent)
    }
}

#[cfg(test)]
mod tests;
