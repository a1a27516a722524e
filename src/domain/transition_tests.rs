//! Claims about the transition function.

use proptest::prelude::*;

use super::*;

fn running() -> Standing {
    let queued = Standing::accepted(3, WaitsFor::Slot);
    transition(queued, Command::Claim).unwrap()
}

fn standing(state: TaskState) -> Standing {
    Standing {
        state,
        attempt: 1,
        ..Standing::accepted(3, WaitsFor::Slot)
    }
}

/// What every pair of state and command leads to, for a first attempt of three: the commands in the
/// order of `Command::ALL`, the states in that of `TaskState::ALL`; `=` stays, `-` is refused.
const TABLE: &str = "
               blocked   scheduled queued    running   waiting   retrying  succeeded failed  cancelled timed_out dead
unblock        queued    -         -         -         -         -         -         -       -         -         -
due            -         queued    =         -         -         queued    -         -       -         -         -
claim          -         -         running   -         -         -         -         -       -         -         -
succeed        -         -         -         succeeded succeeded -         -         -       -         -         -
fail_retryable -         -         -         retrying  -         -         -         -       -         -         -
fail_final     -         -         -         failed    failed    -         -         -       -         -         -
unresolvable   failed    -         -         -         -         -         -         -       -         -         -
attempt_late   -         -         -         retrying  -         -         -         -       -         -         -
total_late     timed_out timed_out timed_out timed_out timed_out timed_out -         -       -         -         -
interrupt      -         -         -         queued    -         -         -         -       -         -         -
died_alone     -         -         -         queued    -         -         -         -       -         -         -
died_with_some -         -         -         queued    -         -         -         -       -         -         -
give_up        -         -         -         queued    -         -         -         -       -         -         -
cancel         cancelled cancelled cancelled =         cancelled cancelled -         -       =         -         -
upstream       cancelled cancelled cancelled =         cancelled cancelled -         -       =         -         -
retry          =         =         =         =         =         =         -         queued  queued    queued    queued
";

