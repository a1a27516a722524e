//! Workflows in the model: steps that count what they wait for, and what the end of a task means.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::model::{Known, Model, Number};
use super::world::{World, name};
use crate::clock;
use crate::domain::ids::WorkflowId;
use crate::domain::task::{Target, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::{Command, WaitsFor};
use crate::domain::workflow::check::check;
use crate::domain::workflow::{NewWorkflow, WorkflowState};
use crate::persistence::StoreError;
use crate::persistence::sqlite::workflows;

/// Workflows to choose from.
pub(super) const TEMPLATES: usize = 4;
const SIGNALS: [&str; 3] = ["go", "maybe", "unknown"];

fn template(number: usize) -> Value {
    let tasks = match number {
        // A map and its join.
        0 => json!([
            {"name": "a", "agent": "echo"},
            {"name": "b", "agent": "sum", "for_each": {"$ref": "tasks.a.result.items"},
             "payload": {"item": {"$ref": "item"}, "n": {"$ref": "index"}}},
            {"name": "c", "role": "worker", "payload": {"all": {"$ref": "tasks.b.result"}}},
        ]),
        // A wait that fails the workflow when its time is over.
        1 => json!([
            {"name": "a", "agent": "echo", "max_attempts": 1},
            {"name": "w", "signal": "go", "timeout_ms": 8000, "depends_on": ["a"]},
            {"name": "d", "agent": "sum", "payload": {"said": {"$ref": "tasks.w.result"}}},
        ]),
        // Failures that are borne, a wait that may pass, a join of both.
        2 => json!([
            {"name": "a", "agent": "echo", "max_attempts": 1, "on_failure": "continue"},
            {"name": "b", "agent": "echo", "depends_on": ["a"]},
            {"name": "c", "agent": "sum"},
            {"name": "w", "signal": "maybe", "timeout_ms": 5000, "on_timeout": "continue"},
            {"name": "e", "role": "worker", "depends_on": ["c"],
             "payload": {"said": {"$ref": "tasks.w.result"}}},
        ]),
        // A map of which some may fail.
        _ => json!([
            {"name": "a", "agent": "echo"},
            {"name": "b", "agent": "sum", "max_attempts": 1, "on_failure": "continue",
             "for_each": {"$ref": "tasks.a.result.items"}},
            {"name": "c", "role": "worker", "depends_on": ["b"]},
            {"name": "d", "agent": "echo", "payload": {"n": {"$ref": "tasks.a.result.n"}}},
        ]),
    };
    json!({"name": "w", "tasks": tasks})
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Waiting,
    Open,
    Succeeded,
    Failed,
    Cancelled,
}

/// A step of a workflow.
#[derive(Debug, Clone)]
struct Step {
    name: String,
    definition: Value,
    upstream: Vec<usize>,
    at: At,
    waiting_on: usize,
    left: usize,
    failed: usize,
    tasks: Vec<Number>,
    until: Option<Timestamp>,
}

impl Step {
    fn continues(&self) -> bool {
        self.definition["on_failure"] == "continue"
    }

    fn signal(&self) -> Option<&str> {
        self.definition["signal"].as_str()
    }

    fn maps(&self) -> bool {
        !self.definition["for_each"].is_null()
    }

    fn target(&self) -> Target {
        match (&self.definition["agent"], &self.definition["role"]) {
            (Value::String(agent), _) => Target::Agent(name(agent)),
            (_, Value::String(role)) => Target::Role(name(role)),
            _ => Target::Queue(name("default")),
        }
    }

    fn attempts(&self) -> u32 {
        let given = self.definition["max_attempts"].as_u64().unwrap_or(3);
        u32::try_from(given).unwrap()
    }
}

/// A workflow.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) id: WorkflowId,
    pub(super) state: WorkflowState,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) gone: bool,
    steps: Vec<Step>,
    signals: BTreeMap<String, Value>,
}

impl Flow {
    pub(super) fn completed(&self) -> bool {
        self.state == WorkflowState::Completed
    }
}

