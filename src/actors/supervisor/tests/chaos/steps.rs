//! What may happen: deaths of every kind, blocked threads, an operator's wishes, a healer, services
//! that go away, other settings, and daemons that die.

use rand::Rng;

use super::design::{MOST_REPLICAS, one_of};
use super::laws::Row;
use super::players::{Act, Begins, Do, Temper};
use super::world::World;
use crate::actors::pool::{Blocked, Sighting};
use crate::actors::supervisor::reports::Watched;
use crate::actors::supervisor::tests::script::SECOND;
use crate::domain::agent::{AgentTarget, InstanceId};
use crate::domain::name::Name;

const DEATHS: [Act; 11] = [
    Act::Panic,
    Act::Panic,
    Act::PanicInTimer,
    Act::PanicInLinked,
    Act::Error,
    Act::Exit(1),
    Act::Exit(78),
    Act::Signal {
        signal: 9,
        oom: false,
    },
    Act::Signal {
        signal: 9,
        oom: true,
    },
    Act::End,
    Act::Hang,
];

impl World {
    pub(super) async fn step(&mut self) {
        self.step += 1;
        match self.chance.random_range(0..100) {
            0..26 => self.kill_one(),
            26..34 => self.storm().await,
            34..58 => self.command().await,
            58..62 => self.block_an_arbiter(),
            62..65 => self.block_a_life(),
            65..69 => self.unblock(),
            69..75 => self.spoil(),
            75..80 => self.cure(),
            80..83 => self.services_answer(false),
            83..88 => self.services_answer(true),
            88..91 => self.report_again(),
            91..95 => self.redeclare().await,
            95..97 => self.end_daemon(0).await,
            97..99 => self.end_daemon(1).await,
            _ => self.end_daemon(2).await,
        }
        self.look().await;
        let span = SECOND * one_of(&mut self.chance, &[0, 0, 1, 3, 9, 25, 70]);
        if !span.is_zero() {
            self.say(format_args!("{span:?} pass"));
            self.pass(span).await;
            self.look().await;
        }
    }

    async fn end_daemon(&mut self, how: u32) {
        self.say(["the daemon dies", "the daemon stops", "other settings"][how as usize]);
        match how {
            0 => self.crash_daemon().await,
            1 => self.stop_daemon().await,
            _ => self.reload().await,
        }
    }

    fn living(&mut self) -> Option<Row> {
        let living = self.rows.iter().filter(|row| row.lives);
        let living: Vec<Row> = living.cloned().collect();
        let nth = self.chance.random_range(0..living.len().max(1));
        living.into_iter().nth(nth)
    }

    /// The same one again and again more often than not, so that budgets are used up.
    fn pick_victim(&mut self) -> Option<InstanceId> {
        if self.victim.is_none() || self.chance.random_bool(0.3) {
            self.victim = self.living().map(|row| row.instance);
        }
        self.victim.clone()
    }

    fn make(&mut self, instance: &InstanceId, act: Act) {
        self.say(format_args!("{instance}: {act:?}"));
        if let Some(troupe) = self.troupes.get(&instance.agent) {
            // Refused where no life is coming; worthless to one that comes late.
            let address = troupe.host.address(instance.index);
            address.tell_within(Do(act), SECOND * 30).ok();
        }
    }

    fn kill_one(&mut self) {
        if let Some(victim) = self.pick_victim() {
            let act = match self.chance.random_range(0..12) {
                11 => Act::Mute,
                nth => DEATHS[nth],
            };
            self.make(&victim, act);
        }
    }

    async fn storm(&mut self) {
        let Some(victim) = self.pick_victim() else {
            return;
        };
        for _ in 0..self.chance.random_range(3..9) {
            self.make(&victim, Act::Exit(1));
            self.look().await;
            let span = SECOND * one_of(&mut self.chance, &[0, 1, 5, 9]);
            self.pass(span).await;
            self.look().await;
        }
    }

