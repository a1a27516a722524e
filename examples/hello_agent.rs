//! An agent in Rust, in a daemon of one's own: the whole command line with one more agent.
//!
//!     cargo run --example hello_agent -- serve --config examples/hello-agent.toml
//!     agent-system tasks submit --agent greeter --payload '{"name": "Ada"}' --wait

use std::process::ExitCode;

use agent_system::{Agent, Failure, Registry, Scope};
use serde::{Deserialize, Serialize};

/// Fresh in each life; lives on one thread.
struct Greeter {
    greeted: u32,
}

#[derive(Deserialize)]
struct Guest {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    text: String,
    number: u32,
}

impl Agent for Greeter {
    type Input = Guest;
    type Output = Greeting;

    fn task(
        &mut self,
        guest: Guest,
        scope: Scope,
    ) -> impl Future<Output = Result<Greeting, Failure>> + 'static {
        self.greeted += 1;
        let number = self.greeted;
        async move {
            scope.progress(50.0, "bowing");
            if guest.name.is_empty() {
                return Err(Failure::fatal("nobody to greet"));
            }
            let text = format!("Hello, {}!", guest.name);
            Ok(Greeting { text, number })
        }
    }
}

fn main() -> ExitCode {
    agent_system::run(Registry::built_in().register("greeter", |_| Ok(Greeter { greeted: 0 })))
}
