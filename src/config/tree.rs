//! Values before they are checked: tables within tables, each value with its source.

use indexmap::IndexMap;

use super::source::Source;

/// A table of a layer, or of all layers laid over one another, in the order of declaration: agents
/// start in it, and `rest_for_one` goes by it.
pub(super) type Table = IndexMap<String, Node>;

/// A value, or a table of them, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Where it came from; of a table, the layer that opened it last.
    pub(super) source: Source,
    /// What it is.
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// More nodes.
    Table(Table),
    /// A value; arrays are values, whatever is in them.
    Value(toml::Value),
}

impl Node {
    /// A value.
    pub(super) const fn value(value: toml::Value, source: Source) -> Self {
        Self {
            source,
            content: Content::Value(value),
        }
    }

    /// A table.
    pub(super) const fn table(table: Table, source: Source) -> Self {
        Self {
            source,
            content: Content::Table(table),
        }
    }

    /// Of a TOML value: its tables become tables here, all of one source.
    pub(super) fn of(value: toml::Value, source: &Source) -> Self {
        match value {
            toml::Value::Table(table) => {
                let nodes = table
                    .into_iter()
                    .map(|(name, value)| (name, Self::of(value, source)));
                Self::table(nodes.collect(), source.clone())
            }
            value => Self::value(value, source.clone()),
        }
    }

    /// The table, if it is one.
    pub(super) const fn as_table(&self) -> Option<&Table> {
        match &self.content {
            Content::Table(table) => Some(table),
            Content::Value(_) => None,
        }
    }

    /// The value, if it is one.
    pub(super) const fn as_value(&self) -> Option<&toml::Value> {
        match &self.content {
            Content::Table(_) => None,
            Content::Value(value) => Some(value),
        }
    }

    /// The text, if it is one.
    pub(super) fn as_text(&self) -> Option<&str> {
        self.as_value().and_then(toml::Value::as_str)
    }

    /// As a TOML value, without sources.
    pub(super) fn to_toml(&self) -> toml::Value {
        match &self.content {
            Content::Value(value) => value.clone(),
            Content::Table(table) => {
                let pairs = table
                    .iter()
                    .map(|(name, node)| (name.clone(), node.to_toml()));
                toml::Value::Table(pairs.collect())
            }
        }
    }
}

/// Lays `upper` over `lower`: tables are merged, everything else is replaced.
pub(super) fn lay_over(lower: &mut Table, upper: Table) {
    for (name, node) in upper {
        match (lower.get_mut(&name), node.content) {
            (
                Some(Node {
                    content: Content::Table(below),
                    source,
                }),
                Content::Table(above),
            ) => {
                *source = node.source;
                lay_over(below, above);
            }
            (_, content) => {
                lower.insert(
                    name,
                    Node {
                        source: node.source,
                        content,
                    },
                );
            }
        }
    }
}

/// Sets one value below tables that are opened as needed.
pub(super) fn set(table: &mut Table, path: &[String], node: Node) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        let mut single = Table::new();
        single.insert(first.clone(), node);
        lay_over(table, single);
        return;
    }
    let source = node.source.clone();
    let below = table
        .entry(first.clone())
        .or_insert_with(|| Node::table(Table::new(), source.clone()));
    if below.as_table().is_none() {
        *below = Node::table(Table::new(), source);
    }
    if let Content::Table(below) = &mut below.content {
        set(below, rest, node);
    }
}

/// The node at a dotted key whose parts hold no dot.
pub(super) fn at<'a>(table: &'a Table, dotted: &str) -> Option<&'a Node> {
    match dotted.split_once('.') {
        None => table.get(dotted),
        Some((first, rest)) => at(table.get(first)?.as_table()?, rest),
    }
}

/// The dotted key of `name` below `path`, quoted where TOML would quote it.
pub(super) fn join(path: &str, name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare {
        name.to_owned()
    } else {
        toml::Value::String(name.chars().take(80).collect()).to_string()
    };
    if path.is_empty() {
        name
    } else {
        format!("{path}.{name}")
    }
}
