//! Who asks, and what they may do: the login of the web configuration, which was checked before, or the name that
//! a trusted proxy gives.

use std::{collections::BTreeSet, net::IpAddr, net::SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use daemon::Fatal;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Shared, problem};

/// The section `page` of the configuration.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PageConfig {
    /// Names that may press buttons; everybody else only looks. Where it is left out, everybody may who gets in.
    pub operators: Option<BTreeSet<String>>,
    /// Names of the partner's applications: they ask `/api/v1` and see nothing else.
    pub applications: BTreeSet<String>,
    /// A proxy that has checked who asks.
    pub proxy: Option<ProxyConfig>,
}

/// A proxy whose word is taken for who asks.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyConfig {
    /// Addresses that it connects from. From any other address the header means nothing.
    pub addresses: BTreeSet<IpAddr>,
    /// The header in which it names the user, e.g. `X-Forwarded-User`. It must remove what a client sends in it.
    pub user_header: String,
}

/// What somebody may do on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Look.
    Viewer,
    /// Look, and press buttons.
    Operator,
    /// Ask for a user's status and say that a user is done.
    Application,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Actor {
    pub(super) name: String,
    pub(super) role: Role,
}

/// The rules of [`PageConfig`], checked.
#[derive(Clone, Debug, Default)]
pub struct Access {
    config: PageConfig,
    header: Option<HeaderName>,
}

impl Access {
    /// Checks the section.
    ///
    /// # Errors
    /// A header that is none, or a proxy without an address.
    pub fn new(config: PageConfig) -> Result<Self, Fatal> {
        let header = match &config.proxy {
            None => None,
            Some(proxy) if proxy.addresses.is_empty() => {
                return Err(Fatal::settings(
                    "page.proxy.addresses: name the addresses that the proxy connects from",
                ));
            }
            Some(proxy) => {
                let header = HeaderName::try_from(&proxy.user_header).map_err(|_| {
                    Fatal::settings(
                        "page.proxy.user_header: not the name of a header, such as X-Forwarded-User",
                    )
                })?;
                Some(header)
            }
        };
        Ok(Self { config, header })
    }

