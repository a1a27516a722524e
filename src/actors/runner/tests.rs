//! Claims about lives and their ends.

mod acting;
mod deaths;
mod mail;
mod model;
mod orders;
mod subject;
