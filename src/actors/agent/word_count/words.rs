//! What a word is, and counting them: pure.
//!
//! A word is a maximal run of bytes other than ASCII space, `\t`, `\n`, `\v`, `\f`, `\r`. Any other
//! byte may stand in it; case is kept.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

/// How many words a result holds.
pub(super) const TOP: usize = 20;

/// Whether a byte stands between words.
pub(super) const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// The words of a text and how often each occurs, in the order of their bytes.
pub(super) fn count(text: &[u8]) -> Vec<(&[u8], u64)> {
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for word in text.split(|byte| is_separator(*byte)) {
        if !word.is_empty() {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_unstable();
    sorted
}

/// How long chunks of a file of `bytes` should be: small files are cut too, so that several agents
/// work on them; a chunk is held in memory, so large ones are cut into more.
pub(super) fn chunk_length(bytes: u64) -> u64 {
    const SMALLEST: u64 = 1 << 10;
    const LARGEST: u64 = 2 << 20;
    const AT_LEAST: u64 = 8;
    const AT_MOST: u64 = 256;
    (bytes / AT_LEAST)
        .clamp(SMALLEST, LARGEST)
        .max(bytes.div_ceil(AT_MOST))
}

/// A word with its count, ordered as results are: more often first, then by bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ranked {
    count: u64,
    word: Vec<u8>,
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .count
            .cmp(&self.count)
            .then_with(|| self.word.cmp(&other.word))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The most frequent words so far; holds [`TOP`] of them whatever it is offered.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// The last of them in the order of results is on top.
    heap: BinaryHeap<Ranked>,
}

impl Top {
    /// Offers a word with its whole count; each word once.
    pub(super) fn offer(&mut self, word: &[u8], count: u64) {
        if self.heap.len() < TOP {
            let word = word.to_vec();
            self.heap.push(Ranked { count, word });
            return;
        }
        if let Some(mut last) = self.heap.peek_mut()
            && (count > last.count || (count == last.count && word < last.word.as_slice()))
        {
            *last = Ranked {
                count,
                word: word.to_vec(),
            };
        }
    }

    /// The result: lines `COUNT<TAB>WORD`.
    pub(super) fn lines(self) -> Vec<u8> {
        let mut lines = Vec::new();
        for Ranked { count, word } in self.heap.into_sorted_vec() {
            lines.extend_from_slice(format!("{count}\t").as_bytes());
            lines.extend_from_slice(&word);
            lines.push(b'\n');
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_six_ascii_separators_separate() {
        let text = b"a\xa0b A\tA\n\x0b\x0c\rx\0y";
        let expected: [(&[u8], u64); 3] = [(b"A", 2), (b"a\xa0b", 1), (b"x\0y", 1)];
        assert_eq!(count(text), expected);
        assert!(count(b" \n").is_empty());
    }

    #[test]
    fn chunks_are_neither_tiny_nor_too_many_nor_too_large() {
        for (bytes, length) in [
            (0, 1 << 10),
            (8_000, 1 << 10),
            (80_000, 10_000),
            (50 << 20, 2 << 20),
            (1 << 30, 4 << 20),
        ] {
            assert_eq!(chunk_length(bytes), length, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn the_top_is_the_head_of_the_whole_sorted_list(
            counts in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..3), 1_u64..9, 0..60)
        ) {
            let mut top = Top::default();
            for (word, count) in &counts {
                top.offer(word, *count);
            }
            let mut all: Vec<_> = counts.into_iter().collect();
            all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            let mut expected = Vec::new();
            for (word, count) in all.into_iter().take(TOP) {
                expected.extend([count.to_string().into_bytes(), b"\t".to_vec(), word, b"\n".to_vec()].concat());
            }
            prop_assert_eq!(top.lines(), expected);
        }
    }
}
