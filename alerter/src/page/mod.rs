//! The page for support staff and operators.
