//! Who keeps the writer alive: learns of its end, starts the next, watches the file.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::readers::Readers;
use super::shared::{Condition, Shared};
use super::writer::{self, WriterExit};
use crate::persistence::{Result, StoreError};

/// Whether the disk has room, as far as the database found out.
#[derive(Clone)]
pub struct Room {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room")
            .field("full", &self.is_full())
            .finish()
    }
}

impl Room {
    /// Whether the disk was found full and has had no room since.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.reserve.is_full()
    }

    /// Waits until the disk is found full.
    pub async fn is_gone(&self) {
        let mut full = self.shared.reserve.watch();
        if full.wait_for(|full| *full).await.is_err() {
            std::future::pending().await
        }
    }

    /// Waits until there is room again; looks this often.
    pub async fn is_back(&self, every: Duration) {
        loop {
            let shared = Arc::clone(&self.shared);
            let looking = tokio::task::spawn_blocking(move || shared.reserve.tend());
            if looking.await.unwrap_or(false) {
                return;
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// The right to start writers. There is one for each store.
pub struct WriterKeeper {
    shared: Arc<Shared>,
    readers: Readers,
    ended: Option<oneshot::Receiver<WriterExit>>,
}

impl std::fmt::Debug for WriterKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriterKeeper")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl WriterKeeper {
    pub(super) fn new(shared: Arc<Shared>, readers: Readers) -> Self {
        Self {
            shared,
            readers,
            ended: None,
        }
    }

    /// Waits for the end of the writer. May be given up and asked again.
    pub async fn ended(&mut self) -> WriterExit {
        let exit = match &mut self.ended {
            Some(ended) => ended.await.unwrap_or(WriterExit::Panicked),
            None => WriterExit::Lost {
                message: "there is no writer".into(),
            },
        };
        self.ended = None;
        exit
    }

    /// Waits so long, or until somebody asks for the database to be opened anew.
    pub async fn rest(&self, at_most: Duration) {
        // Either way the wait is over.
        timeout(at_most, self.shared.asked.notified()).await.ok();
    }

    /// Answers what waits, and refuses what comes until a restart succeeds.
    pub fn refuse(&self) {
        let message = match self.shared.condition() {
            Condition::Lost { message } => message,
            Condition::Open | Condition::Closed => "there is no writer".into(),
        };
        self.shared.lose(&super::Fault::Lost(message));
    }

    /// Starts a writer. What waits on the queue is taken over; if the database cannot be opened,
    /// it is answered, and what comes later is refused until a restart succeeds.
    ///
    /// # Errors
    /// If the database cannot be opened or does not take a write.
    pub async fn restart(&mut self) -> Result<()> {
        self.readers.forget();
        // After a failure of the disk the log is read anew, which whoever reads would keep from that.
        let _rest = match self.shared.disk_failed.load(Relaxed) {
            true => self.readers.rest().await,
            false => None,
        };
        let thread = writer::spawn(Arc::clone(&self.shared)).map_err(|error| {
            self.shared.lose(&super::Fault::Lost(error.to_string()));
            unavailable(error.to_string())
        })?;
        self.ended = Some(thread.ended);
        thread
            .started
            .await
            .unwrap_or_else(|_| Err(unavailable("the writer panicked".into())))
    }

    /// Whether the disk has room.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Whether the database takes writes, now and from now on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Condition> {
        self.shared.watch()
    }
}

fn unavailable(message: String) -> StoreError {
    StoreError::Unavailable {
        operation: "start the writer",
        message,
    }
}
