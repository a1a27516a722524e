//! Claims about lives and their ends.
