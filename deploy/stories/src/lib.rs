//! The quickstart's stories, and the tools with which the end-to-end tests play them: the real
//! binaries as processes, on one clock, against a sandbox of Basiq.
//!
//! [`house`] starts and stops processes · [`settings`] writes their configuration · [`plot`] says who
//! fails how and when, and what must come of it · [`play`] plays it · [`mailbox`] reads what was sent,
//! [`truth`] what really happened · [`tale`] tells it and collects the proofs · [`live`] watches the real
//! Basiq instead · [`real`] starts real servers for tests · [`soak`] has a Prometheus scrape a changing exporter.

pub mod house;
pub mod live;
pub mod mailbox;
pub mod notices;
pub mod play;
pub mod plot;
pub mod real;
pub mod settings;
pub mod soak;
pub mod tale;
pub mod truth;