/// The steps that another one names, in its list or by reference.
fn upstream(definition: &Value, names: &[String]) -> Vec<usize> {
    let text = definition.to_string();
    let listed = |it: &str| {
        let list = definition["depends_on"].as_array();
        list.is_some_and(|list| list.iter().any(|name| name == it))
    };
    let named = |it: &String| listed(it) || text.contains(&format!("tasks.{it}.result"));
    (0..names.len()).filter(|at| named(&names[*at])).collect()
}

impl Model {
    fn open_flow(&mut self, id: WorkflowId, definition: &Value) {
        let definitions = definition["tasks"].as_array().unwrap();
        let names: Vec<_> = definitions
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect();
        let steps = definitions.iter().zip(&names).map(|(definition, name)| {
            let upstream = upstream(definition, &names);
            Step {
                name: name.clone(),
                definition: definition.clone(),
                at: At::Waiting,
                waiting_on: upstream.len(),
                upstream,
                left: 0,
                failed: 0,
                tasks: Vec::new(),
                until: None,
            }
        });
        let flow = self.flows.len();
        self.flows.push(Flow {
            id,
            state: WorkflowState::Pending,
            finished_at: None,
            gone: false,
            steps: steps.collect(),
            signals: BTreeMap::new(),
        });
        let blocked = |it: &Step| it.waiting_on > 0 && !it.maps();
        for step in 0..names.len() {
            if blocked(&self.flows[flow].steps[step]) {
                self.add_task(flow, step, None, WaitsFor::Upstream, None);
            }
        }
        for step in 0..names.len() {
            if self.flows[flow].steps[step].waiting_on == 0 {
                self.open_step(flow, step);
            }
        }
    }

    fn add_task(
        &mut self,
        flow: usize,
        step: usize,
        item: Option<usize>,
        waits_for: WaitsFor,
        payload: Option<Value>,
    ) {
        let it = &self.flows[flow].steps[step];
        let known = Known::new(it.target(), it.attempts(), waits_for, self.now);
        let number = self.add(Known {
            of: Some((flow, step, item)),
            payload,
            ..known
        });
        self.flows[flow].steps[step].tasks.push(number);
    }

    /// The result of a step, as references see it.
    fn result_of(&self, flow: usize, of: &str) -> Value {
        let steps = &self.flows[flow].steps;
        let step = steps.iter().find(|it| it.name == of).unwrap();
        let result = |number: &Number| self.tasks[*number].result.clone().unwrap_or_default();
        match step.maps() {
            true => step.tasks.iter().map(result).collect(),
            false => step.tasks.first().map(result).unwrap_or_default(),
        }
    }

    /// What the payload of a step becomes.
    fn payload_of(&self, flow: usize, step: usize, item: Option<(&Value, usize)>) -> Value {
        let definition = &self.flows[flow].steps[step].definition;
        let Value::Object(template) = &definition["payload"] else {
            return item.map_or(Value::Null, |(item, _)| item.clone());
        };
        let resolved = template.iter().map(|(key, value)| {
            let reference = value["$ref"].as_str().unwrap();
            let value = match (reference, item) {
                ("item", Some((item, _))) => item.clone(),
                ("index", Some((_, index))) => json!(index),
                _ => {
                    let mut path = reference.split('.').skip(1);
                    let of = self.result_of(flow, path.next().unwrap());
                    path.skip(1).fold(of, |value, key| value[key].clone())
                }
            };
            (key.clone(), value)
        });
        Value::Object(resolved.collect())
    }

