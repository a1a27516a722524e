//! When the log is written back, and by whom.

use super::*;

/// Lets the thread panic; whether there is another after the next commit.
fn comes_back(checkpoints: &mut Checkpoints, conn: &Connection) -> bool {
    let turn = checkpoints.turn.clone();
    *turn.fails.lock() = true;
    assert!(turn.begin());
    turn.wait(Duration::from_secs(10));
    assert!(turn.is(State::Ended));
    checkpoints.committed(conn).unwrap();
    checkpoints.turn.is(State::Rests)
}

#[test]
fn what_writes_the_log_back_begins_anew_after_a_panic_and_leaves_it_to_the_writer_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent-system.db");
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    let mut checkpoints = Checkpoints::start(&path, &KeptOpen::default()).unwrap();
    for _ in 0..5 {
        assert!(comes_back(&mut checkpoints, &conn));
    }
    assert!(
        !comes_back(&mut checkpoints, &conn),
        "the sixth in a minute"
    );
    checkpoints.committed(&conn).unwrap();
    assert!(!checkpoints.turn.begin(), "the writer does it");
}

const fn log(pages: u32, written_back: u32) -> Log {
    Log {
        pages,
        written_back,
    }
}

const fn tried(step: Step, pages: u32, written_back: u32) -> Option<Tried> {
    Some(Tried {
        step,
        log: log(pages, written_back),
    })
}

#[test]
fn a_long_log_is_written_back_beside_the_writer_and_ended_by_it_when_little_is_left() {
    use Step::{Beside, Finish, Nothing};
    let cases = [
        (log(LONG - 1, 0), None, Nothing),
        (log(LONG, 0), None, Beside),
        (log(LONG, LONG), None, Nothing),
        (log(LONG, LONG - FEW), None, Finish),
        (log(LONG, LONG - FEW - 1), None, Beside),
        // It moved: on with it.
        (log(3_500, 3_000), tried(Beside, 3_000, 0), Beside),
        (log(3_300, 3_000), tried(Beside, 3_000, 0), Finish),
        // A reader holds it: not before it has grown.
        (log(3_500, 0), tried(Beside, 3_000, 0), Nothing),
        (log(4_000, 0), tried(Beside, 3_000, 0), Beside),
        (log(3_310, 3_300), tried(Finish, 3_300, 3_000), Nothing),
        (log(4_300, 4_000), tried(Finish, 3_300, 3_000), Finish),
        (log(TOO_LONG, 0), None, Finish),
    ];
    for (log, tried, step) in cases {
        assert_eq!(next(log, tried), step, "{log:?} after {tried:?}");
    }
}
