//! The one integration test program: the daemon as its users meet it, and the shape of the house.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod addressed;
mod agents;
mod architecture;
mod begin;
mod chaos;
mod conformance;
mod contract;
mod daemon;
mod disks;
mod doctor;
mod fleet;
mod flows;
mod giving_up;
mod hardened;
mod keeping;
mod postgres;
mod queues;
mod reload;
mod serve;
mod spend;
mod standing;
mod storm;
mod strays;
mod traces;
mod work;
