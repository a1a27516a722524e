//! A `.env` file: `NAME=value` lines, `export` and quotes allowed, comments from `#`.
//!
//! Nothing is expanded and nothing is put into the process's environment.

use std::path::Path;
use std::sync::Arc;

use super::problem::Problem;
use super::source::Source;
use super::variables::{Variable, Variables};

/// Reads the file, if there is one.
pub(super) fn read(path: &Path, problems: &mut Vec<Problem>) -> Variables {
    let shown: Arc<str> = path.display().to_string().into();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Variables::new(),
        Err(e) => {
            problems.push(Problem {
                key: shown.to_string(),
                message: format!("cannot be read: {e}"),
                source: None,
            });
            return Variables::new();
        }
    };
    let mut variables = Variables::new();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        match pair(line) {
            Ok(None) => {}
            Ok(Some((name, value))) => {
                let dotenv = Some((shown.clone(), line_number));
                variables.insert(name.to_owned(), Variable { value, dotenv });
            }
            Err(message) => problems.push(Problem {
                key: "syntax".to_owned(),
                message: message.to_owned(),
                source: Some(Source::File {
                    path: shown.clone(),
                    line: line_number,
                }),
            }),
        }
    }
    variables
}

/// The name and value of a line; `None` for an empty line or a comment.
fn pair(line: &str) -> Result<Option<(&str, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("not NAME=value")?;
    let name = name.trim();
    let wrong = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    if name.is_empty() || name.contains(wrong) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("not NAME=value: a name has letters, digits and '_'");
    }
    Ok(Some((name, unquoted(value.trim())?)))
}

fn unquoted(value: &str) -> Result<String, &'static str> {
    if let Some(quote @ ('"' | '\'')) = value.chars().next() {
        let rest = &value[1..];
        let end = rest.find(quote).ok_or("the quote is not closed")?;
        let after = rest[end + 1..].trim_start();
        if !after.is_empty() && !after.starts_with('#') {
            return Err("nothing but a comment may follow the closing quote");
        }
        return Ok(rest[..end].to_owned());
    }
    let comment = value.find(" #").unwrap_or(value.len());
    Ok(value[..comment].trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_other_tools_read_them() {
        for (line, name, value) in [
            ("A=1", "A", "1"),
            ("  export B_2 = two words # note", "B_2", "two words"),
            ("C='# kept'", "C", "# kept"),
            ("D=\"x\" # note", "D", "x"),
            ("E=", "E", ""),
            ("F=a#b", "F", "a#b"),
            ("G=postgres://u:p=1@h/d", "G", "postgres://u:p=1@h/d"),
        ] {
            assert_eq!(pair(line), Ok(Some((name, value.to_owned()))), "{line}");
        }
        for line in ["", "   ", "# A=1"] {
            assert_eq!(pair(line), Ok(None));
        }
        for line in ["A", "=1", "1A=1", "A B=1", "A='x", "A='x'y"] {
            assert!(pair(line).is_err(), "{line}");
        }
    }
}