#[test]
fn every_pair_of_state_and_command_has_its_answer() {
    let mut rows = TABLE.lines().filter(|line| !line.is_empty());
    let states: Vec<_> = rows.next().unwrap().split_whitespace().collect();
    assert_eq!(states, TaskState::ALL.map(TaskState::as_str));
    let mut pairs = 0;
    for (command, row) in Command::ALL.into_iter().zip(rows) {
        for (state, cell) in TaskState::ALL
            .into_iter()
            .zip(row.split_whitespace().skip(1))
        {
            let got = transition(standing(state), command).map(|next| next.state);
            let wanted = match cell {
                "-" => Err(IllegalTransition { state, command }),
                "=" => Ok(state),
                word => Ok(TaskState::from_word(word).unwrap()),
            };
            assert_eq!(got, wanted, "{state:?} {command:?}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, Command::ALL.len() * TaskState::ALL.len());
}

#[test]
fn cancel_is_legal_in_every_state_that_is_not_final() {
    for state in TaskState::ALL.into_iter().filter(|state| !state.is_final()) {
        assert!(
            transition(standing(state), Command::Cancel).is_ok(),
            "{state:?}"
        );
    }
}

#[test]
fn what_a_person_cancelled_is_not_said_to_be_cancelled_by_what_failed_before_it() {
    for (first, then, cause) in [
        (Command::Cancel, Command::UpstreamFailed, None),
        (
            Command::UpstreamFailed,
            Command::Cancel,
            Some(Cause::Upstream),
        ),
    ] {
        let asked = transition(transition(running(), first).unwrap(), then).unwrap();
        let ended = transition(asked, Command::GiveUp).unwrap();
        assert_eq!(
            (ended.state, ended.cause),
            (TaskState::Cancelled, cause),
            "{first:?}"
        );
    }
}

#[test]
fn a_retryable_error_on_the_last_attempt_is_dead_and_a_timeout_there_is_timed_out() {
    let last = Standing {
        attempt: 3,
        ..running()
    };
    let dead = transition(last, Command::FailRetryable).unwrap();
    assert_eq!(
        (dead.state, dead.cause),
        (TaskState::Dead, Some(Cause::Exhausted))
    );
    let late = transition(last, Command::AttemptTimeout).unwrap();
    assert_eq!(late.state, TaskState::TimedOut);
}

#[test]
fn an_interruption_gives_its_attempt_back() {
    let last = Standing {
        attempt: 3,
        interruptions: 1,
        ..running()
    };
    let again = transition(last, Command::FailRetryable).unwrap();
    assert_eq!(again.state, TaskState::Retrying);
}

#[test]
fn twenty_interruptions_are_borne_and_the_next_ends_the_task() {
    let worn = Standing {
        attempt: 20,
        interruptions: 19,
        ..running()
    };
    let twentieth = transition(worn, Command::Interrupt).unwrap();
    assert_eq!(twentieth.state, TaskState::Queued);
    let claimed = transition(twentieth, Command::Claim).unwrap();
    let dead = transition(claimed, Command::Interrupt).unwrap();
    assert_eq!(
        (dead.state, dead.cause),
        (TaskState::Dead, Some(Cause::Interrupted))
    );
}

#[test]
fn the_third_death_while_alone_is_poison_even_with_attempts_left() {
    let mut task = Standing {
        max_attempts: 10,
        ..running()
    };
    for _ in 0..2 {
        task = transition(task, Command::AgentDied { alone: true }).unwrap();
        assert_eq!(task.state, TaskState::Queued);
        task = transition(task, Command::Claim).unwrap();
    }
    let dead = transition(task, Command::AgentDied { alone: true }).unwrap();
    assert_eq!(
        (dead.state, dead.cause),
        (TaskState::Dead, Some(Cause::Poison))
    );
}

#[test]
fn a_death_among_several_makes_a_suspect_and_costs_no_attempt() {
    let suspect = transition(running(), Command::AgentDied { alone: false }).unwrap();
    assert!(suspect.suspect && suspect.crash_attempts == 0 && !suspect.exhausted());
    let alone = transition(suspect, Command::Claim).unwrap();
    let cleared = transition(alone, Command::FailRetryable).unwrap();
    assert!(!cleared.suspect, "it ran alone and its agent lived");
}

#[test]
fn whatever_ends_a_task_that_is_being_cancelled_leaves_it_cancelled_unless_it_succeeded() {
    let asked = transition(running(), Command::Cancel).unwrap();
    for command in [
        Command::FailRetryable,
        Command::FailFinal,
        Command::AttemptTimeout,
        Command::Interrupt,
        Command::AgentDied { alone: true },
        Command::GiveUp,
    ] {
        let ended = transition(asked, command).unwrap();
        assert_eq!(ended.state, TaskState::Cancelled, "{command:?}");
    }
    let done = transition(asked, Command::Succeed).unwrap();
    assert_eq!(done.state, TaskState::Succeeded);
}

#[test]
fn a_task_whose_workflow_failed_while_it_ran_says_so_when_it_ends() {
    let asked = transition(running(), Command::UpstreamFailed).unwrap();
    let ended = transition(asked, Command::GiveUp).unwrap();
    assert_eq!(ended.cause, Some(Cause::Upstream));
}

#[test]
fn a_retry_by_hand_keeps_the_history_and_allows_one_more_failure() {
    let dead = Standing {
        state: TaskState::Dead,
        attempt: 4,
        interruptions: 1,
        ..running()
    };
    let again = transition(dead, Command::Retry).unwrap();
    assert_eq!((again.state, again.attempt), (TaskState::Queued, 4));
    assert!(!again.exhausted());
    let claimed = transition(again, Command::Claim).unwrap();
    assert!(claimed.exhausted(), "the new attempt is the last");
}

#[test]
fn backoff_doubles_is_capped_and_is_jittered_down_to_nothing() {
    assert_eq!(backoff(1, 1.0), Duration::from_secs(1));
    assert_eq!(backoff(3, 1.0), Duration::from_secs(4));
    assert_eq!(backoff(90, 1.0), MAX_BACKOFF);
    assert_eq!(backoff(3, 0.0), Duration::ZERO);
    assert_eq!(backoff(2, 0.5), Duration::from_secs(1));
}

#[test]
fn a_higher_priority_goes_first_until_a_lower_one_has_waited_long_enough() {
    let now = Timestamp::from_micros(1_000_000_000_000);
    assert!(rank(now, 9) < rank(now, 5));
    assert!(rank(now, 1) < rank(now.after(PRIORITY_STEP * 8 + Duration::from_micros(1)), 9));
}

proptest! {
    #[test]
    fn counters_never_fall_except_by_a_retry_and_attempts_grow_only_by_a_claim(
        picks in proptest::collection::vec(0..Command::ALL.len(), 0..200)
    ) {
        let mut task = Standing::accepted(3, WaitsFor::Slot);
        for pick in picks {
            let command = Command::ALL[pick];
            let Ok(next) = transition(task, command) else { continue };
            let grown = u32::from(command == Command::Claim);
            prop_assert_eq!(next.attempt, task.attempt + grown);
            if command != Command::Retry {
                prop_assert!(next.crash_attempts >= task.crash_attempts);
                prop_assert!(next.interruptions >= task.interruptions);
                prop_assert!(!task.state.is_final() || next == task);
            }
            prop_assert!(next.interruptions <= MAX_INTERRUPTIONS + 1);
            prop_assert!(next.state != TaskState::Running || !task.exhausted() || task.state == TaskState::Running);
            prop_assert!(next.state == TaskState::Running || !next.cancelling);
            task = next;
        }
    }
}
