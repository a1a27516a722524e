//! The actors: who sends what to whom.

pub mod agent;
pub mod healer;
pub mod health;
pub mod life;
pub mod pool;
pub mod runner;
pub mod work;
