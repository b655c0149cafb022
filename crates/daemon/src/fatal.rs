//! Why a daemon ends, in one line.

use std::{fmt, process::ExitCode};

/// The end of a daemon: one line that says what is wrong and what to do, and the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// The settings are wrong: exit code 2. Starting again changes nothing.
    Settings(String),
    /// It failed while starting or running: exit code 1.
    Running(String),
}

impl Fatal {
    /// Wrong settings.
    pub fn settings(reason: impl fmt::Display) -> Self {
        Self::Settings(reason.to_string())
    }

    /// A failure while running.
    pub fn running(reason: impl fmt::Display) -> Self {
        Self::Running(reason.to_string())
    }

    /// 2 for settings, 1 otherwise.
    pub fn code(&self) -> u8 {
        match self {
            Self::Settings(_) => 2,
            Self::Running(_) => 1,
        }
    }
}

impl From<&Fatal> for ExitCode {
    fn from(fatal: &Fatal) -> Self {
        Self::from(fatal.code())
    }
}

/// Always one line: what errors below wrote on several is joined.
impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Settings(reason) | Self::Running(reason)) = self;
        let mut parts = reason.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty());
        f.write_str(parts.next().unwrap_or("no reason was given"))?;
        parts.try_for_each(|part| write!(f, "; {part}"))
    }
}

impl std::error::Error for Fatal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_whatever_the_reason() {
        assert_eq!(Fatal::settings("a:1:2: no\n\n  b:3:4: no\r\n").to_string(), "a:1:2: no; b:3:4: no");
        assert_eq!(Fatal::running("").to_string(), "no reason was given");
        assert_eq!((Fatal::settings("").code(), Fatal::running("").code()), (2, 1));
    }
}
