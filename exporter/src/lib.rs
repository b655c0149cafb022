//! Prometheus exporter for Basiq jobs, connections and connectors.

pub mod ledger;
