//! `db`: the database, with or without a running daemon.
