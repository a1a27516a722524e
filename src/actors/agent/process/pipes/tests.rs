//! Claims about the pipes of a child.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use tokio::io::AsyncReadExt as _;

use super::*;
use crate::actors::agent::process::leash::Leash;
use crate::actors::life::Life;
use crate::actors::testing::Deaf;
use crate::actors::work::{AgentMessage, AgentOutcome, AgentSubmission, ReadyAgent, WorkSink};
use crate::domain::agent::InstanceId;
use crate::domain::ids::{LeaseId, TaskId};

impl WorkSink for Deaf {
    fn agent_ready(&self, _: ReadyAgent) {}
    fn agent_draining(&self, _: &InstanceId, _: u64) {}
    fn agent_gone(&self, _: &InstanceId, _: u64, _: &ExitReason) {}
    fn settled(&self, _: &InstanceId, _: TaskId, _: LeaseId, _: AgentOutcome) {}
    fn progress(&self, _: TaskId, _: LeaseId, _: Option<f64>, _: Option<String>) {}
    fn busy(&self, _: TaskId, _: &str, _: Duration) {}
    fn submit(&self, _: AgentSubmission) {}
    fn message(&self, _: AgentMessage) {}
}

/// A pipe whose other end has a line before the writer goes on: it says so and waits for leave.
struct Gate {
    has_it: blocking::Sender<()>,
    leave: blocking::Receiver<()>,
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        line: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_it.send(()).unwrap();
        self.leave.recv().unwrap();
        Poll::Ready(Ok(line.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_had_been_sent_counts_as_delivered_however_late_its_writer_says_so() {
    let instance = InstanceId {
        agent: "echo".parse().unwrap(),
        index: 0,
    };
    let log = Arc::new(AgentLog::new(instance.clone(), None, false));
    let life = Life {
        instance,
        generation: 1,
        sink: Arc::new(Deaf),
    };
    let (talk, _unread) = Talk::begin(life, Arc::new(Deaf), log, Arc::<Leash>::default());
    let (task, lease) = (TaskId::from_bytes([1; 16]), LeaseId::from_bytes([2; 16]));
    talk.tasks.open(task, lease, 1, None).unwrap();
    let (outbox, unread) = mpsc::channel(1);
    outbox
        .send(Outgoing {
            line: b"a task".to_vec(),
            task: Some(task),
        })
        .await
        .unwrap();
    let ((has_it, seen), (go, leave)) = (blocking::channel(), blocking::channel());
    let (tell, broken) = mpsc::channel(2);
    let mut writer = JoinSet::new();
    writer.spawn(write_frames(
        Gate { has_it, leave },
        unread,
        talk.clone(),
        tell,
    ));
    let pipes = Pipes {
        readers: JoinSet::new(),
        open: Open::default(),
        writer,
        failure: Arc::default(),
        broken,
    };
    // The child has read its task and is dead, while its writer still stands behind the write.
    seen.recv_timeout(Duration::from_secs(90)).unwrap();
    let mut finished = std::pin::pin!(pipes.finish());
    let early = finished.as_mut().now_or_never();
    assert!(early.is_none(), "nobody may ask before the writer is done");
    go.send(()).unwrap();
    finished.await;
    assert_eq!(talk.tasks.take_undelivered(), []);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_read_is_stuck_but_not_while_it_works() {
    let (mut stdin, mut child) = tokio::io::duplex(4);
    let at_work = AtomicBool::new(true);
    let begin = tokio::time::Instant::now();
    let works = async {
        tokio::time::sleep(READS_WITHIN * 3).await;
        at_work.store(false, Ordering::Relaxed);
    };
    let write = write(&mut stdin, b"a long line", || {
        at_work.load(Ordering::Relaxed)
    });
    let (written, ()) = tokio::join!(write, works);
    assert_eq!(written, Err(ExitReason::stuck(READS_WITHIN)));
    assert!(begin.elapsed() >= READS_WITHIN * 3);
    // What fitted had been written.
    let mut first = [0; 4];
    child.read_exact(&mut first).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_that_reads_late_gets_the_whole_line() {
    let (mut stdin, mut child) = tokio::io::duplex(4);
    let read = async {
        tokio::time::sleep(READS_WITHIN / 2).await;
        let mut line = [0; 11];
        child.read_exact(&mut line).await.unwrap();
    };
    let (written, ()) = tokio::join!(write(&mut stdin, b"a long line", || false), read);
    assert_eq!(written, Ok(()));
}

#[tokio::test]
async fn one_that_closed_its_input_broke_the_protocol() {
    let (mut stdin, child) = tokio::io::duplex(4);
    drop(child);
    let written = write(&mut stdin, b"x", || false).await;
    assert!(matches!(written, Err(ExitReason::Protocol { .. })));
}
