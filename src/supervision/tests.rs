//! A user's own actors, supervised through the public face alone.

use std::time::Duration;

use actix::prelude::*;

use super::{
    Address, AgentContext, AgentState, AskError, Child, DependsOn, ExitReason, ExitsError, Group,
    Hosted, Intensity, OnExhausted, Recipient, Restart, ShutdownSpans, StartError, Strategy,
    Supervisor, TellError, Tree, exit_with,
};

const LONG: Duration = Duration::from_secs(10);

struct Counter {
    generation: u64,
    count: u32,
}

impl Actor for Counter {
    type Context = AgentContext<Self>;
}

impl Hosted for Counter {
    const MAILBOX: usize = 4;
}

#[derive(Message, Clone)]
#[rtype(result = "(u64, u32)")]
enum Count {
    Up,
    Panic,
    End,
}

impl Handler<Count> for Counter {
    type Result = MessageResult<Count>;

    fn handle(&mut self, what: Count, ctx: &mut Self::Context) -> Self::Result {
        match what {
            Count::Up => self.count += 1,
            Count::Panic => panic!("as told"),
            Count::End => exit_with(ExitReason::Normal),
        }
        let _ = ctx;
        MessageResult((self.generation, self.count))
    }
}

fn counter(name: &str) -> Child<Counter> {
    Child::new(name, |life| Counter {
        generation: life.generation,
        count: 0,
    })
    .backoff(Duration::ZERO, Duration::ZERO)
}

fn paused(claim: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, claim);
}

fn here() -> Supervisor {
    Supervisor::new().arbiters(0)
}

/// Panics one and waits until it has a new life.
async fn crash(one: &Address<Counter>) {
    assert_eq!(one.ask(Count::Panic, LONG).await, Err(AskError::Died));
}

async fn up(one: &Address<Counter>) -> (u64, u32) {
    one.ask(Count::Up, LONG).await.unwrap()
}

#[test]
fn nested_groups_restart_by_their_own_strategies() {
    paused(async {
        let names = ["reader", "parser", "store", "index"];
        let [reader, parser, store, index] = names.map(counter);
        let all = [&reader, &parser, &store, &index].map(Child::address);
        let inner = Group::new("inner")
            .strategy(Strategy::OneForAll)
            .child(store)
            .child(index);
        let outer = Group::new("outer").child(reader).child(parser).group(inner);
        let tree = here().group(outer).start().unwrap();
        for one in &all {
            assert_eq!(up(one).await, (1, 1));
        }
        crash(&all[0]).await;
        crash(&all[3]).await;
        tokio::time::sleep(LONG).await;
        let mut lives = Vec::new();
        for one in &all {
            lives.push(up(one).await);
        }
        assert_eq!(lives, [(2, 1), (1, 2), (2, 1), (2, 1)]);
        assert_eq!(tree.statuses().await.unwrap().len(), 4);
    });
}

#[test]
fn a_subscriber_hears_of_every_end_once_with_its_reason() {
    paused(async {
        let (one, other) = (counter("one").restart(Restart::Transient), counter("other"));
        let (first, second) = (one.address(), other.address());
        let tree = here().child(one).child(other).start().unwrap();
        let mut exits = tree.exits();
        crash(&first).await;
        up(&first).await;
        first.tell(Count::End).unwrap();
        let heard = [exits.next().await.unwrap(), exits.next().await.unwrap()];
        assert!(
            matches!(heard[0].reason, ExitReason::Panic { .. }),
            "{heard:?}"
        );
        assert_eq!(
            (heard[1].reason.clone(), heard[1].generation),
            (ExitReason::Normal, 2)
        );
        assert_eq!(heard[1].instance.to_string(), "one#0");
        tokio::time::sleep(LONG).await;
        assert_eq!(first.tell(Count::Up), Err(TellError::Closed));
        up(&second).await;
        tree.shutdown(ShutdownSpans::default()).await.unwrap();
        assert_eq!(exits.next().await.unwrap().reason, ExitReason::Shutdown);
        assert_eq!(exits.next().await, Err(ExitsError::Ended));
        assert_eq!(tree.exits().next().await, Err(ExitsError::Ended));
        let gone = tree.status("one").await.unwrap_err();
        assert_eq!(gone.to_string(), "the supervisor has ended");
        tree.gave_up().await;
    });
}

