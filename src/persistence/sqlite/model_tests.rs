//! The store against a simple model of it: long random sequences of what is done to tasks, queues,
//! workflows, schedules and messages must leave both the same, in every state, counter, lease, payload and
//! deadline.
//!
//! The model moves tasks by the domain's transition function, whose table has a test of its own;
//! what it proves is that the SQL does what that function and the limits say. Where the store may
//! choose (which of two equals is claimed first) the model checks the choice and follows it.
//!
//! A failure is shrunk and its seed kept in `proptest-regressions/`; `PROPTEST_CASES=2000` looks
//! further.

mod claims;
mod clockwork;
mod compare;
mod flows;
mod model;
mod post;
mod settling;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use self::world::World;
use crate::domain::queue::{Limits, RateLimit};

/// One thing done to the store.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Submit(Submission),
    Claim {
        free: [u32; 3],
    },
    /// `late` picks among all leases ever given, else among those that hold.
    Settle {
        pick: usize,
        late: bool,
        how: u8,
    },
    Progress {
        pick: usize,
        late: bool,
        percent: u8,
    },
    Cancel {
        pick: usize,
    },
    Retry {
        pick: usize,
    },
    Purge {
        pick: usize,
    },
    Wait {
        seconds: u32,
    },
    Pause {
        bulk: bool,
        seconds: Option<u8>,
    },
    Resume {
        bulk: bool,
    },
    Run {
        template: usize,
    },
    Signal {
        pick: usize,
        which: usize,
        payload: u8,
    },
    ExpireWaits,
    CancelFlow {
        pick: usize,
    },
    RetryFlow {
        pick: usize,
    },
    Fire,
    PauseSchedule {
        which: usize,
        seconds: Option<u8>,
    },
    ResumeSchedule {
        which: usize,
    },
    Posted(post::Posted),
    Prune,
    DaemonDies,
}

/// What is handed in.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    to: usize,
    priority: u8,
    attempts: u32,
    delay: Option<u8>,
    offered: bool,
    key: Option<u8>,
    idempotency: Option<(u8, u8)>,
    unique: Option<(u8, Option<u8>)>,
    waiting: Option<u8>,
    total: Option<u8>,
}

/// Present one time in so many.
fn rarely<S: Strategy>(one_in: u32, value: S) -> impl Strategy<Value = Option<S::Value>>
where
    S::Value: Clone,
{
    proptest::option::weighted(1.0 / f64::from(one_in), value)
}

fn submission() -> impl Strategy<Value = Submission> {
    let place = (
        0..6usize,
        1..=9u8,
        1..4u32,
        rarely(5, 1..6u8),
        any::<bool>(),
    );
    let extras = (
        rarely(2, 0..3u8),
        rarely(6, (0..4u8, 0..2u8)),
        rarely(6, (0..3u8, rarely(2, 1..20u8))),
        rarely(6, 1..8u8),
        rarely(6, 1..20u8),
    );
    (place, extras).prop_map(|(place, extras)| {
        let (to, priority, attempts, delay, offered) = place;
        let (key, idempotency, unique, waiting, total) = extras;
        Submission {
            to,
            priority,
            attempts,
            delay,
            offered,
            key,
            idempotency,
            unique,
            waiting,
            total,
        }
    })
}

