//! Tables for people: columns as wide as they need to be, states coloured by what they mean.

use serde_json::Value;

/// The gap between two columns.
const GAP: &str = "  ";

/// A column: its heading, and what it shows of an item.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// A heading and a line for each item; says so if there is none.
pub(super) fn table(columns: &[Column], items: &[Value], color: bool) -> String {
    let mut rows = vec![
        columns
            .iter()
            .map(|(heading, _)| (*heading).to_owned())
            .collect::<Vec<_>>(),
    ];
    for item in items {
        rows.push(
            columns
                .iter()
                .map(|(_, show)| one_line(&show(item)))
                .collect(),
        );
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            rows.iter()
                .map(|row| width(&row[column]))
                .max()
                .unwrap_or(0)
        })
        .collect();
    rows.iter().map(|row| line(row, &widths, color)).collect()
}

fn line(cells: &[String], widths: &[usize], color: bool) -> String {
    let mut line = String::new();
    for (cell, wide) in cells.iter().zip(widths) {
        let padding = " ".repeat(wide - width(cell));
        let shown = if color { coloured(cell) } else { cell.clone() };
        line.push_str(&format!("{shown}{padding}{GAP}"));
    }
    format!("{}\n", line.trim_end())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Control characters could move the reader's cursor, or worse.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A state in the colour of what it means; any other text as it is.
pub(super) fn coloured(word: &str) -> String {
    let code = match word {
        "healthy" | "ok" | "ready" | "succeeded" | "completed" | "working" => 32,
        "warning" | "backoff" | "retrying" | "draining" | "starting" | "stalled" | "paused" => 33,
        "critical" | "failed" | "dead" | "quarantined" | "timed_out" | "unreachable" => 31,
        "unknown" | "cancelled" | "stopped" | "suppressed" | "skipped" => 90,
        "running" | "busy" => 36,
        _ => return word.to_owned(),
    };
    format!("\x1b[{code}m{word}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_need_to_be_and_hold_no_control_character() {
        let columns: [Column; 2] = [
            ("NAME", |item| {
                item["name"].as_str().unwrap_or_default().to_owned()
            }),
            ("STATE", |item| {
                item["state"].as_str().unwrap_or_default().to_owned()
            }),
        ];
        let items = [
            json!({"name": "a-long-name", "state": "ready"}),
            json!({"name": "b\u{1b}", "state": "failed"}),
        ];
        let plain = table(&columns, &items, false);
        assert_eq!(
            plain,
            "NAME         STATE\na-long-name  ready\nb            failed\n"
        );
        assert!(table(&columns, &items, true).contains("\u{1b}[31mfailed"));
    }
}
