//! End-to-end tests of both daemons together, as processes: a module per topic.

mod refusals;
