//! Ends what ended lives left behind, of many at once: a look at all processes costs as much for one
//! life as for a hundred, and a burst of deaths must not slow down the lives that follow.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::{Family, end_families};

/// From the first death to the look, so that others join in and the next lives begin first.
const GATHERS_FOR: Duration = Duration::from_millis(20);

/// Families that wait for their end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sweeper(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// One for each life that ended since the last look.
    waiting: Vec<Family>,
    sweeps: bool,
}

impl Sweeper {
    /// Ends a family soon. Its leader must have been reaped.
    pub(crate) fn end(&self, family: Family, runtime: &Handle) {
        let mut state = self.0.lock();
        state.waiting.push(family);
        if !std::mem::replace(&mut state.sweeps, true) {
            let sweeper = self.clone();
            runtime.spawn(async move { sweeper.sweep().await });
        }
    }

    async fn sweep(&self) {
        loop {
            tokio::time::sleep(GATHERS_FOR).await;
            let families = {
                let mut state = self.0.lock();
                state.sweeps = !state.waiting.is_empty();
                std::mem::take(&mut state.waiting)
            };
            if families.is_empty() {
                return;
            }
            // Nobody else sweeps meanwhile, and after a panic nobody would again.
            let ended = AssertUnwindSafe(end_families(families)).catch_unwind();
            let Ok(ended) = ended.await else {
                tracing::error!("ending what ended agents left behind panicked");
                continue;
            };
            if !ended.surviving.is_empty() {
                let pids = &ended.surviving;
                tracing::warn!(?pids, "processes of ended agents would not go");
            }
        }
    }
}
