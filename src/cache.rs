//! The cache: spares the database reads of what does not change any more.
//!
//! Rely on: it never holds more entries than its capacity nor an entry longer than its time to
//! live; losing it loses nothing. Every look-up is counted.
//!
//! Not here: a cache on a server.

mod memory;

pub use memory::{EvictionPolicy, MemoryCache};
