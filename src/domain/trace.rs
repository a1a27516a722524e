//! Where a piece of work stands in somebody's trace: `traceparent` of the W3C's Trace Context.
//!
//! Rely on: what parses is valid by the grammar, and is written as version `00`, the newest that is
//! known here. It is small and copied, never allocated.
//!
//! Not here: spans. The daemon records none, so it hands on what it was given (decision 15).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The length of version `00`: `00-` trace `-` parent `-` flags.
const LENGTH: usize = 55;
/// The only flag that a later version is read for.
const SAMPLED: u8 = 0x01;

/// The trace and the span that asked for something.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: [u8; 16],
    parent: [u8; 8],
    flags: u8,
}

/// Why a text is no traceparent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Of a version that is not known, the part that every version has is read, as the W3C asks.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        Self::read(text.as_bytes()).ok_or(InvalidTraceParent)
    }
}

impl TraceParent {
    fn read(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let [version] = hex(&head[..2])?;
        let ends = match version {
            0x00 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let dashed = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        let (trace, parent) = (hex(&head[3..35])?, hex(&head[36..52])?);
        let [flags] = hex(&head[53..])?;
        let known = if version == 0 { flags } else { flags & SAMPLED };
        let valid = ends && dashed && trace != [0; 16] && parent != [0; 8];
        valid.then_some(Self {
            trace,
            parent,
            flags: known,
        })
    }
}

/// Bytes written as two lower-case digits each.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace,
            parent,
            flags,
        } = self;
        let (trace, parent) = (u128::from_be_bytes(*trace), u64::from_be_bytes(*parent));
        write!(f, "00-{trace:032x}-{parent:016x}-{flags:02x}")
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for TraceParent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn read(text: &str) -> Option<String> {
        text.parse::<TraceParent>().ok().map(|it| it.to_string())
    }

    #[test]
    fn a_traceparent_of_version_00_is_kept_as_it_is() {
        for flags in ["00", "01", "03", "ff"] {
            let text = format!("{}{flags}", &WHOLE[..53]);
            assert_eq!(read(&text), Some(text.clone()));
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_every_version_goes() {
        for (version, flags, tail, written) in [
            ("01", "01", "", "01"),
            ("cc", "00", "-what-comes-next", "00"),
            ("fe", "ff", "-", "01"),
        ] {
            let text = format!("{version}{}{flags}{tail}", &WHOLE[2..53]);
            let known = format!("{}{written}", &WHOLE[..53]);
            assert_eq!(read(&text), Some(known), "{text}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_no_traceparent() {
        let with = |at: usize, text: &str| {
            let mut whole = WHOLE.to_owned();
            whole.replace_range(at..at + text.len(), text);
            whole
        };
        let refused = [
            String::new(),
            "00".to_owned(),
            WHOLE[..54].to_owned(),
            format!("{WHOLE}-"),
            format!("{WHOLE}-00"),
            format!(" {WHOLE}"),
            format!("{WHOLE} "),
            WHOLE.to_uppercase(),
            with(0, "ff"),
            with(0, "0x"),
            with(2, "_"),
            with(35, "_"),
            with(52, "_"),
            with(3, "00000000000000000000000000000000"),
            with(36, "0000000000000000"),
            with(3, "g"),
            with(36, "+"),
            with(53, "1 "),
            with(3, "\u{e4}"),
            format!("01{}.x", &WHOLE[2..]),
        ];
        for text in refused {
            assert_eq!(read(&text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_parser_and_what_it_takes_it_reads_again(text in "\\PC{0,70}") {
            if let Some(written) = read(&text) {
                prop_assert_eq!(read(&written), Some(written.clone()));
            }
        }
    }
}
