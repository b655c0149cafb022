//! Listener, TLS, web configuration file, authentication, limits, health and /metrics.
