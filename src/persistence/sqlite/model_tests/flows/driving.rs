//! What is done to workflows, in database and model.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::model::Known;
use super::super::world::World;
use super::{At, SIGNALS, Step, template};
use crate::clock;
use crate::domain::ids::WorkflowId;
use crate::domain::task::TaskState;
use crate::domain::transition::Command;
use crate::domain::workflow::check::check;
use crate::domain::workflow::{NewWorkflow, WorkflowState};
use crate::persistence::StoreError;
use crate::persistence::sqlite::workflows;

impl World {
    pub(in super::super) fn run(&mut self, number: usize) {
        let id = WorkflowId::from_bytes(clock::new_id());
        let definition = template(number);
        let new = NewWorkflow {
            id,
            definition: check(&definition).unwrap(),
            labels: BTreeMap::new(),
            idempotency: None,
            traceparent: None,
        };
        self.db.write(|tx| workflows::create_in(tx, &new)).unwrap();
        self.model.open_flow(id, &definition);
        self.bind_flows();
    }

    /// Learns the ids of the tasks that workflows have made.
    pub(in super::super) fn bind_flows(&mut self) {
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

    pub(in super::super) fn signal(&mut self, pick: usize, which: usize, payload: u8) {
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

    pub(in super::super) fn expire_waits(&mut self) {
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

    pub(in super::super) fn cancel_flow(&mut self, pick: usize) {
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

    pub(in super::super) fn retry_flow(&mut self, pick: usize) {
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
            WorkflowState::Completed | WorkflowState::Compensating => assert!(done.is_err()),
            WorkflowState::Failed | WorkflowState::Cancelled
                if !runs.is_empty() || self.model.flows[flow].was_undone() =>
            {
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
