//! Rule files: load, check, evaluate, state.