#[test]
fn a_subscriber_that_is_too_slow_hears_how_many_ends_it_missed() {
    paused(async {
        let child = counter("child");
        let address = child.address();
        let group = Group::new("all")
            .intensity(Intensity::Unlimited)
            .child(child);
        let tree = here().group(group).start().unwrap();
        let mut exits = tree.exits();
        for _ in 0..=super::EXITS_KEPT {
            crash(&address).await;
        }
        up(&address).await;
        tree.status("child").await.unwrap();
        assert_eq!(exits.next().await, Err(ExitsError::Missed(1)));
        assert_eq!(exits.next().await.unwrap().generation, 2);
    });
}

#[test]
fn a_recipient_tells_and_asks_like_the_address_it_is_made_of() {
    paused(async {
        let child = counter("child");
        let recipient: Recipient<Count> = child.address().recipient();
        for _ in 0..4 {
            recipient.clone().tell(Count::Up).unwrap();
        }
        assert_eq!(recipient.tell(Count::Up), Err(TellError::Full));
        assert_eq!(recipient.ask(Count::Up, LONG).await, Err(AskError::Full));
        let tree = here().child(child).start().unwrap();
        tree.status("child").await.unwrap();
        assert_eq!(recipient.ask(Count::Up, LONG).await, Ok((1, 5)));
    });
}

#[test]
fn a_child_is_stopped_started_scaled_and_named_in_errors() {
    paused(async {
        let child = counter("child");
        let (first, third) = (child.address(), child.address_of(2));
        let tree = here().child(child).start().unwrap();
        up(&first).await;
        tree.stop("child").await.unwrap();
        tokio::time::sleep(LONG).await;
        assert_eq!(first.tell(Count::Up), Err(TellError::Closed));
        tree.start("child").await.unwrap();
        tree.scale("child", 3).await.unwrap();
        assert_eq!(up(&third).await.1, 1);
        let unknown = tree.status("chidl").await.unwrap_err().to_string();
        assert_eq!(
            unknown,
            "agent 'chidl' does not exist; did you mean 'child'?"
        );
        assert!(
            tree.stop("No Name")
                .await
                .unwrap_err()
                .to_string()
                .contains("'No Name'")
        );
    });
}

#[test]
fn a_group_that_may_not_go_on_makes_the_tree_give_up() {
    paused(async {
        let child = counter("child");
        let address = child.address();
        let group = Group::new("all")
            .intensity(Intensity::Limited {
                max: 1,
                within: LONG,
            })
            .on_exhausted(OnExhausted::Exit)
            .child(child);
        let tree = here().group(group).start().unwrap();
        crash(&address).await;
        crash(&address).await;
        let given_up = tree.gave_up().await;
        assert_eq!(given_up.subject, "all");
    });
}

#[test]
fn a_tree_that_makes_no_sense_is_refused_with_its_reason() {
    paused(async {
        let refused = |tree: Supervisor| match tree.start() {
            Err(error) => error.to_string(),
            Ok(_) => "started".to_owned(),
        };
        let alone = counter("child").depends_on("chidl", DependsOn::Healthy);
        let unknown = refused(here().child(alone).child(counter("other")));
        assert!(
            unknown.contains("agent 'chidl', which is not declared"),
            "{unknown}"
        );
        let twice = refused(here().child(counter("a")).child(counter("a")));
        assert_eq!(twice, "'a' is declared twice");
        let name = refused(here().group(Group::new("My Group")));
        assert!(name.starts_with("'My Group' is not a name"), "{name}");
        let nowhere = Supervisor::new().child(counter("a")).start();
        assert_eq!(nowhere.err(), Some(StartError::NoSystem));
    });
}

#[test]
fn a_pinged_child_that_waits_for_ever_is_restarted() {
    struct Waits(u64);

    impl Actor for Waits {
        type Context = AgentContext<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            if self.0 == 1 {
                ctx.wait(std::future::pending::<()>().into_actor(self));
            }
        }
    }

    impl Hosted for Waits {}

    paused(async {
        let child = Child::new("waits", |life| Waits(life.generation)).ping(Duration::from_secs(1));
        let tree: Tree = here().child(child).start().unwrap();
        let mut exits = tree.exits();
        let end = exits.next().await.unwrap();
        assert!(matches!(end.reason, ExitReason::Stuck { .. }), "{end:?}");
        tokio::time::sleep(LONG).await;
        let status = tree.status("waits").await.unwrap();
        assert_eq!((status.generation, status.state), (2, AgentState::Ready));
    });
}
