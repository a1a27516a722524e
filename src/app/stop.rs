//! The daemon's life once it stands, and its end: signals, drain, the order of closing.
//!
//! ```text
//! first signal ─▶ not ready ─▶ agents drain, stop, are killed ─▶ connections ─▶ own actors ─▶ store
//! second signal, at any point ─▶ the process ends at once
//! ```

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::Ending;
use super::boot::House;
use super::reload::hang_ups;
use super::signals::Signals;
use crate::actors::agent::family;
use crate::actors::supervisor::{Escalated, ShutdownSpans};

/// How long the daemon's own actors may take to end.
const INNER_SPANS: ShutdownSpans = ShutdownSpans {
    drain: Duration::from_millis(500),
    stop: Duration::from_millis(500),
};

/// How long the agents' threads may take to end.
const THREADS_END: Duration = Duration::from_millis(500);

/// How long what agents left behind may take to end.
const STRAYS_END: Duration = Duration::from_secs(1);

/// Why a daemon comes to its end.
enum Cause {
    Told(&'static str),
    GaveUp(Escalated),
}

/// Lives until told to end, or until it gives up; then closes everything.
pub(super) async fn live(house: House, signals: Signals) -> Ending {
    or_give_up(live_until_told(house, signals)).await
}

/// A panic here is that of the daemon itself, which ends as one that gave up: its next life takes back
/// what it held.
async fn or_give_up(life: impl Future<Output = Ending>) -> Ending {
    let ended = AssertUnwindSafe(life).catch_unwind().await;
    ended.unwrap_or_else(|_| {
        tracing::error!("the daemon panicked; giving up");
        Ending::GaveUp
    })
}

async fn live_until_told(house: House, signals: Signals) -> Ending {
    let Signals {
        mut end,
        mut hang_up,
        mut others,
    } = signals;
    let cause = tokio::select! {
        biased;
        name = end.next() => Cause::Told(name),
        gave_up = house.agents.escalated() => Cause::GaveUp(gave_up),
        gave_up = house.inner.escalated() => Cause::GaveUp(gave_up),
        () = hang_ups(&house.reloader, &mut hang_up) => unreachable!("SIGHUP is heard for as long as the daemon lives"),
        () = others.come_to_nothing() => unreachable!("they are heard for as long as the daemon lives"),
        () = ready(&house) => unreachable!("readiness is reported for as long as the daemon lives"),
    };
    match &cause {
        Cause::Told(name) => {
            tracing::info!(signal = name, "draining; a second signal ends at once")
        }
        Cause::GaveUp(why) => tracing::error!(subject = %why.subject, "giving up: {}", why.why),
    }
    let ended = tokio::select! {
        biased;
        _ = end.next() => {
            tracing::warn!("second signal: ending at once");
            // Nothing is closed; the kernel ends the agents with this process, and the next life
            // takes back what it held.
            std::process::exit(Ending::AtOnce.exit_code().into());
        }
        ended = close(house) => ended,
    };
    match cause {
        Cause::Told(_) => ended,
        Cause::GaveUp(_) => Ending::GaveUp,
    }
}

/// Says so when the first round of checks has ended. Never ends.
async fn ready(house: &House) {
    let mut reports = house.health.subscribe();
    if reports.wait_for(Option::is_some).await.is_ok() {
        house
            .readiness
            .send_modify(|readiness| readiness.started = true);
        let took = house.begun.elapsed();
        tracing::info!("started in {} ms", took.as_millis());
    }
    std::future::pending().await
}

/// Closes everything, the last things first.
pub(super) async fn close(house: House) -> Ending {
    house
        .readiness
        .send_modify(|readiness| readiness.draining = true);
    let spans = ShutdownSpans {
        drain: house.budget.drain,
        stop: house.budget.term,
    };
    let (taken_back, ended) = tokio::join!(
        house.dispatcher.drain(house.budget.drain),
        house.agents.shutdown(spans)
    );
    match taken_back {
        Ok(0) => {}
        Ok(tasks) => tracing::info!(tasks, "unfinished tasks went back to their queues"),
        Err(error) => tracing::warn!(%error, "what was held goes back at the next start"),
    }
    let ending = match ended {
        Ok(report) if report.killed.is_empty() => Ending::Drained,
        Ok(report) => {
            let killed: Vec<String> = report.killed.iter().map(ToString::to_string).collect();
            tracing::warn!(
                killed = killed.join(", "),
                "did not end in time and were killed"
            );
            Ending::Leftovers
        }
        Err(error) => {
            tracing::error!(%error, "not every agent is known to have ended");
            Ending::Leftovers
        }
    };
    end_strays().await;
    close_ground(house).await;
    tracing::info!("ended");
    ending
}

/// Ends what agents left behind without a sign of them: no life is left that it may belong to.
async fn end_strays() {
    match tokio::time::timeout(STRAYS_END, family::end_strays()).await {
        Ok(ended) if ended.killed > 0 => {
            tracing::info!(killed = ended.killed, "ended what agents left behind");
        }
        Ok(_) => {}
        Err(_) => tracing::warn!("what agents left behind is not known to have ended"),
    }
}

/// Connections, own actors, the store.
async fn close_ground(house: House) {
    let House {
        store,
        session,
        journal,
        inner,
        close,
        servers,
        pools,
        budget,
        about,
        records,
        ..
    } = house;
    drop(about);
    close.now();
    let [api, metrics] = servers;
    let within = budget.close / 2;
    let (cut, _) = tokio::join!(api.drained(within), metrics.drained(within));
    if cut > 0 {
        tracing::warn!(cut, "connections were cut");
    }
    if let Err(error) = inner.shutdown(INNER_SPANS).await {
        tracing::warn!(%error, "a part of the daemon did not end");
    }
    let last = async {
        records.close().await;
        journal.flush(&store).await?;
        store.end_session(session).await?;
        store.close().await
    };
    match tokio::time::timeout(within, last).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the database was not closed well"),
        Err(_) => tracing::error!("the database was not closed in time"),
    }
    // A handler that blocks its thread must not hold up the end.
    let threads = tokio::task::spawn_blocking(move || pools.iter().for_each(|pool| pool.stop()));
    if tokio::time::timeout(THREADS_END, threads).await.is_err() {
        tracing::warn!("a thread of the agents does not end; leaving it behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_the_daemons_first_task_ends_it_with_70() {
        let ending = or_give_up(async { panic!("it fails") }).await;
        assert_eq!(ending.exit_code(), 70);
    }
}
