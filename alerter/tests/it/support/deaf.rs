//! A way to Postgres on which one answer can be lost: the server has done what was asked, and nobody hears of it.

use std::sync::{Arc, Mutex};

use daemon::Secret;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The way. It ends with the runtime.
pub(crate) struct Deaf {
    /// The word of the answer that is lost next.
    lose: Arc<Mutex<Option<&'static str>>>,
    /// The address of the database by this way.
    pub(crate) url: Secret,
}

impl Deaf {
    /// A way to the database of this address, whose host is `127.0.0.1`.
    pub(crate) async fn before(url: &Secret) -> Self {
        let (scheme, rest) = url.expose().split_once("@127.0.0.1:").unwrap();
        let (port, database) = rest.split_once('/').unwrap();
        let to: u16 = port.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let lose = Arc::new(Mutex::new(None));
        let word = lose.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to, word.clone()));
            }
        });
        Self { lose, url: Secret::new(format!("{scheme}@127.0.0.1:{own}/{database}")) }
    }

    /// Loses the next answer that says this word, such as `UPDATE` or `COMMIT`, and its connection.
    pub(crate) fn lose(&self, word: &'static str) {
        *self.lose.lock().unwrap() = Some(word);
    }

    /// Whether all that was to be lost is lost.
    pub(crate) fn lost(&self) -> bool {
        self.lose.lock().unwrap().is_none()
    }
}

async fn carry(client: TcpStream, to: u16, lose: Arc<Mutex<Option<&'static str>>>) {
    let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asks = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut answer = vec![0; 65_536];
    while let Ok(length @ 1..) = from_server.read(&mut answer).await {
        let answer = &answer[..length];
        let says = |word: &&str| answer.windows(word.len()).any(|part| part == word.as_bytes());
        if lose.lock().unwrap().take_if(|word| says(&&**word)).is_some() {
            break;
        }
        if to_client.write_all(answer).await.is_err() {
            break;
        }
    }
    asks.abort();
}
