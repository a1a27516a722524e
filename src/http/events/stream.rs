//! Server-sent events: what the journal holds after a position, then what comes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use warp::Reply;
use warp::reply::Response;
use warp::sse;

use crate::actors::persistence::PersistenceHandle;
use crate::domain::event::Event;
use crate::domain::query::EventFilter;
use crate::http::handles::Handles;
use crate::http::serve::Closing;

/// Entries read from the journal at once.
const REPLAY_PAGE: u32 = 500;
/// Entries on the way to one reader.
const READER_BUFFER: usize = 64;
/// How often a silent stream shows that it is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Piece = Result<sse::Event, std::convert::Infallible>;

/// The reader has gone, or the daemon drains.
struct Ended;

/// A stream of what `filter` lets through.
pub(super) fn reply(handles: &Handles, filter: EventFilter) -> Response {
    let (sender, mut receiver) = mpsc::channel(READER_BUFFER);
    let feed = Feed {
        live: handles.facts.subscribe(),
        records: handles.records.clone(),
        closing: handles.closing.clone(),
        sender,
        last: filter.after.unwrap_or(i64::MIN),
        filter,
    };
    tokio::spawn(feed.run());
    let pieces = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
    let alive = sse::keep_alive().interval(KEEP_ALIVE).text("");
    sse::reply(alive.stream(pieces)).into_response()
}

/// One reader's side of the journal.
struct Feed {
    live: broadcast::Receiver<Arc<Event>>,
    records: PersistenceHandle,
    closing: Closing,
    sender: mpsc::Sender<Piece>,
    filter: EventFilter,
    /// The last position that was sent or passed over.
    last: i64,
}

impl Feed {
    async fn run(mut self) {
        let mut closing = self.closing.clone();
        let sender = self.sender.clone();
        tokio::select! {
            () = closing.closed() => {}
            () = sender.closed() => {}
            _ended = self.feed() => {}
        }
    }

    async fn feed(&mut self) -> Result<(), Ended> {
        if self.filter.after.is_some() || self.filter.since.is_some() {
            self.replay().await?;
        }
        loop {
            match self.live.recv().await {
                Ok(event) if event.seq > self.last && self.wanted(&event) => {
                    self.send(&event).await?;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => self.gap(missed).await?,
                Err(RecvError::Closed) => return Err(Ended),
            }
        }
    }

    /// What the journal holds. The subscription began before, so nothing falls between.
    async fn replay(&mut self) -> Result<(), Ended> {
        loop {
            let page = match self.records.events(self.filter.clone(), REPLAY_PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "a stream of events could not be replayed");
                    return self.gap(0).await;
                }
            };
            for event in &page {
                self.send(event).await?;
            }
            if page.len() < REPLAY_PAGE as usize {
                return Ok(());
            }
            self.filter.after = Some(self.last);
        }
    }

    fn wanted(&self, event: &Event) -> bool {
        let subject = self.filter.subject.as_ref();
        let kinds = &self.filter.kinds;
        subject.is_none_or(|subject| *subject == event.subject)
            && (kinds.is_empty() || kinds.iter().any(|kind| matches(kind, &event.kind)))
    }

    async fn send(&mut self, event: &Event) -> Result<(), Ended> {
        self.last = event.seq;
        let data = serde_json::to_string(event).unwrap_or_default();
        let piece = sse::Event::default()
            .id(event.seq.to_string())
            .event(event.kind.clone())
            .data(data);
        self.sender.send(Ok(piece)).await.map_err(|_| Ended)
    }

    async fn gap(&mut self, missed: u64) -> Result<(), Ended> {
        let data = serde_json::json!({"missed": missed, "after": self.last}).to_string();
        let piece = sse::Event::default().event("gap").data(data);
        self.sender.send(Ok(piece)).await.map_err(|_| Ended)
    }
}

/// Whether a wanted type, or family such as `task.*`, is this one.
fn matches(wanted: &str, kind: &str) -> bool {
    match wanted.strip_suffix(".*") {
        Some(family) => kind.split('.').next() == Some(family),
        None => wanted == kind,
    }
}
