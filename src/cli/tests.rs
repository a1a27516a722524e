//! Claims about the command line.
