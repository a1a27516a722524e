//! Whether one value is of its kind, and what is allowed if not.

use std::net::IpAddr;
use std::time::Duration;

use toml::Value;

use super::kind::Kind;
use super::units::{show_size, show_span, size, span};
use crate::domain::name::{Name, nearest};

/// The one host name that stands for an address.
pub(super) const LOCALHOST: &str = "localhost";
/// The levels of the log.
pub(super) const LEVELS: [&str; 5] = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"];

/// Checks a value that is no table against its kind; gives what is wrong with it and what is allowed.
pub(super) fn check(kind: &Kind, value: &Value) -> Result<(), String> {
    if let (Kind::List(of), Value::Array(items)) = (kind, value) {
        return items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| check(of, item).map_err(|e| format!("item {at}: {e}")));
    }
    if fits(kind, value) {
        return Ok(());
    }
    let allowed = allowed(kind);
    if kind.is_secret() {
        return Err(format!("must be {allowed}"));
    }
    let hint = match (kind, value) {
        (Kind::Word(words) | Kind::Either(words, _), Value::String(text)) => {
            nearest(text, words.iter().copied())
        }
        (Kind::Level, Value::String(text)) => nearest(&text.to_uppercase(), LEVELS),
        _ => None,
    };
    let hint = hint.map_or(String::new(), |word| format!("; did you mean \"{word}\"?"));
    Err(format!("{} is not {allowed}{hint}", shown(value)))
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match (kind, value) {
        (Kind::Flag, Value::Boolean(_)) | (Kind::AnyText, Value::String(_)) => true,
        (Kind::Anything, _) => true,
        (Kind::Integer { min, max }, Value::Integer(n)) => (min..=max).contains(&n),
        (Kind::Number { min, max }, Value::Float(n)) => n >= min && n <= max,
        #[expect(clippy::cast_precision_loss, reason = "ranges stay far below 2^52")]
        (Kind::Number { min, max }, Value::Integer(n)) => {
            let n = *n as f64;
            n >= *min && n <= *max
        }
        (kind, Value::String(text)) => fits_text(kind, text),
        _ => false,
    }
}

fn fits_text(kind: &Kind, text: &str) -> bool {
    match kind {
        Kind::Word(words) | Kind::Either(words, _) => words.contains(&text),
        Kind::Level => level(text).is_some(),
        Kind::Text | Kind::Secret => !text.is_empty() && !text.contains('\0'),
        Kind::SecretUrl => text.contains("://") && !text.contains(char::is_whitespace),
        Kind::Name => text.parse::<Name>().is_ok(),
        Kind::Variable => is_variable(text),
        Kind::Address => text == LOCALHOST || text.parse::<IpAddr>().is_ok(),
        Kind::Span { min, max } => span(text).is_some_and(|span| {
            Duration::from_millis(*min) <= span && span <= Duration::from_millis(*max)
        }),
        Kind::Size { min, max } => size(text).is_some_and(|bytes| (min..=max).contains(&&bytes)),
        _ => false,
    }
}

/// The level a word means, in any case.
pub(super) fn level(text: &str) -> Option<&'static str> {
    let upper = text.to_uppercase();
    let upper = if upper == "WARN" { "WARNING" } else { &upper };
    LEVELS.into_iter().find(|level| *level == upper)
}

