//! The actor's own futures, waits and hooks: who goes before whom, and what ends a life.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix::prelude::{
    Actor, ActorContext, ActorFuture, ActorFutureExt, AsyncContext, Handler, Message, Running,
    WrapFuture,
};
use parking_lot::Mutex;

use super::subject::{LONG, Memory, life, paused};
use crate::actors::life::{ChildFactory, Hosted, LifeControl, Start};
use crate::actors::pool::Place;
use crate::actors::runner::{Address, AgentContext, Grant, HostedChild};
use crate::domain::exit::ExitReason;
use crate::domain::restart::{RestartRule, RestartType};

/// What was done, in order.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<&'static str>>>);

impl Notes {
    fn add(&self, word: &'static str) {
        self.0.lock().push(word);
    }

    fn all(&self) -> Vec<&'static str> {
        self.0.lock().clone()
    }
}

/// Does what its messages say, and stops only when it likes to.
struct Player {
    notes: Notes,
    stays: u32,
    /// Terminates itself when it is asked whether it stops.
    terminates: bool,
}

impl Actor for Player {
    type Context = AgentContext<Self>;

    fn stopping(&mut self, ctx: &mut Self::Context) -> Running {
        self.notes.add("stopping");
        if self.terminates {
            ctx.terminate();
        }
        if self.stays == 0 {
            return Running::Stop;
        }
        self.stays -= 1;
        Running::Continue
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.notes.add("stopped");
    }
}

impl Hosted for Player {}

type Scene = Box<dyn FnOnce(&mut Player, &mut AgentContext<Player>) + Send>;

#[derive(Message)]
#[rtype(result = "()")]
struct Play(Scene);

impl Handler<Play> for Player {
    type Result = ();

    fn handle(&mut self, Play(scene): Play, ctx: &mut Self::Context) {
        scene(self, ctx);
    }
}

struct Stage {
    notes: Notes,
    address: Address<Player>,
    memory: Arc<Memory>,
    control: Arc<dyn LifeControl>,
}

impl Stage {
    fn set(stays: u32) -> Self {
        let (notes, memory) = (Notes::default(), Arc::new(Memory::default()));
        let seen = notes.clone();
        let child = HostedChild::new(move |_| Player {
            notes: seen.clone(),
            stays,
            terminates: false,
        });
        let rule = RestartRule {
            kind: RestartType::Temporary,
            fatal_exit_codes: Vec::new(),
        };
        let control = child.start(Start {
            life: life(memory.clone(), 1),
            grant: Grant::new(Arc::new(rule), 1, 0),
            place: Place::Here,
            keep_mail: true,
        });
        Self {
            notes,
            address: child.address(0),
            memory,
            control,
        }
    }

    fn play(&self, scene: impl FnOnce(&mut Player, &mut AgentContext<Player>) + Send + 'static) {
        self.address.tell(Play(Box::new(scene))).unwrap();
    }

    /// What was noted when all that was asked for is done.
    async fn notes(&self) -> Vec<&'static str> {
        tokio::time::sleep(LONG).await;
        self.notes.all()
    }

    async fn end(&self) -> ExitReason {
        tokio::time::timeout(LONG, self.memory.ends(1))
            .await
            .expect("an end")[0]
            .1
            .clone()
    }
}

fn noted(player: &Player, word: &'static str) -> impl ActorFuture<Player, Output = ()> + 'static {
    async {}
        .into_actor(player)
        .map(move |(), player: &mut Player, _| player.notes.add(word))
}

/// Pending for two turns, then notes it.
fn slow(player: &Player, word: &'static str) -> impl ActorFuture<Player, Output = ()> + 'static {
    let turns = async {
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    };
    turns
        .into_actor(player)
        .map(move |(), player: &mut Player, _| player.notes.add(word))
}

#[test]
fn while_an_actor_waits_nothing_else_of_it_runs_and_its_newest_wait_goes_first() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|player, ctx| {
            ctx.spawn(noted(player, "own future"));
            ctx.wait(slow(player, "older wait"));
            ctx.wait(slow(player, "newer wait"));
        });
        stage.play(|player, _| player.notes.add("next message"));
        let order = ["newer wait", "older wait", "next message", "own future"];
        assert_eq!(stage.notes().await, order);
    });
}

/// Has its actor wait, time after time.
struct WaitsAgain(u32);

impl ActorFuture<Player> for WaitsAgain {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        player: &mut Player,
        ctx: &mut AgentContext<Player>,
        _: &mut Context<'_>,
    ) -> Poll<()> {
        if self.0 == 0 {
            player.notes.add("has waited");
            return Poll::Ready(());
        }
        self.0 -= 1;
        ctx.wait(actix::fut::ready(()));
        Poll::Pending
    }
}

#[test]
fn a_future_that_has_its_actor_wait_time_after_time_lets_the_others_go() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|player, ctx| {
            ctx.spawn(WaitsAgain(50));
            ctx.spawn(noted(player, "the other"));
        });
        assert_eq!(stage.notes().await, ["the other", "has waited"]);
    });
}

