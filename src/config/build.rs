//! From values of the right kind to the checked sections.
//!
//! Every value has its kind already, and every default stands in the tree; what is missing none the
//! less was reported before, and a zero stands in for it so that the checks that follow still run.

mod agents;
mod probes;
mod schedules;
mod sections;
mod spend;
mod work;

use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::check;
use super::difference::Values;
use super::layers::Layers;
use super::problem::Problem;
use super::tree::{Node, Table, at};
use super::units;
use crate::domain::name::Name;

/// The embedded database's file in the data directory, if nothing else is named.
pub(super) const DATABASE_FILE: &str = "agent-system.db";

/// The configuration, and all that is wrong with it; with any problem it is not to be used.
pub(super) fn config(layers: Layers) -> (Config, Vec<Problem>) {
    let shown = super::render::shown(&layers);
    let tree = &layers.tree;
    let root = View { table: Some(tree) };
    let mut problems = layers.problems;
    let groups = agents::groups(&root);
    let agents = agents::agents(&root, &layers.dotenv);
    let (schedules, faults) = schedules::schedules(&root, &agents);
    let config = Config {
        schedules,
        environment: layers.environment,
        database: sections::database(&root.below("database"), &layers.data_dir),
        server: sections::server(&root.below("server")),
        logging: sections::logging(&root.below("logging"), &layers.data_dir),
        cache: sections::cache(&root.below("cache")),
        security: sections::security(&root.below("security")),
        monitoring: sections::monitoring(&root.below("monitoring")),
        supervisor: sections::supervisor(&root.below("supervisor")),
        queues: work::queues(&root, &agents),
        recovery: work::recovery(&root.below("recovery"), &agents),
        groups,
        agents,
        data_dir: layers.data_dir,
        warnings: layers.warnings,
        settings: super::settings::of(tree),
        shown,
        values: Values::default(),
    };
    check::all(&config, tree, layers.actors.as_deref(), &mut problems);
    problems.extend(faults.into_iter().map(|(key, message)| {
        let source = at(tree, &key).map(|node| node.source.clone());
        Problem {
            key,
            message,
            source,
        }
    }));
    super::unsupported::refuse(tree, &mut problems);
    problems.sort_by(|a, b| a.key.cmp(&b.key));
    let warnings = check::warnings(&config, tree);
    let mut config = config;
    config.warnings.extend(warnings);
    config.values = Values::of(tree, &config);
    (config, problems)
}

/// A table as its reader sees it.
#[derive(Clone, Copy)]
struct View<'a> {
    table: Option<&'a Table>,
}

impl<'a> View<'a> {
    fn node(&self, key: &str) -> Option<&'a Node> {
        at(self.table?, key)
    }

    fn has(&self, key: &str) -> bool {
        self.node(key).is_some()
    }

    fn below(&self, key: &str) -> Self {
        View {
            table: self.node(key).and_then(Node::as_table),
        }
    }

    /// The entries of a table by name; what is no name was reported before.
    fn named(&self, key: &str) -> impl Iterator<Item = (&'a str, View<'a>)> + use<'a> {
        let entries = self.below(key).table.into_iter().flatten();
        entries.map(|(name, node)| {
            let table = node.as_table();
            (name.as_str(), View { table })
        })
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.node(key).and_then(Node::as_text)
    }

    fn word(&self, key: &str) -> &'a str {
        self.text(key).unwrap_or_default()
    }

    fn name(&self, key: &str) -> Option<Name> {
        self.text(key).and_then(|text| text.parse().ok())
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    fn span(&self, key: &str) -> Duration {
        self.text(key).and_then(units::span).unwrap_or_default()
    }

    fn size(&self, key: &str) -> Option<u64> {
        self.text(key).and_then(units::size)
    }

    fn integer<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        let number = self.node(key)?.as_value()?.as_integer()?;
        T::try_from(number).ok()
    }

    fn count<T: TryFrom<i64> + Default>(&self, key: &str) -> T {
        self.integer(key).unwrap_or_default()
    }

    fn number(&self, key: &str) -> f64 {
        match self.node(key).and_then(Node::as_value) {
            Some(toml::Value::Float(number)) => *number,
            #[expect(clippy::cast_precision_loss, reason = "ranges stay far below 2^52")]
            Some(toml::Value::Integer(number)) => *number as f64,
            _ => 0.0,
        }
    }

    fn flag(&self, key: &str) -> bool {
        let value = self.node(key).and_then(Node::as_value);
        value.and_then(toml::Value::as_bool).unwrap_or_default()
    }

    fn list(&self, key: &str) -> &'a [toml::Value] {
        let value = self.node(key).and_then(Node::as_value);
        value
            .and_then(toml::Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let texts = self.list(key).iter().filter_map(toml::Value::as_str);
        texts.map(str::to_owned).collect()
    }

    fn json(&self, key: &str) -> serde_json::Value {
        self.node(key)
            .map_or(serde_json::Value::Null, |node| json(&node.to_toml()))
    }
}

/// A TOML value as JSON; instants become texts.
pub(super) fn json(value: &toml::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        toml::Value::String(text) => Json::String(text.clone()),
        toml::Value::Integer(number) => Json::from(*number),
        toml::Value::Float(number) => Json::from(*number),
        toml::Value::Boolean(flag) => Json::Bool(*flag),
        toml::Value::Datetime(instant) => Json::String(instant.to_string()),
        toml::Value::Array(items) => items.iter().map(json).collect(),
        toml::Value::Table(table) => {
            let pairs = table
                .iter()
                .map(|(name, value)| (name.clone(), json(value)));
            Json::Object(pairs.collect())
        }
    }
}
