//! Takes secrets out of a tree before anything of it is printed.
//!
//! Secret are: values of a secret kind; the password and the query of a URL; and texts whose key
//! says so (`…PASSWORD`, `…TOKEN`, `…SECRET`, `…KEY`) wherever keys are free, as in `env.set`.

use super::kind::{Key, Kind};
use super::secret::REDACTED;
use super::tree::{Content, Node, Table};

/// Words in a free key that mark its value as a secret.
const TELLING: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "key",
    "credential",
    "auth",
    "cookie",
];

/// How URLs of secret kinds begin, in this version or a later one.
const SCHEMES: [&str; 7] = [
    "sqlite",
    "postgres",
    "postgresql",
    "redis",
    "rediss",
    "http",
    "https",
];

/// Redacts a tree of this kind.
pub(super) fn table(table: &mut Table, kind: &Kind) {
    for (name, node) in table {
        match kind {
            Kind::Section(keys) | Kind::Either(_, keys) => {
                if let Some(key) = keys.iter().find(|key: &&Key| key.name == name) {
                    self::node(node, &key.kind);
                }
            }
            Kind::Named(of, _) => self::node(node, of),
            Kind::Map(_, of) if matches!(of, Kind::Section(_)) => self::node(node, of),
            _ => free(name, node),
        }
    }
}

fn node(node: &mut Node, kind: &Kind) {
    match (&mut node.content, kind) {
        (Content::Table(below), Kind::Anything) => {
            below.iter_mut().for_each(|(name, node)| free(name, node))
        }
        (Content::Table(below), kind) => table(below, kind),
        (Content::Value(value), Kind::Secret) => *value = redacted(),
        (Content::Value(toml::Value::String(url)), Kind::SecretUrl) => *url = redact_known(url),
        (Content::Value(_), _) => {}
    }
}

fn redacted() -> toml::Value {
    toml::Value::String(REDACTED.to_owned())
}

/// A value under a free key.
fn free(name: &str, node: &mut Node) {
    match &mut node.content {
        Content::Table(below) => below.iter_mut().for_each(|(name, node)| free(name, node)),
        Content::Value(value) => free_value(name, value),
    }
}

fn free_value(name: &str, value: &mut toml::Value) {
    let lower = name.to_lowercase();
    if TELLING.iter().any(|word| lower.contains(word)) {
        *value = redacted();
        return;
    }
    match value {
        toml::Value::String(text) if text.contains("://") => *text = redact_url(text),
        toml::Value::Array(items) => items.iter_mut().for_each(|item| free_value(name, item)),
        toml::Value::Table(table) => table
            .iter_mut()
            .for_each(|(name, value)| free_value(name, value)),
        _ => {}
    }
}

/// A URL where one is due: what has no scheme of those may be a secret in the wrong place.
fn redact_known(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, _)) if SCHEMES.contains(&scheme) => redact_url(url),
        _ => REDACTED.to_owned(),
    }
}

/// A URL without its password, and without what stands after `?`.
fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return REDACTED.to_owned();
    };
    // The last '@' ends the user part: a password may hold '/', '?' and '@' unescaped.
    let (user, rest) = match rest.rsplit_once('@') {
        None => (String::new(), rest),
        Some((user, rest)) => match user.split_once(':') {
            None => (format!("{REDACTED}@"), rest),
            Some((user, _)) => (format!("{user}:{REDACTED}@"), rest),
        },
    };
    match rest.split_once('?') {
        None => format!("{scheme}://{user}{rest}"),
        Some((rest, _)) => format!("{scheme}://{user}{rest}?{REDACTED}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_keeps_what_is_no_secret() {
        for (url, shown) in [
            ("sqlite:///data/x.db", "sqlite:///data/x.db"),
            ("postgres://u:p@h:5432/d", "postgres://u:…@h:5432/d"),
            ("postgres://u:p/@q@h/d?sslkey=x", "postgres://u:…@h/d?…"),
            ("redis://tok@h/0", "redis://…@h/0"),
            ("redis://:p@h/0", "redis://:…@h/0"),
        ] {
            assert_eq!(redact_url(url), shown);
        }
    }

    proptest! {
        #[test]
        fn no_password_survives(password in "[a-zA-Z0-9/@:?]{0,8}Zq7[a-zA-Z0-9/@:?]{0,8}") {
            let url = format!("postgres://user:{password}@host/name");
            prop_assert!(!redact_url(&url).contains("Zq7"));
        }
    }
}
