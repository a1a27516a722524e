//! Two configurations compared: which keys differ, and what that does to a running daemon.
//!
//! Rely on: values are compared by digest, so that a changed secret is seen and none is shown or
//! kept here; what is written otherwise and means the same does nothing; a key that only the start
//! of the daemon reads is told as pending, never left out.
//!
//! Not here: what a changed agent needs (`domain::reload`), and who carries it out (`app`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::keys::ROOT;
use super::tree::{Content, Table, join};
use super::{Config, LoggingConfig, MonitoringConfig, REDACTED, build, redact};
use crate::domain::agent::{AgentProgram, AgentSpec};
use crate::domain::name::Name;
use crate::domain::reload::{Change, Does, KeyChange, ReloadPlan, UnitChange, UnitKind, touch};
use crate::domain::schedule::ScheduledWork;

/// The key of the order of declaration, which no single value holds.
const ORDER: &str = "agents";

/// Of sections that only the start of the daemon reads, what is taken over all the same.
const LIVE: [(&str, UnitKind, &[&str]); 2] = [
    ("logging", UnitKind::Logging, &["level"]),
    (
        "monitoring",
        UnitKind::Monitoring,
        &[
            "health_interval",
            "health_timeout",
            "sample_interval",
            "sustained",
            "thresholds",
        ],
    ),
];

/// Every value of a configuration by its dotted key.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Values(BTreeMap<String, Held>);

/// One value: how it may be shown, and what tells it from another.
#[derive(Clone, PartialEq)]
struct Held {
    shown: Value,
    digest: [u8; 32],
}

impl Held {
    fn of(value: &impl Serialize, shown: Value) -> Self {
        let text = serde_json::to_vec(value).unwrap_or_default();
        let digest = Sha256::digest(text).into();
        Self { shown, digest }
    }

    fn plain(value: Value) -> Self {
        Self::of(&value.clone(), value)
    }
}

impl Values {
    /// Of what was read, and of what that names elsewhere.
    pub(super) fn of(tree: &Table, config: &Config) -> Self {
        let mut shown = tree.clone();
        redact::table(&mut shown, &ROOT);
        let mut values = Self::default();
        values.gather(tree, &shown, "");
        config
            .agents
            .values()
            .for_each(|spec| values.passed_on(spec));
        values.workflows(config);
        let names: Vec<&str> = config.agents.keys().map(Name::as_str).collect();
        values.hold(ORDER.to_owned(), Held::plain(json!(names)));
        values
    }

    fn hold(&mut self, key: String, held: Held) {
        self.0.insert(key, held);
    }

    fn gather(&mut self, table: &Table, shown: &Table, path: &str) {
        for (name, node) in table {
            let key = join(path, name);
            let other = shown.get(name).map(|node| &node.content);
            match (&node.content, other) {
                (Content::Table(below), Some(Content::Table(other))) => {
                    self.gather(below, other, &key);
                }
                (Content::Value(value), Some(Content::Value(other))) => {
                    let held = Held::of(&build::json(value), build::json(other));
                    self.hold(key, held);
                }
                _ => {}
            }
        }
    }

    /// Variables of the `.env` file that an agent is handed.
    fn passed_on(&mut self, spec: &AgentSpec) {
        let AgentProgram::Process(process) = &spec.runs else {
            return;
        };
        let set = process.env.set.iter();
        for (name, value) in set.filter(|(name, _)| process.env.pass.contains(name)) {
            let key = join(&format!("agents.{}.env.pass", spec.name), name);
            self.hold(key, Held::of(value, json!(REDACTED)));
        }
    }

    /// What the files of workflows say that schedules start.
    fn workflows(&mut self, config: &Config) {
        for spec in &config.schedules {
            if let ScheduledWork::Workflow(definition) = &spec.work {
                let held = Held::of(definition, Value::Null);
                let shown = json!(hex(&held.digest));
                let key = format!("schedules.{}.workflow.sha256", spec.name);
                self.hold(key, Held { shown, ..held });
            }
        }
    }

    /// Every value as it may be shown.
    #[cfg(test)]
    pub(super) fn shown(&self) -> BTreeMap<String, Value> {
        let shown = |(key, held): (&String, &Held)| (key.clone(), held.shown.clone());
        self.0.iter().map(shown).collect()
    }

    /// Over all of it.
    fn digest(&self) -> String {
        let mut whole = Sha256::new();
        for (key, held) in &self.0 {
            whole.update(key.as_bytes());
            whole.update([0]);
            whole.update(held.digest);
        }
        hex(&whole.finalize())
    }

    /// The keys that differ, with their values before and after.
    fn differ(&self, after: &Self) -> Vec<KeyChange> {
        let keys: BTreeSet<&String> = self.0.keys().chain(after.0.keys()).collect();
        let shown = |held: Option<&Held>| held.map(|held| held.shown.clone());
        let changes = keys.into_iter().filter_map(|key| {
            let (old, new) = (self.0.get(key), after.0.get(key));
            let same = old.map(|held| held.digest) == new.map(|held| held.digest);
            (!same).then(|| KeyChange {
                key: key.clone(),
                before: shown(old),
                after: shown(new),
            })
        });
        changes.collect()
    }

    /// Takes over what only the start of the daemon reads.
    pub(super) fn with_fixed_of(&mut self, running: &Self) {
        self.0.retain(|key, _| unit_of(key).is_some());
        let fixed = running.0.iter().filter(|(key, _)| unit_of(key).is_none());
        self.0
            .extend(fixed.map(|(key, held)| (key.clone(), held.clone())));
    }

