//! The pipes of one child: read until they end, written as far as the child reads.

mod until_over;

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::log::{AgentLog, Level, MAX_LOG_LINE};
use super::talk::{Outgoing, Talk};
use crate::actors::agent::exec::FAILURE_MARK;
use crate::actors::agent::frames::MAX_LINE;
use crate::actors::agent::lines::Lines;
use crate::actors::awake;
use crate::domain::crash::FrameDirection;
use crate::domain::exit::ExitReason;

pub(super) use until_over::{Open, UntilOver};

/// How long the end of pipes is waited for after their process has ended; a grandchild may hold them open.
const PIPES_EMPTY_WITHIN: Duration = Duration::from_millis(250);
/// How long a child that is not at work may leave a frame unread.
const READS_WITHIN: Duration = Duration::from_secs(10);

/// The tasks that read and write a child's pipes.
pub(super) struct Pipes {
    readers: JoinSet<()>,
    open: Open,
    writer: JoinSet<()>,
    failure: Arc<OnceLock<String>>,
    broken: mpsc::Receiver<ExitReason>,
}

impl Pipes {
    /// Takes the pipes of a child: frames, where there is a conversation, else log lines.
    pub(super) fn open(
        child: &mut Child,
        log: &Arc<AgentLog>,
        talk: Option<(Arc<Talk>, mpsc::Receiver<Outgoing>)>,
    ) -> Self {
        let (tell, broken) = mpsc::channel(2);
        let (mut readers, mut open) = (JoinSet::new(), Open::default());
        let mut writer = JoinSet::new();
        let failure = Arc::new(OnceLock::new());
        if let Some(stderr) = child.stderr.take() {
            let stderr = UntilOver::new(stderr, &mut open);
            readers.spawn(read_stderr(stderr, log.clone(), failure.clone()));
        }
        let stdout = child.stdout.take();
        let stdout = stdout.map(|stdout| UntilOver::new(stdout, &mut open));
        match (talk, stdout) {
            (Some((talk, unread)), Some(stdout)) => {
                readers.spawn(read_frames(stdout, talk.clone(), tell.clone()));
                if let Some(stdin) = child.stdin.take() {
                    writer.spawn(write_frames(stdin, unread, talk, tell));
                }
            }
            (None, Some(stdout)) => {
                readers.spawn(read_log(stdout, log.clone()));
            }
            (_, None) => {}
        }
        Self {
            readers,
            open,
            writer,
            failure,
            broken,
        }
    }

    /// Why the conversation cannot go on; waits for ever while it can. One whose pipes nobody serves
    /// any more, after a panic, would be deaf or dumb for the rest of its life.
    pub(super) async fn broken(&mut self) -> ExitReason {
        tokio::select! {
            biased;
            Some(reason) = self.broken.recv() => reason,
            panicked = panic_of(&mut self.readers) => panicked,
            panicked = panic_of(&mut self.writer) => panicked,
        }
    }

    /// Reads all that the process said, which has ended; what `exec-agent` said, if it failed.
    pub(super) async fn finish(self) -> Option<String> {
        let (mut readers, mut writer) = (self.readers, self.writer);
        let empty = async { while readers.join_next().await.is_some() {} };
        to_the_end(empty, self.open).await;
        // Waited for, so that all it wrote counts as delivered before anybody asks what was not.
        writer.shutdown().await;
        self.failure.get().cloned()
    }
}

/// Waits for who reads the pipes of a process that has ended: for a bounded time until they end, then
/// for what is in them.
pub(super) async fn to_the_end<T>(reading: impl Future<Output = T>, open: Open) -> T {
    let mut reading = pin!(reading);
    if let Ok(read) = timeout(PIPES_EMPTY_WITHIN, &mut reading).await {
        return read;
    }
    drop(open);
    reading.await
}

/// The first panic of these; waits for ever if there is none.
async fn panic_of(tasks: &mut JoinSet<()>) -> ExitReason {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && error.is_panic()
        {
            let message = format!("who serves its pipes panicked: {error}");
            return ExitReason::Error { message };
        }
    }
    std::future::pending().await
}

async fn read_stderr(
    stderr: impl AsyncRead + Unpin,
    log: Arc<AgentLog>,
    failure: Arc<OnceLock<String>>,
) {
    let mut lines = Lines::new(stderr, MAX_LOG_LINE);
    let mut first = true;
    while let Some(line) = lines.next().await {
        let text = line.text();
        match text.strip_prefix(FAILURE_MARK) {
            // Only its very first line can be that of `exec-agent`.
            Some(why) if first => drop(failure.set(why.to_owned())),
            _ => log.line(Level::Info, &text),
        }
        first = false;
    }
}

async fn read_log(stdout: impl AsyncRead + Unpin, log: Arc<AgentLog>) {
    let mut lines = Lines::new(stdout, MAX_LOG_LINE);
    while let Some(line) = lines.next().await {
        log.line(Level::Info, &line.text());
    }
}

async fn read_frames(
    stdout: impl AsyncRead + Unpin,
    talk: Arc<Talk>,
    broken: mpsc::Sender<ExitReason>,
) {
    let mut lines = Lines::new(stdout, MAX_LINE);
    while let Some(line) = lines.next().await {
        talk.hear(&line);
    }
    // Fails only if nobody waits any more.
    drop(broken.try_send(ExitReason::Protocol {
        message: "it closed its stdout and ran on".to_owned(),
    }));
}

/// Writes until the conversation ends; dropping the pipe is the end of input.
async fn write_frames<W: AsyncWrite + Unpin>(
    mut stdin: W,
    mut unread: mpsc::Receiver<Outgoing>,
    talk: Arc<Talk>,
    broken: mpsc::Sender<ExitReason>,
) {
    while let Some(Outgoing { line, task }) = unread.recv().await {
        if let Err(reason) = write(&mut stdin, &line, || talk.tasks.any_delivered()).await {
            drop(broken.try_send(reason));
            return;
        }
        if let Some(task) = task {
            talk.tasks.delivered(task);
        }
        talk.frames.say(FrameDirection::ToAgent, &line);
    }
}

/// A child that computes reads later, however long that takes: its attempts have their own
/// timeout. One that is not at work and does not read is stuck.
async fn write<W: AsyncWrite + Unpin>(
    stdin: &mut W,
    line: &[u8],
    at_work: impl Fn() -> bool,
) -> Result<(), ExitReason> {
    let mut writing = std::pin::pin!(stdin.write_all(line));
    loop {
        match awake::within(READS_WITHIN, &mut writing).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => {
                return Err(ExitReason::Protocol {
                    message: format!("its stdin cannot be written: {error}"),
                });
            }
            Err(_) if at_work() => {}
            Err(_) => return Err(ExitReason::stuck(READS_WITHIN)),
        }
    }
}

#[cfg(test)]
mod tests;
