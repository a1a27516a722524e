//! The actors: who sends what to whom.

pub mod agent;
pub mod dispatcher;
pub mod healer;
pub mod health;
pub mod journal;
pub mod life;
pub mod persistence;
pub mod pool;
pub mod runner;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod work;
