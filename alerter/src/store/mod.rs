//! Alert state, incidents, effects and tickets, kept durably.
