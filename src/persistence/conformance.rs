//! What every backend must do: each case takes a fresh store.

mod lives;
mod messages;
mod records;
mod upkeep;
mod work;

pub(crate) use lives::*;
pub(crate) use messages::*;
pub(crate) use records::*;
pub(crate) use upkeep::*;
pub(crate) use work::*;

/// Hands all cases to a macro, behind what it is given beside: one list for every backend, and for
/// whoever looks at what they do.
macro_rules! every_case {
    ($hand_to:ident $($beside:ident)?) => {
        $hand_to!(
            $($beside)?;
            a_session_ends_the_one_before_and_is_renewed_until_it_ends,
            what_an_operator_set_lasts_and_replicas_until_they_change_in_the_file,
            generations_and_restarts_never_fall,
            an_unknown_agent_is_named,
            processes_are_known_from_their_spawn_to_their_end,
            crashes_come_newest_first_and_fifty_of_each_agent_are_kept,
            a_crash_says_whether_its_fault_is_new_and_its_settings_have_changed,
            settings_stay_in_force_until_they_are_others,
            the_last_death_of_each_replica_is_remembered,
            a_restart_budget_replaces_its_predecessor,
            messages_are_paged_newest_first_and_delivered_once,
            messages_are_filtered_by_all_that_is_asked,
            what_waits_is_the_oldest_message_of_each_sender,
            a_message_of_which_lives_die_is_given_up,
            a_message_sent_again_is_the_first_one,
            a_recipient_has_only_so_many_messages_and_each_only_so_large,
            a_health_row_is_written_when_a_level_changes,
            figures_come_newest_first,
            a_recovery_run_is_replaced_by_its_end,
            events_are_found_by_position_type_family_and_subject,
            a_workflow_waits_for_its_signal_and_says_what_it_waits_for,
            each_instant_of_a_schedule_is_one_run_and_one_task,
            a_pause_of_a_schedule_is_kept_and_a_trigger_fires_once_a_key,
            what_a_lost_daemon_held_is_queued_again_under_whatever_name_the_next_one_has,
            a_ping_goes_there_and_back,
            retention_spares_what_is_young,
            samples_older_than_a_day_become_means_of_minutes,
            after_close_writes_and_reads_are_refused,
        );
    };
}
pub(crate) use every_case;

use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + micros)
}
