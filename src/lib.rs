//! Supervises fleets of agents as Erlang/OTP supervises processes, and gives them durable work.

pub mod actors;
pub mod cache;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod persistence;
pub mod telemetry;
