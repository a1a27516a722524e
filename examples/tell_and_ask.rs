//! Telling and asking a supervised actor: what happens when its mailbox is full, when it is slow,
//! when it dies, and when it has gone.
//!
//!     cargo run --example tell_and_ask

use std::time::Duration;

use actix::prelude::*;
use agent_system::supervision::{
    AgentContext, Child, Hosted, Recipient, Restart, ShutdownSpans, Supervisor, link,
};

/// Answers after a while.
struct Clerk;

impl Actor for Clerk {
    type Context = AgentContext<Self>;
}

impl Hosted for Clerk {
    const MAILBOX: usize = 2;
}

#[derive(Message)]
#[rtype(result = "String")]
enum Letter {
    Answer(Duration),
    Tear,
}

impl Handler<Letter> for Clerk {
    type Result = ResponseFuture<String>;

    fn handle(&mut self, letter: Letter, _: &mut Self::Context) -> Self::Result {
        // Linked: a panic in it is the clerk's, and the clerk's end is its end.
        link(async move {
            match letter {
                Letter::Answer(after) => tokio::time::sleep(after).await,
                Letter::Tear => unreachable!("no clerk survives this"),
            }
            "dear sir".to_owned()
        })
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clerk = Child::new("clerk", |_| Clerk).restart(Restart::Temporary);
    // Who sends need not know whom: any actor that handles the message will do.
    let desk: Recipient<Letter> = clerk.address().recipient();
    let (soon, never) = (Duration::ZERO, Duration::from_secs(3_600));
    let patience = Duration::from_millis(200);

    // Nobody lives there yet: two letters wait, the third is refused at once.
    for _ in 0..3 {
        println!("told: {:?}", desk.tell(Letter::Answer(soon)));
    }
    let tree = Supervisor::new().child(clerk).start()?;
    while tree.status("clerk").await?.instances[0].mailbox_depth > 0 {
        tokio::task::yield_now().await;
    }
    println!(
        "in time: {:?}",
        desk.ask(Letter::Answer(soon), patience).await
    );
    println!(
        "too slow: {:?}",
        desk.ask(Letter::Answer(never), patience).await
    );
    let mut exits = tree.exits();
    println!("torn: {:?}", desk.ask(Letter::Tear, patience).await);
    println!("ended by a {}", exits.next().await?.reason.label());
    println!("gone: {:?}", desk.ask(Letter::Answer(soon), patience).await);
    tree.shutdown(ShutdownSpans::default()).await?;
    Ok(())
}
