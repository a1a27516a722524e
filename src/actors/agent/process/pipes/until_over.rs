//! A pipe of a process that may have ended while another holds the pipe open.
//!
//! Whatever a process has written is in the pipe when it ends. So the end of the wait is no end of what
//! is read: what is there comes first, however late this program gets to it.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;

/// The most that is read behind the end of the wait, bytes: no pipe of an ordinary user holds more, and
/// who writes for ever holds nobody up.
const AT_MOST: usize = 1 << 20;

/// Dropped, it ends the wait for more on all pipes that were opened with it.
#[derive(Debug, Default)]
pub(in crate::actors::agent::process) struct Open(Vec<oneshot::Sender<()>>);

/// A pipe that ends where it ends, or with what is there when its [`Open`] is dropped.
#[derive(Debug)]
pub(in crate::actors::agent::process) struct UntilOver<R> {
    pipe: R,
    over: oneshot::Receiver<()>,
    /// How much may still be read, once the wait is over.
    left: Option<usize>,
}

impl<R> UntilOver<R> {
    pub(in crate::actors::agent::process) fn new(pipe: R, open: &mut Open) -> Self {
        let (end, over) = oneshot::channel();
        open.0.push(end);
        Self {
            pipe,
            over,
            left: None,
        }
    }
}

impl<R: AsFd> UntilOver<R> {
    /// Reads what is there; nothing is waited for.
    fn read_on(&mut self, left: usize, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = left.min(buf.remaining());
        let read = loop {
            match rustix::io::read(&self.pipe, &mut buf.initialize_unfilled()[..room]) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break 0,
                read => break read?,
            }
        };
        buf.advance(read);
        self.left = Some(left - read);
        Ok(())
    }
}

impl<R: AsyncRead + AsFd + Unpin> AsyncRead for UntilOver<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = match self.left {
            Some(left) => left,
            None => {
                if let Poll::Ready(read) = Pin::new(&mut self.pipe).poll_read(cx, buf) {
                    return Poll::Ready(read);
                }
                // An error: it was dropped, which is how it tells.
                ready!(Pin::new(&mut self.over).poll(cx)).unwrap_or(());
                AT_MOST
            }
        };
        Poll::Ready(self.read_on(left, buf))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::unix::pipe::Receiver;

    use super::*;

    /// A pipe in which something is, and which somebody holds open.
    fn held(said: &[u8]) -> (std::io::PipeWriter, Receiver) {
        let (read, mut write) = std::io::pipe().unwrap();
        write.write_all(said).unwrap();
        (write, Receiver::from_owned_fd(read.into()).unwrap())
    }

    #[tokio::test]
    async fn what_was_said_is_read_although_the_wait_is_over_before_anybody_looked() {
        let (_held, pipe) = held(b"its last words");
        let mut open = Open::default();
        let mut pipe = UntilOver::new(pipe, &mut open);
        drop(open);
        let mut said = String::new();
        pipe.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "its last words");
    }

    #[tokio::test]
    async fn who_waits_for_more_is_told_that_nothing_comes() {
        let (_held, pipe) = held(b"all");
        let mut open = Open::default();
        let mut pipe = UntilOver::new(pipe, &mut open);
        let mut said = String::new();
        let reading = pipe.read_to_string(&mut said);
        let over = async {
            tokio::task::yield_now().await;
            drop(open);
        };
        tokio::join!(reading, over).0.unwrap();
        assert_eq!(said, "all");
    }

    #[tokio::test]
    async fn a_pipe_that_ends_by_itself_needs_nobody_to_say_so() {
        let (held, pipe) = held(b"all");
        drop(held);
        let mut open = Open::default();
        let mut said = String::new();
        let mut pipe = UntilOver::new(pipe, &mut open);
        pipe.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "all");
    }
}
