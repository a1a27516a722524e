//! The last frames of one conversation, for its black box.
//!
//! Rely on: a frame costs a copy of its beginning and nothing more; secrets are taken out when
//! somebody reads.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::actors::agent::frames::millis;
use crate::domain::crash::{Frame, FrameDirection, MAX_FRAME_BYTES, MAX_FRAMES};
use crate::domain::redaction::Redactor;

/// The longest secret that is known at the cut of a frame, bytes.
const BEYOND_CUT: usize = 256;

/// The last frames.
#[derive(Debug, Default)]
pub(super) struct FrameTail {
    ring: Mutex<VecDeque<Said>>,
    secrets: Mutex<Redactor>,
}

#[derive(Debug)]
struct Said {
    direction: FrameDirection,
    at: Instant,
    bytes: usize,
    begin: Vec<u8>,
}

impl FrameTail {
    /// What is taken out of what is read.
    pub(super) fn hide(&self, secrets: Redactor) {
        *self.secrets.lock() = secrets;
    }

    /// Takes a frame in.
    pub(super) fn say(&self, direction: FrameDirection, line: &[u8]) {
        let mut ring = self.ring.lock();
        // The oldest one's memory serves the newest.
        let mut begin = if ring.len() == MAX_FRAMES {
            ring.pop_front().map(|said| said.begin).unwrap_or_default()
        } else {
            Vec::new()
        };
        begin.clear();
        begin.extend_from_slice(&line[..line.len().min(MAX_FRAME_BYTES + BEYOND_CUT)]);
        ring.push_back(Said {
            direction,
            at: Instant::now(),
            bytes: line.len(),
            begin,
        });
    }

    /// The frames, oldest first.
    pub(super) fn frames(&self) -> Vec<Frame> {
        let secrets = self.secrets.lock().clone();
        let now = Instant::now();
        let ring = self.ring.lock();
        ring.iter().map(|said| said.frame(&secrets, now)).collect()
    }
}

impl Said {
    fn frame(&self, secrets: &Redactor, now: Instant) -> Frame {
        let text = String::from_utf8_lossy(&self.begin);
        let mut text = secrets.known(text.trim_end()).into_owned();
        text.truncate(text.floor_char_boundary(MAX_FRAME_BYTES));
        Frame {
            direction: self.direction,
            before_ms: millis(now.saturating_duration_since(self.at)),
            bytes: self.bytes as u64,
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_frames_are_kept_in_both_directions_each_cut_and_without_secrets() {
        let tail = FrameTail::default();
        tail.hide(Redactor::of(["hunter2".to_owned()]));
        for n in 0..MAX_FRAMES {
            tail.say(FrameDirection::FromAgent, n.to_string().as_bytes());
        }
        tail.say(FrameDirection::ToAgent, b"{\"k\":\"hunter2\"}\n");
        let mut long = "x".repeat(MAX_FRAME_BYTES - 3);
        long.push_str("hunter2 and more");
        tail.say(FrameDirection::ToAgent, long.as_bytes());
        let frames = tail.frames();
        assert_eq!(frames.len(), MAX_FRAMES);
        assert_eq!(frames[0].text, "2");
        assert_eq!(frames[MAX_FRAMES - 2].text, "{\"k\":\"…\"}");
        let last = &frames[MAX_FRAMES - 1];
        assert_eq!(last.bytes, long.len() as u64);
        assert!(last.text.len() <= MAX_FRAME_BYTES && !last.text.contains("hun"));
    }
}
