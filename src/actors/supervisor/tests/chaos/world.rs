//! The real supervisor over scripted children, one daemon after another on the same records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::book::{Asked, Book};
use super::budget::Budgets;
use super::design::Design;
use super::laws::{self, Row, Seen};
use super::players::{Reins, Services, Troupe};
use crate::actors::pool::Pool;
use crate::actors::supervisor::tests::look::{collapse, look};
use crate::actors::supervisor::{
    Child, Kept, Outside, Plan, ShutdownSpans, SupervisorHandle, SupervisorRecords, start,
};
use crate::clock::{self, WallClock};
use crate::domain::agent::{AgentSpec, InstanceId};
use crate::domain::name::Name;
use crate::domain::record::{AgentRecord, Overrides, RestartBudget};
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;

/// Entries of the trace that a failure shows.
const SHOWN: usize = 100;
/// Turns of the thread after which nothing is under way, with a margin.
const YIELDS: usize = 24;

/// What daemons leave for the next one.
#[derive(Debug, Default)]
pub(super) struct Store {
    budgets: Mutex<BTreeMap<String, (RestartBudget, Instant)>>,
    generations: Mutex<BTreeMap<Name, (u64, u64)>>,
    pub(super) overrides: Mutex<BTreeMap<Name, Overrides>>,
}

impl SupervisorRecords for Store {
    fn keep(&self, record: Kept) {
        match record {
            Kept::Budget(budget) => {
                let kept = (budget.clone(), Instant::now());
                self.budgets.lock().insert(budget.owner, kept);
            }
            Kept::Generation {
                agent,
                generation,
                restarts_total,
            } => {
                let kept = (generation, restarts_total);
                self.generations.lock().insert(agent, kept);
            }
            _ => {}
        }
    }

    fn keep_overrides(
        &self,
        agent: Name,
        overrides: Overrides,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        self.overrides.lock().insert(agent, overrides);
        Box::pin(async { Ok(()) })
    }
}

impl Store {
    /// The budgets, as if the wall clock had passed like the paused one.
    pub(super) fn budgets(&self) -> Vec<RestartBudget> {
        let kept = self.budgets.lock();
        kept.values()
            .map(|(budget, at)| {
                let age = i64::try_from(at.elapsed().as_micros()).unwrap();
                let older = |at: Timestamp| Timestamp::from_micros(at.as_micros() - age);
                let mut budget = budget.clone();
                budget
                    .deaths
                    .iter_mut()
                    .for_each(|death| *death = older(*death));
                budget.quarantined_until = budget.quarantined_until.map(older);
                if let Some(chain) = &mut budget.slow_loop {
                    chain.last = older(chain.last);
                }
                budget
            })
            .collect()
    }

    pub(super) fn record(&self, spec: &AgentSpec) -> AgentRecord {
        let generations = self.generations.lock();
        let (generation, restarts_total) = generations.get(&spec.name).copied().unwrap_or_default();
        let overrides = self.overrides.lock();
        AgentRecord {
            name: spec.name.clone(),
            kind: "actor".to_owned(),
            overrides: overrides.get(&spec.name).cloned().unwrap_or_default(),
            config_hash: String::new(),
            generation,
            restarts_total,
            created_at: clock::now(),
            updated_at: clock::now(),
        }
    }
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) chance: StdRng,
    pub(super) design: Arc<Design>,
    pub(super) book: Book,
    pub(super) store: Arc<Store>,
    pub(super) services: Arc<Services>,
    pub(super) handle: SupervisorHandle,
    pub(super) troupes: BTreeMap<Name, Arc<Troupe>>,
    pub(super) blocked: Vec<Arc<Reins>>,
    pub(super) victim: Option<InstanceId>,
    pub(super) rows: Vec<Row>,
    pub(super) step: usize,
    /// Who is declared no more, with what was asked of it.
    pub(super) bench: Vec<(AgentSpec, Asked)>,
}

thread_local! {
    /// When the paused clock of this thread began.
    static BEGUN: Instant = Instant::now();
}

/// A wall clock that goes as the paused one does.
pub(super) fn wall() -> Timestamp {
    let begun = BEGUN.with(|begun| *begun);
    Timestamp::from_micros(1_700_000_000_000_000).after(begun.elapsed())
}

/// What a daemon is made of: the way to it, and the hosts of its agents.
type Daemon = (SupervisorHandle, BTreeMap<Name, Arc<Troupe>>);

fn daemon(
    design: &Design,
    book: &Book,
    store: &Arc<Store>,
    services: &Arc<Services>,
    seed: u64,
) -> Daemon {
    let troupes: BTreeMap<Name, Arc<Troupe>> = design
        .agents
        .iter()
        .map(|spec| (spec.name.clone(), Troupe::new(book)))
        .collect();
    let children = design.agents.iter().map(|spec| Child {
        record: Some(store.record(spec)),
        factory: troupes[&spec.name].clone(),
        spec: spec.clone(),
    });
    let handle = start(Plan {
        groups: design.groups.clone(),
        children: children.collect(),
        budgets: store.budgets(),
        outside: Outside {
            facts: Some(Arc::new(book.clone())),
            records: Some(store.clone()),
            work: Some(Arc::new(book.clone())),
            prober: Some(services.clone()),
            ..Outside::default()
        },
        pool: Some(Pool::here(3)),
        seed: Some(seed),
        alone: design.alone.clone(),
        wall: WallClock::new(wall),
        ..Plan::default()
    });
    (handle.unwrap(), troupes)
}

