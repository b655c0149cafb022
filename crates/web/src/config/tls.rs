//! TLS of the listener, by rustls.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use daemon::config::relative_to;
use rustls::{
    NamedGroup, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

use super::{
    Loaded,
    file::{ClientAuth, TlsServer, Version},
};

/// Adds what `tls_server_config` asks for.
pub(super) fn load(config: &Path, server: &TlsServer, loaded: &mut Loaded) -> Result<(), String> {
    let mut file = |path: &Path| {
        let path = relative_to(Some(config), path);
        loaded.files.push(path.clone());
        path
    };
    let (certificate, key) = (file(&server.cert_file), file(&server.key_file));
    let authority = server.client_ca_file.as_deref().map(&mut file);
    let provider = Arc::new(provider(server)?);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(server)?)
        .map_err(|error| format!("tls_server_config: {error}"))?;
    let builder = match (server.client_auth_type, authority) {
        (ClientAuth::None, None) => builder.with_no_client_auth(),
        (ClientAuth::None, Some(_)) => {
            return Err("tls_server_config.client_ca_file is of no use without \
                        client_auth_type: RequireAndVerifyClientCert"
                .to_owned());
        }
        (ClientAuth::RequestClientCert | ClientAuth::RequireAnyClientCert, _) => {
            return Err("tls_server_config.client_auth_type: certificates that are not verified prove \
                        nothing; use RequireAndVerifyClientCert or VerifyClientCertIfGiven"
                .to_owned());
        }
        (_, None) => return Err("tls_server_config.client_ca_file is missing: who signs clients?".to_owned()),
        (kind, Some(authority)) => {
            let mut roots = RootCertStore::empty();
            for root in certificates("client_ca_file", &authority)? {
                let reason = "tls_server_config.client_ca_file: a certificate cannot be used";
                roots.add(root).map_err(|error| format!("{reason}: {error}"))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let verifier = match kind {
                ClientAuth::VerifyClientCertIfGiven => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            loaded.client_certificates = kind == ClientAuth::RequireAndVerifyClientCert;
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| format!("tls_server_config.client_ca_file: {error}"))?,
            )
        }
    };
    loaded.client_sans = sans(server)?;
    let chain = certificates("cert_file", &certificate)?;
    let private = PrivateKeyDer::from_pem_file(&key).map_err(|error| unreadable("key_file", &key, &error))?;
    let mut tls = builder.with_single_cert(chain, private).map_err(|error| {
        format!("tls_server_config: cert_file and key_file do not work together: {error}")
    })?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    loaded.tls = Some(Arc::new(tls));
    Ok(())
}

fn certificates(key: &str, path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(key, path, &error))?;
    if found.is_empty() {
        return Err(format!("tls_server_config.{key}: {}: no certificate in it", path.display()));
    }
    Ok(found)
}

fn unreadable(key: &str, path: &Path, error: &pem::Error) -> String {
    let reason = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "nothing of that kind in it".to_owned(),
        _ => "is no PEM file".to_owned(),
    };
    format!("tls_server_config.{key}: {}: {reason}", path.display())
}

fn versions(server: &TlsServer) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let max = server.max_version.unwrap_or(Version::TLS13);
    let asked: Vec<_> = [(Version::TLS12, &TLS12), (Version::TLS13, &TLS13)]
        .into_iter()
        .filter(|(version, _)| (server.min_version..=max).contains(version))
        .map(|(_, spoken)| spoken)
        .collect();
    if server.min_version < Version::TLS12 || asked.is_empty() {
        return Err(
            "tls_server_config: min_version and max_version must be TLS12 or TLS13, in that order".to_owned()
        );
    }
    Ok(asked)
}

/// The suites and groups that are asked for, by Go's names. As in Go, those of TLS 1.3 are not chosen.
fn provider(server: &TlsServer) -> Result<CryptoProvider, String> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !server.cipher_suites.is_empty() {
        let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
        let known: Vec<_> = provider.cipher_suites.iter().map(name).collect();
        if let Some(unknown) = server.cipher_suites.iter().find(|asked| !known.contains(asked)) {
            return Err(format!(
                "tls_server_config.cipher_suites: {unknown:?} is not spoken; possible are {}",
                known.into_iter().filter(|name| !name.starts_with("TLS13_")).collect::<Vec<_>>().join(", ")
            ));
        }
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || server.cipher_suites.contains(&name(suite)));
    }
    if !server.curve_preferences.is_empty() {
        let mut groups = Vec::new();
        for asked in &server.curve_preferences {
            let group = match asked.as_str() {
                "CurveP256" => NamedGroup::secp256r1,
                "CurveP384" => NamedGroup::secp384r1,
                "X25519" => NamedGroup::X25519,
                _ => {
                    return Err(format!(
                        "tls_server_config.curve_preferences: {asked:?} is not spoken; possible are \
                         CurveP256, CurveP384, X25519"
                    ));
                }
            };
            groups.extend(provider.kx_groups.iter().copied().filter(|known| known.name() == group));
        }
        provider.kx_groups = groups;
    }
    Ok(provider)
}

fn sans(server: &TlsServer) -> Result<Vec<ServerName<'static>>, String> {
    let parse = |san: &String| {
        ServerName::try_from(san.clone()).map_err(|_| {
            format!("tls_server_config.client_allowed_sans: {san:?} is no DNS name or IP address")
        })
    };
    server.client_allowed_sans.iter().map(parse).collect()
}