    fn open_step(&mut self, flow: usize, step: usize) {
        let now = self.now;
        let it = &mut self.flows[flow].steps[step];
        (it.at, it.left) = (At::Open, 1);
        if it.maps() {
            return self.fan_out(flow, step);
        }
        let payload = self.payload_of(flow, step, None);
        let it = &mut self.flows[flow].steps[step];
        let signal = it.signal().map(str::to_owned);
        let Some(signal) = signal else {
            match it.tasks.first().copied() {
                None => self.add_task(flow, step, None, WaitsFor::Slot, Some(payload)),
                Some(number) => {
                    self.tasks[number].payload = Some(payload);
                    assert!(self.step(number, Command::Unblock, Some(now)));
                }
            }
            return;
        };
        let span = it.definition["timeout_ms"].as_u64().unwrap();
        it.until = Some(now.after(Duration::from_millis(span)));
        if it.tasks.is_empty() {
            self.add_task(flow, step, None, WaitsFor::Upstream, None);
        }
        let number = self.flows[flow].steps[step].tasks[0];
        self.tasks[number].standing.waits_for = WaitsFor::Signal;
        assert!(self.step(number, Command::Unblock, Some(now)));
        self.flow_begins(number);
        if let Some(said) = self.flows[flow].signals.get(&signal).cloned() {
            self.answer(number, said);
        }
    }

    fn fan_out(&mut self, flow: usize, step: usize) {
        let reference = &self.flows[flow].steps[step].definition["for_each"]["$ref"];
        let of = reference
            .as_str()
            .unwrap()
            .split('.')
            .nth(1)
            .unwrap()
            .to_owned();
        let items = self.result_of(flow, &of)["items"]
            .as_array()
            .unwrap()
            .clone();
        for (index, item) in items.iter().enumerate() {
            let payload = self.payload_of(flow, step, Some((item, index)));
            self.add_task(flow, step, Some(index), WaitsFor::Slot, Some(payload));
        }
        self.flows[flow].steps[step].left = items.len();
        if items.is_empty() {
            self.close_step(flow, step, At::Succeeded);
        }
    }

    /// A task of it runs, or waits for somebody.
    pub(super) fn flow_begins(&mut self, number: Number) {
        if let Some((flow, ..)) = self.tasks[number].of {
            let flow = &mut self.flows[flow];
            if flow.state == WorkflowState::Pending {
                flow.state = WorkflowState::Running;
            }
        }
    }

    /// A wait has ended with a value.
    fn answer(&mut self, number: Number, said: Value) {
        self.tasks[number].result = Some(said);
        assert!(self.step_on(number, Command::Succeed, None));
    }

    /// A task has become final.
    pub(super) fn task_ended(&mut self, number: Number) {
        let Some((flow, step, _)) = self.tasks[number].of else {
            return;
        };
        if self.flows[flow].state.is_final() {
            return;
        }
        let succeeded = self.tasks[number].state() == TaskState::Succeeded;
        let it = &mut self.flows[flow].steps[step];
        it.left = it.left.saturating_sub(1);
        it.failed += usize::from(!succeeded);
        if !succeeded && !it.continues() {
            return self.end_flow(flow, WorkflowState::Failed, Command::UpstreamFailed);
        }
        if it.left == 0 {
            let at = if it.failed == 0 {
                At::Succeeded
            } else {
                At::Failed
            };
            self.close_step(flow, step, at);
        }
    }

    fn close_step(&mut self, flow: usize, step: usize, at: At) {
        self.flows[flow].steps[step].at = at;
        let mut dependents: Vec<_> = (0..self.flows[flow].steps.len())
            .filter(|it| self.flows[flow].steps[*it].upstream.contains(&step))
            .collect();
        dependents.sort_by_key(|it| self.flows[flow].steps[*it].name.clone());
        for dependent in dependents {
            let it = &mut self.flows[flow].steps[dependent];
            if at == At::Succeeded {
                it.waiting_on -= 1;
                if it.waiting_on == 0 && it.at == At::Waiting {
                    self.open_step(flow, dependent);
                }
            } else if it.at == At::Waiting {
                for number in it.tasks.clone() {
                    assert!(self.step(number, Command::UpstreamFailed, None));
                }
                self.close_step(flow, dependent, At::Cancelled);
            }
        }
        self.complete_if_done(flow);
    }

    fn complete_if_done(&mut self, flow: usize) {
        let open = |it: &Step| matches!(it.at, At::Waiting | At::Open);
        let it = &mut self.flows[flow];
        if !it.state.is_final() && !it.steps.iter().any(open) {
            it.state = WorkflowState::Completed;
            it.finished_at = Some(self.now);
        }
    }

