//! Data to stdout, in the format asked for; messages to stderr.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::exit::Failure;
use super::table::{Column, table};
use crate::client::Answer;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// The API's object unchanged
    Json,
    /// One JSON object a line
    Jsonl,
    /// Names or ids only
    Name,
}

/// The way to print.
#[derive(Debug)]
pub(super) struct Out {
    /// How data is printed.
    pub(super) format: Format,
    color: bool,
    quiet: bool,
}

type Printed = Result<(), Failure>;

impl Out {
    pub(super) const fn new(format: Format, color: bool, quiet: bool) -> Self {
        Self {
            format,
            color,
            quiet,
        }
    }

    /// Without colours and in no special format.
    pub(super) const fn plain() -> Self {
        Self::new(Format::Table, false, false)
    }

    /// One object: as it came, by its `key`, or as `human` shows it.
    pub(super) fn object(
        &self,
        answer: &Answer,
        key: &str,
        human: impl FnOnce(&Value) -> String,
    ) -> Printed {
        match self.format {
            Format::Json | Format::Jsonl => self.bytes(&with_newline(&answer.text)),
            Format::Name => self.line(&text(&answer.value[key])),
            Format::Table => self.line(&human(&answer.value)),
        }
    }

    /// One object that no daemon sent.
    pub(super) fn value(
        &self,
        value: &Value,
        key: &str,
        human: impl FnOnce(&Value) -> String,
    ) -> Printed {
        let answer = Answer {
            status: 200,
            text: value.to_string().into(),
            value: value.clone(),
        };
        self.object(&answer, key, human)
    }

    /// A list: as it came, its items a line each, their `key`s, or a table.
    pub(super) fn list(&self, answer: &Answer, key: &str, columns: &[Column]) -> Printed {
        let none = Vec::new();
        let items = answer.value["items"].as_array().unwrap_or(&none);
        match self.format {
            Format::Json => self.bytes(&with_newline(&answer.text)),
            Format::Jsonl => items
                .iter()
                .try_for_each(|item| self.line(&item.to_string())),
            Format::Name => items.iter().try_for_each(|item| {
                self.line(&text(if item.is_string() { item } else { &item[key] }))
            }),
            Format::Table => {
                self.bytes(table(columns, items, self.color).as_bytes())?;
                self.turn_the_page(&answer.value);
                Ok(())
            }
        }
    }

    /// Says how to get at the next page, if there is one.
    fn turn_the_page(&self, page: &Value) {
        if let Some(cursor) = page["next_cursor"].as_str() {
            self.note(&format!("there is more: --cursor {cursor}"));
        }
    }

    /// A line of data.
    pub(super) fn line(&self, line: &str) -> Printed {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Data as it is.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Printed {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(())
    }

    /// A message, unless nobody wants any.
    pub(super) fn note(&self, message: &str) {
        if !self.quiet {
            // Nobody is left to tell when stderr is closed.
            drop(writeln!(io::stderr().lock(), "{message}"));
        }
    }

    /// A line that the next one replaces, where somebody watches.
    pub(super) fn progress(&self, line: &str) {
        if self.watched() {
            let mut stderr = io::stderr().lock();
            // As above.
            drop(write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush()));
        }
    }

    /// Whether somebody watches the messages.
    pub(super) fn watched(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether data may be coloured.
    pub(super) const fn color(&self) -> bool {
        self.color
    }
}

/// A text without its quotes, anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

fn with_newline(bytes: &[u8]) -> Vec<u8> {
    let mut line = bytes.to_vec();
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    line
}
