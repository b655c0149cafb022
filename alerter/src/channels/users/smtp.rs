//! E-mail over a relay, one recipient per message.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::channels::{
    Channel, Contact, DeliveryError, Parts, Plugin, Receipt, SettingsError, UserMessage,
    message::{Mailbox, Renderer},
    smtp::{Deadlines, Relay, RelaySettings, TlsMode},
};

/// One instance: a relay and the address that messages come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The name of the instance.
    pub name: String,
    /// The address that messages come from; replies go there.
    pub from: String,
    /// The relay's name; checked against its certificate.
    pub host: String,
    /// Its port; 587, 465 or 25 by `tls` where not set.
    pub port: Option<u16>,
    /// `starttls` (the default), `implicit`, or `none` to localhost.
    #[serde(default)]
    pub tls: TlsMode,
    /// The user to authenticate as, if any.
    pub username: Option<String>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// A PEM file of the only certificates to trust, instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// The name to greet with; the connection's own address where not set.
    pub hello: Option<String>,
    /// Messages a second; 10 where not set.
    pub rate: Option<f64>,
    /// Messages at once; 10 where not set.
    pub burst: Option<f64>,
    /// Connections at once; 4 where not set.
    pub connections: Option<usize>,
    /// How long each step may take; not a setting of the file.
    #[serde(skip)]
    pub deadlines: Deadlines,
}

impl Plugin<dyn Channel> for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn build(self, parts: &Parts) -> Result<Arc<dyn Channel>, SettingsError> {
        let Self {
            name: _,
            from,
            host,
            port,
            tls,
            username,
            password_file,
            ca_file,
            hello,
            rate,
            burst,
            connections,
            deadlines,
        } = self;
        let relay = RelaySettings {
            host,
            port,
            tls,
            username,
            password_file,
            ca_file,
            hello,
            rate,
            burst,
            connections,
            deadlines,
        };
        Ok(Arc::new(Smtp {
            from: Mailbox::setting("from", &from)?,
            relay: Relay::new(relay, parts)?,
            renderer: parts.renderer.clone(),
        }))
    }
}

struct Smtp {
    from: Mailbox,
    relay: Relay,
    renderer: Arc<Renderer>,
}

#[async_trait]
impl Channel for Smtp {
    async fn deliver(&self, message: &UserMessage, to: &Contact) -> Result<Receipt, DeliveryError> {
        let mail = || self.renderer.mail(message, to, &self.from);
        self.relay.send(&self.from.address, mail).await
    }
}