    fn end_flow(&mut self, flow: usize, state: WorkflowState, command: Command) {
        self.flows[flow].state = state;
        self.flows[flow].finished_at = Some(self.now);
        for number in self.all(|it| it.of.is_some_and(|(of, ..)| of == flow)) {
            if !self.tasks[number].state().is_final() {
                assert!(self.step(number, command, None));
            }
        }
    }

    fn run_again(&mut self, flow: usize) {
        let succeeded = |tasks: &[Known], it: &Step| {
            let all = it
                .tasks
                .iter()
                .all(|it| tasks[*it].state() == TaskState::Succeeded);
            all && !matches!(it.at, At::Waiting | At::Cancelled)
        };
        let done: Vec<bool> = self.flows[flow]
            .steps
            .iter()
            .map(|it| succeeded(&self.tasks, it))
            .collect();
        self.flows[flow].state = WorkflowState::Running;
        self.flows[flow].finished_at = None;
        let mut to_open = Vec::new();
        for step in 0..done.len() {
            let it = &mut self.flows[flow].steps[step];
            it.waiting_on = it.upstream.iter().filter(|at| !done[**at]).count();
            it.failed = 0;
            if done[step] {
                it.at = At::Succeeded;
                continue;
            }
            let opened = !matches!(it.at, At::Waiting | At::Cancelled) && !it.tasks.is_empty();
            let again = opened && it.signal().is_none();
            it.at = if again { At::Open } else { At::Waiting };
            let tasks = it.tasks.clone();
            let mut left = 0;
            for number in tasks {
                if self.tasks[number].state() != TaskState::Succeeded {
                    let waits_for = if again {
                        WaitsFor::Slot
                    } else {
                        WaitsFor::Upstream
                    };
                    self.tasks[number].standing.waits_for = waits_for;
                    assert!(self.step(number, Command::Retry, Some(self.now)));
                    left += 1;
                }
            }
            let it = &mut self.flows[flow].steps[step];
            it.left = if again { left } else { 0 };
            if !again && it.waiting_on == 0 {
                to_open.push(step);
            }
        }
        // What was given up may have succeeded after all.
        self.complete_if_done(flow);
        for step in to_open {
            self.open_step(flow, step);
        }
    }

    /// The waits that are open, with their ends.
    fn waits(&self) -> Vec<(Number, Timestamp)> {
        let waiting = |it: &Known| it.state() == TaskState::Waiting;
        let until = |number: Number| {
            let (flow, step, _) = self.tasks[number].of?;
            self.flows[flow].steps[step].until
        };
        let all = self.all(waiting).into_iter();
        all.map(|number| (number, until(number).unwrap())).collect()
    }

    fn present_flow(&self, pick: usize) -> Option<usize> {
        let present: Vec<_> = (0..self.flows.len())
            .filter(|it| !self.flows[*it].gone)
            .collect();
        (!present.is_empty()).then(|| present[pick % present.len()])
    }
}

impl World {
    pub(super) fn run(&mut self, number: usize) {
        let id = WorkflowId::from_bytes(clock::new_id());
        let definition = template(number);
        let new = NewWorkflow {
            id,
            definition: check(&definition).unwrap(),
            labels: BTreeMap::new(),
            idempotency: None,
        };
        self.db.write(|tx| workflows::create_in(tx, &new)).unwrap();
        self.model.open_flow(id, &definition);
        self.bind_flows();
    }

    /// Learns the ids of the tasks that workflows have made.
    pub(super) fn bind_flows(&mut self) {
        for number in self.model.all(|it| it.id.is_none() && it.of.is_some()) {
            let (flow, step, item) = self.model.tasks[number].of.unwrap();
            let (id, step) = (
                self.model.flows[flow].id,
                &self.model.flows[flow].steps[step],
            );
            let sql = "SELECT id FROM tasks WHERE step = ?2 AND item IS ?3 AND workflow_key = \
                       (SELECT key FROM workflows WHERE id = ?1)";
            let item = item.map(|it| i64::try_from(it).unwrap());
            let found = self
                .db
                .conn
                .query_row(sql, (id, &step.name, item), |row| row.get(0));
            self.model.bind(number, found.expect("the task was made"));
        }
    }

