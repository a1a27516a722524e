//! The settings of an agent as they hold, each with where it came from.

use serde::Serialize;

/// The settings of one agent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AgentSettings {
    /// Each of them, by key; those of its group under `groups.NAME`.
    pub settings: Vec<Setting>,
    /// SHA-256 of the agent's own values, in hex.
    pub hash: String,
}

/// One setting that holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its dotted key.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Where it came from: `built in`, `FILE:LINE`, `variable NAME`, `command line (KEY)`.
    pub source: String,
}
