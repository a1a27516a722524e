//! The mailbox beside a plain list: whatever is posted, taken, attached and closed, in any order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::context::AgentContext;
use super::super::mailbox::{Letter, Mailbox, Next, Posted, SystemLetter, TellError};
use super::subject::{Subject, paused};

const CAPACITY: usize = 3;

/// A letter with a number; wanted as long as somebody holds the other end.
struct Numbered {
    number: u32,
    taken: Arc<parking_lot::Mutex<Vec<u32>>>,
    wanted: bool,
}

impl Letter<Subject> for Numbered {
    fn is_wanted(&self) -> bool {
        // Asked once, right before it is handed out.
        if self.wanted {
            self.taken.lock().push(self.number);
        }
        self.wanted
    }

    fn deliver(self: Box<Self>, _: &mut Subject, _: &mut AgentContext<Subject>) {}
}

#[derive(Debug, Clone)]
enum Step {
    Post {
        only: Option<u64>,
        wanted: bool,
        late: bool,
        bounded: bool,
    },
    Order,
    Take(u64),
    Attach {
        generation: u64,
        keep: bool,
    },
    NextLife,
    Detach,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let life = 1_u64..4;
    prop_oneof![
        6 => (proptest::option::weighted(0.3, life.clone()), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(only, wanted, late, bounded)| Step::Post { only, wanted, late, bounded }),
        1 => Just(Step::Order),
        5 => life.clone().prop_map(Step::Take),
        1 => (life, any::<bool>()).prop_map(|(generation, keep)| Step::Attach { generation, keep }),
        1 => Just(Step::NextLife),
        1 => Just(Step::Detach),
        1 => Just(Step::Close),
    ]
}

/// What the mailbox should hold.
#[derive(Default)]
struct Model {
    closed: bool,
    generation: u64,
    attached: bool,
    orders: usize,
    letters: VecDeque<(u32, Option<u64>, bool)>,
}

impl Model {
    fn post(&mut self, letter: (u32, Option<u64>, bool), bounded: bool) -> Result<(), TellError> {
        if self.closed || letter.1.is_some_and(|only| only != self.generation) {
            return Err(TellError::Closed);
        }
        if bounded && self.letters.len() >= CAPACITY {
            return Err(TellError::Full);
        }
        self.letters.push_back(letter);
        Ok(())
    }

    /// `None`: fenced; else the number of the letter, 0 for nothing, `u32::MAX` for an order.
    fn take(&mut self, life: u64) -> Option<u32> {
        if life != self.generation {
            return None;
        }
        if self.orders > 0 {
            self.orders -= 1;
            return Some(u32::MAX);
        }
        while let Some((number, only, handled)) = self.letters.pop_front() {
            if handled && only.is_none_or(|only| only == life) {
                return Some(number);
            }
        }
        Some(0)
    }
}

/// A runner comes, goes, or goes on with another life.
fn change(mailbox: &Mailbox<Subject>, model: &mut Model, step: &Step) {
    match step {
        &Step::Attach { generation, keep } => {
            mailbox.attach(generation, keep);
            let letters = std::mem::take(&mut model.letters);
            *model = Model {
                generation,
                attached: true,
                ..Model::default()
            };
            model.letters = if keep { letters } else { VecDeque::new() };
        }
        Step::NextLife => {
            mailbox.next_life(model.generation, model.generation + 1);
            model.generation += 1;
            model.orders = 0;
        }
        Step::Detach => {
            mailbox.detach(model.generation);
            (model.attached, model.orders) = (false, 0);
        }
        Step::Close => {
            mailbox.close();
            (model.closed, model.orders) = (true, 0);
            model.letters.clear();
        }
        Step::Post { .. } | Step::Order | Step::Take(_) => {}
    }
}

fn check(steps: Vec<Step>) {
    let (mailbox, mut model) = (Mailbox::<Subject>::new(CAPACITY), Model::default());
    let taken = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let now = Instant::now();
    for (number, step) in (1_u32..).zip(steps) {
        match step {
            Step::Post {
                only,
                wanted,
                late,
                bounded,
            } => {
                let letter = Box::new(Numbered {
                    number,
                    taken: taken.clone(),
                    wanted,
                });
                let expires = late.then_some(now).or(Some(now + Duration::from_secs(1)));
                let posted = mailbox.post(
                    Posted {
                        letter,
                        only,
                        expires,
                    },
                    bounded,
                );
                assert_eq!(posted, model.post((number, only, wanted && !late), bounded));
            }
            Step::Order => {
                mailbox.post_system(SystemLetter::Probe(oneshot::channel().0));
                model.orders += usize::from(model.attached);
            }
            Step::Take(life) => {
                let got = match mailbox.next(life) {
                    Next::Fenced => None,
                    Next::System(_) => Some(u32::MAX),
                    Next::Nothing => Some(0),
                    Next::Letter(_) | Next::LastLetter(_) => taken.lock().last().copied(),
                };
                assert_eq!(got, model.take(life));
            }
            other => change(&mailbox, &mut model, &other),
        }
        assert_eq!(mailbox.depth(), model.letters.len(), "after step {number}");
    }
}

proptest! {
    #[test]
    fn in_any_order_of_steps_the_mailbox_is_bounded_counted_fenced_and_serves_orders_first(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        paused(async { check(steps) });
    }
}
