//! The actors: who sends what to whom.

pub mod life;
pub mod work;
