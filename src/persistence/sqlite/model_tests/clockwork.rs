//! Schedules in the model: which instants were decided, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::model::{Known, Number};
use super::world::{World, name};
use crate::domain::ids::TaskId;
use crate::domain::schedule::{
    CatchUp, DEFAULT_CATCH_UP_MAX, MISSED_AFTER, Overlap, Rule, ScheduleSpec, ScheduledWork,
};
use crate::domain::task::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::WaitsFor;
use crate::persistence::sqlite::schedules;

/// What came of an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Came {
    Fired(Number),
    Skipped(&'static str),
}

/// One schedule.
struct Known1 {
    spec: ScheduleSpec,
    step: i64,
    considered: Timestamp,
    paused: bool,
    until: Option<Timestamp>,
    came: BTreeMap<Timestamp, Came>,
}

/// The schedules: one that lets its work overlap and makes up for all, one that does neither.
pub(super) struct Clockwork {
    schedules: Vec<Known1>,
}

impl Clockwork {
    pub(super) fn new() -> Self {
        let schedule = |label: &str, seconds: u64, overlap, catch_up| {
            let span = Duration::from_secs(seconds);
            let spec = ScheduleSpec {
                name: name(label),
                rule: Rule::Every(span),
                shown: format!("every {seconds}s"),
                overlap,
                catch_up,
                catch_up_max: 2,
                jitter: Duration::ZERO,
                work: ScheduledWork::Task {
                    target: Target::Agent(name("sum")),
                    payload: json!({"n": 1}),
                },
            };
            Known1 {
                spec,
                step: i64::try_from(span.as_micros()).unwrap(),
                considered: Timestamp::default(),
                paused: false,
                until: None,
                came: BTreeMap::new(),
            }
        };
        let schedules = vec![
            schedule("often", 7, Overlap::Allow, CatchUp::All),
            schedule("alone", 11, Overlap::Skip, CatchUp::Last),
        ];
        Self { schedules }
    }
}

impl Known1 {
    /// The newest instants after one and up to another, oldest first.
    fn between(&self, since: Timestamp, now: Timestamp) -> Vec<Timestamp> {
        let most = usize::try_from(DEFAULT_CATCH_UP_MAX).unwrap() * 3;
        let last = now.as_micros().div_euclid(self.step) * self.step;
        let back = (0..).map(|count| Timestamp::from_micros(last - count * self.step));
        let mut found: Vec<_> = back.take_while(|at| *at > since).take(most).collect();
        found.reverse();
        found
    }
}

impl World {
    pub(super) fn fire(&mut self) {
        let specs: Vec<_> = self
            .clockwork
            .schedules
            .iter()
            .map(|it| it.spec.clone())
            .collect();
        let (session, rules) = (self.db.session, self.db.rules.clone());
        self.db
            .write(|tx| schedules::fire_in(tx, session, &specs, &rules))
            .unwrap();
        for which in 0..self.clockwork.schedules.len() {
            self.look_at(which);
        }
        self.instants_agree();
    }

    fn look_at(&mut self, which: usize) {
        let now = self.model.now;
        let it = &mut self.clockwork.schedules[which];
        if it.considered == Timestamp::default() {
            it.considered = now;
            return;
        }
        if it.paused && it.until.is_none_or(|until| until > now) {
            it.considered = it.considered.max(now);
            return;
        }
        if it.paused {
            it.considered = it.considered.max(it.until.unwrap_or_default());
            (it.paused, it.until) = (false, None);
        }
        let mut due = it.between(it.considered, now);
        let missed = due
            .iter()
            .filter(|at| now.since(**at) > MISSED_AFTER)
            .count();
        let made_up = match it.spec.catch_up {
            CatchUp::All => 2,
            _ => usize::from(missed == due.len()),
        };
        let left_out = missed.saturating_sub(made_up);
        if left_out > 0 {
            it.came.insert(due[left_out - 1], Came::Skipped("missed"));
        }
        it.considered = it.considered.max(now);
        for at in due.split_off(left_out) {
            self.fall_due_at(which, at);
        }
    }

    fn fall_due_at(&mut self, which: usize, at: Timestamp) {
        let active = self.clockwork.schedules[which]
            .came
            .values()
            .any(|came| match came {
                Came::Fired(number) => {
                    let task = &self.model.tasks[*number];
                    !task.gone && !task.state().is_final()
                }
                Came::Skipped(_) => false,
            });
        let it = &mut self.clockwork.schedules[which];
        if active && it.spec.overlap == Overlap::Skip {
            it.came.insert(at, Came::Skipped("overlap"));
            return;
        }
        let known = Known::new(
            Target::Agent(name("sum")),
            3,
            WaitsFor::Slot,
            self.model.now,
        );
        let number = self.model.add(Known {
            payload: Some(json!({"n": 1})),
            ..known
        });
        it.came.insert(at, Came::Fired(number));
    }

    /// The instants that were decided are those of the model; their tasks become known.
    fn instants_agree(&mut self) {
        for it in &self.clockwork.schedules {
            let mut statement = self
                .db
                .conn
                .prepare_cached(
                    "SELECT due_at, reason, task_id FROM schedule_runs WHERE schedule = ?1 \
                     ORDER BY due_at",
                )
                .unwrap();
            let found = statement
                .query_map([&it.spec.name], |row| {
                    let task: Option<TaskId> = row.get(2)?;
                    Ok((row.get::<_, Timestamp>(0)?, row.get::<_, String>(1)?, task))
                })
                .unwrap();
            let found: Vec<_> = found.map(Result::unwrap).collect();
            assert_eq!(found.len(), it.came.len(), "{found:?} {:?}", it.came);
            for ((due, reason, task), (at, came)) in found.into_iter().zip(&it.came) {
                assert_eq!(due, *at);
                match came {
                    Came::Fired(number) => {
                        assert_eq!(reason, "due");
                        if self.model.tasks[*number].id.is_none() {
                            self.model.bind(*number, task.unwrap());
                        }
                        assert_eq!(self.model.tasks[*number].id, task);
                    }
                    Came::Skipped(why) => assert_eq!((reason.as_str(), task), (*why, None)),
                }
            }
        }
    }

    pub(super) fn pause_schedule(&mut self, which: usize, paused: bool, seconds: Option<u8>) {
        let until = seconds.map(|span| self.model.now.after(Duration::from_secs(span.into())));
        let it = &mut self.clockwork.schedules[which];
        self.db
            .write(|tx| schedules::pause_in(tx, &it.spec.name, paused, until, None))
            .unwrap();
        if it.paused {
            it.considered = it.considered.max(self.model.now);
        }
        (it.paused, it.until) = (paused, until);
    }
}
