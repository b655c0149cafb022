//! Acts on alert rules about Basiq connections: messages, refreshes, tickets.
