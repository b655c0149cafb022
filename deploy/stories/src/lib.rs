//! The quickstart's stories, and the tools with which the end-to-end tests play them: the real
//! binaries as processes, on one clock, against a sandbox of Basiq.
//!
//! [`house`] starts and stops processes · [`settings`] writes their configuration · [`plot`] says who
//! fails how and when, and what must come of it · [`mailbox`] reads what was sent · [`tale`] tells it
//! and collects the proofs.

pub mod house;
pub mod live;
pub mod mailbox;
pub mod play;
pub mod plot;
pub mod settings;
pub mod tale;
pub mod truth;
