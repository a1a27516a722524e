//! Values as people read them: spans, ages, sizes, lists of fields.

use std::time::Duration;

use serde_json::Value;

use super::out::text;
use super::table::one_line;
use crate::domain::timestamp::Timestamp;

/// A field's text; `-` if there is none.
pub(super) fn field(item: &Value, key: &str) -> String {
    text(&item[key])
}

/// The age of an instant: `5s`, `3m`, `2h`, `4d`.
pub(super) fn age(value: &Value) -> String {
    match value
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok())
    {
        None => "-".to_owned(),
        Some(instant) => span(crate::clock::now().since(instant)),
    }
}

/// A number of milliseconds as a span.
pub(super) fn millis(value: &Value) -> String {
    value.as_u64().map_or_else(
        || "-".to_owned(),
        |millis| span(Duration::from_millis(millis)),
    )
}

/// A span in its largest unit.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A number of bytes with its unit.
pub(super) fn bytes(value: &Value) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let Some(mut amount) = value.as_f64() else {
        return "-".to_owned();
    };
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{amount} B")
    } else {
        format!("{amount:.1} {}", UNITS[unit])
    }
}

/// What an agent has spent of what it may.
pub(super) fn spend(spend: &Value) -> String {
    if !spend.is_object() {
        return "-".to_owned();
    }
    let (used, ceiling) = (&spend["used"], &spend["ceiling"]);
    let per = text(&spend["per"]);
    let money = ceiling["cost_usd"].as_f64().map(|most| {
        let used = used["cost_usd"].as_f64().unwrap_or(0.0);
        format!("${used:.2} of ${most:.2}")
    });
    let tokens = ceiling["tokens"].as_u64();
    let tokens = tokens.map(|most| format!("{} of {most} tokens", text(&used["tokens"])));
    let parts: Vec<String> = money.into_iter().chain(tokens).collect();
    let renews_at = text(&spend["renews_at"]);
    let end = match (spend["state"] == "exhausted", spend["held"] == true) {
        (true, _) => format!("; held: spend of the {per} is exhausted, renews at {renews_at}"),
        (false, true) => "; held: the rest is reserved by open tasks".to_owned(),
        (false, false) => format!(", renews at {renews_at}"),
    };
    match parts.is_empty() {
        true => format!("{} tokens, no ceiling of the {per}", text(&used["tokens"])),
        false => format!("{} this {per}{end}", parts.join(", ")),
    }
}

/// A line for each field.
pub(super) fn fields(pairs: &[(&str, String)]) -> String {
    let wide = pairs.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let lines: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key:wide$}  {}", one_line(value)))
        .collect();
    lines.join("\n")
}

/// Every field of an object, nested ones by dotted key.
pub(super) fn all_fields(value: &Value) -> String {
    let mut pairs = Vec::new();
    flatten("", value, &mut pairs);
    let shown: Vec<(&str, String)> = pairs
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    fields(&shown)
}

fn flatten(prefix: &str, value: &Value, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, inner) in members {
                let path = if prefix.is_empty() {
                    key.clone()
                } else {
                    format!("{prefix}.{key}")
                };
                flatten(&path, inner, pairs);
            }
        }
        other => pairs.push((prefix.to_owned(), text(other))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_shown_in_their_largest_unit() {
        let spans = [
            (999, "999ms"),
            (59_000, "59s"),
            (61_000, "1m01s"),
            (3_660_000, "1h01m"),
            (90_000_000, "1d01h"),
        ];
        for (millis, shown) in spans {
            assert_eq!(span(Duration::from_millis(millis)), shown);
        }
        let sizes = [
            (json!(12), "12 B"),
            (json!(1536), "1.5 KiB"),
            (json!(null), "-"),
        ];
        for (size, shown) in sizes {
            assert_eq!(bytes(&size), shown);
        }
    }

    #[test]
    fn nested_fields_are_shown_by_dotted_key() {
        assert_eq!(
            all_fields(&json!({"a": {"b": 1}, "c": "x"})),
            "a.b  1\nc    x"
        );
    }
}