    /// Who asks. `None` where nobody must remain unnamed: a proxy that names nobody.
    pub(super) fn actor(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<Actor> {
        let proxied = self.config.proxy.as_ref().zip(peer).is_some_and(|(proxy, peer)| {
            proxy.addresses.contains(&peer.ip().to_canonical()) || proxy.addresses.contains(&peer.ip())
        });
        let name = match &self.header {
            Some(header) if proxied => {
                let mut named = headers.get_all(header).iter();
                match (named.next(), named.next()) {
                    (Some(only), None) => plain(only.to_str().ok()?)?,
                    _ => return None,
                }
            }
            _ => match login(headers) {
                Some(name) => name,
                None => {
                    // Without logins there are no roles to tell apart, unless names were asked for.
                    let role = if self.config.operators.is_none() { Role::Operator } else { Role::Viewer };
                    return Some(Actor { name: "without a login".to_owned(), role });
                }
            },
        };
        let role = if self.config.applications.contains(&name) {
            Role::Application
        } else if self.config.operators.as_ref().is_none_or(|operators| operators.contains(&name)) {
            Role::Operator
        } else {
            Role::Viewer
        };
        Some(Actor { name, role })
    }
}

/// A name as it may stand in a log: one short line.
fn plain(name: &str) -> Option<String> {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(64).collect();
    (!name.is_empty()).then_some(name)
}

/// The user of the web configuration, which has checked the password already.
fn login(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let login = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    plain(login.split_once(':')?.0)
}

/// Lets nobody pass who may not, and hands on who asks.
pub(super) async fn identify(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let Some(actor) = shared.state.access.actor(peer, request.headers()) else {
        return problem(StatusCode::FORBIDDEN, "The proxy does not say who asks.");
    };
    let api = request.uri().path().starts_with("/api/");
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if actor.role == Role::Application && !api {
        return problem(StatusCode::FORBIDDEN, "An application's login opens /api/v1 only.");
    }
    if actor.role == Role::Viewer && changes {
        tracing::warn!(actor = actor.name, "a viewer pressed a button; nothing was done");
        return problem(StatusCode::FORBIDDEN, "Your login may look, but not change anything.");
    }
    if changes && !same_origin(request.headers(), api) {
        return problem(StatusCode::FORBIDDEN, "This came from another site and was not done.");
    }
    request.extensions_mut().insert(actor);
    next.run(request).await
}

/// Browsers say where a request comes from; a page of another site can make them send one, but not lie about it.
/// One that says nothing is no page of ours; `programs` has no cookies or remembered logins that could be abused.
fn same_origin(headers: &HeaderMap, programs: bool) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    match text(header::ORIGIN) {
        None => programs,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(header::HOST)
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    fn access(text: &str) -> Access {
        Access::new(daemon::config::decode("alerter.yml", text).unwrap()).unwrap()
    }

    #[test]
    fn only_the_page_itself_and_programs_may_act() {
        for (pairs, programs, expected) in [
            (vec![], true, true),
            (vec![], false, false),
            (vec![("sec-fetch-site", "same-origin")], false, true),
            (vec![("sec-fetch-site", "cross-site")], true, false),
            (vec![("sec-fetch-site", "same-site")], true, false),
            (vec![("sec-fetch-site", "none")], true, false),
            (vec![("origin", "http://a.test:9766"), ("host", "a.test:9766")], false, true),
            (vec![("origin", "http://b.test"), ("host", "a.test:9766")], true, false),
            (vec![("origin", "null"), ("host", "a.test")], true, false),
            (vec![("origin", "null")], true, false),
            (
                vec![("sec-fetch-site", "cross-site"), ("origin", "http://a.test"), ("host", "a.test")],
                true,
                false,
            ),
        ] {
            assert_eq!(same_origin(&headers(&pairs), programs), expected, "{pairs:?}");
        }
    }

    // ann:secret
    const ANN: (&str, &str) = ("authorization", "Basic YW5uOnNlY3JldA==");

    fn who(access: &Access, peer: &str, pairs: &[(&'static str, &'static str)]) -> Option<(String, Role)> {
        access.actor(Some(peer.parse().unwrap()), &headers(pairs)).map(|actor| (actor.name, actor.role))
    }

    #[test]
    fn without_names_of_operators_everybody_who_gets_in_may_act() {
        let open = access("{}");
        assert_eq!(who(&open, "127.0.0.1:1", &[ANN]), Some(("ann".to_owned(), Role::Operator)));
        for header in ["Bearer x", "Basic !", "Basic YW5u"] {
            let nobody = Some(("without a login".to_owned(), Role::Operator));
            assert_eq!(who(&open, "127.0.0.1:1", &[("authorization", header)]), nobody);
        }
    }

    #[test]
    fn names_tell_operators_viewers_and_applications_apart() {
        let access = access("operators: [ann]\napplications: [app]\n");
        assert_eq!(who(&access, "127.0.0.1:1", &[ANN]), Some(("ann".to_owned(), Role::Operator)));
        // bob:x and app:x
        let role = |header| who(&access, "127.0.0.1:1", &[("authorization", header)]).unwrap().1;
        assert_eq!((role("Basic Ym9iOng="), role("basic YXBwOng=")), (Role::Viewer, Role::Application));
        assert_eq!(who(&access, "127.0.0.1:1", &[]).unwrap().1, Role::Viewer);
    }

    #[test]
    fn the_header_counts_from_the_proxys_address_only() {
        let access = access(
            "operators: [ann]\nproxy: {addresses: [10.0.0.7, '::1'], user_header: X-Forwarded-User}\n",
        );
        let named = ("x-forwarded-user", "ann");
        assert_eq!(who(&access, "10.0.0.7:9", &[named]), Some(("ann".to_owned(), Role::Operator)));
        assert_eq!(who(&access, "[::ffff:10.0.0.7]:9", &[named]).unwrap().1, Role::Operator);
        assert_eq!(
            who(&access, "10.0.0.8:9", &[named]).unwrap().1,
            Role::Viewer,
            "from elsewhere it means nothing"
        );
        assert_eq!(who(&access, "10.0.0.7:9", &[]), None, "a proxy that names nobody");
        assert_eq!(who(&access, "10.0.0.7:9", &[ANN]), None, "its own login is not the user's");
        let mut twice = headers(&[named]);
        twice.append("x-forwarded-user", HeaderValue::from_static("bob"));
        assert_eq!(access.actor(Some("10.0.0.7:9".parse().unwrap()), &twice), None, "two names are none");
    }

    #[test]
    fn a_proxy_needs_an_address_and_a_header() {
        for text in [
            "proxy: {addresses: [], user_header: X-User}\n",
            "proxy: {addresses: [10.0.0.1], user_header: 'X User'}\n",
        ] {
            let error = Access::new(daemon::config::decode("alerter.yml", text).unwrap()).unwrap_err();
            assert!(error.to_string().starts_with("page.proxy."), "{error}");
        }
    }
}