    fn has(&self, (kind, name): &(UnitKind, String)) -> bool {
        let unit = (*kind, name.clone());
        self.0
            .keys()
            .any(|key| unit_of(key).as_ref() == Some(&unit))
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Which unit of a running daemon a key belongs to; none: only its start reads it.
fn unit_of(key: &str) -> Option<(UnitKind, String)> {
    if key == ORDER {
        return Some((UnitKind::Order, ORDER.to_owned()));
    }
    let (section, rest) = key.split_once('.')?;
    let name = || rest.split('.').next().unwrap_or_default().to_owned();
    let unit = match section {
        "agents" => (UnitKind::Agent, name()),
        "groups" => (UnitKind::Group, name()),
        "queues" => (UnitKind::Queue, name()),
        "schedules" => (UnitKind::Schedule, name()),
        "recovery" => match rest.strip_prefix("actions.") {
            Some(below) => {
                let name = below.split('.').next().unwrap_or_default();
                (UnitKind::RecoveryAction, name.to_owned())
            }
            None => (UnitKind::Recovery, section.to_owned()),
        },
        "supervisor" if rest != "arbiters" => (UnitKind::Supervisor, section.to_owned()),
        _ => {
            let (_, kind, keys) = LIVE.into_iter().find(|(live, ..)| *live == section)?;
            let is_live = keys.contains(&name().as_str());
            return is_live.then(|| (kind, section.to_owned()));
        }
    };
    Some(unit)
}

impl Config {
    /// What taking over `after` would do to a daemon that runs with this.
    #[must_use]
    pub fn plan(&self, after: &Self) -> ReloadPlan {
        let mut units: BTreeMap<(UnitKind, String), Vec<KeyChange>> = BTreeMap::new();
        let mut pending = Vec::new();
        for change in self.values.differ(&after.values) {
            match unit_of(&change.key) {
                Some(unit) => units.entry(unit).or_default().push(change),
                None => pending.push(change),
            }
        }
        let order = (UnitKind::Order, ORDER.to_owned());
        if self.same_order(after) {
            units.remove(&order);
        }
        let units = units.into_iter();
        let units = units.map(|(unit, keys)| self.change(after, unit, keys));
        let warnings = after.warnings.clone();
        ReloadPlan::new(after.values.digest(), units.collect(), pending, warnings)
    }

    /// Agents that are added or removed change no order of the others.
    fn same_order(&self, after: &Self) -> bool {
        let here = self
            .agents
            .keys()
            .filter(|name| after.agents.contains_key(*name));
        let there = after
            .agents
            .keys()
            .filter(|name| self.agents.contains_key(*name));
        here.eq(there)
    }

    fn change(&self, after: &Self, unit: (UnitKind, String), keys: Vec<KeyChange>) -> UnitChange {
        let change = match (self.values.has(&unit), after.values.has(&unit)) {
            (false, _) => Change::Added,
            (_, false) => Change::Removed,
            _ => Change::Changed,
        };
        let (kind, name) = unit;
        let does = match (kind, change) {
            (UnitKind::Agent, Change::Added) => Does::Start,
            (UnitKind::Agent, Change::Removed) => Does::Stop,
            (UnitKind::Agent, Change::Changed) => {
                let spec = |config: &'_ Self| config.agents.get(name.as_str()).cloned();
                let specs = spec(self).zip(spec(after));
                specs.map_or(Does::Nothing, |(before, after)| touch(&before, &after))
            }
            _ => Does::InPlace,
        };
        UnitChange {
            kind,
            name,
            change,
            does,
            keys,
        }
    }

    /// What a daemon runs with that took this over: all of it, but for what only its start reads,
    /// which stays as in `running`.
    #[must_use]
    pub fn taken_over_by(mut self, running: &Self) -> Self {
        self.values.with_fixed_of(&running.values);
        self.shown = shown_with(self.shown, &running.shown);
        self.environment = running.environment;
        self.data_dir = running.data_dir.clone();
        self.database = running.database.clone();
        self.server = running.server.clone();
        self.logging = LoggingConfig {
            level: self.logging.level,
            ..running.logging.clone()
        };
        self.cache = running.cache.clone();
        self.security = running.security.clone();
        self.monitoring = MonitoringConfig {
            health: self.monitoring.health,
            ..running.monitoring.clone()
        };
        self.supervisor.arbiters = running.supervisor.arbiters;
        self
    }
}

/// The shown form with the sections that stay.
fn shown_with(mut taken: Value, running: &Value) -> Value {
    let live = ["agents", "groups", "queues", "schedules", "recovery"];
    let mut running = running.clone();
    for (section, _, keys) in LIVE {
        for key in keys {
            let value = taken.get(section).and_then(|it| it.get(key));
            let place = running.get_mut(section).and_then(Value::as_object_mut);
            if let (Some(value), Some(place)) = (value, place) {
                place.insert((*key).to_owned(), value.clone());
            }
        }
    }
    if let (Value::Object(taken), Value::Object(running)) = (&mut taken, &running) {
        taken.retain(|section, _| live.contains(&section.as_str()) || section == "supervisor");
        for (section, value) in running {
            let stays = !live.contains(&section.as_str()) && section != "supervisor";
            if stays {
                taken.insert(section.clone(), value.clone());
            }
        }
        let arbiters = running.get("supervisor").and_then(|it| it.get("arbiters"));
        if let (Some(arbiters), Some(supervisor)) = (arbiters, taken.get_mut("supervisor")) {
            supervisor["arbiters"] = arbiters.clone();
        }
    }
    taken
}
