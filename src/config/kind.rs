//! Of what kind a value may be: the words in which the tables of [`super::keys`] are written.
//!
//! One table serves four readers: the check of every layer, the names of variables, the JSON
//! Schema, and the order and redaction of what is printed.

/// One key of a section.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// Of what kind its value may be.
    pub(super) kind: Kind,
    /// What stands in for it where it is left out, as TOML. The fixed sections have theirs in `default.toml`.
    pub(super) default: Option<&'static str>,
    /// Whether it must be given.
    pub(super) required: bool,
    /// The one kind of agent that has it; empty: every kind.
    pub(super) only: &'static str,
    /// What it is for, in one line.
    pub(super) doc: &'static str,
}

/// Of what kind a value may be.
#[derive(Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number in a range.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// A number in a range.
    Number {
        /// The smallest.
        min: f64,
        /// The largest.
        max: f64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words in any case; `WARN` counts as `WARNING`.
    Level,
    /// Any text but the empty one.
    Text,
    /// Any text, the empty one too.
    AnyText,
    /// A text that nobody may see.
    Secret,
    /// A URL whose user part and query nobody may see.
    SecretUrl,
    /// A name: `[a-z][a-z0-9-]{0,62}`.
    Name,
    /// A variable's name.
    Variable,
    /// An IP address.
    Address,
    /// A duration such as `30s`, in milliseconds from and to.
    Span {
        /// The shortest.
        min: u64,
        /// The longest.
        max: u64,
    },
    /// A number of bytes such as `10MiB`.
    Size {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A list of values of one kind.
    List(&'static Kind),
    /// A table with these keys.
    Section(&'static [Key]),
    /// A table by name, each value of one kind. `true`: names may hold `_`.
    Named(&'static Kind, bool),
    /// A table by free text, each value of one kind.
    Map(&'static Kind, &'static Kind),
    /// Anything, handed on as it is.
    Anything,
    /// A word, or a table.
    Either(&'static [&'static str], &'static [Key]),
}

/// A day in milliseconds.
pub(super) const DAY: u64 = 86_400_000;
/// Any span from a millisecond to a day.
pub(super) const SPAN: Kind = Kind::Span { min: 1, max: DAY };
/// Any span from a second to ten years: how long things are kept.
pub(super) const AGE: Kind = Kind::Span {
    min: 1_000,
    max: 3_650 * DAY,
};
/// A count from one to a million.
pub(super) const COUNT: Kind = Kind::Integer {
    min: 1,
    max: 1_000_000,
};
/// A TCP port; 0 means any free one.
pub(super) const PORT: Kind = Kind::Integer {
    min: 0,
    max: 65_535,
};
/// A share in percent.
pub(super) const PERCENT: Kind = Kind::Number {
    min: 0.0,
    max: 100.0,
};
/// A process' exit code.
pub(super) const EXIT_CODE: Kind = Kind::Integer { min: 0, max: 255 };

/// A key whose default, if it has one, stands in `default.toml`.
pub(super) const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key {
        name,
        kind,
        default: None,
        required: false,
        only: "",
        doc,
    }
}

impl Key {
    /// With a default written in TOML.
    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// For one kind of agent alone.
    pub(super) const fn only(mut self, kind: &'static str) -> Self {
        self.only = kind;
        self
    }

    /// Refused when it is missing.
    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

impl Kind {
    /// Whether a value of this kind must not be printed.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::SecretUrl)
    }
}
