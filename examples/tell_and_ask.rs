//! Telling and asking a supervised actor: when its mailbox is full, when it is slow, when it dies, and
//! when it has gone: `cargo run --example tell_and_ask`.

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
#[rtype(result = "&'static str")]
struct Letter(Duration);

impl Handler<Letter> for Clerk {
    type Result = ResponseFuture<&'static str>;

    fn handle(&mut self, Letter(after): Letter, _: &mut Self::Context) -> Self::Result {
        // Linked: a panic in it is the clerk's, and the clerk's end is its end.
        link(async move {
            assert!(after < Duration::MAX, "no clerk survives this");
            tokio::time::sleep(after).await;
            "dear sir"
        })
    }
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clerk = Child::new("clerk", |_| Clerk).restart(Restart::Temporary);
    // Who sends need not know whom: any actor that handles the message will do.
    let desk: Recipient<Letter> = clerk.address().recipient();
    // Nobody lives there yet: two letters wait, the third is refused at once.
    for _ in 0..3 {
        println!("told: {:?}", desk.tell(Letter(Duration::ZERO)));
    }
    let tree = Supervisor::new().child(clerk).start()?;
    while tree.status("clerk").await?.instances[0].mailbox_depth > 0 {
        tokio::task::yield_now().await;
    }
    let ask = async |after, within| desk.ask(Letter(after), within).await;
    let (soon, late) = (Duration::from_millis(200), Duration::from_secs(60));
    let mut exits = tree.exits();
    println!("in time: {:?}", ask(Duration::ZERO, late).await);
    println!("too slow: {:?}", ask(late, soon).await);
    println!("torn: {:?}", ask(Duration::MAX, late).await);
    println!("ended by a {}", exits.next().await?.reason.label());
    println!("gone: {:?}", ask(Duration::ZERO, late).await);
    Ok(tree.shutdown(ShutdownSpans::default()).await.map(drop)?)
}
