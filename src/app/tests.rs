//! Claims about the whole house, in this process: the very one that `serve` runs, with one part of it
//! made to die.

mod clocks;
mod generations;
mod parts;

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use serde_json::Value;

use super::bench::private::quiet;
use super::boot::House;
use super::house;
use crate::actors::agent::{Agent, Failure, Registry, Scope};
use crate::config::{Config, LoadRequest};
use crate::persistence::lock::Lock;
use crate::telemetry::metrics::Metrics;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(90);

/// The agent that gives back what it gets; asked to hold it, it does so in the first attempt.
struct Echo;

impl Agent for Echo {
    type Input = Value;
    type Output = Value;

    fn task(
        &mut self,
        given: Value,
        scope: Scope,
    ) -> impl Future<Output = Result<Value, Failure>> + 'static {
        let holds = given.as_str().is_some_and(|text| text.starts_with("held"));
        let holds = holds && scope.attempt() == 1;
        async move {
            if holds {
                std::future::pending::<()>().await;
            }
            Ok(given)
        }
    }
}

/// One life of the daemon on a data directory, for as long as `live` takes.
fn live_in<T>(data: &Path, live: impl AsyncFnOnce(House) -> T) -> T {
    live_with(data, "", live)
}

/// Waits until nobody owns the database: threads of a house that was dropped end by themselves.
fn is_left(database: &Path) {
    let begun = Instant::now();
    while let Err(error) = Lock::database(database) {
        assert!(begun.elapsed() < LONG, "{error}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The same, with more settings of the agent and whatever else.
fn live_with<T>(data: &Path, more: &str, live: impl AsyncFnOnce(House) -> T) -> T {
    is_left(&data.join("agent-system.db"));
    let file = data.join("test.toml");
    let agents = "[agents.echo]\nkind = \"actor\"\nactor = \"echo\"\nconcurrency = 16\n";
    std::fs::write(&file, format!("{agents}{more}")).unwrap();
    let config = Config::load(quiet(data, file)).unwrap();
    let registry = Registry::built_in().register("echo", |_| Ok(Echo));
    let (_recorder, metrics) = Metrics::for_test();
    house::stand(
        config,
        LoadRequest::default(),
        registry,
        metrics,
        Instant::now(),
        async |house, _signals| live(house).await,
    )
    .unwrap()
}

/// Waits, with a bound, until `look` finds something.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> BoxFuture<'static, Option<T>>) -> T {
    let seen = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(LONG, seen).await {
        Ok(found) => found,
        Err(_) => panic!("not in time: {what}"),
    }
}
