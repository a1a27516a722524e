//! What is said of each route: one line each.
//!
//! `answer` is the name of a shape, `[Shape]` a page of it, `201 Shape` or `202 Shape` for what creates, content
//! types for what is no JSON. `body` is the name of a shape, with `?` where it may be left out.

/// What is said of one route.
pub(super) struct Words {
    /// Method and path.
    at: &'static str,
    pub(super) says: &'static str,
    pub(super) query: &'static str,
    pub(super) body: &'static str,
    pub(super) answer: &'static str,
}

impl Words {
    pub(super) fn is(&self, method: &str, path: &str) -> bool {
        self.at.split_once(' ') == Some((method, path))
    }

    #[cfg(test)]
    pub(super) const fn at(&self) -> &'static str {
        self.at
    }
}

const fn get(
    at: &'static str,
    says: &'static str,
    query: &'static str,
    answer: &'static str,
) -> Words {
    Words {
        at,
        says,
        query,
        body: "",
        answer,
    }
}

const fn post(
    at: &'static str,
    says: &'static str,
    body: &'static str,
    answer: &'static str,
) -> Words {
    Words {
        at,
        says,
        query: "",
        body,
        answer,
    }
}

const fn post_wait(
    at: &'static str,
    says: &'static str,
    body: &'static str,
    answer: &'static str,
) -> Words {
    Words {
        query: "wait",
        ..post(at, says, body, answer)
    }
}

