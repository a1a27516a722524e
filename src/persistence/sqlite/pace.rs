//! How much one write of retention removes, so that nobody waits long behind it.
//!
//! A chunk is a statement; several make a turn, which is one write. The size of a chunk follows
//! what the last one took: a slow disk gets small ones.

use std::time::Duration;

/// A turn ends when the next chunk would carry it past this.
const TURN: Duration = Duration::from_millis(20);
/// Between two turns others have the writer to themselves for so many times what the turn took.
pub(super) const REST: u32 = 2;
/// What one chunk is meant to take.
const CHUNK: Duration = Duration::from_millis(5);
/// Rows of the first chunk, before anything is known of the disk.
const FIRST: u32 = 1;
/// Rows of a chunk, at most.
const MOST: u32 = 2_000;

/// The size of the next chunk, over the turns of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    rows: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: FIRST }
    }
}

impl Pace {
    /// Rows that the next chunk may remove.
    pub(super) const fn rows(self) -> u32 {
        self.rows
    }

    /// Learns from a chunk: half as many rows if it took too long, up to twice as many if it was quick.
    pub(super) fn took(&mut self, span: Duration) {
        self.rows = match span {
            span if span > CHUNK * 2 => self.rows / 4,
            span if span > CHUNK => self.rows / 2,
            span if span < CHUNK / 2 => self.rows.saturating_mul(2),
            _ => self.rows,
        }
        .clamp(1, MOST);
    }

    /// Whether a turn that has lasted `so_far` has time for a chunk such as the last.
    pub(super) fn goes_on(so_far: Duration, last: Duration) -> bool {
        // The next one may be twice as large.
        so_far + last * 2 < TURN
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The longest hold of `turns` turns on a disk where a row takes this long, and how many rows went.
    fn simulate(row: impl Fn(u32) -> Duration, turns: u32) -> (Duration, u64) {
        let (mut pace, mut longest, mut removed, mut chunks) =
            (Pace::default(), Duration::ZERO, 0, 0);
        for _ in 0..turns {
            let mut so_far = Duration::ZERO;
            loop {
                let took = row(chunks) * pace.rows();
                chunks += 1;
                removed += u64::from(pace.rows());
                so_far += took;
                pace.took(took);
                if !Pace::goes_on(so_far, took) {
                    break;
                }
            }
            longest = longest.max(so_far);
        }
        (longest, removed)
    }

    #[test]
    fn a_quick_disk_gets_large_chunks_and_a_slow_one_a_row_at_a_time() {
        let (_, quick) = simulate(|_| Duration::from_micros(2), 10);
        assert!(quick > 50_000, "{quick}");
        let (held, slow) = simulate(|_| Duration::from_millis(6), 10);
        assert!(held <= Duration::from_millis(50), "{held:?}");
        assert!(slow >= 10, "{slow}");
    }

    proptest! {
        #[test]
        fn no_turn_holds_the_writer_for_more_than_fifty_milliseconds(
            row in 10_u64..6_000, jitter in prop::collection::vec(50_u64..200, 1..50)
        ) {
            // Whatever a row takes, and however it varies by a factor of two both ways.
            let row = |n: u32| {
                let percent = jitter[n as usize % jitter.len()];
                Duration::from_nanos(row * percent * 10)
            };
            let (held, removed) = simulate(row, 50);
            prop_assert!(removed >= 50);
            prop_assert!(held <= Duration::from_millis(50), "{held:?}");
        }
    }
}
