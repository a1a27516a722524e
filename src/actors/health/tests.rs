//! Claims about checks, rounds and reports.

mod asking;
mod rounds;
pub(crate) mod world;
