//! Claims about the tree, tried with scripted children under paused time.

mod bombs;
mod bounds;
mod budgets;
mod chaos;
mod edges;
mod groups;
mod kept;
mod library;
mod listeners;
mod look;
mod operator;
mod order;
mod pauses;
mod policy;
mod probing;
mod redeclare;
mod revive;
mod script;
mod watching;
mod weight;
