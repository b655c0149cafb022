//! Basic authentication against bcrypt hashes.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// How many answers are remembered.
const REMEMBERED: usize = 128;

/// How many verifications run at once: each takes a core for tens of milliseconds, which nobody who
/// guesses passwords shall multiply.
const AT_ONCE: usize = 1;

/// The longest `Authorization` that is looked at.
const MAX_HEADER: usize = 1024;

/// The users of the web configuration file. bcrypt is slow on purpose, so verified pairs of name and
/// password are remembered, as digests.
#[derive(Clone)]
pub(crate) struct Users(Arc<Shared>);

struct Shared {
    hashes: BTreeMap<String, String>,
    known: Mutex<HashMap<[u8; 32], bool>>,
    turn: Semaphore,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.0.hashes.len())
    }
}

impl Default for Users {
    fn default() -> Self {
        Self::of(BTreeMap::new())
    }
}

impl Users {
    fn of(hashes: BTreeMap<String, String>) -> Self {
        Self(Arc::new(Shared { hashes, known: Mutex::default(), turn: Semaphore::new(AT_ONCE) }))
    }

    /// Users with their bcrypt hashes.
    ///
    /// # Errors
    /// Names the user whose hash is none; the hash is not repeated.
    pub(crate) fn new(hashes: BTreeMap<String, String>) -> Result<Self, String> {
        for (name, hash) in &hashes {
            let parts = hash.parse::<bcrypt::HashParts>();
            let cost = parts.map_err(|_| {
                format!("basic_auth_users.{name}: not a bcrypt hash; make one with `htpasswd -nBC 10 {name}`")
            })?;
            if cost.get_cost() > 16 {
                return Err(format!("basic_auth_users.{name}: a cost above 16 takes seconds for each check"));
            }
        }
        Ok(Self::of(hashes))
    }

    /// Whether nobody need log in.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.hashes.is_empty()
    }

    /// Whether the request's headers are those of a user.
    pub(crate) async fn admit(&self, headers: &HeaderMap) -> bool {
        if self.is_empty() {
            return true;
        }
        let Some((name, password)) = credentials(headers) else { return false };
        let hash = self.0.hashes.get(&name);
        let digest = digest(&name, hash.map_or("", String::as_str), &password);
        if let Some(answer) = self.known().get(&digest) {
            return *answer;
        }
        let Ok(_turn) = self.0.turn.acquire().await else { return false };
        if let Some(answer) = self.known().get(&digest) {
            return *answer;
        }
        // A name that does not exist takes as long as one that does, so that names cannot be guessed.
        let exists = hash.is_some();
        let Some(hash) = hash.or_else(|| self.0.hashes.values().next()).cloned() else { return false };
        let verify = move || bcrypt::verify(password, &hash).unwrap_or(false);
        let answer = tokio::task::spawn_blocking(verify).await.unwrap_or(false) && exists;
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            // Wrong guesses leave first; they are all that can become many.
            known.retain(|_, answer| *answer);
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        known.insert(digest, answer);
        answer
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], bool>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(name: &str, hash: &str, password: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [name, hash, password] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

/// Name and password of a `Basic` authorization (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION).filter(|value| value.len() <= MAX_HEADER)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let hash = bcrypt::hash("open sesame", 4).unwrap();
        Users::new(BTreeMap::from([("ali".to_owned(), hash)])).unwrap()
    }

    fn basic(credentials: &str) -> HeaderMap {
        let value = format!("Basic {}", STANDARD.encode(credentials));
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[tokio::test]
    async fn only_the_right_pair_is_admitted() {
        let users = users();
        assert!(users.admit(&basic("ali:open sesame")).await);
        for wrong in ["ali:open", "cassim:open sesame", "ali", ":", ""] {
            assert!(!users.admit(&basic(wrong)).await, "{wrong}");
            assert!(!users.admit(&basic(wrong)).await, "{wrong}, remembered");
        }
        assert!(!users.admit(&HeaderMap::new()).await);
        let bearer = HeaderMap::from_iter([(AUTHORIZATION, "Bearer YWxpOm9wZW4gc2VzYW1l".parse().unwrap())]);
        assert!(!users.admit(&bearer).await);
        assert!(Users::default().admit(&HeaderMap::new()).await, "nobody need log in");
    }

    #[tokio::test]
    async fn answers_are_remembered_within_bounds() {
        let users = users();
        assert!(users.admit(&basic("ali:open sesame")).await);
        for guess in 0..REMEMBERED + 10 {
            assert!(!users.admit(&basic(&format!("ali:{guess}"))).await);
        }
        let known = users.known().clone();
        assert!(known.len() <= REMEMBERED);
        assert!(known.values().any(|answer| *answer), "the right one stays");
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        let error = Users::new(BTreeMap::from([("ali".to_owned(), "hunter2".to_owned())])).unwrap_err();
        assert!(error.starts_with("basic_auth_users.ali: not a bcrypt hash"), "{error}");
        assert!(!error.contains("hunter2"));
    }
}
