//! Binding a listener, with an error that says what to do.

use std::{io::ErrorKind, net::SocketAddr};

use tokio::net::TcpListener;

use crate::Fatal;

/// Binds `address` (`HOST:PORT`, or `:PORT` for all interfaces), which the setting `flag` chose.
///
/// # Errors
/// [`Fatal::Settings`] if it is not an address of this machine, [`Fatal::Running`] if it is taken or
/// not permitted.
pub async fn listen(flag: &str, address: &str) -> Result<TcpListener, Fatal> {
    let candidates = resolve(flag, address).await?;
    let mut last = None;
    for candidate in candidates {
        match TcpListener::bind(candidate).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    let kind = last.as_ref().map_or(ErrorKind::AddrNotAvailable, std::io::Error::kind);
    Err(match kind {
        ErrorKind::AddrInUse => Fatal::Running(format!(
            "cannot listen on {address}: address in use; choose another with {flag}, or stop what uses it"
        )),
        ErrorKind::PermissionDenied => Fatal::Running(format!(
            "cannot listen on {address}: permission denied; choose a port above 1023 with {flag}"
        )),
        ErrorKind::AddrNotAvailable => Fatal::Settings(format!(
            "cannot listen on {address}: no such address on this machine; choose another with {flag}"
        )),
        _ => Fatal::Running(format!(
            "cannot listen on {address}: {}; choose another with {flag}",
            last.map_or_else(String::new, |error| error.to_string())
        )),
    })
}

async fn resolve(flag: &str, address: &str) -> Result<Vec<SocketAddr>, Fatal> {
    let wrong = |reason: &str| {
        Fatal::Settings(format!("{flag}: {address:?} {reason}; give HOST:PORT, for example 127.0.0.1:9000"))
    };
    if let Some(port) = address.strip_prefix(':') {
        let port = port.parse::<u16>().map_err(|_| wrong("is no address"))?;
        // As Go's listeners do: both families, or the old one where the new is switched off.
        return Ok(vec![
            (std::net::Ipv6Addr::UNSPECIFIED, port).into(),
            (std::net::Ipv4Addr::UNSPECIFIED, port).into(),
        ]);
    }
    if address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok()).is_none() {
        return Err(wrong("is no address"));
    }
    let found: Vec<_> = match tokio::net::lookup_host(address).await {
        Ok(found) => found.collect(),
        Err(_) => return Err(wrong("names no host that is known")),
    };
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAG: &str = "--web.listen-address";

    #[tokio::test]
    async fn a_port_in_use_says_what_to_do() {
        let first = listen(FLAG, "127.0.0.1:0").await.unwrap();
        let taken = first.local_addr().unwrap().to_string();
        let error = listen(FLAG, &taken).await.unwrap_err();
        assert_eq!(error.code(), 1);
        let line = error.to_string();
        assert!(
            line.starts_with(&format!(
                "cannot listen on {taken}: address in use; choose another with {FLAG}"
            ))
        );
    }

    #[tokio::test]
    async fn what_is_no_address_is_a_wrong_setting() {
        for bad in ["", "9765", "127.0.0.1", ":", ":x", "127.0.0.1:99999", "192.0.2.1:9765"] {
            let error = listen(FLAG, bad).await.unwrap_err();
            assert_eq!(error.code(), 2, "{bad}: {error}");
            assert!(error.to_string().contains(FLAG), "{error}");
        }
    }

    #[tokio::test]
    async fn a_bare_port_means_all_interfaces_and_names_are_resolved() {
        assert!(listen(FLAG, ":0").await.unwrap().local_addr().unwrap().ip().is_unspecified());
        assert!(listen(FLAG, "localhost:0").await.unwrap().local_addr().unwrap().ip().is_loopback());
    }
}
