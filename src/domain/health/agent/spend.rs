//! What an agent's spend says about its health.

use super::{AgentHealthInput, AgentJudgement};
use crate::domain::health::HealthStatus;
use crate::domain::spend::Standing;

/// To have spent what it may is a state that was asked for: worth a look, never critical.
pub(super) fn judge(input: &AgentHealthInput) -> Option<AgentJudgement> {
    let spend = input.spend.as_ref()?;
    let message = match spend.state {
        Standing::Open => return None,
        Standing::Warned => format!(
            "{} of its spend of the {} is used",
            spend.in_words(),
            spend.per.as_str()
        ),
        Standing::Exhausted => spend.why_held()?,
    };
    Some(AgentJudgement {
        value: Some(spend.ratio),
        threshold: Some(1.0),
        hopeless: Some("a restart would not renew what it may spend"),
        ..AgentJudgement::of(HealthStatus::Warning, message)
    })
}
