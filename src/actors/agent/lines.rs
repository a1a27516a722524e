//! Lines from a pipe, each at most so long: what is over the limit is cut and counted, and the
//! reader goes on with the next line.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, BufReader};

/// Bytes read at once: small, since every child has two readers.
const READ_AT_ONCE: usize = 4 * 1024;

/// One line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) bytes: Vec<u8>,
    /// Bytes that were cut off.
    pub(crate) cut: u64,
}

impl Line {
    /// The text, with what is not UTF-8 replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Reads lines of at most `limit` bytes.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    limit: usize,
    line: Line,
    begun: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader: BufReader::with_capacity(READ_AT_ONCE, reader),
            limit,
            line: Line {
                bytes: Vec::new(),
                cut: 0,
            },
            begun: false,
        }
    }

    /// The next line; `None` at the end, and when the pipe cannot be read any more. May be dropped
    /// while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            let available = self.reader.fill_buf().await.unwrap_or_default();
            if available.is_empty() {
                return self.begun.then(|| self.take());
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = self
                .limit
                .saturating_sub(self.line.bytes.len())
                .min(part.len());
            self.line.bytes.extend_from_slice(&part[..room]);
            self.line.cut += (part.len() - room) as u64;
            self.begun = true;
            let used = end.map_or(part.len(), |end| end + 1);
            std::pin::Pin::new(&mut self.reader).consume(used);
            if end.is_some() {
                return Some(self.take());
            }
        }
    }

    fn take(&mut self) -> Line {
        self.begun = false;
        let empty = Line {
            bytes: Vec::new(),
            cut: 0,
        };
        let mut line = std::mem::replace(&mut self.line, empty);
        if line.cut == 0 && line.bytes.last() == Some(&b'\r') {
            line.bytes.pop();
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8], limit: usize) -> Vec<(String, u64)> {
        let mut reader = Lines::new(input, limit);
        let mut lines = Vec::new();
        while let Some(line) = reader.next().await {
            lines.push((line.text(), line.cut));
        }
        lines
    }

    #[tokio::test]
    async fn a_line_over_the_limit_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; 3 * READ_AT_ONCE];
        input.extend_from_slice(b"\nnext\n");
        let cut = (3 * READ_AT_ONCE - 10) as u64;
        assert_eq!(
            lines(&input, 10).await,
            [("x".repeat(10), cut), ("next".to_owned(), 0)]
        );
    }

    #[tokio::test]
    async fn empty_lines_carriage_returns_and_a_missing_last_end_are_lines_too() {
        let expected = [("a", 0), ("", 0), ("b", 0)].map(|(text, cut)| (text.to_owned(), cut));
        assert_eq!(lines(b"a\r\n\nb", 10).await, expected);
        assert!(lines(b"", 10).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_utf8_is_read_all_the_same() {
        assert_eq!(lines(b"\xff\n", 10).await, [("\u{fffd}".to_owned(), 0)]);
    }
}
