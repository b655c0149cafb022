//! Values that must not be seen.

use std::{fmt, path::Path};

use subtle::ConstantTimeEq;

/// A password, key or token. It prints as `<secret>`, is compared in constant time, and is read only
/// through [`Secret::expose`], which makes its uses easy to find.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value that came from a file or the environment.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Reads a secret from a file, without the line ends that editors leave at its end.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 64 KiB, is not UTF-8, or is empty.
    pub fn from_file(path: &Path) -> std::io::Result<Self> {
        use std::io::{Error, ErrorKind, Read};
        let mut text = String::new();
        std::fs::File::open(path)?.take(64 * 1024 + 1).read_to_string(&mut text)?;
        match text.trim_end_matches(['\r', '\n']) {
            _ if text.len() > 64 * 1024 => Err(Error::new(ErrorKind::InvalidData, "larger than 64 KiB")),
            "" => Err(Error::new(ErrorKind::InvalidData, "the file is empty")),
            value => Ok(Self(value.to_owned())),
        }
    }

    /// The value itself, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nothing() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "<secret> <secret>");
    }

    #[test]
    fn a_file_loses_its_line_end_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, " key \n").unwrap();
        assert_eq!(Secret::from_file(&path).unwrap().expose(), " key ");
        std::fs::write(&path, "\n").unwrap();
        assert!(Secret::from_file(&path).is_err());
    }
}
