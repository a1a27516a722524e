//! Claims about lives and their ends.

mod deaths;
mod mail;
mod orders;
mod subject;
