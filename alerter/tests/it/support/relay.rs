//! A mail relay on loopback that answers as it is told.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the relay does at one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Says this line.
    Say(&'static str),
    /// Closes the connection.
    HangUp,
    /// Says nothing more.
    Hang,
}

/// The steps at which a script differs from a relay that takes everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum At {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    /// The end of the content; the relay has taken the message.
    Content,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub messages: Mutex<Vec<String>>,
    pub connections: AtomicUsize,
}

pub(crate) struct Relay {
    pub port: u16,
    pub seen: Arc<Seen>,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    always: Vec<(At, Answer)>,
    once: Vec<(At, Answer)>,
}

impl Script {
    fn answer(&mut self, at: At, usual: &'static str) -> Answer {
        if let Some(found) = self.once.iter().position(|(step, _)| *step == at) {
            return self.once.remove(found).1;
        }
        self.always.iter().find(|(step, _)| *step == at).map_or(Answer::Say(usual), |(_, answer)| *answer)
    }
}

impl Relay {
    pub(crate) async fn start(always: Vec<(At, Answer)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, script) =
            (Arc::new(Seen::default()), Arc::new(Mutex::new(Script { always, once: vec![] })));
        let (their_seen, their_script) = (seen.clone(), script.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                their_seen.connections.fetch_add(1, Ordering::SeqCst);
                let (seen, script) = (their_seen.clone(), their_script.clone());
                tokio::spawn(async move {
                    // A client that goes away ends the conversation.
                    let _ = converse(stream, &seen, &script).await;
                });
            }
        });
        Self { port, seen, script }
    }

    /// From now on.
    pub(crate) fn script(&self, script: Vec<(At, Answer)>) {
        *self.script.lock().unwrap() = Script { always: script, once: vec![] };
    }

    /// At the next time that step is reached.
    pub(crate) fn once(&self, at: At, answer: Answer) {
        self.script.lock().unwrap().once.push((at, answer));
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.seen.messages.lock().unwrap().clone()
    }
}

async fn converse(stream: TcpStream, seen: &Seen, script: &Mutex<Script>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let answer = |at: At, usual: &'static str| script.lock().unwrap().answer(at, usual);
    macro_rules! say {
        ($answer:expr) => {
            match $answer {
                Answer::Say(line) => {
                    stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
                    line.starts_with(['2', '3'])
                }
                Answer::HangUp => return Ok(()),
                Answer::Hang => std::future::pending().await,
            }
        };
    }
    say!(answer(At::Greeting, "220 double ESMTP"));
    let (mut line, mut sender, mut recipient) = (String::new(), false, false);
    while stream.read_line(&mut line).await? > 0 {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        line.clear();
        match verb.as_str() {
            "EHLO" => say!(answer(At::Ehlo, "250-double\r\n250 PIPELINING")),
            "MAIL" => {
                recipient = false;
                sender = say!(answer(At::Mail, "250 2.1.0 ok"));
                sender
            }
            "RCPT" if !sender => say!(Answer::Say("503 5.5.1 no sender")),
            "RCPT" => {
                recipient = say!(answer(At::Rcpt, "250 2.1.5 ok"));
                recipient
            }
            "DATA" if !recipient => say!(Answer::Say("554 5.5.1 no valid recipients")),
            "QUIT" => return Ok(()),
            "DATA" => {
                if say!(answer(At::Data, "354 go")) {
                    let mut content = String::new();
                    while stream.read_line(&mut line).await? > 0 && line != ".\r\n" {
                        content.push_str(&line);
                        line.clear();
                    }
                    line.clear();
                    let end = answer(At::Content, "250 2.0.0 ok id=1abc-Q");
                    if !matches!(end, Answer::Say(text) if text.starts_with(['4', '5'])) {
                        seen.messages.lock().unwrap().push(content);
                    }
                    say!(end);
                }
                true
            }
            _ => say!(Answer::Say("250 2.0.0 ok")),
        };
    }
    Ok(())
}
