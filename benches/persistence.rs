//! The store against a raw `rusqlite` loop that inserts the same rows into the same schema, WAL and
//! `synchronous=FULL` both.
//!
//! Two claims, each printed with its ratio: with 256 writers at once the store reaches at least
//! 60 % of the raw loop's rate at the same mean batch size; with one idle writer a write takes at
//! most 1.5 times a raw commit. Rounds of both sides alternate, so that a busy machine slows both.
//!
//! `cargo bench --bench persistence`

#![expect(
    clippy::expect_used,
    reason = "a measurement ends where its ground does"
)]

#[path = "common/raw.rs"]
mod raw;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use agent_system::clock;
use agent_system::domain::ids::MessageId;
use agent_system::domain::message::{Message, MessageKind, NewMessage};
use agent_system::persistence::{SqliteOptions, Store};
use criterion::{BenchmarkId, Criterion, Throughput};
use rusqlite::Connection;
use tokio::runtime::Runtime;

/// Writers at once.
const WRITERS: u64 = 256;
/// Writes of each of them in a round.
const WRITES_EACH: u64 = 200;
/// Writes of the one idle writer in a round.
const SINGLE_WRITES: u64 = 2_000;
/// Interleaved rounds.
const ROUNDS: usize = 5;

/// About 200 bytes of content.
fn message() -> Message {
    let words = "a message from one agent to another, of the length that such messages have; ";
    let new = NewMessage {
        id: MessageId::from_bytes(clock::new_id()),
        from: "writer".parse().ok(),
        to: "reader".parse().expect("a name"),
        kind: MessageKind::Custom,
        content: serde_json::json!({ "text": words.repeat(2), "n": 12_345 }),
        idempotency: None,
    };
    Message::waiting(&new, clock::now())
}

/// A store that counts its commits.
struct Ours {
    store: Store,
    commits: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
}

impl Ours {
    async fn open(path: &Path) -> Self {
        let (commits, writes) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let mut options = SqliteOptions::new(path);
        let counted = (commits.clone(), writes.clone());
        options.listener.commit = Arc::new(move |_, batch| {
            counted.0.fetch_add(1, Relaxed);
            counted.1.fetch_add(batch as u64, Relaxed);
        });
        let store = Store::open(options).await.expect("the store opens");
        Self {
            store,
            commits,
            writes,
        }
    }

    /// Writes from many tasks at once, each waiting for its own commit; gives the time taken.
    async fn write(&self, writers: u64, each: u64) -> Duration {
        let began = Instant::now();
        let tasks: Vec<_> = (0..writers)
            .map(|_| {
                let store = self.store.clone();
                tokio::spawn(async move {
                    let like = message();
                    for _ in 0..each {
                        let message = Message {
                            id: MessageId::from_bytes(clock::new_id()),
                            ..like.clone()
                        };
                        store.log_message(message).await.expect("the write is kept");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("the writer ends");
        }
        began.elapsed()
    }

    fn mean_batch(&self) -> u64 {
        self.writes.load(Relaxed) / self.commits.load(Relaxed).max(1)
    }
}

/// Inserts rows in transactions of this size; gives the time taken.
fn raw_write(conn: &Connection, rows: u64, batch: u64) -> Duration {
    let mut insert = conn
        .prepare(
            "INSERT INTO messages (id, sender, recipient, type, content, created_at, delivered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .expect("the statement is right");
    let mut content = vec![0];
    content.extend(message().content.to_string().into_bytes());
    let began = Instant::now();
    let mut left = rows;
    while left > 0 {
        raw::transaction(conn, left.min(batch), |_| {
            let (id, at, none) = (clock::new_id(), clock::now().as_micros(), None::<i64>);
            insert
                .execute((id, "writer", "reader", "custom", &content, at, none))
                .expect("the row is inserted");
        });
        left -= left.min(batch);
    }
    began.elapsed()
}

fn per_second(writes: u64, took: Duration) -> f64 {
    writes as f64 / took.as_secs_f64()
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::MIN, f64::max)
}

/// Many writers at once against transactions of the same mean size.
fn many_writers(runtime: &Runtime, dir: &Path) {
    let ours = runtime.block_on(Ours::open(&dir.join("many.db")));
    let raw = raw::open(&dir.join("many-raw.db"));
    let writes = WRITERS * WRITES_EACH;
    let (mut our_rates, mut raw_rates) = (Vec::new(), Vec::new());
    runtime.block_on(ours.write(WRITERS, WRITES_EACH / 4));
    for _ in 0..ROUNDS {
        our_rates.push(per_second(
            writes,
            runtime.block_on(ours.write(WRITERS, WRITES_EACH)),
        ));
        raw_rates.push(per_second(
            writes,
            raw_write(&raw, writes, ours.mean_batch()),
        ));
    }
    let (our_rate, raw_rate) = (best(&our_rates), best(&raw_rates));
    println!(
        "{WRITERS} writers: {our_rate:.0} writes/s in batches of {}; raw loop {raw_rate:.0} \
         writes/s; ratio {:.2} (claim: at least 0.60)",
        ours.mean_batch(),
        our_rate / raw_rate,
    );
    runtime
        .block_on(ours.store.close())
        .expect("the store closes");
}

/// One writer that waits for each commit against single raw commits.
fn one_writer(runtime: &Runtime, dir: &Path) {
    let ours = runtime.block_on(Ours::open(&dir.join("one.db")));
    let raw = raw::open(&dir.join("one-raw.db"));
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let took = runtime.block_on(ours.write(1, SINGLE_WRITES)) / SINGLE_WRITES as u32;
        let raw_took = raw_write(&raw, SINGLE_WRITES, 1) / SINGLE_WRITES as u32;
        let ratio = took.as_secs_f64() / raw_took.as_secs_f64();
        println!("one writer, round {round}: {took:?} a write; raw {raw_took:?}; ratio {ratio:.2}");
        ratios.push(-ratio);
    }
    println!(
        "one writer: best ratio {:.2} (claim: at most 1.50)",
        -best(&ratios)
    );
    runtime
        .block_on(ours.store.close())
        .expect("the store closes");
}

/// Times by number of writers, for comparison between versions.
fn by_writers(criterion: &mut Criterion, runtime: &Runtime, dir: &Path) {
    let ours = runtime.block_on(Ours::open(&dir.join("criterion.db")));
    let mut group = criterion.benchmark_group("log_message");
    group.sample_size(10);
    for writers in [1, 16, WRITERS] {
        group.throughput(Throughput::Elements(writers));
        group.bench_function(BenchmarkId::from_parameter(writers), |bencher| {
            bencher.iter_custom(|rounds| runtime.block_on(ours.write(writers, rounds)));
        });
    }
    group.finish();
    runtime
        .block_on(ours.store.close())
        .expect("the store closes");
}

fn main() {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    many_writers(&runtime, dir.path());
    one_writer(&runtime, dir.path());
    let mut criterion = Criterion::default().configure_from_args();
    by_writers(&mut criterion, &runtime, dir.path());
    criterion.final_summary();
}
