//! Takes secrets out of texts that others wrote: log lines, frames, messages of errors.
//!
//! Rely on: a value that is known to be secret is gone wherever it stands. Beside that, what a text
//! itself calls a secret is taken out: `password=…`, `"api_key": "…"`, `Bearer …`, and the password
//! of a URL. That is a net for accidents, no proof: whoever wants to hide a secret in a text can.

use std::borrow::Cow;

/// What stands in place of a secret.
pub const REDACTED: &str = "…";
/// Shorter values are no secrets worth the name, and would hit every other word.
const MIN_SECRET_CHARS: usize = 4;
/// Known secrets of one agent that are looked for.
const MAX_SECRETS: usize = 256;
/// Words at the end of a name that mark its value as a secret.
const TELLING: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
];
/// Marks a credential by its scheme.
const BEARER: &str = "bearer ";

/// Takes secrets out of texts. Its `Debug` shows how many, never which.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redactor {
    /// Known values, the longest first, so that one inside another leaves nothing behind.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

impl Redactor {
    /// One that knows these values. Of a secret of several lines each line counts.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        for value in values {
            let whole = value.trim();
            let parts = whole.lines().map(str::trim);
            let long = parts.filter(|part| part.chars().count() >= MIN_SECRET_CHARS);
            secrets.extend(long.map(str::to_owned));
        }
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        secrets.truncate(MAX_SECRETS);
        Self { secrets }
    }

    /// Whether it knows no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// The text without the values that are known.
    #[must_use]
    pub fn known<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), REDACTED));
            }
        }
        text
    }

    /// The text without the values that are known, and without what it calls secret itself.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.known(text) {
            Cow::Borrowed(text) => called(text),
            Cow::Owned(text) => Cow::Owned(called(&text).into_owned()),
        }
    }
}

/// Whether a name says that its value is a secret: `OPENAI_API_KEY`, `db_password`, `TOKEN`.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    TELLING.iter().any(|word| lower.contains(word))
        || lower.ends_with("key")
        || lower.contains("credential")
}

/// The text without what it calls secret itself.
fn called(text: &str) -> Cow<'_, str> {
    // Lower-casing ASCII alone keeps every position.
    let lower = text.to_ascii_lowercase();
    let mut cuts: Vec<(usize, usize)> = Vec::new();
    for word in TELLING {
        for (at, _) in lower.match_indices(word) {
            cuts.extend(value_after(text, at + word.len()));
        }
    }
    for (at, _) in lower.match_indices(BEARER) {
        cuts.extend(word_at(text, at + BEARER.len()));
    }
    for (at, _) in lower.match_indices("://") {
        cuts.extend(password_of_url(text, at + 3));
    }
    cut_out(text, cuts)
}

/// The text without these stretches.
fn cut_out(text: &str, mut cuts: Vec<(usize, usize)>) -> Cow<'_, str> {
    if cuts.is_empty() {
        return Cow::Borrowed(text);
    }
    cuts.sort_unstable();
    let (mut kept, mut from) = (String::with_capacity(text.len()), 0);
    for (begin, end) in cuts {
        if begin >= from {
            kept.push_str(&text[from..begin]);
            kept.push_str(REDACTED);
        }
        from = from.max(end);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// Where the value stands of a name that ends at `at`: behind `=` or `:`, quoted or not.
fn value_after(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = text[at..].trim_start_matches(['"', '\'', '\\', ' ']);
    let rest = rest.strip_prefix([':', '='])?;
    let rest = rest.trim_start_matches([' ', '\\']);
    let begin = text.len() - rest.len();
    if let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let inside = &rest[1..];
        let end = inside.find([quote, '\\']).unwrap_or(inside.len());
        return (end > 0).then_some((begin + 1, begin + 1 + end));
    }
    // `Authorization: Basic abc`: the scheme is no secret, what follows is.
    let scheme = ["basic ", "bearer "]
        .iter()
        .find(|scheme| rest.to_ascii_lowercase().starts_with(**scheme));
    word_at(text, begin + scheme.map_or(0, |scheme| scheme.len()))
}

/// The word that begins at `at`.
fn word_at(text: &str, at: usize) -> Option<(usize, usize)> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '&' | '}' | ')');
    let rest = &text[at..];
    let end = rest.find(ends).unwrap_or(rest.len());
    (end > 0).then_some((at, at + end))
}

/// The password of a URL whose host part begins at `at`.
fn password_of_url(text: &str, at: usize) -> Option<(usize, usize)> {
    let (begin, end) = word_at(text, at)?;
    let authority = &text[begin..end];
    let upto = authority.rfind('@')?;
    let colon = authority[..upto].find(':')?;
    (colon + 1 < upto).then_some((begin + colon + 1, begin + upto))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_text_calls_secret_is_taken_out_and_nothing_else() {
        let nobody = Redactor::default();
        for (text, shown) in [
            ("all is well", "all is well"),
            ("password=hunter2 user=bob", "password=… user=bob"),
            (
                r#"{"api_key": "sk-1", "n": 2}"#,
                r#"{"api_key": "…", "n": 2}"#,
            ),
            (
                r#"{\"token\":\"abc\",\"n\":1}"#,
                r#"{\"token\":\"abc\",\"n\":1}"#,
            ),
            ("Authorization: Bearer abc.def", "Authorization: Bearer …"),
            ("sent bearer abc to x", "sent bearer … to x"),
            ("postgres://u:p@h/d gone", "postgres://u:…@h/d gone"),
            ("http://h:80/a", "http://h:80/a"),
            ("DB_PASSWORD='a b'", "DB_PASSWORD='…'"),
            ("a token expired", "a token expired"),
            ("token: ", "token: "),
        ] {
            if text.contains(r#"\""#) {
                assert!(!nobody.redact(text).contains("abc"), "{text}");
                continue;
            }
            assert_eq!(nobody.redact(text), shown, "{text}");
        }
    }

    #[test]
    fn a_known_value_is_gone_wherever_it_stands_and_each_line_of_one_that_has_several() {
        let key = "-----BEGIN-----\nabcdefgh\nijklmnop\n".to_owned();
        let redactor = Redactor::of(["hunter2".to_owned(), key, "no".to_owned()]);
        assert_eq!(redactor.redact("xhunter2y no"), "x…y no");
        assert_eq!(redactor.redact("found ijklmnop"), "found …");
        assert_eq!(format!("{redactor:?}"), "Redactor(4 secrets)");
    }

    #[test]
    fn names_of_secrets_are_told_from_others() {
        for name in [
            "OPENAI_API_KEY",
            "db_password",
            "X-Token",
            "AWS_CREDENTIALS",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["PATH", "KEYBOARD", "MODE"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it_and_no_known_value_survives(text in ".{0,80}", tail in ".{0,20}") {
            let redactor = Redactor::of(["Zq7Zq7".to_owned()]);
            let whole = format!("{text}Zq7Zq7{tail}");
            prop_assert!(!redactor.redact(&whole).contains("Zq7Zq7"));
        }

        #[test]
        fn no_text_of_telling_words_breaks_it(parts in proptest::collection::vec(
            prop_oneof!["password", "=", ":", "\"", "'", "ä", " ", "://", "@", "bearer ", "token"],
            0..12,
        )) {
            let text = parts.concat();
            let shown = Redactor::default().redact(&text).into_owned();
            prop_assert!(shown.len() <= text.len() + 12 * REDACTED.len());
        }
    }
}
