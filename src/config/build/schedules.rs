//! Schedules: their rules, their targets, and the definitions that they run.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::Value;

use super::View;
use crate::domain::agent::AgentSpec;
use crate::domain::name::Name;
use crate::domain::schedule::{CatchUp, MAX_SCHEDULES, Overlap, Rule, ScheduleSpec, ScheduledWork};
use crate::domain::task::{MAX_PAYLOAD_BYTES, Target};
use crate::domain::workflow::WorkflowDefinition;
use crate::domain::workflow::check::{did_you_mean, unknown_targets};
use crate::domain::workflow::text::{DefinitionFormat, parse_run};

/// Keys and what is wrong with their values.
type Faults = Vec<(String, String)>;

/// The schedules, and all that is wrong with them.
pub(super) fn schedules(
    root: &View<'_>,
    agents: &IndexMap<Name, AgentSpec>,
) -> (Vec<ScheduleSpec>, Faults) {
    let (mut specs, mut faults) = (Vec::new(), Faults::new());
    for (name, view) in root.named("schedules") {
        let Ok(name) = name.parse::<Name>() else {
            continue;
        };
        let mut reading = Reading {
            at: format!("schedules.{name}"),
            view,
            agents,
            faults: &mut faults,
        };
        let (rule, work) = (reading.rule(), reading.work());
        if let (Some(rule), Some(work)) = (rule, work) {
            specs.push(spec(name, &view, rule, work));
        }
    }
    if specs.len() > MAX_SCHEDULES {
        let message = format!("{} are more than {MAX_SCHEDULES}", specs.len());
        faults.push(("schedules".to_owned(), message));
    }
    (specs, faults)
}

fn spec(name: Name, view: &View<'_>, rule: Rule, work: ScheduledWork) -> ScheduleSpec {
    let shown = match &rule {
        Rule::Every(_) => format!("every {}", view.word("every")),
        Rule::Cron { .. } => format!("{} {}", view.word("cron"), view.word("timezone")),
    };
    ScheduleSpec {
        name,
        rule,
        shown,
        overlap: match view.word("overlap") {
            "queue" => Overlap::Queue,
            "allow" => Overlap::Allow,
            "replace" => Overlap::Replace,
            _ => Overlap::Skip,
        },
        catch_up: match view.word("catch_up") {
            "none" => CatchUp::None,
            "all" => CatchUp::All,
            _ => CatchUp::Last,
        },
        catch_up_max: view.count("catch_up_max"),
        jitter: view.span("jitter"),
        work,
    }
}

/// One schedule being read.
struct Reading<'a, 'f> {
    at: String,
    view: View<'a>,
    agents: &'a IndexMap<Name, AgentSpec>,
    faults: &'f mut Faults,
}

impl Reading<'_, '_> {
    fn fault(&mut self, key: &str, message: impl Into<String>) {
        let key = match self.view.has(key) {
            true => format!("{}.{key}", self.at),
            false => self.at.clone(),
        };
        self.faults.push((key, message.into()));
    }

    fn rule(&mut self) -> Option<Rule> {
        match (self.view.text("cron"), self.view.has("every")) {
            (Some(text), false) => match Rule::cron(text, self.view.word("timezone")) {
                Ok(rule) => Some(rule),
                Err(error) => {
                    let zone = matches!(error, crate::domain::schedule::InvalidRule::Zone { .. });
                    self.fault(if zone { "timezone" } else { "cron" }, error.to_string());
                    None
                }
            },
            (None, true) => {
                let span = self.view.span("every");
                (span >= Duration::from_secs(1)).then_some(Rule::Every(span))
            }
            (Some(_), true) => {
                self.fault("every", "has both cron and every; keep one");
                None
            }
            (None, false) => {
                self.fault("cron", "has neither cron nor every; give one");
                None
            }
        }
    }

    fn work(&mut self) -> Option<ScheduledWork> {
        let given: Vec<&str> = ["agent", "role", "queue", "workflow"]
            .into_iter()
            .filter(|key| self.view.has(key))
            .collect();
        match given[..] {
            ["workflow"] => self.workflow(),
            [kind] => self.task(kind),
            [] => {
                self.fault(
                    "agent",
                    "starts nothing; give agent, role, queue or workflow",
                );
                None
            }
            [first, second, ..] => {
                self.fault(second, format!("has both {first} and {second}; keep one"));
                None
            }
        }
    }

    fn task(&mut self, kind: &str) -> Option<ScheduledWork> {
        let name = self.view.name(kind)?;
        let payload = self.view.json("payload");
        if payload.to_string().len() > MAX_PAYLOAD_BYTES {
            self.fault("payload", format!("over {MAX_PAYLOAD_BYTES} bytes"));
        }
        let known = match kind {
            "agent" => self.agents.keys().cloned().collect(),
            "role" => self.roles(),
            _ => self
                .agents
                .values()
                .map(|agent| agent.queue.clone())
                .collect(),
        };
        if !known.contains(&name) {
            let hint = did_you_mean(name.as_str(), known.iter().map(Name::as_str));
            self.fault(kind, format!("there is no {kind} '{name}'{hint}"));
        }
        let target = match kind {
            "agent" => Target::Agent(name),
            "role" => Target::Role(name),
            _ => Target::Queue(name),
        };
        Some(ScheduledWork::Task { target, payload })
    }

    fn roles(&self) -> BTreeSet<Name> {
        let agents = self.agents.values();
        let roles = agents.filter_map(|agent| agent.role.clone());
        self.agents.keys().cloned().chain(roles).collect()
    }

    fn workflow(&mut self) -> Option<ScheduledWork> {
        let path = self.view.word("workflow");
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.fault("workflow", format!("'{path}' cannot be read: {error}"));
                return None;
            }
        };
        let Value::Object(input) = self.view.json("input") else {
            return self.definition(path, &text, serde_json::Map::new());
        };
        self.definition(path, &text, input)
    }

    fn definition(
        &mut self,
        path: &str,
        text: &str,
        input: serde_json::Map<String, Value>,
    ) -> Option<ScheduledWork> {
        let format = match path.ends_with(".json") {
            true => DefinitionFormat::Json,
            false => DefinitionFormat::Toml,
        };
        let given: Vec<&str> = input.keys().map(String::as_str).collect();
        let parsed: Result<WorkflowDefinition, _> = parse_run(text, format, &given);
        let known: BTreeSet<Name> = self.agents.keys().cloned().collect();
        let faults = match parsed {
            Err(faults) => faults,
            Ok(mut definition) => {
                let unknown = unknown_targets(&definition, &known, &self.roles());
                if unknown.is_empty() {
                    definition.input.extend(input);
                    return Some(ScheduledWork::Workflow(Box::new(definition)));
                }
                unknown
            }
        };
        for fault in faults {
            self.fault("workflow", format!("{path}: {fault}"));
        }
        None
    }
}
