//! Durations and sizes as people write them: `30s`, `1h30m`, `768MiB`.

use std::time::Duration;

/// Units of time in milliseconds, longest first.
const TIMES: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Units of size in bytes, largest first.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// The pattern of a duration, for the JSON Schema.
pub(super) const SPAN_PATTERN: &str = "^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+)$";
/// The pattern of a size, for the JSON Schema.
pub(super) const SIZE_PATTERN: &str = "^[0-9]+(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB)$";

/// The duration of a text such as `30s`, `1.5s`, `1h30m`.
pub(super) fn span(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut millis = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, scale) = TIMES.iter().find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(scaled(number, *scale)?)?;
        rest = tail;
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

/// `number × scale`, where the number may have a fraction.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = u32::try_from(fraction.len()).ok().filter(|d| *d <= 9)?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(scale)?;
    whole.checked_add(part / 10_u64.pow(digits))
}

/// The bytes of a text such as `768MiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, scale) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// The shortest writing of so many milliseconds.
pub(super) fn show_span(millis: u64) -> String {
    show(millis, &TIMES, "0")
}

/// The shortest writing of so many bytes.
pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES, "0B")
}

fn show(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    let fitting = units
        .iter()
        .find(|(_, scale)| amount >= *scale && amount.is_multiple_of(*scale));
    fitting.map_or(zero.to_owned(), |(name, scale)| {
        format!("{}{name}", amount / scale)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("250ms", 250),
            ("60s", 60_000),
            ("1.5s", 1_500),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "5x",
            "1.2.3s",
            "99999999999999999999s",
            ".5s",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(size("768MiB"), Some(768 << 20));
        assert_eq!(size("10MB"), Some(10_000_000));
        for text in ["", "768", "MiB", "1.5MiB", "768 MiB", "99999999999TiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(millis in 0_u64..1 << 40) {
            prop_assert_eq!(span(&show_span(millis)), Some(Duration::from_millis(millis)));
            prop_assert_eq!(size(&show_size(millis)), Some(millis));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (span(&text), size(&text));
        }
    }
}
