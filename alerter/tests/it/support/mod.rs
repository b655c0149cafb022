//! Doubles that other topics talk to.

pub(crate) mod deaf;
pub(crate) mod http;
pub(crate) mod postgres;
pub(crate) mod relay;
pub(crate) mod tls;
pub(crate) mod web;