    pub(super) fn signal(&mut self, pick: usize, which: usize, payload: u8) {
        let Some(flow) = self.model.present_flow(pick) else {
            return;
        };
        let (signal, payload) = (SIGNALS[which], json!(payload));
        let id = self.model.flows[flow].id;
        let done = self.db.signal(id, signal, &payload);
        let it = &mut self.model.flows[flow];
        let waits = |it: &&Step| it.signal() == Some(signal);
        if !it.steps.iter().any(|it| waits(&it)) {
            assert!(matches!(done, Err(StoreError::Invalid(_))), "{done:?}");
            return;
        }
        match it.signals.get(signal) {
            Some(said) if *said == payload => return drop(done.expect("the same again")),
            Some(_) => {
                assert!(matches!(done, Err(StoreError::Conflict(_))), "{done:?}");
                return;
            }
            None => {}
        }
        let open = |it: &Step| matches!(it.at, At::Waiting | At::Open);
        let live = !it.state.is_final();
        if !(live && it.steps.iter().filter(waits).any(open)) {
            assert!(matches!(done, Err(StoreError::Conflict(_))), "{done:?}");
            return;
        }
        done.unwrap();
        it.signals.insert(signal.to_owned(), payload.clone());
        let steps: Vec<_> = it.steps.iter().filter(waits).cloned().collect();
        for number in steps.into_iter().flat_map(|it| it.tasks) {
            if self.model.tasks[number].state() == TaskState::Waiting {
                self.model.answer(number, payload.clone());
            }
        }
        self.bind_flows();
    }

    pub(super) fn expire_waits(&mut self) {
        let expired = self.db.expire_waits();
        let now = self.model.now;
        let over = self
            .model
            .waits()
            .into_iter()
            .filter(|(_, until)| *until <= now);
        for (number, _) in over.collect::<Vec<_>>() {
            // One that ended may have ended others.
            if self.model.tasks[number].state() != TaskState::Waiting {
                continue;
            }
            let (flow, step, _) = self.model.tasks[number].of.unwrap();
            let definition = &self.model.flows[flow].steps[step].definition;
            if definition["on_timeout"] == "continue" {
                self.model.answer(number, Value::Null);
            } else {
                assert!(self.model.step_on(number, Command::TotalTimeout, None));
            }
        }
        if let Some(next) = self.model.waits().into_iter().map(|(_, until)| until).min() {
            let told = expired.next.expect("a wait is open");
            assert!(now.after(told) <= next);
        }
        self.bind_flows();
    }

    pub(super) fn cancel_flow(&mut self, pick: usize) {
        let Some(flow) = self.model.present_flow(pick) else {
            return;
        };
        let id = self.model.flows[flow].id;
        let done = self.db.write(|tx| workflows::cancel_in(tx, id, "no"));
        match self.model.flows[flow].state {
            WorkflowState::Cancelled => drop(done.unwrap()),
            state if state.is_final() => assert!(done.is_err()),
            _ => {
                done.unwrap();
                self.model
                    .end_flow(flow, WorkflowState::Cancelled, Command::Cancel);
            }
        }
    }

    pub(super) fn retry_flow(&mut self, pick: usize) {
        let Some(flow) = self.model.present_flow(pick) else {
            return;
        };
        let id = self.model.flows[flow].id;
        let done = self.db.retry_workflow(id);
        let of = |it: &Known| it.of.is_some_and(|(of, ..)| of == flow);
        let runs = self
            .model
            .all(|it| of(it) && it.state() == TaskState::Running);
        match self.model.flows[flow].state {
            WorkflowState::Completed => assert!(done.is_err()),
            WorkflowState::Failed | WorkflowState::Cancelled if !runs.is_empty() => {
                assert!(matches!(done, Err(StoreError::Conflict(_))), "{done:?}");
            }
            WorkflowState::Failed | WorkflowState::Cancelled => {
                done.unwrap();
                self.model.run_again(flow);
            }
            _ => drop(done.unwrap()),
        }
        self.bind_flows();
    }
}
