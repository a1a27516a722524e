//! The settings of each agent as they hold: every value with where it came from, and the digest by
//! which a change is seen.
//!
//! Rely on: secrets are redacted in what is shown; the digest covers every value of the agent's own
//! table, secrets as they are named there, and nothing of where values came from.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::build;
use super::keys::ROOT;
use super::redact;
use super::tree::{Content, Table, at, join};
use crate::domain::explain::{AgentSettings, Setting};
use crate::domain::name::Name;

/// The settings of every agent in a tree.
pub(super) fn of(tree: &Table) -> BTreeMap<Name, AgentSettings> {
    let mut shown = tree.clone();
    redact::table(&mut shown, &ROOT);
    let agents = at(tree, "agents").and_then(|node| node.as_table());
    let named = agents.into_iter().flatten().filter_map(|(name, node)| {
        let digest = Sha256::digest(build::json(&node.to_toml()).to_string());
        let settings = AgentSettings {
            settings: settings(&shown, name),
            hash: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        Some((name.parse().ok()?, settings))
    });
    named.collect()
}

fn settings(shown: &Table, agent: &str) -> Vec<Setting> {
    let mut all = Vec::new();
    let own = join("agents", agent);
    let below = |path: &str| at(shown, path).and_then(|node| node.as_table());
    gather(below(&own), &own, &mut all);
    let group = at(shown, &format!("{own}.group")).and_then(|node| node.as_text());
    let rules = group.map_or_else(|| "supervisor".to_owned(), |group| join("groups", group));
    gather(below(&rules), &rules, &mut all);
    all
}

fn gather(table: Option<&Table>, path: &str, all: &mut Vec<Setting>) {
    for (name, node) in table.into_iter().flatten() {
        let key = join(path, name);
        match &node.content {
            Content::Table(below) => gather(Some(below), &key, all),
            Content::Value(value) => all.push(Setting {
                key,
                value: build::json(value),
                source: node.source.to_string(),
            }),
        }
    }
}