    async fn command(&mut self) {
        if self.chance.random_bool(0.25) {
            // A death at the same moment.
            self.kill_one();
        }
        let agent = self.any_agent();
        let count = self
            .rows
            .iter()
            .filter(|row| row.instance.agent == agent)
            .count();
        let one = count > 0 && self.chance.random_bool(0.3);
        let index = one.then(|| u32::try_from(self.chance.random_range(0..count)).unwrap());
        let target = AgentTarget { agent, index };
        match self.chance.random_range(0..12) {
            0..3 => self.stop(target).await,
            3..6 => self.start(target).await,
            6..8 => self.restart(target).await,
            8 => {
                let replicas = self.chance.random_range(0..=MOST_REPLICAS.min(3));
                self.scale(target.agent, replicas).await;
            }
            9 => {
                let span = one_of(&mut self.chance, &[0, 2, 9, 40, 90]);
                self.pause(target.agent, SECOND * span).await;
            }
            10 => self.resume(target.agent).await,
            _ => self.revive(target.agent).await,
        }
    }

    fn any_agent(&mut self) -> Name {
        let nth = self.chance.random_range(0..self.design.agents.len());
        self.design.agents[nth].name.clone()
    }

    /// A handler blocks a thread, and the watchdog sees it: nothing on it moves any more.
    fn block_an_arbiter(&mut self) {
        let Some(guilty) = self.living() else {
            return;
        };
        let (Some(arbiter), runner) = (guilty.arbiter, guilty.runner) else {
            return;
        };
        self.say(format_args!("{} blocks its thread", guilty.instance));
        let there: Vec<Row> = self.rows.clone();
        for row in there.iter().filter(|row| row.arbiter == Some(arbiter)) {
            self.block(row);
            if row.runner != runner {
                self.let_off(&row.instance);
            }
        }
        let blocked = Blocked {
            arbiter,
            runner,
            span: SECOND * 3,
        };
        self.handle
            .address
            .report(Watched(Sighting::Blocked(blocked)))
            .unwrap();
    }

    /// A life that no order reaches, and nobody notices.
    fn block_a_life(&mut self) {
        if let Some(row) = self.living() {
            self.say(format_args!("{} is out of reach", row.instance));
            self.block(&row);
        }
    }

    fn block(&mut self, row: &Row) {
        let reins = self.book.open().reins.get(&row.instance).cloned();
        if let Some(reins) = reins {
            reins.block();
            self.blocked.push(reins);
        }
    }

    pub(super) fn unblock(&mut self) {
        self.say("blocked threads go on");
        for reins in std::mem::take(&mut self.blocked) {
            reins.unblock();
        }
    }

    fn spoil(&mut self) {
        let temper = Temper {
            begins: one_of(
                &mut self.chance,
                &[
                    Begins::AtOnce,
                    Begins::AtOnce,
                    Begins::After(SECOND * 5),
                    Begins::After(SECOND * 45),
                    Begins::Never,
                    Begins::Fails,
                    Begins::Panics,
                ],
            ),
            ignores_stop: self.chance.random_bool(0.5),
            drains: self.chance.random_bool(0.5),
        };
        let agent = self.any_agent();
        self.say(format_args!("{agent} is now {temper:?}"));
        self.book.open().tempers.insert(agent, temper);
    }

    pub(super) fn cure(&mut self) {
        self.say("everybody behaves");
        self.book.open().tempers.clear();
    }

    pub(super) fn services_answer(&mut self, fine: bool) {
        self.say(format_args!("services answer: {fine}"));
        let silent = !fine && self.chance.random_bool(0.5);
        self.services.are(!fine, silent);
    }

    /// The end of a life that is long over is reported once more.
    fn report_again(&mut self) {
        let Some(row) = self.living().filter(|row| row.generation > 1) else {
            return;
        };
        let reins = self.book.open().reins.get(&row.instance).cloned();
        let stale = self.chance.random_range(0..row.generation);
        self.say(format_args!("{} {stale} is reported again", row.instance));
        if let Some(reins) = reins {
            reins.report_again(stale);
        }
    }
}
