//! What the contract names and this version cannot do yet: refused, never ignored.
//!
//! To allow something, take its line out of [`NOT_IN_THIS_VERSION`].

use super::problem::Problem;
use super::tree::{Content, Node, Table, join};

/// When a value asks for what cannot be done.
enum Asks {
    /// By being there.
    Present,
    /// By being one of these words.
    Is(&'static [&'static str]),
    /// By beginning with one of these texts.
    StartsWith(&'static [&'static str]),
    /// By being `true`.
    On,
    /// By being a list that is not empty.
    NotEmpty,
}

/// Keys (`*` for any name), the values that ask for too much, and the way out.
const NOT_IN_THIS_VERSION: &[(&str, Asks, &str)] = &[
    (
        "database.url",
        Asks::StartsWith(&["postgres://", "postgresql://"]),
        "use sqlite://PATH",
    ),
    ("cache.backend", Asks::Is(&["redis"]), "use \"memory\""),
    (
        "security.auth",
        Asks::Is(&["required"]),
        "use \"off\" and let nobody else reach the API",
    ),
    ("security.jwt.enabled", Asks::On, "leave it false"),
    ("security.jwt.secret", Asks::Present, "leave it out"),
    ("security.api_keys.enabled", Asks::On, "leave it false"),
    ("security.cors.origins", Asks::NotEmpty, "leave it empty"),
    ("security.rate_limit.enabled", Asks::On, "leave it false"),
    ("security.encryption.enabled", Asks::On, "leave it false"),
    ("security.encryption.key", Asks::Present, "leave it out"),
    ("monitoring.tracing.enabled", Asks::On, "leave it false"),
    (
        "agents.*.url",
        Asks::StartsWith(&["https://"]),
        "use http:// to a proxy beside the daemon that speaks TLS",
    ),
    (
        "agents.*.probes.*.http",
        Asks::StartsWith(&["https://"]),
        "use http://, or tcp, or exec with a program that speaks TLS",
    ),
    (
        "recovery.actions.*.do",
        Asks::Is(&[
            "agent.quarantine",
            "group.restart",
            "exec",
            "webhook",
            "exit",
        ]),
        "use \"agent.restart\", \"database.reconnect\" or \"queue.pause\"",
    ),
];

/// Reports every value that asks for what this version cannot do; of a table that is refused, nothing below it.
pub(super) fn refuse(tree: &Table, problems: &mut Vec<Problem>) {
    let mut refused: Vec<String> = Vec::new();
    for (pattern, asks, way_out) in NOT_IN_THIS_VERSION {
        let parts: Vec<&str> = pattern.split('.').collect();
        visit(tree, &parts, "", &mut |key, node| {
            let stands_below = |above: &String| {
                key.strip_prefix(above.as_str())
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            if asks.too_much(node) && !refused.iter().any(stands_below) {
                refused.push(key.to_owned());
                let what = match (asks, node.as_text()) {
                    (Asks::Is(_), Some(word)) => format!("\"{word}\" is "),
                    // The scheme alone: what follows may hold a password.
                    (Asks::StartsWith(_), Some(url)) => {
                        format!("{}:// is ", url.split("://").next().unwrap_or_default())
                    }
                    _ => String::new(),
                };
                problems.push(Problem {
                    key: key.to_owned(),
                    message: format!("{what}not in this version; {way_out}"),
                    source: Some(node.source.clone()),
                });
            }
        });
    }
}

impl Asks {
    fn too_much(&self, node: &Node) -> bool {
        let text = node.as_text();
        match (self, &node.content) {
            (Self::Present, _) => true,
            (Self::Is(words), _) => text.is_some_and(|text| words.contains(&text)),
            (Self::StartsWith(starts), _) => {
                text.is_some_and(|text| starts.iter().any(|start| text.starts_with(start)))
            }
            (Self::On, Content::Value(value)) => value.as_bool() == Some(true),
            (Self::NotEmpty, Content::Value(value)) => {
                value.as_array().is_some_and(|items| !items.is_empty())
            }
            _ => false,
        }
    }
}

/// Calls `found` for every node that a pattern names.
fn visit(table: &Table, parts: &[&str], path: &str, found: &mut dyn FnMut(&str, &Node)) {
    let Some((first, rest)) = parts.split_first() else {
        return;
    };
    for (name, node) in table
        .iter()
        .filter(|(name, _)| *first == "*" || *name == first)
    {
        let key = join(path, name);
        match node.as_table() {
            _ if rest.is_empty() => found(&key, node),
            Some(below) => visit(below, rest, &key, found),
            None => {}
        }
    }
}
