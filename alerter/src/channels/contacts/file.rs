//! A list of users in a YAML or JSON file, read again when it changes.

use std::{
    collections::HashMap,
    fmt,
    fs::{self, Metadata},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use daemon::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::channels::{Contact, Contacts, DeliveryError, Parts, SettingsError};

const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// What was looked at so recently is as the file is: a wave of messages asks thousands of times a second.
const FRESH: Duration = Duration::from_millis(50);

/// Section `contacts.file`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// A list of `{user_id, address, name, language, external_id}`, all but `user_id` optional. JSON if the
    /// name ends with `.json`, else YAML.
    pub path: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    user_id: String,
    address: Option<String>,
    name: Option<String>,
    language: Option<String>,
    external_id: Option<String>,
}

impl Settings {
    pub(super) fn build(self, parts: &Parts) -> Result<Arc<dyn Contacts>, SettingsError> {
        open(parts.path(self.path))
    }
}

fn open(path: PathBuf) -> Result<Arc<dyn Contacts>, SettingsError> {
    let place = |why: String| SettingsError { place: "contacts.file".to_owned(), why };
    let known = load(&path).map_err(|why| place(format!("{}: {why}", path.display())))?;
    Ok(Arc::new(File { path, known: Mutex::new(known) }))
}

struct File {
    path: PathBuf,
    known: Mutex<Known>,
}

/// What the file held when it was read.
struct Known {
    stamp: Stamp,
    users: Arc<HashMap<String, Contact>>,
    looked: Instant,
}

type Stamp = (Option<SystemTime>, u64);

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.modified().ok(), metadata.len())
}

/// Reads the file. Errors name places in it, never what stands there.
fn load(path: &std::path::Path) -> Result<Known, String> {
    let looked = Instant::now();
    let io = |error: std::io::Error| daemon::config::unreadable(&error);
    let metadata = fs::metadata(path).map_err(io)?;
    if metadata.len() > MAX_BYTES {
        return Err("is larger than 256 MiB".to_owned());
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let rows: Vec<Row> = if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| at(error.line(), error.column()))?
    } else {
        serde_saphyr::from_str(&text).map_err(|error| match error.location() {
            Some(place) => at(place.line(), place.column()),
            None => "is not a list of users".to_owned(),
        })?
    };
    let not_blank = |text: &String| !text.trim().is_empty();
    let mut users = HashMap::with_capacity(rows.len());
    for row in rows {
        let contact = Contact {
            address: row.address.filter(not_blank).map(Secret::new),
            name: row.name.filter(not_blank).map(Secret::new),
            language: row.language.filter(not_blank),
            external_id: row.external_id.filter(not_blank),
        };
        if users.insert(row.user_id, contact).is_some() {
            return Err("lists a user twice".to_owned());
        }
    }
    Ok(Known { stamp: stamp(&metadata), users: Arc::new(users), looked })
}

fn at(line: impl fmt::Display, column: impl fmt::Display) -> String {
    format!(
        "line {line}, column {column} does not fit a list of users (user_id, address, name, language, external_id)"
    )
}

impl File {
    /// The users as the file lists them now.
    async fn users(&self) -> Result<Arc<HashMap<String, Contact>>, DeliveryError> {
        let mut known = self.known.lock().await;
        if known.looked.elapsed() < FRESH {
            return Ok(known.users.clone());
        }
        let looked = Instant::now();
        let (path, old) = (self.path.clone(), known.stamp);
        let fresh = tokio::task::spawn_blocking(move || match fs::metadata(&path) {
            Ok(metadata) if stamp(&metadata) == old => Ok(None),
            _ => load(&path).map(Some),
        })
        .await
        .unwrap_or_else(|_| Err("reading was stopped".to_owned()));
        match fresh {
            Ok(Some(fresh)) => *known = fresh,
            Ok(None) => known.looked = looked,
            // Whoever left the file half-written must not make people unreachable.
            Err(why) => return Err(DeliveryError::Channel { why: format!("the contacts file {why}") }),
        }
        Ok(known.users.clone())
    }
}

#[async_trait]
impl Contacts for File {
    async fn resolve(&self, user: &str) -> Result<Option<Contact>, DeliveryError> {
        Ok(self.users().await?.get(user).cloned())
    }

    fn at_hand(&self, user: &str) -> Option<Contact> {
        let known = self.known.try_lock().ok()?;
        known.users.get(user).filter(|_| known.looked.elapsed() < FRESH).cloned()
    }

    async fn user_of(&self, external_id: &str) -> Result<Option<String>, DeliveryError> {
        let users = self.users().await?;
        let mut known = users.iter();
        let found = known.find(|(_, contact)| contact.external_id.as_deref() == Some(external_id));
        Ok(found.map(|(user, _)| user.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_file_is_read_again_and_a_broken_one_is_said_so_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.yml");
        fs::write(
            &path,
            "- {user_id: u1, address: a@example.test, name: Ann}\n- {user_id: u2, external_id: x2}\n",
        )
        .unwrap();
        let source = open(path.clone()).unwrap();
        let ann = source.resolve("u1").await.unwrap().unwrap();
        assert_eq!(ann.address.unwrap().expose(), "a@example.test");
        assert_eq!(source.resolve("u2").await.unwrap().unwrap().external_id.as_deref(), Some("x2"));
        assert!(source.resolve("u3").await.unwrap().is_none() && source.at_hand("u3").is_none());
        assert_eq!(source.at_hand("u2").unwrap().external_id.as_deref(), Some("x2"));
        assert_eq!(source.user_of("x2").await.unwrap().as_deref(), Some("u2"));
        assert_eq!(source.user_of("x3").await.unwrap(), None);

        // Long enough for it to be looked at again.
        let pause = || tokio::time::sleep(FRESH * 2);
        pause().await;
        assert!(source.at_hand("u2").is_none(), "what was read long ago must be looked up");
        fs::write(&path, "- {user_id: u3, address: c@example.test, unknown: secret@example.test}\n").unwrap();
        let error = source.resolve("u3").await.unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("secret@") && !error.contains("c@"), "{error}");

        pause().await;
        fs::write(&path, "- {user_id: u3, address: c@example.test}\n").unwrap();
        pause().await;
        assert!(source.resolve("u3").await.unwrap().is_some());
        assert!(source.resolve("u1").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn json_is_read_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        fs::write(&path, r#"[{"user_id": "u1", "language": "en-AU"}]"#).unwrap();
        let source = open(path).unwrap();
        assert_eq!(source.resolve("u1").await.unwrap().unwrap().language.as_deref(), Some("en-AU"));
    }
}