fn op() -> impl Strategy<Value = Op> {
    let pick = any::<usize>;
    let hour = 3600;
    let seconds = prop_oneof![
        30 => 0..7u32,
        2 => Just(60),
        1 => prop_oneof![Just(hour), Just(25 * hour), Just(8 * 24 * hour), Just(31 * 24 * hour)],
    ];
    prop_oneof![
        14 => submission().prop_map(Op::Submit),
        14 => [0..3u32, 0..3u32, 0..3u32].prop_map(|free| Op::Claim { free }),
        22 => (pick(), rarely(4, Just(())), 0..12u8)
            .prop_map(|(pick, late, how)| Op::Settle { pick, late: late.is_some(), how }),
        2 => (pick(), rarely(4, Just(())), 0..100u8)
            .prop_map(|(pick, late, percent)| Op::Progress { pick, late: late.is_some(), percent }),
        3 => pick().prop_map(|pick| Op::Cancel { pick }),
        3 => pick().prop_map(|pick| Op::Retry { pick }),
        1 => pick().prop_map(|pick| Op::Purge { pick }),
        8 => seconds.prop_map(|seconds| Op::Wait { seconds }),
        1 => (any::<bool>(), rarely(2, 1..9u8))
            .prop_map(|(bulk, seconds)| Op::Pause { bulk, seconds }),
        2 => any::<bool>().prop_map(|bulk| Op::Resume { bulk }),
        3 => (0..flows::TEMPLATES).prop_map(|template| Op::Run { template }),
        4 => (pick(), 0..3usize, 0..2u8)
            .prop_map(|(pick, which, payload)| Op::Signal { pick, which, payload }),
        3 => Just(Op::ExpireWaits),
        1 => pick().prop_map(|pick| Op::CancelFlow { pick }),
        2 => pick().prop_map(|pick| Op::RetryFlow { pick }),
        4 => Just(Op::Fire),
        1 => (0..2usize, rarely(2, 1..20u8))
            .prop_map(|(which, seconds)| Op::PauseSchedule { which, seconds }),
        1 => (0..2usize).prop_map(|which| Op::ResumeSchedule { which }),
        5 => post::posted().prop_map(Op::Posted),
        1 => Just(Op::Prune),
        1 => Just(Op::DaemonDies),
    ]
}

/// Workflows and little else, so that they go deep.
fn flow_op() -> impl Strategy<Value = Op> {
    let pick = any::<usize>;
    prop_oneof![
        6 => (0..flows::TEMPLATES).prop_map(|template| Op::Run { template }),
        20 => Just(Op::Claim { free: [2, 2, 4] }),
        30 => (pick(), prop_oneof![6 => 2..5u8, 1 => 5..12u8])
            .prop_map(|(pick, how)| Op::Settle { pick, late: false, how }),
        6 => (pick(), 0..2usize, 0..2u8)
            .prop_map(|(pick, which, payload)| Op::Signal { pick, which, payload }),
        3 => Just(Op::ExpireWaits),
        4 => (0..4u32).prop_map(|seconds| Op::Wait { seconds }),
        1 => pick().prop_map(|pick| Op::Cancel { pick }),
        1 => pick().prop_map(|pick| Op::CancelFlow { pick }),
        4 => pick().prop_map(|pick| Op::RetryFlow { pick }),
        1 => Just(Op::DaemonDies),
    ]
}

/// Workflows that fail and are undone, and little else.
fn undo_op() -> impl Strategy<Value = Op> {
    let pick = any::<usize>;
    prop_oneof![
        3 => flows::UNDONE.prop_map(|template| Op::Run { template }),
        20 => Just(Op::Claim { free: [2, 2, 4] }),
        30 => (pick(), prop_oneof![4 => 2..5u8, 2 => 5..8u8, 1 => 8..12u8])
            .prop_map(|(pick, how)| Op::Settle { pick, late: false, how }),
        4 => (0..3u32).prop_map(|seconds| Op::Wait { seconds }),
        1 => pick().prop_map(|pick| Op::Cancel { pick }),
        1 => pick().prop_map(|pick| Op::CancelFlow { pick }),
        6 => pick().prop_map(|pick| Op::RetryFlow { pick }),
        1 => Just(Op::DaemonDies),
    ]
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    use proptest::collection::vec;
    prop_oneof![
        2 => vec(op(), 1..200),
        1 => vec(flow_op(), 1..200),
        1 => vec(undo_op(), 1..200),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let rate = (1..4u32, 2..6u64).prop_map(|(max, seconds)| RateLimit {
        max,
        period: Duration::from_secs(seconds),
    });
    (rarely(3, 1..4u32), rarely(4, rate))
        .prop_map(|(concurrency, rate)| Limits { concurrency, rate })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|it| it.parse().ok()).unwrap_or(64),
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_store_agrees_with_the_model(
        limits in [(limits(), limits()), (limits(), limits())],
        ops in ops(),
    ) {
        run(limits, &ops);
    }
}

/// Does all of it, and compares.
pub(super) fn run(limits: [(Limits, Limits); 2], ops: &[Op]) {
    let mut world = World::new(limits);
    for (number, op) in ops.iter().enumerate() {
        world.apply(op);
        world.agrees_roughly(op);
        if number % 40 == 0 {
            world.agrees();
        }
    }
    world.agrees();
}
