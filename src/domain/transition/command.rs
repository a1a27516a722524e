//! The words of the transition function: commands, causes, and what a task waits for.

/// What may happen to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// What it depended on has succeeded.
    Unblock,
    /// Its `run_at`, or the end of its backoff, has come.
    Due,
    /// It is handed out under a new lease.
    Claim,
    /// Its agent gave a result, or the signal that it waited for came.
    Succeed,
    /// Its agent gave an error that another attempt may cure.
    FailRetryable,
    /// Its agent gave an error that no attempt will cure, or a person said no.
    FailFinal,
    /// Its references point at nothing, or its payload became too large when they were resolved.
    Unresolvable,
    /// One execution took too long.
    AttemptTimeout,
    /// It waited or lived too long altogether.
    TotalTimeout,
    /// Its execution ended through no fault of its own.
    Interrupt,
    /// Its agent died.
    AgentDied {
        /// Whether it was the only task there.
        alone: bool,
    },
    /// Its agent gave it up as asked, or was ended for not doing so.
    GiveUp,
    /// A person, or its workflow, wants it no more.
    Cancel,
    /// A task it depends on did not succeed, or its workflow failed.
    UpstreamFailed,
    /// A person wants it again.
    Retry,
}

impl Command {
    /// Every command, for tables and tests.
    pub const ALL: [Self; 16] = [
        Self::Unblock,
        Self::Due,
        Self::Claim,
        Self::Succeed,
        Self::FailRetryable,
        Self::FailFinal,
        Self::Unresolvable,
        Self::AttemptTimeout,
        Self::TotalTimeout,
        Self::Interrupt,
        Self::AgentDied { alone: true },
        Self::AgentDied { alone: false },
        Self::GiveUp,
        Self::Cancel,
        Self::UpstreamFailed,
        Self::Retry,
    ];

    /// The word used in errors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unblock => "unblock",
            Self::Due => "queue",
            Self::Claim => "claim",
            Self::Succeed => "succeed",
            Self::FailRetryable | Self::FailFinal | Self::Unresolvable => "fail",
            Self::AttemptTimeout | Self::TotalTimeout => "time out",
            Self::Interrupt | Self::AgentDied { .. } => "interrupt",
            Self::GiveUp => "give up",
            Self::Cancel | Self::UpstreamFailed => "cancel",
            Self::Retry => "retry",
        }
    }
}

/// Why a task stands where it stands, where the state alone does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Dead: no attempts left.
    Exhausted,
    /// Dead: it ended its agent too often.
    Poison,
    /// Dead: interrupted too often.
    Interrupted,
    /// Cancelled: something it depends on did not succeed.
    Upstream,
}

impl Cause {
    /// The word used in the database and in errors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Poison => "poison",
            Self::Interrupted => "interrupted",
            Self::Upstream => "upstream",
        }
    }

    /// The cause of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Exhausted,
            Self::Poison,
            Self::Interrupted,
            Self::Upstream,
        ]
        .into_iter()
        .find(|cause| cause.as_str() == word)
    }
}

/// What a task that may run still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// Nothing but a slot.
    Slot,
    /// Its `run_at`.
    RunAt,
    /// Tasks it depends on.
    Upstream,
    /// What somebody outside says.
    Signal,
}
