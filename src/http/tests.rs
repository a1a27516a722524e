//! Claims about the routes: over real sockets, with a real database, and scripted rooms behind.

mod bad_input;
mod bulk;
mod config;
pub(crate) mod house;
mod post;
mod shapes;
mod streams;
mod uploads;
