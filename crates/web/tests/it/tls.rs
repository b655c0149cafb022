//! TLS and client certificates. The certificates are made by `openssl` for each run.

use std::{path::Path, process::Command, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use web::{Limits, WebConfig};

use crate::server::{Server, exchange, start, status};

/// Makes an authority, and certificates of `localhost`, of a client `scraper.test`, and of a stranger that
/// signed itself. Says so loudly where `openssl` is absent, and fails in CI.
fn certificates(dir: &Path) -> bool {
    let openssl = |args: &str| {
        let run = Command::new("openssl").args(args.split(' ')).current_dir(dir).output();
        run.map(|output| {
            assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr))
        })
    };
    if openssl("version").is_err() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "openssl is absent, and CI must have it");
        eprintln!("SKIPPED: openssl is not installed; this test of TLS did not run");
        return false;
    }
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let ours = "-addext basicConstraints=critical,CA:TRUE";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority {ours}")).unwrap();
    openssl(&format!("req -x509 {key} -keyout stranger.key -out stranger.pem -subj /CN=stranger")).unwrap();
    for name in ["localhost", "scraper.test"] {
        openssl(&format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}")).unwrap();
        std::fs::write(dir.join("ext"), format!("subjectAltName=DNS:{name}\n")).unwrap();
        let sign = "-CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext";
        openssl(&format!("x509 -req -in {name}.csr -out {name}.pem {sign}")).unwrap();
    }
    true
}

fn web_config(dir: &Path, more: &str) -> WebConfig {
    let path = dir.join("web.yml");
    // Relative to the file.
    let files = "  cert_file: localhost.pem\n  key_file: localhost.key\n";
    std::fs::write(&path, format!("tls_server_config:\n{files}{more}")).unwrap();
    WebConfig::load(Some(&path)).unwrap()
}

/// The status of the answer, or nothing if the connection is refused.
async fn get(server: &Server, dir: &Path, client: Option<&str>) -> Option<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(dir.join(format!("{name}.pem"))).unwrap()];
            let key = PrivateKeyDer::from_pem_file(dir.join(format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let (head, _) = exchange(stream, "GET /-/healthy").await.ok()?;
    Some(status(&head)).filter(|status| *status != 0)
}

#[tokio::test]
async fn connections_are_encrypted_and_the_certificate_follows_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    if !certificates(dir) {
        return;
    }
    let config = web_config(dir, "");
    assert!(config.encrypts() && !config.authenticates());
    let server = start(config.clone(), Limits::default()).await;
    assert_eq!(get(&server, dir, None).await, Some(200));
    // Plain HTTP is no TLS.
    let stream = TcpStream::connect(server.address).await.unwrap();
    let plain = exchange(stream, "GET /-/healthy").await;
    assert!(plain.is_err() || plain.is_ok_and(|(head, _)| status(&head) == 0));
    // A certificate that nobody trusts is in force once the files have changed.
    std::fs::copy(dir.join("stranger.pem"), dir.join("localhost.pem")).unwrap();
    assert!(config.reread().unwrap_err().contains("do not work together"), "half a change is refused");
    assert_eq!(get(&server, dir, None).await, Some(200));
    std::fs::copy(dir.join("stranger.key"), dir.join("localhost.key")).unwrap();
    config.reread().unwrap();
    assert_eq!(get(&server, dir, None).await, None);
}

#[tokio::test]
async fn clients_must_show_a_certificate_that_was_signed_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    if !certificates(dir) {
        return;
    }
    let required = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n";
    let config = web_config(dir, required);
    assert!(config.authenticates());
    config.require_authentication("0.0.0.0:9765".parse().unwrap(), &["/metrics/connections"]).unwrap();
    let server = start(config, Limits::default()).await;
    assert_eq!(get(&server, dir, Some("scraper.test")).await, Some(200));
    assert_eq!(get(&server, dir, Some("stranger")).await, None);
    assert_eq!(get(&server, dir, None).await, None);

    let config = web_config(dir, &format!("{required}  client_allowed_sans: [scraper.test]\n"));
    let server = start(config, Limits::default()).await;
    assert_eq!(get(&server, dir, Some("scraper.test")).await, Some(200));
    assert_eq!(get(&server, dir, Some("localhost")).await, None, "another name of the same authority");
}

#[test]
fn what_tls_cannot_do_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    if !certificates(dir) {
        return;
    }
    let cases = [
        ("client_ca_file: ca.pem", "of no use without"),
        ("client_auth_type: RequireAndVerifyClientCert", "client_ca_file is missing"),
        ("client_auth_type: RequestClientCert", "prove nothing"),
        ("min_version: TLS10", "must be TLS12 or TLS13"),
        ("min_version: TLS13\n  max_version: TLS12", "must be TLS12 or TLS13"),
        ("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]", "is not spoken; possible are TLS_ECDHE"),
        ("curve_preferences: [CurveP521]", "is not spoken"),
        ("client_allowed_sans: [\"a b\"]", "is no DNS name"),
        ("versions: [TLS12]", "web.yml:4:3: "),
    ];
    for (more, part) in cases {
        let path = dir.join("web.yml");
        let files = "  cert_file: localhost.pem\n  key_file: localhost.key\n";
        std::fs::write(&path, format!("tls_server_config:\n{files}  {more}\n")).unwrap();
        let error = WebConfig::load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains(part), "{more}: {error}");
    }
    let good = "  min_version: TLS12\n  max_version: TLS13\n  curve_preferences: [X25519, CurveP256]\n  \
                cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n  prefer_server_cipher_suites: true\n";
    assert!(web_config(dir, good).encrypts());
}
