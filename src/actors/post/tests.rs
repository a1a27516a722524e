//! Claims about delivery, on a real store, with lives that do as they are told.

mod faults;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Post;
use crate::actors::work::{AgentMessage, PortClosed, ReadyAgent, Receipt, TaskFrame, TaskPort};
use crate::clock;
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;
use crate::domain::ids::{MessageId, TaskId};
use crate::domain::message::{
    MAX_DEATHS, MAX_WAITING, Message, MessageFilter, MessageKind, MessageState, NewMessage,
};
use crate::domain::name::Name;
use crate::domain::query::PageRequest;
use crate::persistence::{SqliteOptions, Store, StoreError, Synchronous};

/// Never reached unless something is broken.
const LONG: Duration = Duration::from_secs(90);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn crash() -> ExitReason {
    ExitReason::ExitCode { code: 3 }
}

struct World {
    post: Post,
    store: Store,
    dir: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap()).await
    }

    async fn on(dir: tempfile::TempDir) -> Self {
        let mut options = SqliteOptions::new(dir.path().join("test.db"));
        options.synchronous = Synchronous::Normal;
        let store = Store::open(options).await.unwrap();
        let post = Post::new(store.clone());
        Self { post, store, dir }
    }

    /// The daemon dies and another one begins.
    async fn again(self) -> Self {
        self.post.close();
        self.store.close().await.unwrap();
        let Self { dir, post, store } = self;
        drop((post, store));
        Self::on(dir).await
    }

    async fn send(&self, from: Option<&str>, n: u64) -> MessageId {
        let new = NewMessage {
            id: MessageId::from_bytes(clock::new_id()),
            from: from.map(name),
            to: name("echo"),
            kind: MessageKind::Custom,
            content: json!(n),
            idempotency: None,
        };
        self.post.send(new).await.unwrap().0.id
    }

    fn life(&self, index: u32, generation: u64) -> Life {
        let (delivered, mail) = mpsc::unbounded_channel();
        let agent = ReadyAgent {
            instance: InstanceId {
                agent: name("echo"),
                index,
            },
            generation,
            role: None,
            queue: name("default"),
            concurrency: 1,
            port: Arc::new(Port(delivered)),
        };
        self.post.ready(&agent);
        Life { agent, mail }
    }

    fn die(&self, life: &Life, reason: &ExitReason) {
        let ReadyAgent {
            instance,
            generation,
            ..
        } = &life.agent;
        self.post.gone(instance, *generation, reason);
    }

    async fn stored(&self, id: MessageId) -> Message {
        let all = MessageFilter::default();
        let page = self.store.messages(all, PageRequest::default());
        let found = page.await.unwrap().items;
        found.into_iter().find(|it| it.id == id).unwrap()
    }

    /// Waits until a message, however old, is delivered.
    async fn when_delivered(&self, id: MessageId) {
        let delivered = MessageFilter {
            state: Some(MessageState::Delivered),
            ..MessageFilter::default()
        };
        let seen = async {
            loop {
                let page = self
                    .store
                    .messages(delivered.clone(), PageRequest::default());
                if page.await.unwrap().items.iter().any(|it| it.id == id) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, seen).await.unwrap();
    }

    /// The message when it stands so.
    async fn when(&self, id: MessageId, state: MessageState) -> Message {
        let seen = async {
            loop {
                let message = self.stored(id).await;
                if message.state == state {
                    return message;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, seen).await.unwrap()
    }
}

#[derive(Debug)]
struct Port(mpsc::UnboundedSender<(Message, Receipt)>);

impl TaskPort for Port {
    fn assign(&self, _: TaskFrame) -> Result<(), PortClosed> {
        Err(PortClosed)
    }

    fn cancel(&self, _: TaskId, _: &str) {}

    fn deliver(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        self.0.send((message, receipt)).map_err(|_| PortClosed)
    }
}

struct Life {
    agent: ReadyAgent,
    mail: mpsc::UnboundedReceiver<(Message, Receipt)>,
}

impl Life {
    async fn next(&mut self) -> (Message, Receipt) {
        timeout(LONG, self.mail.recv()).await.unwrap().unwrap()
    }

    /// The next message, taken.
    async fn take(&mut self) -> Message {
        let (message, receipt) = self.next().await;
        receipt.taken();
        message
    }

    fn has_mail(&self) -> bool {
        !self.mail.is_empty()
    }
}

#[tokio::test]
async fn what_is_sent_while_nobody_is_there_comes_in_order_when_somebody_is() {
    let world = World::new().await;
    for n in 0..5 {
        world.send(Some("sum"), n).await;
    }
    let mut life = world.life(0, 1);
    for n in 0..5 {
        assert_eq!(life.take().await.content, json!(n));
    }
}

#[tokio::test]
async fn the_next_message_of_a_pair_follows_when_the_one_before_was_taken() {
    let world = World::new().await;
    let mut life = world.life(0, 1);
    world.send(Some("sum"), 1).await;
    let second = world.send(Some("sum"), 2).await;
    let (first, receipt) = life.next().await;
    let other = world.send(Some("writer"), 3).await;
    assert_eq!(
        life.take().await.id,
        other,
        "pairs do not wait for each other"
    );
    assert!(!life.has_mail());
    receipt.taken();
    assert_eq!(life.take().await.id, second);
    assert!(
        world
            .when(first.id, MessageState::Delivered)
            .await
            .delivered_at
            .is_some()
    );
}

#[tokio::test]
async fn what_a_life_had_not_taken_goes_to_the_next_one_with_the_same_id() {
    let world = World::new().await;
    let mut life = world.life(0, 1);
    let id = world.send(None, 1).await;
    let (message, receipt) = life.next().await;
    assert_eq!(message.id, id);
    world.die(&life, &ExitReason::Shutdown);
    drop(receipt);
    let mut next = world.life(0, 2);
    let again = next.take().await;
    assert_eq!(
        (again.id, again.deaths),
        (id, 0),
        "an end that was wanted counts for nothing"
    );
}

#[tokio::test]
async fn what_was_not_taken_is_handed_over_again_after_the_daemons_death() {
    let world = World::new().await;
    let mut life = world.life(0, 1);
    let id = world.send(None, 1).await;
    let (_message, _receipt) = life.next().await;
    let world = world.again().await;
    let mut life = world.life(0, 2);
    assert_eq!(life.take().await.id, id);
    world.when(id, MessageState::Delivered).await;
}

#[tokio::test]
async fn a_message_of_which_lives_die_is_given_up_and_strikes_no_other() {
    let world = World::new().await;
    let poison = world.send(Some("mallory"), 0).await;
    let innocent = world.send(Some("alice"), 1).await;
    let mut generation = 0;
    loop {
        generation += 1;
        let mut life = world.life(0, generation);
        let (mut killed, mut taken) = (false, false);
        while !killed && !taken {
            let (message, receipt) = life.next().await;
            if message.id == poison {
                killed = true;
            } else {
                // It would have been taken, had its life not died of the other.
                taken = message.deaths > 0 || generation > 1;
                if taken {
                    receipt.taken();
                }
            }
        }
        if taken {
            break;
        }
        world.die(&life, &crash());
        if generation == u64::from(MAX_DEATHS) {
            world.when(poison, MessageState::Undeliverable).await;
        }
    }
    let kept = world.when(poison, MessageState::Undeliverable).await;
    assert!(kept.reason.unwrap().contains("exit code 3"));
    let spared = world.when(innocent, MessageState::Delivered).await;
    assert!(spared.deaths <= 1, "{spared:?}");
}

#[tokio::test]
async fn a_pair_stays_with_its_replica_while_that_lives() {
    let world = World::new().await;
    let mut lives = [world.life(0, 1), world.life(1, 1)];
    for n in 0..4 {
        world.send(Some("sum"), n).await;
    }
    let [first, second] = &mut lives;
    for n in 0..4 {
        assert_eq!(first.take().await.content, json!(n));
    }
    let id = world.send(Some("writer"), 9).await;
    assert_eq!(
        second.take().await.id,
        id,
        "another pair is with the other one"
    );
    world.die(first, &crash());
    world.send(Some("sum"), 4).await;
    assert_eq!(second.take().await.content, json!(4));
}

#[tokio::test]
async fn a_life_that_drains_is_given_nothing_and_gets_it_when_it_resumes() {
    let world = World::new().await;
    let mut life = world.life(0, 1);
    world.post.draining(&life.agent.instance, 1);
    let id = world.send(None, 1).await;
    assert!(!life.has_mail());
    world.post.ready(&life.agent);
    assert_eq!(life.take().await.id, id);
}

#[tokio::test]
async fn so_many_messages_wait_for_a_recipient_and_no_more() {
    let world = World::new().await;
    let fill = (0..u64::from(MAX_WAITING)).map(|n| world.send(None, n));
    futures_util::future::join_all(fill).await;
    let one_more = NewMessage {
        id: MessageId::from_bytes(clock::new_id()),
        from: None,
        to: name("echo"),
        kind: MessageKind::Custom,
        content: json!(0),
        idempotency: None,
    };
    let refused = world.post.send(one_more.clone()).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    let taken = world.life(0, 1).take().await;
    world.when_delivered(taken.id).await;
    world.post.send(one_more).await.unwrap();
}

#[tokio::test]
async fn what_an_agent_sends_is_stored_in_its_order() {
    let world = World::new().await;
    for n in 0..200 {
        world.post.send_from(said(n, "custom"), Ok(()));
    }
    let mut life = world.life(0, 1);
    for n in 0..200 {
        assert_eq!(life.take().await.content, json!(n));
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_sent_comes_back_to_its_sender_as_an_error() {
    let world = World::new().await;
    let mut life = world.life(0, 1);
    let unknown = Err("there is no agent 'x'".to_owned());
    world.post.send_from(said(1, "custom"), unknown);
    world.post.send_from(said(2, "song"), Ok(()));
    for code in ["agent_not_found", "invalid_type"] {
        let told = life.take().await;
        assert_eq!((told.from, told.kind), (None, MessageKind::Error));
        assert_eq!(told.content["code"], code);
    }
}

fn said(n: u64, kind: &str) -> AgentMessage {
    AgentMessage {
        from: InstanceId {
            agent: name("echo"),
            index: 0,
        },
        to: name("echo"),
        kind: kind.into(),
        content: json!(n),
    }
}
