//! Futures that run beside an actor and share its fate.
//!
//! actix polls a `ResponseFuture` as a task of its own: nobody hears of its panic, and it outlives
//! the actor. [`link`] ties it to the life that made it. [`Bond`] does so for work that other threads
//! carry out.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, select};

use super::scope::{Scope, current};
use crate::domain::exit::ExitReason;

/// Ties a future to the current life: a panic in it ends the life with that reason, the end of the
/// life drops it, and its caller is told in both cases.
///
/// Outside a life the future runs as it is.
pub fn link<T: 'static>(
    future: impl Future<Output = T> + 'static,
) -> Pin<Box<dyn Future<Output = T>>> {
    match current() {
        None => Box::pin(future),
        Some(scope) => Box::pin(linked(scope, Box::pin(future))),
    }
}

async fn linked<T>(scope: Arc<Scope>, future: Pin<Box<dyn Future<Output = T>>>) -> T {
    let over = Box::pin(scope.clone().over());
    let guarded = Guarded {
        scope: scope.clone(),
        future,
    };
    match select(over, guarded).await {
        Either::Right((Ok(value), _)) => value,
        Either::Right((Err(reason), _)) => {
            scope.end_with(reason);
            end_task()
        }
        Either::Left(((), _)) => end_task(),
    }
}

/// Ends the task around us without a value: its caller sees that no answer comes. No hook is
/// called, and tokio contains the unwinding at the edge of the task.
fn end_task() -> ! {
    resume_unwind(Box::new(
        "the life that this future was linked to has ended",
    ))
}

/// A hold on the life whose code made it, for work of that life on other threads. Unlike what is
/// [`link`]ed, such work is not dropped with the life: it may have to clear up.
#[derive(Debug, Clone)]
pub(crate) struct Bond(Option<Arc<Scope>>);

impl Bond {
    /// To the life that the running code belongs to.
    pub(crate) fn here() -> Self {
        Self(current())
    }

    /// Carries `work` out. A panic in it ends the life with that reason; one after the life's end is
    /// logged.
    pub(crate) async fn carry(self, work: impl Future<Output = ()> + Send + 'static) {
        let Some(scope) = self.0 else {
            return work.await;
        };
        let guarded = Guarded {
            scope: scope.clone(),
            future: Box::pin(work),
        };
        if let Err(reason) = guarded.await {
            if scope.is_over() {
                tracing::error!(%reason, "what a life that has ended left to be done panicked");
            }
            scope.end_with(reason);
        }
    }
}

/// A future polled as part of a life.
struct Guarded<F: ?Sized> {
    scope: Arc<Scope>,
    future: Pin<Box<F>>,
}

impl<F: Future + ?Sized> Future for Guarded<F> {
    type Output = Result<F::Output, ExitReason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { scope, future } = &mut *self;
        match scope.run(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(reason) => Poll::Ready(Err(reason)),
        }
    }
}
