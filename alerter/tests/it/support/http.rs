//! An HTTP server on loopback behind a function, and faults between it and its client.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, net::TcpListener};

use super::web::{Got, read};

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub status: u16,
    /// Whole header lines.
    pub headers: Vec<String>,
    pub body: String,
}

impl Said {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string() }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn with(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }
}

/// What goes wrong with a request that writes.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is taken, and the connection is cut before the answer.
    CutAfter,
    /// It is not taken; this is answered.
    Refuse(Said),
}

/// The faults that the next requests meet, in order: only requests that write to a path with this end.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<VecDeque<(&'static str, Fault)>>>);

impl Faults {
    /// The next write to a path that ends so meets this fault.
    pub(crate) fn next(&self, path: &'static str, fault: Fault) {
        self.0.lock().unwrap().push_back((path, fault));
    }

    /// Whether all have been met.
    pub(crate) fn spent(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    fn take(&self, got: &Got) -> Option<Fault> {
        let (method, target) = got.target();
        let path = target.split('?').next().unwrap_or_default();
        let mut faults = self.0.lock().unwrap();
        let fits =
            matches!(method, "POST" | "PUT") && faults.front().is_some_and(|(end, _)| path.ends_with(end));
        fits.then(|| faults.pop_front()).flatten().map(|(_, fault)| fault)
    }
}

/// Serves `answer` on loopback, through `faults`; gives its address.
pub(crate) async fn serve<F>(faults: Faults, answer: F) -> String
where
    F: AsyncHandler,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (faults, answer) = (faults.clone(), answer.clone());
            tokio::spawn(async move {
                let Ok(Some(got)) = read(&mut stream).await else { return };
                let said = match faults.take(&got) {
                    None => answer.answer(got).await,
                    Some(Fault::Refuse(said)) => said,
                    Some(Fault::CutAfter) => {
                        answer.answer(got).await;
                        return;
                    }
                };
                let mut text = format!(
                    "HTTP/1.1 {} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n",
                    said.status,
                    said.body.len()
                );
                for header in &said.headers {
                    text.push_str(header);
                    text.push_str("\r\n");
                }
                text.push_str("\r\n");
                text.push_str(&said.body);
                // A client that goes away ends the conversation.
                let _ = stream.write_all(text.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    url
}

/// What stands behind a server.
pub(crate) trait AsyncHandler: Send + Sync + 'static {
    fn answer(&self, got: Got) -> impl Future<Output = Said> + Send;
}

/// The path's segments and the decoded query.
pub(crate) fn parts(got: &Got) -> (Vec<String>, Vec<(String, String)>) {
    let (_, target) = got.target();
    let url = url::Url::parse(&format!("http://x{target}")).unwrap();
    let path = url.path_segments().unwrap().map(str::to_owned).collect();
    (path, url.query_pairs().into_owned().collect())
}
