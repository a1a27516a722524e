//! Tests from outside: real processes, files and sockets.

mod agents;
