//! What no single value can tell: values that must agree with one another.
//!
//! Not here: whether a value is of its kind ([`super::scalar`]), and what this version cannot do yet
//! ([`super::unsupported`]).

mod agents;
mod graph;
mod probes;
mod recovery;
mod sections;
mod spend;

use super::problem::Problem;
use super::source::Source;
use super::tree::{Node, Table, at};
use super::units::show_span;
use super::{AuthMode, Config};
use crate::domain::name::{Name, nearest};

/// Checks everything; adds to the problems.
pub(super) fn all(
    config: &Config,
    tree: &Table,
    actors: Option<&[String]>,
    problems: &mut Vec<Problem>,
) {
    let mut judge = Judge {
        tree,
        actors,
        problems,
    };
    sections::check(config, &mut judge);
    agents::groups(config, &mut judge);
    agents::agents(config, &mut judge);
    recovery::actions(config, &mut judge);
}

/// A name written in the program.
#[expect(
    clippy::expect_used,
    reason = "every caller passes a literal that is a name"
)]
pub(super) fn constant_name(literal: &'static str) -> Name {
    literal.parse().expect("a literal name")
}

/// The name of the policy of agents in no group.
pub(super) fn root_name() -> Name {
    constant_name("root")
}

/// Gathers problems with the sources of the values they are about.
struct Judge<'a> {
    tree: &'a Table,
    /// The Rust agents that can be run, if that is known.
    actors: Option<&'a [String]>,
    problems: &'a mut Vec<Problem>,
}

impl Judge<'_> {
    fn node(&self, key: &str) -> Option<&Node> {
        at(self.tree, key)
    }

    fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.node(key).and_then(Node::as_text)
    }

    /// Whether a user set it.
    fn is_set(&self, key: &str) -> bool {
        self.node(key).is_some_and(|node| !node.source.is_shipped())
    }

    fn refuse(&mut self, key: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            key: key.to_owned(),
            message: message.into(),
            source: self.source(key),
        });
    }

    /// Refused unless a problem with this very key is known.
    fn missing(&mut self, key: &str, message: impl Into<String>) {
        if !self.problems.iter().any(|problem| problem.key == key) {
            self.refuse(key, message);
        }
    }

    /// The source of a key, or of the nearest table above it that is not the root.
    fn source(&self, key: &str) -> Option<Source> {
        if let Some(node) = self.node(key) {
            return Some(node.source.clone());
        }
        let (above, _) = key.rsplit_once('.')?;
        self.source(above).filter(|source| !source.is_shipped())
    }

    /// Two durations of which the first must not be longer.
    fn ordered(
        &mut self,
        shorter: (&str, std::time::Duration),
        longer: (&str, std::time::Duration),
    ) {
        if shorter.1 > longer.1 {
            let millis = u64::try_from(longer.1.as_millis()).unwrap_or(u64::MAX);
            let limit = show_span(millis);
            self.refuse(
                shorter.0,
                format!("longer than {}, which is {limit}", longer.0),
            );
        }
    }
}

/// The end of a message that offers the nearest known name.
fn hint<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wanted, known).map_or(String::new(), |near| format!("; did you mean '{near}'?"))
}

/// What works, but not as somebody might expect.
pub(super) fn warnings(config: &Config, tree: &Table) -> Vec<String> {
    let mut warnings = Vec::new();
    let server = config.server();
    if config.security().auth == AuthMode::Off && !server.host.is_loopback() {
        warnings.push(format!(
            "the API on {} is open to whoever can reach it: this version asks for no credentials",
            server.host
        ));
    }
    if config.cache().url.is_some()
        && at(tree, "cache.backend").and_then(Node::as_text) == Some("memory")
    {
        warnings.push("cache.url is set but not used: cache.backend is \"memory\"".to_owned());
    }
    warnings.extend(agents::stop_warnings(config));
    warnings.extend(agents::queue_warnings(config, tree));
    warnings
}
