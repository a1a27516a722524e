//! What `agent-system config show|validate|schema` print, as values: text and exit code.
//!
//! They read nothing but the files that a request names. Secrets are redacted before anything is
//! rendered. A configuration with problems is shown as far as it goes, with the problems on stderr.

use serde_json::{Map, Value, json};

use super::build;
use super::keys::ROOT;
use super::kind::Kind;
use super::layers::{self, Layers};
use super::problem::{EXIT_BAD_CONFIGURATION, InvalidConfig, Problem};
use super::redact;
use super::source::Source;
use super::tree::{Content, Node, Table, at, join, set};
use super::{Config, LoadRequest, json_schema};

/// What a subcommand prints, and how it exits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// For stdout; ends with a line break unless empty.
    pub stdout: String,
    /// For stderr; ends with a line break unless empty.
    pub stderr: String,
    /// 0, or 78.
    pub exit_code: u8,
}

/// How `config show` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShowFormat {
    /// As a file that could be given back with `--config`, but for the secrets.
    #[default]
    Toml,
    /// As one JSON object.
    Json,
}

/// `config show`: the effective configuration, with `sources` where each value came from.
#[must_use]
pub fn show(request: &LoadRequest, format: ShowFormat, sources: bool) -> Rendered {
    let layers = layers::read(request);
    let tree = printable(&layers);
    let stdout = match format {
        ShowFormat::Toml => toml_text(&layers, &tree, sources),
        ShowFormat::Json => json_text(&layers, &tree, sources),
    };
    let (config, problems) = build::config(layers);
    Rendered {
        stdout,
        ..verdict(&config, problems)
    }
}

/// `config validate`: every problem and every warning.
#[must_use]
pub fn validate(request: &LoadRequest) -> Rendered {
    let (config, problems) = build::config(layers::read(request));
    let mut rendered = verdict(&config, problems);
    if rendered.exit_code == 0 {
        rendered.stdout = format!(
            "valid: environment {}, {} agents, {} groups, {} queues\n",
            config.environment(),
            config.agents().len(),
            config.groups().len(),
            config.queues().len()
        );
    }
    rendered
}

/// `config schema`: the JSON Schema of a `--config` file.
#[must_use]
pub fn schema() -> Rendered {
    Rendered {
        stdout: format!("{:#}\n", json_schema::schema()),
        stderr: String::new(),
        exit_code: 0,
    }
}

/// The effective configuration as a JSON object, secrets redacted: what `GET /api/v1/config` answers.
#[must_use]
pub fn redacted_json(request: &LoadRequest) -> Value {
    shown(&layers::read(request))
}

/// The same of what was read.
pub(super) fn shown(layers: &Layers) -> Value {
    json_object(layers, &printable(layers))
}

/// The tree as it may be printed: secrets taken out, the embedded database named.
fn printable(layers: &Layers) -> Table {
    let mut tree = layers.tree.clone();
    if at(&tree, "database.url").is_none() && !layers.environment.names_its_database() {
        let file = layers.data_dir.join(build::DATABASE_FILE);
        let url = toml::Value::String(format!("sqlite://{}", file.display()));
        let path = ["database".to_owned(), "url".to_owned()];
        set(&mut tree, &path, Node::value(url, Source::BuiltIn));
    }
    redact::table(&mut tree, &ROOT);
    tree
}

/// What goes to stderr, and the exit code.
fn verdict(config: &Config, problems: Vec<Problem>) -> Rendered {
    let warnings = config.warnings().iter();
    let mut stderr: String = warnings.map(|line| format!("warning: {line}\n")).collect();
    let exit_code = if problems.is_empty() {
        0
    } else {
        stderr.push_str(&format!("{}\n", InvalidConfig::new(problems)));
        EXIT_BAD_CONFIGURATION
    };
    Rendered {
        stdout: String::new(),
        stderr,
        exit_code,
    }
}

fn toml_text(layers: &Layers, tree: &Table, sources: bool) -> String {
    let mut out = format!(
        "# environment = \"{}\"\n# data_dir = {:?}\n",
        layers.environment, layers.data_dir
    );
    toml_table(tree, &ROOT, "", sources, &mut out);
    out
}

/// One table: its values first, then the tables below it, in the order of the documentation.
fn toml_table(table: &Table, kind: &Kind, path: &str, sources: bool, out: &mut String) {
    let entries = ordered(table, kind);
    let values = entries
        .iter()
        .filter_map(|(name, node, _)| Some((name, node, node.as_value()?)));
    let mut headed = path.is_empty();
    for (name, node, value) in values {
        if !headed {
            out.push_str(&format!("\n[{path}]\n"));
            headed = true;
        }
        let comment = match sources {
            true => format!("  # {}", node.source),
            false => String::new(),
        };
        out.push_str(&format!("{} = {value}{comment}\n", join("", name)));
    }
    for (name, node, kind) in entries {
        if let Content::Table(below) = &node.content {
            toml_table(below, kind, &join(path, name), sources, out);
        }
    }
}

/// The entries of a table with their kinds, in the order of its keys, others by name.
fn ordered<'a>(table: &'a Table, kind: &'a Kind) -> Vec<(&'a str, &'a Node, &'a Kind)> {
    match kind {
        Kind::Section(keys) | Kind::Either(_, keys) => {
            let present = keys
                .iter()
                .filter_map(|key| Some((key.name, table.get(key.name)?, &key.kind)));
            present.collect()
        }
        Kind::Named(of, _) | Kind::Map(_, of) => table
            .iter()
            .map(|(name, node)| (name.as_str(), node, *of))
            .collect(),
        _ => table
            .iter()
            .map(|(name, node)| (name.as_str(), node, kind))
            .collect(),
    }
}

fn json_text(layers: &Layers, tree: &Table, sources: bool) -> String {
    let config = json_object(layers, tree);
    if !sources {
        return format!("{config:#}\n");
    }
    let mut origins = Map::new();
    gather_sources(tree, "", &mut origins);
    format!("{:#}\n", json!({ "config": config, "sources": origins }))
}

fn json_object(layers: &Layers, tree: &Table) -> Value {
    let mut members = Map::new();
    members.insert("environment".to_owned(), json!(layers.environment.as_str()));
    members.insert(
        "data_dir".to_owned(),
        json!(layers.data_dir.to_string_lossy()),
    );
    for (name, node) in tree {
        members.insert(name.clone(), build::json(&node.to_toml()));
    }
    Value::Object(members)
}

fn gather_sources(table: &Table, path: &str, origins: &mut Map<String, Value>) {
    for (name, node) in table {
        let key = join(path, name);
        match &node.content {
            Content::Table(below) => gather_sources(below, &key, origins),
            Content::Value(_) => {
                origins.insert(key, json!(node.source.to_string()));
            }
        }
    }
}
