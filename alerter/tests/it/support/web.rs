//! An HTTP server on loopback that answers as it is told, byte by byte.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server does with a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// Answers with this status, header lines and body.
    Say(u16, &'static str, String),
    /// Closes the connection before it reads anything.
    HangUpFirst,
    /// Reads the whole request, then closes the connection.
    HangUp,
    /// Reads the whole request, then says nothing more.
    Hang,
    /// Promises more than it sends.
    CutShort,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub head: String,
    pub body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The method and the path with its query.
    pub(crate) fn target(&self) -> (&str, &str) {
        let mut words = self.head.split_whitespace();
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) struct Web {
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
    reply: Arc<Mutex<Reply>>,
}

impl Web {
    pub(crate) async fn start(reply: Reply) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let reply = Arc::new(Mutex::new(reply));
        let (theirs, script) = (got.clone(), reply.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (reply, got) = (script.lock().unwrap().clone(), theirs.clone());
                tokio::spawn(async move {
                    // A client that goes away ends the conversation.
                    let _ = converse(stream, &reply, &got).await;
                });
            }
        });
        Self { url, got, reply }
    }

    /// From now on; what came before is forgotten.
    pub(crate) fn answer(&self, reply: Reply) {
        *self.reply.lock().unwrap() = reply;
        self.got.lock().unwrap().clear();
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

/// One request, whole; `None` if the client went away.
pub(super) async fn read(stream: &mut TcpStream) -> std::io::Result<Option<Got>> {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok()
            });
            break (head.to_owned(), length.unwrap_or(0));
        }
    };
    let mut body = bytes.split_off(head.len() + 4);
    while body.len() < length {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Ok(None);
        }
        body.extend_from_slice(&chunk[..read]);
    }
    Ok(Some(Got { head, body: String::from_utf8(body).unwrap() }))
}

async fn converse(mut stream: TcpStream, reply: &Reply, got: &Mutex<Vec<Got>>) -> std::io::Result<()> {
    if *reply == Reply::HangUpFirst {
        return Ok(());
    }
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    got.lock().unwrap().push(request);
    match reply {
        Reply::Say(status, headers, text) => {
            let answer = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{text}",
                text.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }
        Reply::CutShort => stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1000\r\n\r\n{").await,
        Reply::Hang => std::future::pending().await,
        Reply::HangUp | Reply::HangUpFirst => Ok(()),
    }
}
