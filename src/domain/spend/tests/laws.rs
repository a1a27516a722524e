//! What holds of an account in whatever order things happen to it.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{account, cost, lease, spec, task};
use crate::domain::ids::LeaseId;
use crate::domain::spend::{Account, Amount, Per, SpendSpec, Stored, Window};

/// What can happen to an account.
#[derive(Debug, Clone)]
enum Step {
    Offer,
    Withdraw,
    HandOver(bool),
    Report(u8, u64),
    ReportForNone(u64),
    Answer(u8),
    Cut(u8),
    /// The daemon is killed and begins again from what it had stored.
    Crash,
    NextWindow,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Offer),
        Just(Step::Withdraw),
        any::<bool>().prop_map(Step::HandOver),
        (any::<u8>(), 0..300_u64).prop_map(|(n, micros)| Step::Report(n, micros)),
        (0..50_u64).prop_map(Step::ReportForNone),
        any::<u8>().prop_map(Step::Answer),
        any::<u8>().prop_map(Step::Cut),
        Just(Step::Crash),
        Just(Step::NextWindow),
    ]
}

/// An account, and beside it what the database has of it.
struct World {
    account: Account,
    offered: u32,
    open: Vec<LeaseId>,
    /// What each open task has said, as stored, and what it holds.
    stored: BTreeMap<LeaseId, u64>,
    leases: u8,
    /// What is used of the window, at least.
    floor: u64,
}

impl World {
    fn of(spec: SpendSpec) -> Self {
        Self {
            account: account(spec),
            offered: 0,
            open: Vec::new(),
            stored: BTreeMap::new(),
            leases: 0,
            floor: 0,
        }
    }

    fn pick(&self, n: u8) -> Option<LeaseId> {
        let count = self.open.len().max(1);
        self.open.get(usize::from(n) % count).copied()
    }

    fn step(&mut self, step: Step) {
        let reserve = self.account.spec().reserve.micros;
        let ceiling = self.account.spec().ceiling.micros.unwrap();
        match step {
            Step::Offer if self.account.room() > 0 => {
                let taken = self.account.used().plus(self.account.reserved()).micros;
                let offered = u64::from(self.offered) * reserve;
                assert!(taken + offered + reserve <= ceiling, "handed over too much");
                self.account.offer(1);
                self.offered += 1;
            }
            Step::Withdraw if self.offered > 0 => {
                self.account.withdraw(1);
                self.offered -= 1;
            }
            Step::HandOver(delivered) if self.offered > 0 && self.leases < u8::MAX => {
                self.leases += 1;
                let new = lease(self.leases);
                self.account.open(new, task(self.leases), Amount::default());
                self.account.withdraw(1);
                self.offered -= 1;
                self.account.delivered(new, delivered);
                self.open.push(new);
                self.stored.insert(new, 0);
            }
            Step::Report(n, micros) => {
                if let Some(lease) = self.pick(n) {
                    self.account.report(Some(lease), cost(micros));
                    *self.stored.get_mut(&lease).unwrap() += micros;
                }
            }
            Step::ReportForNone(micros) => self.account.report(None, cost(micros)),
            Step::Answer(n) => {
                if let Some(lease) = self.pick(n) {
                    self.account.answered(lease);
                    self.end(lease);
                }
            }
            Step::Cut(n) => {
                if let Some(lease) = self.pick(n) {
                    self.end(lease);
                }
            }
            Step::Crash => self.crash(),
            Step::NextWindow => {
                let next = Window::at(Per::Day, self.account.window().end);
                self.account.enter(next, Stored::default());
                self.floor = 0;
            }
            _ => {}
        }
    }

    fn end(&mut self, lease: LeaseId) {
        self.account.close(lease);
        self.open.retain(|open| *open != lease);
        self.stored.remove(&lease);
    }

    /// Everything reported was stored; each open task is cut as `persistence` does it.
    fn crash(&mut self) {
        let (spec, window) = (self.account.spec().clone(), self.account.window());
        let mut own = self.account.own();
        for said in self.stored.values() {
            own.presumed.micros += spec.reserve.micros.saturating_sub(*said);
        }
        self.account = Account::new(spec, window);
        self.account.enter(
            window,
            Stored {
                own,
                ..Stored::default()
            },
        );
        self.open.clear();
        self.stored.clear();
        self.offered = 0;
    }

    fn check(&mut self) {
        let used = self.account.used().micros;
        assert!(used >= self.floor, "{used} is less than {}", self.floor);
        self.floor = used;
        let held: u64 = self.account.reserved().micros;
        let most = self.account.spec().reserve.micros * self.open.len() as u64;
        assert!(held <= most, "{held} are held, {most} at most");
        if self.open.is_empty() {
            assert_eq!(held, 0, "nobody holds it");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_order_of_reports_crashes_and_renewals_makes_a_sum_fall_or_hands_over_beyond_a_ceiling(
        steps in proptest::collection::vec(step(), 1..120),
        reserve in 1..400_u64,
    ) {
        let mut world = World::of(SpendSpec {
            reserve: Amount { micros: reserve, tokens: 0 },
            ..spec()
        });
        for step in steps {
            world.step(step);
            world.check();
        }
    }

    #[test]
    fn a_crash_frees_nothing_that_was_used_or_held(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut world = World::of(spec());
        for step in steps {
            world.step(step);
        }
        let before = world.account.used().plus(world.account.reserved()).micros;
        world.crash();
        prop_assert!(world.account.used().micros >= before);
    }
}
