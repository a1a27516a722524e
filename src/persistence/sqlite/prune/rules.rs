//! What goes when. A rule removes rows and counts them by the same words.

use std::time::Duration;

use super::DAY;

/// What one table loses.
pub(super) struct Rule {
    pub(super) table: &'static str,
    pub(super) after: Duration,
    /// Removes up to `?2` rows that are older than `?1`.
    pub(super) remove: &'static str,
    /// Counts the rows that are older than `?1`.
    pub(super) count: &'static str,
}

/// Days that what ended well is kept,
pub(super) const DONE: u32 = 1;
/// what ended otherwise,
pub(super) const ENDED: u32 = 7;
/// and what is dead.
pub(super) const DEAD: u32 = 30;

/// Rows whose keys a query finds; `only` narrows what is removed, not what is counted: it waits for
/// rules that come before.
macro_rules! found {
    ($table:literal, $days:expr, $keys:literal, $old:expr) => {
        found!($table, $days, $keys, $old, "")
    };
    ($table:literal, $days:expr, $keys:literal, $old:expr, $only:literal) => {
        Rule {
            table: $table,
            after: DAY.saturating_mul($days),
            remove: concat!(
                "DELETE FROM ",
                $table,
                " WHERE (",
                $keys,
                ") IN (",
                $old,
                $only,
                " LIMIT ?2)"
            ),
            count: concat!("SELECT count(*) FROM (", $old, ")"),
        }
    };
}

/// Rows of a table whose keys follow time: it is looked at from its oldest row only.
macro_rules! oldest {
    ($table:literal, $days:expr, $at:literal) => {
        Rule {
            table: $table,
            after: DAY.saturating_mul($days),
            remove: concat!(
                "DELETE FROM ",
                $table,
                " WHERE ",
                $at,
                " < ?1 AND key IN (SELECT key FROM ",
                $table,
                " ORDER BY key LIMIT ?2)"
            ),
            count: concat!(
                "SELECT count(*) FROM ",
                $table,
                " WHERE key < coalesce((SELECT key FROM ",
                $table,
                " WHERE ",
                $at,
                " >= ?1 ORDER BY key LIMIT 1), 9223372036854775807)"
            ),
        }
    };
}

/// Tasks that stand alone and ended in one of these states.
macro_rules! lone_tasks {
    ($days:expr, $states:literal) => {
        found!(
            "tasks",
            $days,
            "key",
            concat!(
                "SELECT key FROM tasks WHERE finished_at IS NOT NULL AND finished_at < ?1
                 AND workflow_key IS NULL AND state IN (",
                $states,
                ")"
            )
        )
    };
}

/// Tasks of workflows that ended so; the workflows themselves follow.
macro_rules! tasks_of_workflows {
    ($days:expr, $states:literal) => {
        found!(
            "tasks",
            $days,
            "key",
            concat!(
                "SELECT tasks.key FROM workflows JOIN tasks ON tasks.workflow_key = workflows.key
                 WHERE workflows.finished_at IS NOT NULL AND workflows.finished_at < ?1
                 AND workflows.state IN (",
                $states,
                ")"
            )
        )
    };
}

macro_rules! workflows {
    ($days:expr, $states:literal) => {
        found!(
            "workflows",
            $days,
            "key",
            concat!(
                "SELECT key FROM workflows WHERE finished_at IS NOT NULL AND finished_at < ?1
                 AND state IN (",
                $states,
                ")"
            ),
            " AND NOT EXISTS (SELECT 1 FROM tasks WHERE workflow_key = workflows.key)"
        )
    };
}

pub(super) const RULES: &[Rule] = &[
    lone_tasks!(DONE, "'succeeded'"),
    lone_tasks!(ENDED, "'failed', 'cancelled', 'timed_out'"),
    lone_tasks!(DEAD, "'dead'"),
    tasks_of_workflows!(DONE, "'completed'"),
    tasks_of_workflows!(ENDED, "'failed', 'cancelled'"),
    workflows!(DONE, "'completed'"),
    workflows!(ENDED, "'failed', 'cancelled'"),
    oldest!("health_records", 7, "at"),
    oldest!("health_rounds", 7, "at"),
    oldest!("messages", 7, "created_at"),
    oldest!("crashes", 30, "at"),
    found!(
        "crash_signatures",
        30,
        "agent, signature",
        "SELECT agent, signature FROM crash_signatures WHERE last_at < ?1 ORDER BY last_at"
    ),
    oldest!("recovery_runs", 30, "started_at"),
    // A month of a year ago can still be compared with.
    found!(
        "spend",
        400,
        "agent, window_start",
        "SELECT agent, window_start FROM spend WHERE window_start < ?1 ORDER BY window_start"
    ),
    found!(
        "idempotency_keys",
        1,
        "scope, key",
        "SELECT scope, key FROM idempotency_keys WHERE created_at < ?1 ORDER BY created_at"
    ),
    found!(
        "agent_metrics",
        30,
        "agent, resolution_s, at",
        "SELECT agent, resolution_s, at FROM agent_metrics
         WHERE resolution_s = 60 AND at < ?1 ORDER BY at"
    ),
    found!(
        "system_metrics",
        30,
        "resolution_s, at",
        "SELECT resolution_s, at FROM system_metrics
         WHERE resolution_s = 60 AND at < ?1 ORDER BY at"
    ),
    found!(
        "sessions",
        30,
        "id",
        "SELECT id FROM sessions
         WHERE ended_at < ?1 AND term < (SELECT max(term) FROM sessions)
         AND NOT EXISTS (SELECT 1 FROM tasks
             WHERE tasks.state = 'running' AND tasks.session_id = sessions.id)"
    ),
    // Runs of schedules that are configured no more; of the others a thousand each are kept.
    found!(
        "schedule_runs",
        30,
        "key",
        "SELECT key FROM schedule_runs
         WHERE at < ?1 AND schedule NOT IN (SELECT name FROM schedules)"
    ),
    // Agents that this life of the daemon, and 30 days, did not know.
    found!(
        "agents",
        30,
        "name",
        "SELECT name FROM agents WHERE updated_at < ?1
         AND updated_at < (SELECT started_at FROM sessions ORDER BY term DESC LIMIT 1)"
    ),
    found!(
        "restart_budgets",
        30,
        "owner",
        "SELECT owner FROM restart_budgets
         WHERE updated_at < ?1 AND coalesce(quarantined_until, 0) < ?1"
    ),
];
