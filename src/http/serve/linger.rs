//! The end of a connection whose sender may still be sending: somebody who uploads is refused at the
//! first line, but reads the answer only behind the last.
//!
//! Closing a socket that holds unread bytes makes the kernel throw away the answer too, and the sender
//! sees nothing but a broken connection. So the end is told first, and what still comes is read and
//! dropped for a while.
//!
//! Rely on: after the answer a connection lives on for [`SILENCE`] without a byte, [`AT_MOST`] in all,
//! and [`MAX_BYTES`]; it ends at once when the sender closes.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// How long nothing may come: a sender who has to wait for a processor is none who has gone.
const SILENCE: Duration = Duration::from_secs(1);
/// How long something may come.
const AT_MOST: Duration = Duration::from_secs(5);
/// How much may come.
const MAX_BYTES: usize = 16 << 20;
/// What is dropped at once.
const PIECE_BYTES: usize = 16 << 10;

/// A stream whose shutdown waits for what is still being sent.
pub(super) struct Lingering {
    stream: TcpStream,
    end: Option<End>,
}

/// The end has been told.
struct End {
    silence: Pin<Box<Sleep>>,
    at_most: Instant,
    dropped: usize,
}

impl Lingering {
    pub(super) const fn of(stream: TcpStream) -> Self {
        Self { stream, end: None }
    }
}

impl End {
    fn now() -> Self {
        Self {
            silence: Box::pin(sleep(SILENCE)),
            at_most: Instant::now() + AT_MOST,
            dropped: 0,
        }
    }

    /// Reads and drops until nothing is to be expected any more.
    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            let mut read = ReadBuf::new(&mut piece);
            match Pin::new(&mut *stream).poll_read(cx, &mut read) {
                Poll::Pending => return self.silence.as_mut().poll(cx),
                // It has closed, or cannot be read: nothing is kept from anybody by going.
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) if read.filled().is_empty() => return Poll::Ready(()),
                Poll::Ready(Ok(())) => self.dropped += read.filled().len(),
            }
            let now = Instant::now();
            if self.dropped > MAX_BYTES || now >= self.at_most {
                return Poll::Ready(());
            }
            self.silence.as_mut().reset(now + SILENCE);
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.end.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        }
        let end = this.end.get_or_insert_with(End::now);
        end.poll(&mut this.stream, cx).map(Ok)
    }
}
