//! Flags, configuration, secrets, clock, logs, traces, reload and shutdown, once for both daemons.
