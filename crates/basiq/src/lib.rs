//! Typed client of the Basiq API: token, quota, retries, model and failure taxonomy.
