//! What can be asked of the store, one file a subject.

mod lives;
mod records;
mod schedules;
mod spend;
mod upkeep;
mod work;

use super::{Result, SessionStart, Store, sqlite};
