//! Claims about checks, rounds and reports.

mod asking;
mod kept;
mod rounds;
pub(crate) mod world;
