//! The exporter as a whole against a Basiq on loopback.

mod restart;
mod start;
mod truth;
mod world;
