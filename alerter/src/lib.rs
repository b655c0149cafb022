//! Acts on alert rules about Basiq connections: messages to users, refreshes, tickets, notices.
//!
//! Rooms: [`rules`] load and evaluate · [`sources`] where demands come from · [`evidence`] what is
//! known of connections now · [`incidents`] and [`plan`] decide what to do (pure) · [`store`] keeps
//! alert state, incidents, effects and tickets · [`outbox`] does what was planned · [`channels`] how it
//! is delivered · [`rounds`] what nobody tells it is looked up · [`page`] for support staff · [`rehearse`] what would
//! be done, without doing it.

pub mod app;
pub mod channels;
pub mod config;
pub mod demand;
pub mod digest;
pub mod engine;
pub mod evidence;
pub mod incidents;
pub mod metrics;
pub mod outbox;
pub mod page;
pub mod plan;
pub mod refresh;
pub mod rehearse;
pub mod rounds;
pub mod rules;
pub mod send_test;
pub mod sources;
pub mod store;
pub mod tools;
