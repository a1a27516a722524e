//! From what a configuration says of an agent to what starts its lives, whatever runs in them.
//!
//! Rely on: nothing is started here.

use std::sync::Arc;

use super::http::HttpAgent;
use super::process::ProcessAgent;
use super::registry::{AgentEnvironment, UnknownActor};
use crate::actors::life::ChildFactory;
use crate::domain::agent::{AgentProgram, AgentSpec};

/// What starts the lives of an agent.
///
/// # Errors
/// Its configuration names an actor that nobody registered.
pub fn child_factory(
    spec: &AgentSpec,
    environment: &AgentEnvironment,
) -> Result<Arc<dyn ChildFactory>, UnknownActor> {
    match &spec.runs {
        AgentProgram::Actor { actor, settings } => {
            let registry = &environment.registry;
            registry.child(spec, (actor, settings), environment)
        }
        AgentProgram::Process(process) => Ok(ProcessAgent::child(spec, process, environment)),
        AgentProgram::Http(remote) => Ok(HttpAgent::child(spec, remote, environment)),
    }
}
