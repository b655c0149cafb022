//! Who writes to customers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::channels::SettingsError;

/// Section `sender`. The footer of every message shows `legal_name` and `contact`; live messages need both.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sender {
    /// The legal name of the company, e.g. `Example Money Pty Ltd`.
    pub legal_name: String,
    /// How customers reach it: an address, a phone number or a page.
    pub contact: String,
    /// The name customers know; the legal name where not set.
    pub brand: Option<String>,
    /// What customers call the place where they link accounts, e.g. `the Example app`.
    pub app: String,
    /// Where that is (`https://…`), for a button; never a bank's page.
    pub app_url: Option<String>,
    /// A page (`https://…`) where customers choose what they are written to about, for the footer and the
    /// header `List-Unsubscribe`.
    pub preferences_url: Option<String>,
    /// The colour of the brand, `#rrggbb`, on which white text can be read.
    pub color: String,
    /// The customers' offset from UTC in hours, for dates in words.
    pub utc_offset_hours: i8,
    /// A sentence of help per institution id, kept by the partner.
    pub help: BTreeMap<String, String>,
}

impl Default for Sender {
    fn default() -> Self {
        Self {
            legal_name: String::new(),
            contact: String::new(),
            brand: None,
            app: "our app".to_owned(),
            app_url: None,
            preferences_url: None,
            color: "#1f4e8c".to_owned(),
            utc_offset_hours: 10,
            help: BTreeMap::new(),
        }
    }
}

impl Sender {
    /// What live messages still need.
    pub fn missing(&self) -> Vec<&'static str> {
        [("sender.legal_name", &self.legal_name), ("sender.contact", &self.contact)]
            .into_iter()
            .filter_map(|(key, value)| value.trim().is_empty().then_some(key))
            .collect()
    }

    /// The name customers know.
    pub fn brand(&self) -> &str {
        match self.brand.as_deref() {
            Some(brand) => brand,
            None if self.legal_name.trim().is_empty() => "Your data service",
            None => &self.legal_name,
        }
    }

    /// The legal name, or words that say that it is not configured.
    pub fn legal_name(&self) -> &str {
        if self.legal_name.trim().is_empty() {
            "(sender.legal_name is not configured)"
        } else {
            &self.legal_name
        }
    }

    /// The contact, or words that say that it is not configured.
    pub fn contact(&self) -> &str {
        if self.contact.trim().is_empty() { "(sender.contact is not configured)" } else { &self.contact }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let refuse =
            |key: &str, why: &str| Err(SettingsError { place: format!("sender.{key}"), why: why.to_owned() });
        let hex = self.color.strip_prefix('#').unwrap_or_default();
        if hex.len() != 6 || !hex.chars().all(|c| c.is_ascii_hexdigit()) {
            return refuse("color", "must be written as #rrggbb");
        }
        for (key, page) in [("app_url", &self.app_url), ("preferences_url", &self.preferences_url)] {
            let Some(page) = page else { continue };
            match url::Url::parse(page) {
                Ok(url) if url.scheme() == "https" && url.host_str().is_some() && fits(page) => {}
                _ => return refuse(key, "must be an https address of at most 400 characters"),
            }
        }
        if !(-12..=14).contains(&self.utc_offset_hours) {
            return refuse("utc_offset_hours", "must lie between -12 and 14");
        }
        Ok(())
    }
}

/// An address that a header can carry as it is.
fn fits(url: &str) -> bool {
    url.len() <= 400 && url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>'))
}
