//! Threads of the daemon, seen as its parts: a panic of one begins it anew where it stands, and is a death
//! of its part here, so that the log and the budget hear of it.
//!
//! Not here: how a thread goes on after a panic; whoever starts it keeps that.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::actors::errand;
use crate::actors::life::ChildFactory;
use crate::actors::runner::exit_with;
use crate::domain::exit::ExitReason;

/// The part of a thread that counts its panics as permits, as a child for the tree.
pub(super) fn child(panics: Arc<Semaphore>) -> Arc<dyn ChildFactory> {
    errand::child(move || {
        let panics = panics.clone();
        async move {
            // Never closed.
            if let Ok(one) = panics.acquire().await {
                one.forget();
                exit_with(ExitReason::Error {
                    message: "its thread panicked and began anew".to_owned(),
                });
            }
        }
    })
}
