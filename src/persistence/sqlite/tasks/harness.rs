//! For tests of tasks and workflows: a real database in memory, transactions at chosen instants.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::limits::Rules;
use super::{claim, control, create, list, pauses, settle};
use crate::clock;
use crate::domain::agent::InstanceId;
use crate::domain::event::Event;
use crate::domain::ids::{LeaseId, SessionId, TaskId};
use crate::domain::name::Name;
use crate::domain::query::{
    Cancelled, ClaimedTask, Claims, DueWork, Settled, Settlement, SlotOffer, Submitted,
};
use crate::domain::task::{NewTask, Outcome, Progress, Target, Task, TaskAttempt, TaskError};
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;
use crate::persistence::sqlite::write::Notes;
use crate::persistence::sqlite::{SqlResult, WriteTx, events, migrations};

/// A database with one open session.
pub(in crate::persistence::sqlite) struct Db {
    pub(in crate::persistence::sqlite) conn: Connection,
    pub(in crate::persistence::sqlite) now: Timestamp,
    pub(in crate::persistence::sqlite) session: SessionId,
    pub(in crate::persistence::sqlite) events: Vec<Event>,
    pub(in crate::persistence::sqlite) rules: Arc<Rules>,
}

impl Db {
    pub(in crate::persistence::sqlite) fn new() -> Self {
        let mut conn = Connection::open_in_memory().unwrap();
        conn.pragma_update(None, "foreign_keys", true).unwrap();
        migrations::up(&mut conn, None).unwrap();
        let session = SessionId::from_bytes([0; 16]);
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        let mut db = Self {
            conn,
            now,
            session,
            events: Vec::new(),
            rules: Arc::default(),
        };
        db.begin_session();
        db
    }

    /// The next life of the daemon; what the last one held is not taken back by this.
    pub(in crate::persistence::sqlite) fn begin_session(&mut self) {
        let session = SessionId::from_bytes(clock::new_id());
        self.conn
            .execute(
                "INSERT INTO sessions (id, node, term, pid, started_at, expires_at) \
                 VALUES (?1, 'n', (SELECT count(*) FROM sessions), 1, ?2, ?2)",
                (session, self.now),
            )
            .unwrap();
        self.session = session;
    }

