//! Claims about the dispatcher.
