//! Claims about the dispatcher: a real store, scripted agents, a clock that moves when told.

mod agents;
mod commands;
mod deaths;
mod faults;
mod scene;
mod spend;
mod work;
