//! Flags, configuration, secrets, clock, logs, traces, reload and shutdown, once for both daemons.
//!
//! A daemon's `main` parses its flags, which flatten [`Flags`], and hands its `run` to [`main`].

mod clock;
pub mod config;
mod fatal;
mod flags;
mod listen;
mod logs;
pub mod notify;
mod process;
pub mod reference;
mod reload;
mod secret;
pub mod traces;

pub use clock::{Clock, Hand};
pub use fatal::Fatal;
pub use flags::{Flags, LogFormat, LogLevel};
pub use jiff::Timestamp;
pub use listen::listen;
pub use process::{Context, main};
pub use reload::{Reload, ReloadRequest, Reloads};
pub use secret::Secret;
pub use tokio_util::sync::CancellationToken;
