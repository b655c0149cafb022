//! One connection to a relay, each step with its own deadline.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use lettre::{
    Address,
    transport::smtp::{
        Error,
        authentication::Mechanism,
        client::{AsyncSmtpConnection, AsyncTokioStream},
        commands::{Data, Ehlo, Mail as MailFrom, Quit, Rcpt, Rset},
        extension::{ClientId, Extension, MailParameter},
        response::Response,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    Deadlines, RelayParts, Security,
    reply::{Failure, Step, broken, failed},
};

/// What is said of a step without a reply.
const LATE: &str = "the relay did not answer in time";

pub(super) struct Session {
    connection: AsyncSmtpConnection,
    /// The relay takes several commands at once (RFC 2920).
    pipelines: bool,
    deadlines: Deadlines,
    pub(super) used: Instant,
    pub(super) messages: u32,
}

impl Session {
    /// Connects, agrees on TLS, and authenticates.
    pub(super) async fn open(relay: &RelayParts) -> Result<Self, Failure> {
        let deadlines = relay.deadlines;
        let tcp =
            timeout(deadlines.connect, dial(relay)).await.map_err(|_| broken(Step::Connect, LATE))?.map_err(
                |error| broken(Step::Connect, &format!("the relay cannot be reached ({})", error.kind())),
            )?;
        let hello = match tcp.local_addr() {
            _ if relay.hello.is_some() => ClientId::Domain(relay.hello.clone().unwrap_or_default()),
            Ok(SocketAddr::V4(address)) => ClientId::Ipv4(*address.ip()),
            Ok(SocketAddr::V6(address)) => ClientId::Ipv6(*address.ip()),
            Err(_) => ClientId::default(),
        };
        let stream: Box<dyn AsyncTokioStream> = match &relay.tls {
            Security::Implicit { connector } => Box::new(wrap(relay, connector, tcp).await?),
            Security::None | Security::StartTls { .. } => Box::new(tcp),
        };
        let connect = AsyncSmtpConnection::connect_with_transport(stream, &hello);
        let connection = within(deadlines.command, Step::Greeting, connect).await?;
        let mut session = Self { connection, pipelines: false, deadlines, used: Instant::now(), messages: 0 };
        if let Security::StartTls { parameters } = &relay.tls {
            let upgrade = session.connection.starttls(parameters.clone(), &hello);
            within(deadlines.command, Step::StartTls, upgrade).await?;
        }
        if let Some(credentials) = &relay.credentials {
            let auth = session.connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials);
            within(deadlines.command, Step::Auth, auth).await?;
        }
        // Asked once more, because lettre keeps nothing of the answer that says so.
        let ehlo = session.connection.command(Ehlo::new(hello));
        let offers = within(deadlines.command, Step::Greeting, ehlo).await?;
        session.pipelines = offers.message().any(|line| line.trim().eq_ignore_ascii_case("PIPELINING"));
        Ok(session)
    }

    /// Hands over one message for one recipient.
    pub(super) async fn send(
        &mut self,
        from: &Address,
        to: &Address,
        content: &str,
    ) -> Result<Response, Failure> {
        self.messages += 1;
        let mut parameters = Vec::new();
        let plain = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if !plain(from) || !plain(to) {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let why = "the relay takes no address beyond ASCII".to_owned();
                let error = crate::channels::DeliveryError::Unreachable { why };
                return Err(Failure { error, usable: true, throttled: false });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let mail = MailFrom::new(Some(from.clone()), parameters);
        let rcpt = Rcpt::new(to.clone(), Vec::new());
        if self.pipelines {
            self.announce_at_once(mail, rcpt).await?;
        } else {
            self.announce(mail, rcpt).await?;
        }
        let content = self.connection.command(Content(content));
        let response = within(self.deadlines.content, Step::Content, content).await?;
        self.used = Instant::now();
        Ok(response)
    }

    /// Sender, recipient and the wish to send, each after the reply to the one before.
    async fn announce(&mut self, mail: MailFrom, rcpt: Rcpt) -> Result<(), Failure> {
        let short = self.deadlines.command;
        within(short, Step::Mail, self.connection.command(mail)).await?;
        within(short, Step::Recipient, self.connection.command(rcpt)).await?;
        within(short, Step::Data, self.connection.command(Data)).await?;
        Ok(())
    }

    /// The same in one write, with all replies after it.
    async fn announce_at_once(&mut self, mail: MailFrom, rcpt: Rcpt) -> Result<(), Failure> {
        let short = self.deadlines.command;
        let all = format!("{mail}{rcpt}{Data}");
        let sender = within(short, Step::Mail, self.connection.command(all)).await;
        if sender.as_ref().is_err_and(|failure| !failure.usable) {
            return sender.map(drop);
        }
        let recipient = within(short, Step::Recipient, self.connection.read_response()).await;
        if recipient.as_ref().is_err_and(|failure| !failure.usable) {
            return sender.and(recipient).map(drop);
        }
        let data = timeout(short, self.connection.read_response()).await;
        match (sender.and(recipient), data) {
            (Ok(_), Ok(data)) => data.map(drop).map_err(|error| failed(Step::Data, &error)),
            (Ok(_), Err(_)) => Err(broken(Step::Data, LATE)),
            (Err(mut failure), data) => {
                // It has no recipient and says so. One that wants the content of what it refused gets no more of
                // this connection.
                failure.usable = matches!(data, Ok(Err(error)) if error.status().is_some());
                Err(failure)
            }
        }
    }

    /// Makes the connection ready for the next message after a refusal; false if it is not usable.
    pub(super) async fn reset(&mut self) -> bool {
        self.used = Instant::now();
        let reset = self.connection.command(Rset);
        matches!(timeout(self.deadlines.command, reset).await, Ok(Ok(_)))
    }

    /// Says goodbye, for at most a second.
    pub(super) async fn close(mut self) {
        // Whatever the answer: the connection is dropped.
        let _ = timeout(Duration::from_secs(1), self.connection.command(Quit)).await;
    }
}

