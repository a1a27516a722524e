//! What runs as an agent: code registered here, a child process, or a remote service.
//!
//! Not here: how each is started and ended, and what else is set for an agent.

use super::{AgentKind, HttpSpec, ProcessProtocol, ProcessSpec};

/// What runs as an agent.
#[expect(
    clippy::large_enum_variant,
    reason = "one value a configured agent, and most are processes"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum AgentProgram {
    /// A Rust actor registered with the library's builder.
    Actor {
        /// The registered name.
        actor: String,
        /// Passed to the factory of each life.
        settings: serde_json::Value,
    },
    /// A child process.
    Process(ProcessSpec),
    /// A remote service.
    Http(HttpSpec),
}

impl AgentProgram {
    /// The kind of agent it makes.
    #[must_use]
    pub const fn kind(&self) -> AgentKind {
        match self {
            Self::Actor { .. } => AgentKind::Actor,
            Self::Process(_) => AgentKind::Process,
            Self::Http(_) => AgentKind::Http,
        }
    }

    /// Whether tasks can be handed to its lives.
    #[must_use]
    pub const fn takes_tasks(&self) -> bool {
        match self {
            Self::Process(process) => !matches!(process.protocol, ProcessProtocol::None),
            Self::Actor { .. } | Self::Http(_) => true,
        }
    }

    /// Whether messages can be handed to its lives.
    #[must_use]
    pub const fn takes_messages(&self) -> bool {
        match self {
            Self::Process(process) => matches!(process.protocol, ProcessProtocol::Stdio),
            Self::Actor { .. } | Self::Http(_) => true,
        }
    }
}