/// Does something when it is polled first; never resolves.
struct Once(Option<Scene>);

impl ActorFuture<Player> for Once {
    type Output = ();

    fn poll(
        mut self: Pin<&mut Self>,
        player: &mut Player,
        ctx: &mut AgentContext<Player>,
        _: &mut Context<'_>,
    ) -> Poll<()> {
        if let Some(scene) = self.0.take() {
            scene(player, ctx);
        }
        Poll::Pending
    }
}

fn once(scene: impl FnOnce(&mut Player, &mut AgentContext<Player>) + Send + 'static) -> Once {
    Once(Some(Box::new(scene)))
}

#[test]
fn what_an_actor_waits_for_may_stop_it_though_the_wait_never_ends() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|_, ctx| ctx.wait(once(|_, ctx| ctx.stop())));
        assert_eq!(stage.end().await, ExitReason::Normal);
    });
}

#[test]
fn a_future_that_cancels_one_before_it_leaves_no_other_unpolled() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|player, ctx| {
            let first = ctx.spawn(pending::<()>().into_actor(player));
            ctx.spawn(once(move |_, ctx| {
                ctx.cancel_future(first);
            }));
            ctx.spawn(once(|player, _| player.notes.add("polled")));
            ctx.spawn(once(|player, _| player.notes.add("polled too")));
        });
        assert_eq!(stage.notes().await, ["polled", "polled too"]);
    });
}

#[test]
fn a_future_that_has_its_actor_wait_holds_up_those_behind_it() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|player, ctx| {
            ctx.spawn(once(|player, ctx| ctx.wait(slow(player, "waited"))));
            ctx.spawn(noted(player, "behind"));
        });
        assert_eq!(stage.notes().await, ["waited", "behind"]);
    });
}

#[test]
fn who_waits_and_refuses_a_stop_is_asked_once_and_goes_on() {
    paused(async {
        let stage = Stage::set(3);
        stage.play(|player, ctx| ctx.wait(pending::<()>().into_actor(player)));
        assert!(stage.notes().await.is_empty());
        stage.control.stop();
        assert_eq!(stage.notes().await, ["stopping"]);
    });
}

#[test]
fn a_future_that_was_cancelled_is_not_polled_again_whoever_cancelled_it() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|player, ctx| {
            let by_message = ctx.spawn(noted(player, "cancelled by its message"));
            ctx.cancel_future(by_message);
            let kept = ctx.spawn(slow(player, "kept"));
            let first = ctx.spawn(pending::<()>().into_actor(player));
            let cancels = async {}.into_actor(player).map(
                move |(), player: &mut Player, ctx: &mut AgentContext<Player>| {
                    ctx.cancel_future(first.next().next());
                    ctx.cancel_future(first);
                    player.notes.add("cancels");
                },
            );
            ctx.spawn(cancels);
            let by_sibling = ctx.spawn(noted(player, "cancelled by its sibling"));
            assert_eq!([kept.next(), first.next().next()], [first, by_sibling]);
        });
        assert_eq!(stage.notes().await, ["cancels", "kept"]);
    });
}

#[test]
fn an_actor_may_refuse_to_stop_and_goes_on_but_not_to_be_terminated() {
    paused(async {
        let stage = Stage::set(1);
        stage.play(|_, ctx| ctx.stop());
        stage.play(|player, _| player.notes.add("goes on"));
        stage.play(|_, ctx| ctx.stop());
        assert_eq!(stage.end().await, ExitReason::Normal);
        let hooks = ["stopping", "goes on", "stopping", "stopped"];
        assert_eq!(stage.notes().await, hooks);

        let stage = Stage::set(5);
        stage.play(|_, ctx| ctx.terminate());
        assert_eq!(stage.end().await, ExitReason::Normal);
        assert_eq!(stage.notes().await, ["stopped"]);

        // Its termination in the meantime counts, whatever it answers.
        let stage = Stage::set(5);
        stage.play(|player, ctx| {
            player.terminates = true;
            ctx.stop();
        });
        assert_eq!(stage.end().await, ExitReason::Normal);
        assert_eq!(stage.notes().await, ["stopping", "stopped"]);
    });
}

#[test]
fn a_life_that_a_timer_tells_to_end_when_idle_ends_though_no_message_comes() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|_, ctx| {
            ctx.run_later(Duration::from_secs(1), |_, ctx| ctx.stop_when_idle());
        });
        assert_eq!(stage.end().await, ExitReason::Normal);
    });
}

#[test]
fn the_address_that_actix_knows_is_closed() {
    paused(async {
        let stage = Stage::set(0);
        stage.play(|player, ctx| {
            let word = ["closed", "open"][usize::from(ctx.address().connected())];
            player.notes.add(word);
        });
        assert_eq!(stage.notes().await, ["closed"]);
    });
}