/// Whether a text can name an environment variable.
fn is_variable(text: &str) -> bool {
    let mut bytes = text.bytes();
    let starts_well = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts_well && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What is allowed, as the end of "must be …".
pub(super) fn allowed(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "true or false".to_owned(),
        Kind::Integer { min, max } => format!("a whole number from {min} to {max}"),
        Kind::Number { min, max } => format!("a number from {min} to {max}"),
        Kind::Word(words) => format!("one of {}", quoted(words)),
        Kind::Level => format!("one of {}", quoted(&LEVELS)),
        Kind::Text | Kind::Secret => "a text that is not empty".to_owned(),
        Kind::AnyText => "a text".to_owned(),
        Kind::SecretUrl => "a URL such as scheme://host/path".to_owned(),
        Kind::Name => "a name: a lower-case letter, then up to 62 of a-z, 0-9 and '-'".to_owned(),
        Kind::Variable => "a variable's name: letters, digits and '_'".to_owned(),
        Kind::Address => "localhost, or an IP address such as 127.0.0.1 or ::1".to_owned(),
        Kind::Span { min, max } => format!(
            "a duration such as \"30s\" or \"5m\", from {} to {}",
            show_span(*min),
            show_span(*max)
        ),
        Kind::Size { min, max } => format!(
            "a size such as \"512KiB\" or \"10MiB\", from {} to {}",
            show_size(*min),
            show_size(*max)
        ),
        Kind::List(of) => format!("a list, each item {}", allowed(of)),
        Kind::Section(_) | Kind::Named(..) | Kind::Map(..) => "a table".to_owned(),
        Kind::Anything => "anything".to_owned(),
        Kind::Either(words, _) => format!("one of {} or a table", quoted(words)),
    }
}

fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

/// The longest part of a value that an error quotes, in characters.
const SHOWN_CHARS: usize = 60;

/// A value as an error quotes it: cut, on one line.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        Value::Table(_) => "a table".to_owned(),
        other => other.to_string().replace('\n', " "),
    };
    if text.chars().count() <= SHOWN_CHARS {
        return text;
    }
    let cut: String = text.chars().take(SHOWN_CHARS).collect();
    format!("{cut}…")
}

/// The value that a text stands for where everything is text: variables and flags. What does not
/// read as its kind stays text, and is refused by [`check`].
pub(super) fn from_text(kind: &Kind, text: &str) -> Value {
    let as_text = || Value::String(text.to_owned());
    match kind {
        Kind::Flag => text.parse().map_or_else(|_| as_text(), Value::Boolean),
        Kind::Integer { .. } => text.parse().map_or_else(|_| as_text(), Value::Integer),
        Kind::Number { .. } => text.parse().map_or_else(|_| as_text(), Value::Float),
        Kind::Either(words, _) if words.contains(&text) => as_text(),
        Kind::List(_)
        | Kind::Section(_)
        | Kind::Named(..)
        | Kind::Map(..)
        | Kind::Anything
        | Kind::Either(..) => super::parse::value(text).unwrap_or_else(as_text),
        _ => as_text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::kind::{PORT, SPAN};

    #[test]
    fn a_value_of_another_kind_is_told_what_is_allowed() {
        static WORDS: Kind = Kind::Word(&["memory", "redis"]);
        for (kind, value, says) in [
            (
                &PORT,
                Value::Integer(65_536),
                "a whole number from 0 to 65535",
            ),
            (
                &PORT,
                Value::String("http".into()),
                "\"http\" is not a whole number",
            ),
            (&SPAN, Value::Integer(30), "a duration such as"),
            (&SPAN, Value::String("0s".into()), "from 1ms to 1d"),
            (
                &WORDS,
                Value::String("memroy".into()),
                "did you mean \"memory\"?",
            ),
            (&Kind::Level, Value::String("loud".into()), "\"WARNING\""),
            (
                &Kind::Number { min: 0.0, max: 1.0 },
                Value::Float(f64::NAN),
                "from 0 to 1",
            ),
            (
                &Kind::List(&PORT),
                Value::Array(vec![Value::Boolean(true)]),
                "item 0",
            ),
        ] {
            let message = check(kind, &value).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn a_secret_of_the_wrong_kind_is_not_quoted() {
        let message = check(&Kind::SecretUrl, &Value::String("hunter2".into())).unwrap_err();
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn texts_become_values_of_their_kind() {
        assert_eq!(from_text(&PORT, "80"), Value::Integer(80));
        assert_eq!(from_text(&SPAN, "80s"), Value::String("80s".into()));
        assert_eq!(
            from_text(&Kind::List(&Kind::Text), "['a', 'b']"),
            Value::Array(vec!["a".into(), "b".into()])
        );
    }
}
