//! Claims about a post whose own code, or that of a port, panics.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Panics at the first message.
#[derive(Debug)]
struct Faulty(AtomicBool, Port);

impl TaskPort for Faulty {
    fn assign(&self, _: TaskFrame) -> Result<(), PortClosed> {
        Err(PortClosed)
    }

    fn cancel(&self, _: TaskId, _: &str) {}

    fn deliver(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        assert!(self.0.swap(true, Ordering::Relaxed), "as told");
        self.1.deliver(message, receipt)
    }
}

#[tokio::test]
async fn a_panic_while_messages_are_handed_over_loses_none_and_holds_up_no_pair() {
    let world = World::new().await;
    let from = ["ann", "bob", "cid"];
    for sender in from {
        for n in 0..2 {
            world.send(Some(sender), n).await;
        }
    }
    let mut life = world.life(0, 1);
    // What was handed to that life goes to the next, which has the faulty port.
    let (delivered, mail) = mpsc::unbounded_channel();
    life.agent.generation = 2;
    life.agent.port = Arc::new(Faulty(AtomicBool::new(false), Port(delivered)));
    life.mail = mail;
    world.post.ready(&life.agent);
    let mut taken = Vec::new();
    for _ in 0..6 {
        let message = life.take().await;
        taken.push((message.from.unwrap().to_string(), message.content));
    }
    for sender in from {
        let of = taken.iter().filter(|(from, _)| from == sender);
        let contents: Vec<_> = of.map(|(_, content)| content.clone()).collect();
        assert_eq!(contents, [json!(0), json!(1)], "{sender}: {taken:?}");
    }
}
