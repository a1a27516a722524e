//! Reading the fields of one object of a definition, with a fault for each that is not right.

use serde_json::{Map, Value};

use super::{Faults, MAX_ITEMS, did_you_mean, is_task_name};
use crate::domain::name::Name;
use crate::domain::workflow::reference::reference_text;
use crate::domain::workflow::{OnFailure, OnTimeout};

/// Who does a task, or what it waits for: one of them.
pub(super) struct Target {
    pub(super) agent: Option<Name>,
    pub(super) role: Option<Name>,
    pub(super) signal: Option<String>,
    pub(super) approval: Option<String>,
}

/// The fields of one object, read with their faults.
pub(super) struct Fields<'a, 'f> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) at: String,
    pub(super) who: String,
    pub(super) faults: &'f mut Faults,
}

impl<'a> Fields<'a, '_> {
    pub(super) fn fault(&mut self, key: &str, message: &str) {
        // A key that is not there is a fault of the object.
        let pointer = match self.map.contains_key(key) {
            true => format!("{}/{key}", self.at),
            false => self.at.clone(),
        };
        self.faults.add(pointer, format!("{}{message}", self.who));
    }

    pub(super) fn only(&mut self, known: &[&str]) {
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = did_you_mean(key, known.iter().copied());
            let shown: String = key.chars().take(80).collect();
            self.fault(key, &format!("unknown key '{shown}'{hint}"));
        }
    }

    fn typed<T>(
        &mut self,
        key: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.map.get(key)?;
        let read = read(value);
        if read.is_none() {
            self.fault(key, &format!("'{key}' must be {what}"));
        }
        read
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.typed(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    pub(super) fn list(&mut self, key: &str) -> Option<&'a Vec<Value>> {
        self.typed(key, "a list", Value::as_array)
    }

    pub(super) fn object(&mut self, key: &str) -> Option<Map<String, Value>> {
        self.typed(key, "an object", |value| value.as_object().cloned())
    }

    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let all = |value: &Value| {
            let list = value.as_array()?;
            list.iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        };
        self.typed(key, "a list of names", all).unwrap_or_default()
    }

    pub(super) fn number(&mut self, key: &str, min: u64, max: u64) -> Option<u64> {
        let what = format!("a whole number from {min} to {max}");
        let inside = |value: &Value| value.as_u64().filter(|number| (min..=max).contains(number));
        self.typed(key, &what, inside)
    }

    fn name(&mut self, key: &str) -> Option<Name> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.fault(key, &format!("{key}: {error}"));
                None
            }
        }
    }

    /// Who does the task, or what it waits for.
    pub(super) fn target(&mut self) -> Target {
        let given: Vec<&str> = ["agent", "role", "signal", "approval"]
            .into_iter()
            .filter(|key| self.map.contains_key(*key))
            .collect();
        match given[..] {
            [] => {
                let wanted = "has neither agent nor role; give one, or signal or approval if it waits for somebody";
                self.fault("agent", wanted);
            }
            [_] => {}
            [first, second, ..] => {
                self.fault(second, &format!("has both {first} and {second}; keep one"));
            }
        }
        if self.map.contains_key("signal") || self.map.contains_key("approval") {
            for key in ["for_each", "max_attempts", "compensate"] {
                if self.map.contains_key(key) {
                    self.fault(
                        key,
                        &format!("'{key}' has no meaning for a task that waits"),
                    );
                }
            }
        }
        Target {
            agent: self.name("agent"),
            role: self.name("role"),
            signal: self.signal("signal"),
            approval: self.signal("approval"),
        }
    }

    fn signal(&mut self, key: &str) -> Option<String> {
        let name = self.text(key)?;
        if !is_task_name(&name) {
            let wanted = format!(
                "'{key}' names a signal: a lower-case letter, then up to 62 of a-z, 0-9, '_' and '-'"
            );
            self.fault(key, &wanted);
        }
        Some(name)
    }

    pub(super) fn for_each(&mut self) -> Option<Value> {
        let value = self.map.get("for_each")?;
        match value {
            Value::Array(list) if list.len() > MAX_ITEMS => {
                self.fault(
                    "for_each",
                    &format!("{} items are more than {MAX_ITEMS}", list.len()),
                );
            }
            Value::Array(_) => {}
            reference if reference_text(reference).is_some() => {}
            _ => self.fault(
                "for_each",
                "'for_each' must be a list or a reference to one",
            ),
        }
        Some(value.clone())
    }

    pub(super) fn on_failure(&mut self) -> Option<OnFailure> {
        match self.text("on_failure")?.as_str() {
            "fail" => Some(OnFailure::Fail),
            "continue" => Some(OnFailure::Continue),
            "compensate" => Some(OnFailure::Compensate),
            _ => {
                let wanted = "'on_failure' must be fail, continue or compensate";
                self.fault("on_failure", wanted);
                None
            }
        }
    }

    pub(super) fn on_timeout(&mut self) -> Option<OnTimeout> {
        let wanted = self.text("on_timeout")?;
        if !self.map.contains_key("signal") && !self.map.contains_key("approval") {
            self.fault(
                "on_timeout",
                "'on_timeout' is for a task with signal; on_failure says what a timeout means here",
            );
        }
        match wanted.as_str() {
            "fail" => Some(OnTimeout::Fail),
            "continue" if self.map.contains_key("approval") => {
                let why =
                    "an approval that nobody gave is none: 'on_timeout' can only be fail here";
                self.fault("on_timeout", why);
                None
            }
            "continue" => Some(OnTimeout::Continue),
            _ => {
                self.fault("on_timeout", "'on_timeout' must be fail or continue");
                None
            }
        }
    }
}
