//! What every backend must do: each case takes a fresh store.

mod lives;
mod messages;
mod records;
mod upkeep;
mod work;

pub(crate) use lives::*;
pub(crate) use messages::*;
pub(crate) use records::*;
pub(crate) use upkeep::*;
pub(crate) use work::*;

use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + micros)
}