impl World {
    pub(super) async fn begin(seed: u64) -> Self {
        let mut chance = StdRng::seed_from_u64(seed);
        let design = Arc::new(Design::draw(&mut chance));
        let (book, store) = (Book::default(), Arc::new(Store::default()));
        let services = Arc::new(Services::default());
        {
            let mut pages = book.open();
            pages.design = design.clone();
            pages.budgets = Budgets::of(&design);
            for spec in &design.agents {
                let asked = Asked {
                    wanted: spec.replicas,
                    ..Asked::default()
                };
                pages.asked.insert(spec.name.clone(), asked);
            }
        }
        pardon_everybody(&book, &design);
        let (handle, troupes) = daemon(&design, &book, &store, &services, seed);
        let mut world = Self {
            seed,
            chance,
            design,
            book,
            store,
            services,
            handle,
            troupes,
            blocked: Vec::new(),
            victim: None,
            rows: Vec::new(),
            step: 0,
            bench: Vec::new(),
        };
        world.look().await;
        world
    }

    /// Waits until everything that was set off has been dealt with.
    pub(super) async fn quiet(&self) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        for _ in 0..YIELDS {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn pass(&self, span: Duration) {
        self.quiet().await;
        tokio::time::sleep(span).await;
        self.quiet().await;
    }

    /// Looks at everything; fails if a law is broken. A daemon that gave up is started anew.
    pub(super) async fn look(&mut self) {
        let seen = self.see().await;
        if seen.escalated {
            self.say("the daemon gives up");
            self.crash_daemon().await;
        }
    }

    pub(super) async fn see(&mut self) -> Seen {
        self.quiet().await;
        let seen = look(&self.handle, laws::inside).await;
        self.rows.clone_from(&seen.rows);
        {
            let mut pages = self.book.open();
            pages.compare(&seen.rows);
            pages.compare_wishes(&seen.desired);
            pages.forget_the_settled();
            pages.wrongs.extend(seen.wrongs.iter().cloned());
        }
        self.nothing_is_wrong();
        seen
    }

    fn nothing_is_wrong(&self) {
        let (wrongs, trace) = {
            let pages = self.book.open();
            let most = if super::is_replay() {
                usize::MAX
            } else {
                SHOWN
            };
            let shown = pages.trace.len().saturating_sub(most);
            (pages.wrongs.clone(), pages.trace[shown..].join("\n  "))
        };
        let (seed, step) = (self.seed, self.step);
        assert!(
            wrongs.is_empty(),
            "CHAOS_SEED={seed}, step {step}: {}\n  {trace}",
            wrongs.join("\n")
        );
    }

    pub(super) fn say(&self, what: impl std::fmt::Display) {
        let line = format!("== {}: {what}", self.step);
        self.book.open().note(line);
    }

    /// The daemon dies at once; nothing of it lives on, but what is blocked. The next one starts on
    /// what it left.
    pub(super) async fn crash_daemon(&mut self) {
        collapse(&self.handle);
        self.quiet().await;
        {
            let mut pages = self.book.open();
            let (epoch, mut orphans) = (pages.epoch, Vec::new());
            for (instance, lives) in &pages.lives {
                let left = lives
                    .iter()
                    .filter(|(_, page)| page.epoch == epoch && page.lives);
                let left = left.filter(|(_, page)| !page.gone && !pages.is_blocked(instance));
                orphans
                    .extend(left.map(|(nth, _)| format!("{instance} {nth} outlives its daemon")));
            }
            pages.wrongs.extend(orphans);
            pages.epoch += 1;
            pages.closing = false;
            pages.turns.new_daemon();
            let everybody = everybody(&self.design);
            pages.budgets.new_daemon(everybody);
        }
        self.nothing_is_wrong();
        let seed = self.chance.random();
        (self.handle, self.troupes) =
            daemon(&self.design, &self.book, &self.store, &self.services, seed);
        if self.see().await.escalated {
            self.try_again().await;
        }
    }

    /// A daemon that gives up at its start does so until somebody mends the cause.
    async fn try_again(&mut self) {
        self.say("the daemon gives up at its start");
        self.cure();
        self.unblock();
        Box::pin(self.crash_daemon()).await;
    }

    /// The daemon stops in order.
    pub(super) async fn stop_daemon(&mut self) {
        {
            let ending = self.rows.iter().filter(|row| row.ending);
            let names = ending.map(|row| row.instance.agent.clone()).collect();
            let mut pages = self.book.open();
            pages.turns.shut_down(names);
            pages.closing = true;
        }
        let spans = ShutdownSpans {
            drain: Duration::from_secs(4),
            stop: Duration::from_secs(3),
        };
        self.handle.shutdown(spans).await.unwrap();
        let seen = self.see().await;
        let left: Vec<&Row> = seen.rows.iter().filter(|row| row.lives).collect();
        assert!(left.is_empty(), "CHAOS_SEED={}: {left:?}", self.seed);
        self.crash_daemon().await;
    }
}

/// Every replica that there may be.
pub(super) fn everybody(design: &Design) -> impl Iterator<Item = InstanceId> + use<> {
    let names: Vec<Name> = design.agents.iter().map(|spec| spec.name.clone()).collect();
    names.into_iter().flat_map(|agent| {
        (0..super::design::MOST_REPLICAS).map(move |index| InstanceId {
            agent: agent.clone(),
            index,
        })
    })
}

fn pardon_everybody(book: &Book, design: &Design) {
    let names: Vec<Name> = design.agents.iter().map(|spec| spec.name.clone()).collect();
    book.open().budgets.pardon_agents(&names);
}
