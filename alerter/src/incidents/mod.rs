//! What is wrong with a connection, from its first failure to its end (pure).
