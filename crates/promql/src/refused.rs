//! Why an expression is not evaluated here.

/// An expression that is refused before anything is evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Prometheus would not accept it either.
    #[error("{0}")]
    Invalid(String),
    /// Prometheus may know it, this engine does not, and does not guess.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// It is longer or deeper than an expression may be here.
    #[error("too large: {0}")]
    TooLarge(String),
}

impl Refused {
    pub(crate) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    pub(crate) fn unsupported(why: impl Into<String>) -> Self {
        Self::Unsupported(why.into())
    }
}
