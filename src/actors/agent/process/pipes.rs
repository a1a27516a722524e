//! The pipes of one child: read until they end, written as far as the child reads.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout};
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

/// How long pipes are read after their process has ended; a grandchild may hold them open.
const PIPES_EMPTY_WITHIN: Duration = Duration::from_millis(250);
/// How long a child that is not at work may leave a frame unread.
const READS_WITHIN: Duration = Duration::from_secs(10);

/// The tasks that read and write a child's pipes.
pub(super) struct Pipes {
    readers: JoinSet<()>,
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
        let mut readers = JoinSet::new();
        let mut writer = JoinSet::new();
        let failure = Arc::new(OnceLock::new());
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read_stderr(stderr, log.clone(), failure.clone()));
        }
        match (talk, child.stdout.take()) {
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
            writer,
            failure,
            broken,
        }
    }

    /// Why the conversation cannot go on; waits for ever while it can.
    pub(super) async fn broken(&mut self) -> ExitReason {
        match self.broken.recv().await {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Reads what is left, for a bounded time; what `exec-agent` said, if it failed.
    pub(super) async fn finish(mut self) -> Option<String> {
        let empty = async { while self.readers.join_next().await.is_some() {} };
        if timeout(PIPES_EMPTY_WITHIN, empty).await.is_err() {
            self.readers.abort_all();
        }
        // Waited for, so that all it wrote counts as delivered before anybody asks what was not.
        self.writer.shutdown().await;
        self.failure.get().cloned()
    }
}

async fn read_stderr(stderr: ChildStderr, log: Arc<AgentLog>, failure: Arc<OnceLock<String>>) {
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

async fn read_log(stdout: ChildStdout, log: Arc<AgentLog>) {
    let mut lines = Lines::new(stdout, MAX_LOG_LINE);
    while let Some(line) = lines.next().await {
        log.line(Level::Info, &line.text());
    }
}

async fn read_frames(stdout: ChildStdout, talk: Arc<Talk>, broken: mpsc::Sender<ExitReason>) {
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
