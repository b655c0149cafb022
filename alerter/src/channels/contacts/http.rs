//! An HTTP endpoint of the partner: who a user is, in the partner's own words.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use daemon::Secret;
use reqwest::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

use crate::channels::{
    Contact, Contacts, DeliveryError, Parts, SettingsError,
    http::{self, Effect},
};

/// Section `contacts.http`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address; Basiq's user id is added as one more path segment. It answers 404 for a user that is
    /// not known, else a JSON object of `address`, `name`, `language` and `external_id`, all optional.
    /// Asked without a user and with `?external_id=…`, as the page's search does, it answers 404 or `{"user_id": "…"}`.
    pub url: String,
    /// The file with a bearer token.
    pub token_file: PathBuf,
    /// How long the endpoint may take; 10 s where not set.
    #[serde(default)]
    pub timeout: Option<daemon::config::Duration>,
}

impl Settings {
    pub(super) fn build(self, parts: &Parts) -> Result<Arc<dyn Contacts>, SettingsError> {
        let place = |error: SettingsError| SettingsError { place: "contacts.http".to_owned(), ..error };
        let timeout = self.timeout.map_or(Duration::from_secs(10), |timeout| timeout.0);
        Ok(Arc::new(ByHttp {
            url: http::url(&self.url).map_err(place)?,
            client: http::client(timeout).map_err(place)?,
            token: http::secret("token_file", &parts.path(&self.token_file)).map_err(place)?,
        }))
    }
}

struct ByHttp {
    url: Url,
    client: reqwest::Client,
    token: Secret,
}

/// Who has an external id.
#[derive(Deserialize)]
struct Found {
    user_id: String,
}

#[derive(Deserialize)]
struct Given {
    address: Option<String>,
    name: Option<String>,
    language: Option<String>,
    external_id: Option<String>,
}

impl ByHttp {
    /// What the endpoint says; `None` where it knows nothing of it.
    async fn ask<T: DeserializeOwned>(&self, url: Url) -> Result<Option<T>, DeliveryError> {
        let who = "the contacts endpoint";
        let request = self.client.get(url).bearer_auth(self.token.expose());
        let answer = http::ask_or(who, Effect::Repeatable, request, StatusCode::NOT_FOUND).await?;
        answer.map(|answer| answer.json(who)).transpose()
    }
}

#[async_trait]
impl Contacts for ByHttp {
    async fn resolve(&self, user: &str) -> Result<Option<Contact>, DeliveryError> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(user);
        }
        let Some(given) = self.ask::<Given>(url).await? else { return Ok(None) };
        let secret = |text: Option<String>| text.filter(|text| !text.trim().is_empty()).map(Secret::new);
        Ok(Some(Contact {
            address: secret(given.address),
            name: secret(given.name),
            language: given.language,
            external_id: given.external_id,
        }))
    }

    async fn user_of(&self, external_id: &str) -> Result<Option<String>, DeliveryError> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("external_id", external_id);
        Ok(self.ask::<Found>(url).await?.map(|found| found.user_id))
    }
}