    pub(in crate::persistence::sqlite) fn write<R>(
        &mut self,
        op: impl FnOnce(&mut WriteTx<'_>) -> SqlResult<R>,
    ) -> Result<R, StoreError> {
        let transaction = self.conn.unchecked_transaction().unwrap();
        let mut notes = Notes::default();
        let done = op(&mut WriteTx::new(&transaction, self.now, &mut notes));
        match done {
            Ok(reply) => {
                events::insert(&transaction, &mut notes.events).unwrap();
                transaction.commit().unwrap();
                self.events.append(&mut notes.events);
                Ok(reply)
            }
            Err(fault) => Err(fault.into_error("test")),
        }
    }

    pub(in crate::persistence::sqlite) fn submit(&mut self, task: &NewTask) -> Submitted {
        let (session, rules) = (self.session, self.rules.clone());
        self.write(|tx| create::create(tx, session, task, None, &rules))
            .unwrap()
    }

    pub(in crate::persistence::sqlite) fn offer(
        &mut self,
        task: &NewTask,
        offer: &SlotOffer,
    ) -> Submitted {
        let (session, rules) = (self.session, self.rules.clone());
        self.write(|tx| create::create(tx, session, task, Some(offer), &rules))
            .unwrap()
    }

    /// Submits what may be refused.
    pub(in crate::persistence::sqlite) fn try_submit(
        &mut self,
        task: &NewTask,
        offer: Option<&SlotOffer>,
    ) -> Result<Submitted, StoreError> {
        let (session, rules) = (self.session, self.rules.clone());
        self.write(|tx| create::create(tx, session, task, offer, &rules))
    }

    pub(in crate::persistence::sqlite) fn claim(
        &mut self,
        offers: &[SlotOffer],
    ) -> Vec<ClaimedTask> {
        self.claims(offers).tasks
    }

    pub(in crate::persistence::sqlite) fn claims(&mut self, offers: &[SlotOffer]) -> Claims {
        let (session, rules) = (self.session, self.rules.clone());
        self.write(|tx| claim::claim(tx, session, offers, &rules))
            .unwrap()
    }

    pub(in crate::persistence::sqlite) fn due(&mut self) -> DueWork {
        let rules = self.rules.clone();
        self.write(|tx| control::queue_due(tx, &rules)).unwrap()
    }

    pub(in crate::persistence::sqlite) fn settle(
        &mut self,
        task: TaskId,
        lease_id: LeaseId,
        outcome: Outcome,
    ) -> Settled {
        let backoff = Duration::from_secs(1);
        let settlement = Settlement {
            task,
            lease_id,
            outcome,
            backoff,
            spend: None,
        };
        self.write(|tx| settle::settle(tx, &settlement)).unwrap()
    }

    pub(in crate::persistence::sqlite) fn succeed(
        &mut self,
        claimed: &ClaimedTask,
        result: Value,
    ) -> Settled {
        self.settle(claimed.id, claimed.lease_id, Outcome::Succeeded(result))
    }

    pub(in crate::persistence::sqlite) fn fail(
        &mut self,
        claimed: &ClaimedTask,
        retryable: bool,
    ) -> Settled {
        let error = TaskError {
            code: "broken".into(),
            message: "broke".into(),
            retryable,
        };
        self.settle(claimed.id, claimed.lease_id, Outcome::Failed(error))
    }

    /// Settles what may be there no more.
    pub(in crate::persistence::sqlite) fn try_settle(
        &mut self,
        settlement: &Settlement,
    ) -> Result<Settled, StoreError> {
        self.write(|tx| settle::settle(tx, settlement))
    }

    pub(in crate::persistence::sqlite) fn progress(
        &mut self,
        id: TaskId,
        lease: LeaseId,
        progress: &Progress,
    ) {
        self.write(|tx| control::progress(tx, id, lease, progress))
            .unwrap();
    }

    pub(in crate::persistence::sqlite) fn cancel(
        &mut self,
        id: TaskId,
    ) -> Result<Cancelled, StoreError> {
        self.write(|tx| control::cancel(tx, id, "no"))
    }

    pub(in crate::persistence::sqlite) fn retry(&mut self, id: TaskId) -> Result<Task, StoreError> {
        self.write(|tx| control::retry(tx, id))
    }

    pub(in crate::persistence::sqlite) fn purge(&mut self, id: TaskId) -> Result<(), StoreError> {
        self.write(|tx| control::purge(tx, id))
    }

    pub(in crate::persistence::sqlite) fn pause(&mut self, queue: &Name, until: Option<Timestamp>) {
        let rules = self.rules.clone();
        self.write(|tx| pauses::pause(tx, &rules, queue, until, None))
            .unwrap();
    }

    pub(in crate::persistence::sqlite) fn resume(&mut self, queue: &Name) {
        self.write(|tx| pauses::resume(tx, queue)).unwrap();
    }

    pub(in crate::persistence::sqlite) fn attempts(&self, id: TaskId) -> Vec<TaskAttempt> {
        list::attempts(&self.conn, id).unwrap()
    }

    pub(in crate::persistence::sqlite) fn task(&self, id: TaskId) -> Task {
        list::task(&self.conn, id).unwrap()
    }

    pub(in crate::persistence::sqlite) fn wait(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.due();
    }

    /// Kinds of the events about a subject, in order.
    pub(in crate::persistence::sqlite) fn kinds(&self, subject: &str) -> Vec<&str> {
        let about = self.events.iter().filter(|event| event.subject == subject);
        about.map(|event| event.kind.as_str()).collect()
    }
}

pub(in crate::persistence::sqlite) fn task_for(target: Target) -> NewTask {
    let id = TaskId::from_bytes(clock::new_id());
    NewTask {
        timeout: Duration::from_secs(60),
        ..NewTask::plain(id, "t".into(), target, json!({"n": 1}))
    }
}

pub(in crate::persistence::sqlite) fn for_agent(agent: &str) -> NewTask {
    task_for(Target::Agent(agent.parse().unwrap()))
}

pub(in crate::persistence::sqlite) fn slots(agent: &str, index: u32, free: u32) -> SlotOffer {
    SlotOffer {
        instance: InstanceId {
            agent: agent.parse().unwrap(),
            index,
        },
        role: Some("worker".parse().unwrap()),
        queue: "default".parse().unwrap(),
        free,
        reserve: None,
    }
}