/// A message as it goes after DATA: with a dot before lines that begin with one, and the end in the same write
/// (RFC 5321, section 4.5.2).
struct Content<'a>(&'a str);

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest.starts_with('.') {
            f.write_str(".")?;
        }
        while let Some(at) = memchr::memmem::find(rest.as_bytes(), b"\r\n.") {
            let (before, after) = rest.split_at(at + 2);
            f.write_str(before)?;
            f.write_str(".")?;
            f.write_str(&after[..1])?;
            rest = &after[1..];
        }
        f.write_str(rest)?;
        f.write_str(if self.0.ends_with("\r\n") { ".\r\n" } else { "\r\n.\r\n" })
    }
}

async fn within<T>(
    deadline: Duration,
    step: Step,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match timeout(deadline, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failed(step, &error)),
        Err(_) => Err(broken(step, LATE)),
    }
}

async fn dial(relay: &RelayParts) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in lookup_host((relay.host.as_str(), relay.port)).await? {
        if matches!(relay.tls, Security::None) && !address.ip().is_loopback() {
            // The name pointed to loopback when it was configured; it must still do so.
            last = io::Error::from(io::ErrorKind::AddrNotAvailable);
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Commands are small and each waits for its reply: 44 ms a mail without this.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn wrap(relay: &RelayParts, connector: &TlsConnector, tcp: TcpStream) -> Result<Wrapped, Failure> {
    let name = rustls::pki_types::ServerName::try_from(relay.host.clone())
        .map_err(|_| broken(Step::Connect, "the relay's host is not a name that TLS can check"))?;
    match timeout(relay.deadlines.command, connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(Wrapped(Box::new(stream))),
        Ok(Err(_)) => Err(broken(
            Step::Connect,
            "TLS could not be agreed on (check the certificate, its name and the trusted CA)",
        )),
        Err(_) => Err(broken(Step::Connect, LATE)),
    }
}

/// A stream that is TLS from its first byte, for lettre.
struct Wrapped(Box<TlsStream<TcpStream>>);

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TLS stream")
    }
}

impl AsyncTokioStream for Wrapped {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Wrapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wrapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

/// A connector that trusts what the platform trusts, or only the certificates of a file.
pub(super) fn connector(ca: Option<&[u8]>) -> Result<TlsConnector, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    use rustls_platform_verifier::BuilderVerifierExt;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match ca {
        None => builder.with_platform_verifier().map_err(|error| error.to_string())?.with_no_client_auth(),
        Some(pem) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|_| "is not a PEM file of certificates".to_owned())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_with_a_dot_get_another_and_the_end_stands_alone() {
        let sent = |text: &str| Content(text).to_string();
        assert_eq!(sent("a\r\nb\r\n"), "a\r\nb\r\n.\r\n");
        assert_eq!(sent("a"), "a\r\n.\r\n");
        assert_eq!(sent(".a\r\n.\r\n..b\r\n.\r\n"), "..a\r\n..\r\n...b\r\n..\r\n.\r\n");
        assert_eq!(sent("a.\r\n.\r\n.é"), "a.\r\n..\r\n..é\r\n.\r\n");
    }
}
