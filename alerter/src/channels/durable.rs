//! Files that survive a crash whole: written aside, synced, renamed, and their folder synced.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::DeliveryError;
use crate::plan::hex;

/// A file name made of what people can recognise and a digest of the whole key, so that different keys
/// never meet and nothing in a key can leave the folder.
pub(super) fn file_name(readable: &str, key: &str, extension: &str) -> String {
    let mut name = String::new();
    for c in readable.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }) {
        if name.len() >= 60 {
            break;
        }
        if c != '-' || !name.ends_with('-') {
            name.push(c);
        }
    }
    format!("{}-{}.{extension}", name.trim_matches('-'), &digest(key)[..12])
}

/// SHA-256 of `text` in hexadecimal.
pub(super) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// Makes `path` hold `content`, whole or not at all, off the async threads.
pub(super) async fn write(path: PathBuf, content: Vec<u8>) -> Result<(), DeliveryError> {
    blocking(move || replace(&path, &content)).await
}

/// Reads a file; `None` if there is none.
pub(super) async fn read(path: PathBuf) -> Result<Option<String>, DeliveryError> {
    blocking(move || match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DeliveryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(DeliveryError::Channel {
            why: format!(
                "the folder cannot be used ({}); check that it exists, is ours and has room",
                error.kind()
            ),
        }),
        Err(_) => Err(DeliveryError::Retry { after: None, why: "stopped while writing a file".to_owned() }),
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_cannot_leave_the_folder() {
        let name = file_name("../../etc/passwd", "../../etc/passwd", "txt");
        assert!(name.starts_with("etc-passwd-") && !name.contains('/') && !name.contains(".."), "{name}");
        assert_ne!(name, file_name("../../etc/passwd", "etc/passwd", "txt"));
    }

    #[tokio::test]
    async fn a_file_appears_whole_and_without_leftovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("a.txt");
        assert_eq!(read(path.clone()).await.unwrap(), None);
        write(path.clone(), b"one".to_vec()).await.unwrap();
        write(path.clone(), b"two".to_vec()).await.unwrap();
        assert_eq!(read(path.clone()).await.unwrap().as_deref(), Some("two"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_is_the_channels_fault_and_names_no_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let error = write(folder.path().join("file").join("a.txt"), Vec::new()).await.unwrap_err();
        assert!(matches!(&error, DeliveryError::Channel { .. }), "{error}");
        assert!(!error.to_string().contains(folder.path().to_str().unwrap()));
    }
}
