//! A server that answers as told, byte by byte where need be, and remembers what it was asked.

use std::sync::{Arc, Mutex};

use basiq::{Client, ClientConfig, KeySource, Quota, Retry};
use daemon::{Clock, Secret, Timestamp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) const KEY: &str = "S0VZLW9mLXRoZS10ZXN0";
pub(crate) const TOKEN: &str = "TOKEN-of-the-test";

/// What a request was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) path: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    /// A header's value; empty if absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.trim())
    }
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Status, further headers, body.
    Of(u16, String, Vec<u8>),
    /// These bytes, whatever they are, then the end of the connection.
    Raw(Vec<u8>),
    /// This head, then zeros until the client goes away.
    Endless(String),
    /// Nothing, for ever.
    Hang,
    /// The end of the connection.
    Drop,
}

pub(crate) fn json(status: u16, body: impl AsRef<str>) -> Reply {
    Reply::Of(status, String::new(), body.as_ref().as_bytes().to_vec())
}

pub(crate) fn token() -> Reply {
    json(200, format!(r#"{{"access_token":"{TOKEN}","token_type":"Bearer","expires_in":3600}}"#))
}

pub(crate) fn error(status: u16, code: &str) -> Reply {
    json(
        status,
        format!(
            r#"{{"type":"list","correlationId":"ac5ah5i","data":[{{"type":"error","code":"{code}","title":"gavin@hooli.com","detail":"gavin@hooli.com"}}]}}"#
        ),
    )
}

type Handler = Box<dyn Fn(&Asked, usize) -> Reply + Send + Sync>;

/// The running server; stops when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Answers every request by `handler`, which also gets how many came before; `/token` included.
    pub(crate) async fn start(handler: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, handler) = (Arc::clone(&asked), Arc::new(Box::new(handler) as Handler));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&handler)));
            }
        });
        Self { url, asked, task }
    }

    /// Like [`Self::start`], with a token for whoever asks; `handler` sees the rest only.
    pub(crate) async fn with_token(handler: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |asked, _| if asked.path == "/token" { token() } else { handler(asked) }).await
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often a path was asked, its query aside.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|asked| asked.path.split('?').next() == Some(path)).count()
    }

    /// Settings for a client of this server: fast, and hardly limited.
    pub(crate) fn config(&self) -> ClientConfig {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = ClientConfig::new(KeySource::value(Secret::new(KEY)));
        config.base_url = self.url.clone();
        config.quota = Quota { per_second: 1e6, burst: 100_000, per_day: 10_000_000, concurrency: 64 };
        config.retry = Retry { tries: 3, base: std::time::Duration::from_millis(2) };
        config
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }

    /// A client that tries once, waits for nothing, and for which an hour passes in some milliseconds: what
    /// one answer did to it is over before the next. (Making a client costs more: it reads the system's roots.)
    pub(crate) fn forgetful_client(&self) -> Client {
        let mut config = self.config();
        config.clock = Clock::scaled(Timestamp::now(), 1e6);
        config.patience = std::time::Duration::ZERO;
        config.retry.tries = 1;
        Client::new(config).unwrap()
    }
}

async fn serve(mut stream: TcpStream, log: Arc<Mutex<Vec<Asked>>>, handler: Arc<Handler>) {
    let Some(asked) = read(&mut stream).await else { return };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    match handler(&asked, before) {
        Reply::Of(status, headers, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                body.len()
            );
            let head = if status == 204 { head.replace("content-length: 0\r\n", "") } else { head };
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        }
        Reply::Raw(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Reply::Endless(head) => {
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(&[b'0'; 65536]).await.is_ok() {}
        }
        Reply::Hang => {
            // Until the client gives up.
            let _ = stream.read(&mut [0; 1]).await;
        }
        Reply::Drop => {}
    }
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut words = head.lines().next()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut asked = Asked { method, path, head, body: String::new() };
    let length: usize = asked.header("content-length").parse().unwrap_or_default();
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    asked.body = String::from_utf8_lossy(&bytes[end..]).into_owned();
    Some(asked)
}