#[rustfmt::skip]
pub(super) const ROUTES: &[Words] = &[
    get("GET /", "The status page", "", "text/html"),
    get("GET /docs", "This interface for people", "", "text/html"),
    get("GET /openapi.json", "This interface for programs", "", "object"),
    get("GET /livez", "Whether the process can answer; asks nobody", "", "Status"),
    get("GET /readyz", "Whether it is ready for work; 503 names what is missing", "", "Status"),
    get("GET /startupz", "Whether the first round of checks is over", "", "Status"),
    get("GET /version", "Which binary runs here, and where it listens", "", "Version"),
    get("GET /health", "The full health report, the worst first", "", "HealthReport"),
    get("GET /api/v1/tree", "The supervision tree", "", "object"),
    get("GET /api/v1/agents", "All agents", "state kind role group limit cursor", "[Agent]"),
    get("GET /api/v1/agents/{name}", "One agent", "", "Agent"),
    get("GET /api/v1/agents/{name}/logs", "Its last log lines, also of one replica (echo%231)", "limit", "[text]"),
    get("GET /api/v1/agents/{name}/crashes", "How its lives ended, the last first", "limit cursor", "[Crash]"),
    get("GET /api/v1/agents/{name}/crashes/{id}", "One crash with its log and frames", "", "Crash"),
    get("GET /api/v1/agents/{name}/health", "Its check", "", "Check"),
    get("GET /api/v1/agents/{name}/metrics", "Its figures of the past", "limit", "[AgentFigures]"),
    get("GET /api/v1/agents/{name}/explain", "Why it is in the state it is in, and what to do", "", "object"),
    post("POST /api/v1/agents/{name}:start", "Run it, and restart it by policy; also one replica", "Nothing?", "Agent"),
    post("POST /api/v1/agents/{name}:stop", "End it, and keep it down until started; also one replica", "Nothing?", "Agent"),
    post("POST /api/v1/agents/{name}:restart", "End its present life and begin the next; also one replica", "Nothing?", "Agent"),
    post("POST /api/v1/agents/{name}:pause", "Give it no new task, also until a time", "AgentPause?", "Agent"),
    post("POST /api/v1/agents/{name}:resume", "Give it tasks again", "Nothing?", "Agent"),
    post("POST /api/v1/agents/{name}:scale", "Run so many replicas", "Scale", "Agent"),
    get("GET /api/v1/tasks", "Tasks, the newest first", "state agent role queue workflow_id name label limit cursor", "[Task]"),
    post_wait("POST /api/v1/tasks", "Submit a task; answered after the commit", "TaskRequest", "202 Task"),
    get("GET /api/v1/tasks/{id}", "One task; with wait once it is final, or as it is then", "wait", "Task"),
    get("GET /api/v1/tasks/{id}/attempts", "Its executions", "", "[Attempt]"),
    get("GET /api/v1/tasks/{id}/explain", "Why it waits, or ended as it did", "", "object"),
    post("POST /api/v1/tasks:bulk", "Cancel or retry all that a filter names; with a dry run", "Bulk", "Done"),
    post("POST /api/v1/tasks/{id}:cancel", "Give it up; legal while it is not final", "Reason?", "Task"),
    post("POST /api/v1/tasks/{id}:retry", "Run it again after it failed", "Nothing?", "Task"),
    get("GET /api/v1/dead-letters", "Tasks that are given up", "agent role queue name label limit cursor", "[Task]"),
    post("POST /api/v1/dead-letters:retry", "Run them again", "OfDead?", "Done"),
    post("POST /api/v1/dead-letters:purge", "Remove them", "OfDead?", "Done"),
    get("GET /api/v1/workflows", "Workflows, the newest first", "state name limit cursor", "[Workflow]"),
    post("POST /api/v1/workflows", "Run a definition", "Definition", "202 Workflow"),
    get("GET /api/v1/workflows/{id}", "One workflow; with wait once it is final, or as it is then", "wait", "Workflow"),
    get("GET /api/v1/workflows/{id}/graph", "Its graph: json, text or dot", "format", "application/json text/plain text/vnd.graphviz"),
    post("POST /api/v1/workflows/{id}:cancel", "Give it up", "Reason?", "Workflow"),
    post("POST /api/v1/workflows/{id}:retry", "Run it again from what failed", "Nothing?", "Workflow"),
    post("POST /api/v1/workflows/{id}:signal", "What a task of it waits for has happened", "Signal", "object"),
    get("GET /api/v1/queues", "All queues", "limit cursor", "[Queue]"),
    get("GET /api/v1/queues/{name}", "One queue", "", "Queue"),
    post("POST /api/v1/queues/{name}:pause", "Hand nothing out of it, also until a time", "Pause?", "Queue"),
    post("POST /api/v1/queues/{name}:resume", "Hand out of it again", "Nothing?", "Queue"),
    post("POST /api/v1/artifacts", "Upload a large value; the body is its bytes", "bytes", "201 Artifact"),
    get("GET /api/v1/artifacts/{name}", "Its bytes; the name's slash as %2F", "", "application/octet-stream"),
    get("GET /api/v1/artifacts/{owner}/{file}", "Its bytes", "", "application/octet-stream"),
    get("GET /api/v1/schedules", "All schedules", "limit cursor", "[Schedule]"),
    get("GET /api/v1/schedules/{name}", "One schedule", "", "Schedule"),
    get("GET /api/v1/schedules/{name}/history", "What it fired and skipped, the last first", "limit cursor", "[Fired]"),
    post("POST /api/v1/schedules/{name}:pause", "Let it fire no more, also until a time", "Pause?", "Schedule"),
    post("POST /api/v1/schedules/{name}:resume", "Let it fire again", "Nothing?", "Schedule"),
    post("POST /api/v1/schedules/{name}:trigger", "Fire it now", "Nothing?", "Fired"),
    get("GET /api/v1/messages", "What agents said to each other", "to from type state limit cursor", "[Message]"),
    post("POST /api/v1/messages", "Tell an agent something", "MessageRequest", "202 Message"),
    get("GET /api/v1/health/checks", "All checks, the worst first", "status component limit cursor", "[Check]"),
    get("GET /api/v1/health/checks/{name}", "One check", "", "Check"),
    get("GET /api/v1/health/checks/{name}/history", "What it found before, the newest first", "limit cursor", "[object]"),
    post("POST /api/v1/health/checks/{name}:run", "Run it now", "Nothing?", "Check"),
    get("GET /api/v1/recovery/actions", "What is done by itself about what is critical", "limit cursor", "[object]"),
    get("GET /api/v1/recovery/runs", "What was done, the last first", "action limit cursor", "[Run]"),
    post("POST /api/v1/recovery/actions/{name}:run", "Do it now, also for one check of many", "OfCheck?", "Run"),
    get("GET /api/v1/events", "The journal: a stream, or a page when Accept is application/json", "types type subject since after limit cursor", "text/event-stream application/json"),
    get("GET /api/v1/metrics/system", "Figures of the host of the past", "limit", "[object]"),
    get("GET /api/v1/metrics/agents", "Figures of agents of the past", "limit", "[AgentFigures]"),
    get("GET /api/v1/config", "The effective configuration, secrets redacted", "", "object"),
    post("POST /api/v1/config:plan", "What the daemon would take over of its changed files; nothing changes", "Nothing?", "Plan"),
    post("POST /api/v1/config:apply", "Take it over, if it is still the plan that is named", "Apply?", "Plan"),
    get("GET /api/v1/database", "The database: file, schema, sizes, rows", "", "object"),
    get("GET /api/v1/database/migrations", "Which migrations there are, and which it has", "limit cursor", "[object]"),
    get("GET /api/v1/database/history", "Which migrations were carried out", "limit cursor", "[object]"),
    post("POST /api/v1/database:backup", "A consistent copy beside the running daemon", "Backup?", "201 object"),
    post("POST /api/v1/database:prune", "Remove what retention allows", "Prune?", "object"),
];
