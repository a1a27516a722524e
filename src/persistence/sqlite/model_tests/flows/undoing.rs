//! Undoing in the model: after a failure, and when nothing runs any more, what succeeded is undone,
//! the last done first, one at a time.

use super::super::model::{Model, Number};
use super::{At, Flow};
use crate::domain::task::TaskState;
use crate::domain::transition::Command;
use crate::domain::workflow::WorkflowState;

impl Flow {
    /// Whether the failure of a step has what succeeded undone.
    pub(super) fn undoes_after(&self, step: usize) -> bool {
        let undoing = self.steps.iter().any(|it| it.undoes.is_some());
        match self.steps[step].definition["on_failure"].as_str() {
            Some(policy) => policy == "compensate",
            None => undoing,
        }
    }

    /// Whether something of it was undone, or began to be.
    pub(super) fn was_undone(&self) -> bool {
        let begun = |it: &super::Step| it.undoes.is_some() && it.at != At::Waiting;
        self.steps.iter().any(begun)
    }
}

impl Model {
    pub(super) fn begin_to_undo(&mut self, flow: usize) {
        self.flows[flow].state = WorkflowState::Compensating;
        for number in self.unfinished(flow) {
            assert!(self.step(number, Command::UpstreamFailed, None));
        }
        self.undo_next(flow);
    }

    /// A task of a workflow that is being undone has ended.
    pub(super) fn ended_while_undoing(&mut self, flow: usize, step: usize, succeeded: bool) {
        let it = &mut self.flows[flow].steps[step];
        if it.undoes.is_some() {
            it.at = if succeeded { At::Succeeded } else { At::Failed };
            it.left = 0;
        }
        self.undo_next(flow);
    }

    /// Unless something of it still runs.
    fn undo_next(&mut self, flow: usize) {
        if !self.unfinished(flow).is_empty() {
            return;
        }
        match self.next_to_undo(flow) {
            Some(step) => self.open_step(flow, step),
            None => {
                self.flows[flow].state = WorkflowState::Failed;
                self.flows[flow].finished_at = Some(self.now);
            }
        }
    }

    fn next_to_undo(&self, flow: usize) -> Option<usize> {
        let steps = &self.flows[flow].steps;
        let turn = |step: &usize| {
            let it = &steps[*step];
            let undone = it.undoes.filter(|_| it.at == At::Waiting)?;
            let done = |number: &&Number| self.tasks[**number].state() == TaskState::Succeeded;
            let done = steps[undone].tasks.iter().filter(done);
            let last = done.map(|number| self.tasks[*number].finished_at).max()?;
            Some((last, undone))
        };
        (0..steps.len())
            .filter(|step| turn(step).is_some())
            .max_by_key(turn)
    }

    fn unfinished(&self, flow: usize) -> Vec<Number> {
        self.all(|it| it.of.is_some_and(|(of, ..)| of == flow) && !it.state().is_final())
    }
}
