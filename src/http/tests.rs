//! Claims about the routes, against handles that are scripted.
