//! How workflows move in the model: steps count what they wait for; the end of a task opens, closes
//! or fails what comes after it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::model::{Known, Model, Number};
use super::{At, Flow, Step, upstream};
use crate::domain::ids::WorkflowId;
use crate::domain::task::TaskState;
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::{Command, WaitsFor};
use crate::domain::workflow::WorkflowState;

impl Model {
    pub(super) fn open_flow(&mut self, id: WorkflowId, definition: &Value) {
        let definitions = definition["tasks"].as_array().unwrap();
        let names: Vec<_> = definitions
            .iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect();
        let undone_by = |name: &str| definitions.iter().position(|it| it["compensate"] == name);
        let steps = definitions.iter().zip(&names).map(|(definition, name)| {
            let undoes = undone_by(name);
            // Its turn comes when the workflow is undone.
            let upstream = match undoes {
                Some(_) => Vec::new(),
                None => upstream(definition, &names),
            };
            Step {
                name: name.clone(),
                undoes,
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
            let it = &self.flows[flow].steps[step];
            if it.waiting_on == 0 && it.undoes.is_none() {
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

    pub(super) fn open_step(&mut self, flow: usize, step: usize) {
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
    pub(in super::super) fn flow_begins(&mut self, number: Number) {
        if let Some((flow, ..)) = self.tasks[number].of {
            let flow = &mut self.flows[flow];
            if flow.state == WorkflowState::Pending {
                flow.state = WorkflowState::Running;
            }
        }
    }

    /// A wait has ended with a value.
    pub(super) fn answer(&mut self, number: Number, said: Value) {
        self.tasks[number].result = Some(said);
        assert!(self.step_on(number, Command::Succeed, None));
    }

    /// A task has become final.
    pub(in super::super) fn task_ended(&mut self, number: Number) {
        let Some((flow, step, _)) = self.tasks[number].of else {
            return;
        };
        if self.flows[flow].state.is_final() {
            return;
        }
        let succeeded = self.tasks[number].state() == TaskState::Succeeded;
        if self.flows[flow].state == WorkflowState::Compensating {
            return self.ended_while_undoing(flow, step, succeeded);
        }
        let undoes = self.flows[flow].undoes_after(step);
        let it = &mut self.flows[flow].steps[step];
        it.left = it.left.saturating_sub(1);
        it.failed += usize::from(!succeeded);
        if !succeeded && undoes {
            return self.begin_to_undo(flow);
        }
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
        let open = |it: &Step| it.undoes.is_none() && matches!(it.at, At::Waiting | At::Open);
        let it = &mut self.flows[flow];
        if !it.state.is_final() && !it.steps.iter().any(open) {
            it.state = WorkflowState::Completed;
            it.finished_at = Some(self.now);
        }
    }

    pub(super) fn end_flow(&mut self, flow: usize, state: WorkflowState, command: Command) {
        self.flows[flow].state = state;
        self.flows[flow].finished_at = Some(self.now);
        for number in self.all(|it| it.of.is_some_and(|(of, ..)| of == flow)) {
            if !self.tasks[number].state().is_final() {
                assert!(self.step(number, command, None));
            }
        }
    }

    pub(super) fn run_again(&mut self, flow: usize) {
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
            if it.undoes.is_some() {
                continue;
            }
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
    pub(super) fn waits(&self) -> Vec<(Number, Timestamp)> {
        let waiting = |it: &Known| it.state() == TaskState::Waiting;
        let until = |number: Number| {
            let (flow, step, _) = self.tasks[number].of?;
            self.flows[flow].steps[step].until
        };
        let all = self.all(waiting).into_iter();
        all.map(|number| (number, until(number).unwrap())).collect()
    }

    pub(super) fn present_flow(&self, pick: usize) -> Option<usize> {
        let present: Vec<_> = (0..self.flows.len())
            .filter(|it| !self.flows[*it].gone)
            .collect();
        (!present.is_empty()).then(|| present[pick % present.len()])
    }
}
