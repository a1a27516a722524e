//! Agents as the HTTP room asks for them. The other rooms answer it themselves; an agent's view
//! needs three of them.

mod agents;

pub(super) use agents::AgentsFace;
