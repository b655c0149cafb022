//! An HTTPS server on loopback that answers every request with the same JSON.

use std::{path::PathBuf, process::Command, sync::Arc};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub(crate) struct Tls {
    pub port: u16,
    /// For `localhost`, signed by itself.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    _folder: tempfile::TempDir,
}

/// `None`, loudly, where openssl is absent.
pub(crate) async fn start(json: String) -> Option<Tls> {
    serve(json, false).await
}

/// A server that talks only to who shows its own certificate; `None`, loudly, where openssl is absent.
pub(crate) async fn start_mutual(json: String) -> Option<Tls> {
    serve(json, true).await
}

async fn serve(json: String, mutual: bool) -> Option<Tls> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let openssl = stories::real::program("openssl", "openssl")?;
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let mut command = Command::new(openssl);
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.arg("-keyout").arg(&key_file).arg("-out").arg(&certificate);
    stories::real::run(&mut command).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&key_file).unwrap();
    let config = rustls::ServerConfig::builder();
    let config = if mutual {
        let mut trusted = rustls::RootCertStore::empty();
        trusted.add(chain[0].clone()).unwrap();
        let known = rustls::server::WebPkiClientVerifier::builder(Arc::new(trusted)).build().unwrap();
        config.with_client_cert_verifier(known)
    } else {
        config.with_no_client_auth()
    };
    let config = config.with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, json) = (acceptor.clone(), json.clone());
            tokio::spawn(async move {
                // A client that does not trust the certificate goes away.
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = converse(stream, &json).await;
                }
            });
        }
    });
    Some(Tls { port, certificate, key: key_file, _folder: folder })
}

async fn converse(mut stream: TlsStream<TcpStream>, json: &str) -> std::io::Result<()> {
    let mut request = Vec::new();
    // Forms are small: head and body end with the last parameter that the source sends.
    while !String::from_utf8_lossy(&request).contains("timeout=") {
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&chunk[..read]),
        }
    }
    let length = json.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(json.as_bytes()).await?;
    stream.shutdown().await
}
