//! Workers that do what was planned, once.
