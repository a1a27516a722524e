//! How long another may take to answer, counted while this process was awake to hear it.
//!
//! A container that is paused, a machine that is suspended or a processor that others hold stops
//! the daemon while the clock goes on. When it wakes, every deadline has passed and no answer has
//! been read yet; a plain timeout would blame those who never had a chance.
//!
//! Rely on: a span is counted in slices of [`SLICE`]. One whose own timer rang later than
//! [`LATE`] counts for nothing, up to [`FORGIVEN`] times, so every wait ends.
//!
//! Not here: deadlines that are a promise to a caller (an attempt's timeout, a request's): these
//! go by the clock.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// The longest stretch that is counted at once.
const SLICE: Duration = Duration::from_millis(250);
/// A timer that rings this much too late was not heard: the process slept, or starved.
pub(crate) const LATE: Duration = Duration::from_millis(500);
/// So many slices of one wait may count for nothing.
const FORGIVEN: u32 = 20;

/// No answer came while there was time to hear it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silent;

/// Waits for an answer as long as this process was awake for `span`.
pub(crate) async fn within<F: Future>(span: Duration, answer: F) -> Result<F::Output, Silent> {
    let mut answer = pin!(answer);
    let (mut left, mut forgiven) = (span, 0);
    loop {
        let slice = left.min(SLICE);
        let end = Instant::now() + slice;
        if let Ok(answer) = timeout_at(end, answer.as_mut()).await {
            return Ok(answer);
        }
        if overslept(end) && forgiven < FORGIVEN {
            forgiven += 1;
            continue;
        }
        left -= slice;
        if left.is_zero() {
            return Err(Silent);
        }
    }
}

/// Whether something that was due at `due` is looked at so late that this process was not awake.
pub(crate) fn overslept(due: Instant) -> bool {
    due.elapsed() >= LATE
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_after_its_span_and_not_before() {
        for millis in [0, 1, 250, 300, 3_000] {
            let (span, begun) = (Duration::from_millis(millis), Instant::now());
            assert_eq!(within(span, pending::<()>()).await, Err(Silent));
            assert_eq!(begun.elapsed(), span);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_time_is_heard_whenever_it_comes() {
        for millis in [0, 249, 250, 999] {
            let answer = tokio::time::sleep(Duration::from_millis(millis));
            assert_eq!(within(Duration::from_secs(1), answer).await, Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sleep_of_ones_own_is_nobodys_silence() {
        let waiting = tokio::spawn(within(Duration::from_secs(3), pending::<()>()));
        tokio::time::sleep(Duration::from_millis(100)).await;
        // The clock jumps as it does over a pause: the timer rings, an hour late.
        tokio::time::advance(Duration::from_secs(3_600)).await;
        let woken = Instant::now();
        assert_eq!(waiting.await.unwrap(), Err(Silent));
        assert_eq!(woken.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_never_gets_its_time_gives_up_all_the_same() {
        let waiting = tokio::spawn(within(Duration::from_secs(1), pending::<()>()));
        let mut jumps = 0;
        while !waiting.is_finished() {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_secs(10)).await;
            jumps += 1;
            assert!(jumps < 100);
        }
        assert_eq!(waiting.await.unwrap(), Err(Silent));
    }
}
