//! Claims about the client, on real sockets.
