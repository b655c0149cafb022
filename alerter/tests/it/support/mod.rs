//! Doubles that other topics talk to.

pub(crate) mod relay;
