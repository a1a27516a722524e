//! Your own actix actors under a supervisor of their own: a group in a group, and a crash that heals.
//!
//!     cargo run --example supervised_actors

use std::time::Duration;

use actix::prelude::*;
use agent_system::supervision::{
    Address, AgentContext, Child, Group, Hosted, ShutdownSpans, Strategy, Supervisor,
};

#[derive(Default)]
struct Parser(u32);

impl Actor for Parser {
    type Context = AgentContext<Self>;
}
impl Hosted for Parser {}

#[derive(Message)]
#[rtype(result = "u32")]
struct Parse(&'static str);

impl Handler<Parse> for Parser {
    type Result = u32;

    fn handle(&mut self, Parse(text): Parse, _: &mut Self::Context) -> u32 {
        assert!(!text.is_empty(), "nothing to parse");
        self.0 += 1;
        self.0
    }
}

async fn feed(parser: &Address<Parser>, text: &'static str) {
    let parsed = parser.ask(Parse(text), Duration::from_secs(60)).await;
    println!("{text:?}: {parsed:?}");
}

#[actix::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [html, json, log] = ["html", "json", "log"].map(|n| Child::new(n, |_| Parser::default()));
    let [h, j, l] = [&html, &json, &log].map(Child::address);
    let pair = Group::new("pair").strategy(Strategy::OneForAll);
    let app = Group::new("app")
        .child(log)
        .group(pair.child(html).child(json));
    let tree = Supervisor::new().group(app).start()?;
    let mut exits = tree.exits();
    for (parser, text) in [(&h, "<p>"), (&j, "{}"), (&l, "line"), (&h, "")] {
        feed(parser, text).await;
    }
    for end in [exits.next().await?, exits.next().await?] {
        println!("{} {}", end.instance, end.reason);
    }
    for (parser, text) in [(&h, "<a>"), (&j, "[]"), (&l, "more")] {
        feed(parser, text).await;
    }
    tree.shutdown(ShutdownSpans::default()).await?;
    Ok(())
}
