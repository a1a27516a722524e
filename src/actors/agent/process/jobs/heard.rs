//! What the process of a task says, and its payload on the way in.
//!
//! Rely on: all that was said is read, however late it is come to; what is over a limit is read and
//! thrown away, so that the process can end by itself; a panic of who reads is one of who waits for what
//! was read, never an empty result.

use std::panic::resume_unwind;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinError;

use super::failed;
use crate::actors::agent::frames::MAX_LINE;
use crate::actors::agent::lines::Lines;
use crate::actors::agent::process::log::{AgentLog, Level, MAX_LOG_LINE};
use crate::actors::agent::process::pipes::{Open, UntilOver, to_the_end};
use crate::domain::task::TaskError;

/// What a process said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    output: Vec<u8>,
    pub(super) last_line: String,
}

impl Heard {
    /// The result: JSON, or else text.
    pub(super) fn output(self) -> Result<Value, TaskError> {
        if self.output.len() > MAX_LINE {
            let message = format!("the result is longer than {MAX_LINE} bytes");
            return Err(failed("output_too_large", message, false));
        }
        Ok(serde_json::from_slice(&self.output).unwrap_or_else(|_| {
            let text = String::from_utf8_lossy(&self.output);
            Value::String(text.trim_end_matches(['\r', '\n']).to_owned())
        }))
    }
}

/// Writes the payload and reads what the process says: from now on, whether the future is polled or
/// not. The future is to be polled when the process has ended.
pub(super) fn all(
    payload: Vec<u8>,
    child: &mut Child,
    log: Arc<AgentLog>,
) -> impl Future<Output = Heard> + use<> {
    // A process that reads its input only after it wrote much must be read meanwhile.
    tokio::spawn(write(child.stdin.take(), payload));
    let mut open = Open::default();
    let stdout = child.stdout.take();
    let stdout = stdout.map(|stdout| UntilOver::new(stdout, &mut open));
    let stderr = child.stderr.take();
    let stderr = stderr.map(|stderr| UntilOver::new(stderr, &mut open));
    let output = tokio::spawn(read(stdout));
    let last_line = tokio::spawn(last_line(stderr, log));
    let heard = async move {
        Heard {
            output: of(output.await),
            last_line: of(last_line.await),
        }
    };
    to_the_end(heard, open)
}

async fn write(stdin: Option<ChildStdin>, payload: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        // One that does not want its payload closes the pipe.
        stdin.write_all(&payload).await.ok();
    }
}

async fn read(stdout: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut output = Vec::new();
    let Some(mut stdout) = stdout else {
        return output;
    };
    let most = MAX_LINE as u64 + 1;
    (&mut stdout).take(most).read_to_end(&mut output).await.ok();
    tokio::io::copy(&mut stdout, &mut tokio::io::sink())
        .await
        .ok();
    output
}

/// Each line goes to the log.
async fn last_line(stderr: Option<impl AsyncRead + Unpin>, log: Arc<AgentLog>) -> String {
    let mut last = String::new();
    let Some(stderr) = stderr else { return last };
    let mut lines = Lines::new(stderr, MAX_LOG_LINE);
    while let Some(line) = lines.next().await {
        last = line.text();
        log.line(Level::Info, &last);
    }
    last
}

fn of<T: Default>(read: Result<T, JoinError>) -> T {
    read.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        Err(_broken_off) => T::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "the reader fails")]
    async fn a_panic_of_who_reads_a_result_is_no_empty_result() {
        let read: Vec<u8> = of(tokio::spawn(async { panic!("the reader fails") }).await);
        assert_eq!(read, b"");
    }
}
