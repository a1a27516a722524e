//! The way into a conversation: tasks, cancels and messages for the child.

use std::sync::Arc;

use super::{Outgoing, Talk};
use crate::actors::agent::frames::ToAgent;
use crate::actors::work::{PortClosed, Receipt, TaskFrame, TaskPort};
use crate::domain::ids::TaskId;
use crate::domain::message::Message;

/// The way in for tasks.
#[derive(Debug)]
pub(super) struct TalkPort(pub(super) Arc<Talk>);

impl TaskPort for TalkPort {
    fn assign(&self, task: TaskFrame) -> Result<(), PortClosed> {
        let Self(talk) = self;
        let (id, lease) = (task.id, task.lease_id);
        talk.tasks
            .open(id, lease, task.attempt, task.traceparent)
            .map_err(|_over| PortClosed)?;
        // It may turn to the task before it reads a ping.
        talk.answer_probes();
        if talk.send(ToAgent::task(&task).line(), Some(id)) {
            Ok(())
        } else {
            talk.tasks.settle(id, lease);
            Err(PortClosed)
        }
    }

    fn cancel(&self, task: TaskId, reason: &str) {
        if self.0.tasks.cancel(task) {
            self.0.tell(&ToAgent::Cancel {
                task_id: task,
                reason,
            });
        }
    }

    fn deliver(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        let frame = ToAgent::message(&message).line();
        let mut state = self.0.state.lock();
        let n = state.pings + 1;
        let follows = ToAgent::Ping { n }.line();
        let outbox = state.outbox.as_ref().filter(|_| !state.mail.is_full());
        let places = outbox.ok_or(PortClosed)?.try_reserve_many(2);
        for (place, line) in places.map_err(|_| PortClosed)?.zip([frame, follows]) {
            place.send(Outgoing { line, task: None });
        }
        state.pings = n;
        state.mail.written(message.id, n, receipt);
        Ok(())
    }
}
