//! What an agent may spend: ceilings, and reservations that fit below them.

use super::Judge;
use crate::domain::agent::AgentSpec;
use crate::domain::spend::{Ceiling, SpendSpec};

/// Adds what is wrong with `agents.NAME.spend`.
pub(super) fn spend(key: &str, agent: &AgentSpec, judge: &mut Judge<'_>) {
    let Some(spend) = &agent.spend else {
        return;
    };
    let key = format!("{key}.spend");
    if !agent.runs.takes_tasks() {
        judge.refuse(
            &key,
            "an agent that is only kept alive gets no tasks that could be held",
        );
    }
    if spend.ceiling.is_open() && spend.task_ceiling.is_open() {
        judge.missing(
            &key,
            "names no ceiling: set one of cost_usd, tokens, task_cost_usd, task_tokens",
        );
    }
    reservations(&key, spend, judge);
}

/// One that limits nothing, or never fits, is a mistake.
fn reservations(key: &str, spend: &SpendSpec, judge: &mut Judge<'_>) {
    let Ceiling { micros, tokens } = spend.ceiling;
    let task = spend.task_ceiling;
    for (word, reserve, most, most_of_task) in [
        ("cost_usd", spend.reserve.micros, micros, task.micros),
        ("tokens", spend.reserve.tokens, tokens, task.tokens),
    ] {
        let own = format!("{key}.reserve_{word}");
        if reserve == 0 {
            continue;
        }
        match most {
            None => judge.refuse(&own, format!("there is no {word} to reserve it from")),
            Some(most) if reserve > most => judge.refuse(
                &own,
                format!("more than {key}.{word}: nothing would ever be handed over"),
            ),
            Some(_) => {}
        }
        if most_of_task.is_some_and(|most| reserve > most) {
            judge.refuse(
                &own,
                format!("more than {key}.task_{word}, which no task may spend"),
            );
        }
    }
}
