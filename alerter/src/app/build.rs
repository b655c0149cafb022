//! Makes what the configuration names: channels, desks, contacts, routes and the client of Basiq.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use daemon::{Fatal, Secret};

use crate::{
    channels::{Channel, Desk, Named, Operators, Parts, SettingsError, message::Renderer, refresh::AtBasiq},
    config::{BasiqConfig, Config, Routes},
    evidence,
    outbox::Hands,
};

/// How long, in real time, Basiq may take to say at the start whether it knows the key.
const GREETING: Duration = Duration::from_secs(5);

/// All that a running alerter acts with.
pub(super) struct Built {
    pub(super) hands: Hands,
    pub(super) routes: Routes,
    pub(super) renderer: Arc<Renderer>,
    pub(super) client: basiq::Client,
}

/// What channels, desks and operators' channels the configuration has.
pub(crate) struct Plugins {
    pub(crate) channels: Named<dyn Channel>,
    pub(crate) desks: Named<dyn Desk>,
    pub(crate) operators: Named<dyn Operators>,
    pub(crate) renderer: Arc<Renderer>,
    pub(crate) parts: Parts,
}

/// The folder beside the store.
pub(crate) fn data(config: &Config, file: Option<&Path>) -> PathBuf {
    let named = config.store.sqlite.as_ref().map(|sqlite| sqlite.path.clone());
    let path = daemon::config::relative_to(file, &named.unwrap_or_else(|| "alerter.db".into()));
    path.parent().map(Path::to_owned).unwrap_or_default()
}

/// Makes them.
///
/// # Errors
/// A setting that cannot work.
pub(crate) fn plugins(
    config: &Config,
    file: Option<&Path>,
    clock: &daemon::Clock,
    data: PathBuf,
) -> Result<Plugins, Fatal> {
    let settings = |error: SettingsError| Fatal::settings(error);
    let templates = config.templates.as_ref().map(|path| daemon::config::relative_to(file, path));
    let renderer = Arc::new(Renderer::new(config.sender.clone(), templates.as_deref()).map_err(settings)?);
    let parts = Parts {
        file: file.map(Path::to_owned),
        data,
        clock: clock.clone(),
        renderer: renderer.clone(),
        environment: config.environment.as_str().into(),
    };
    let mut channels = config.channels.clone().build(&parts).map_err(settings)?;
    channels.wrap(|channel| config.recipients.guard(&config.environment, channel)).map_err(settings)?;
    let desks = config.desks.clone().build(&parts).map_err(settings)?;
    let operators = config.operators.clone().build(&parts).map_err(settings)?;
    Ok(Plugins { channels, desks, operators, renderer, parts })
}

/// Makes what the configuration names, without running anything.
///
/// # Errors
/// A setting that cannot work.
pub(super) fn build(
    config: &Config,
    file: Option<&Path>,
    clock: &daemon::Clock,
    data: PathBuf,
) -> Result<Built, Fatal> {
    let settings = |error: SettingsError| Fatal::settings(error);
    let Plugins { channels, desks, operators, renderer, parts } = plugins(config, file, clock, data)?;
    if let Some(channel) = &config.digest.channel {
        operators.require("digest.channel", channel).map_err(settings)?;
    }
    config.digest.check()?;
    let daily = desks.iter().filter_map(|(name, desk)| Some((name.to_string(), desk.daily()?))).collect();
    let routes = Routes {
        daily,
        user: Some(one("routes.user", "channels", config.routes.user.as_deref(), &channels)?),
        desk: Some(one("routes.desk", "desks", config.routes.desk.as_deref(), &desks)?),
        desks: config.routes.desks.clone(),
        operators: match config.routes.operators.as_slice() {
            [] => operators.iter().map(|(name, _)| name.to_string()).collect(),
            named => {
                for name in named {
                    operators.require("routes.operators", name).map_err(settings)?;
                }
                named.to_vec()
            }
        },
    };
    for route in &routes.desks {
        desks.require("routes.desks", &route.desk).map_err(settings)?;
    }
    let client = basiq_client(&config.basiq, file, clock)?;
    let hints = evidence::hints(&config.exporters, file)?;
    let at_basiq = Arc::new(
        AtBasiq::new(client.clone(), clock.clone(), hints, config.refresh.clone()).map_err(settings)?,
    );
    let hands = Hands {
        channels: by_name(&channels),
        desks: by_name(&desks),
        operators: by_name(&operators),
        contacts: config.contacts.clone().build(&client, &parts).map_err(settings)?,
        refresher: at_basiq.clone(),
        cases: at_basiq,
    };
    Ok(Built { hands, routes, renderer, client })
}

/// The route that is named, or the only one there is.
fn one<T: ?Sized>(route: &str, section: &str, name: Option<&str>, named: &Named<T>) -> Result<String, Fatal> {
    let mut names = named.iter().map(|(name, _)| name.to_string());
    match (name, names.next(), names.next()) {
        (Some(name), ..) => {
            named.require(route, name).map_err(Fatal::settings)?;
            Ok(name.to_owned())
        }
        (None, Some(only), None) => Ok(only),
        _ => Err(Fatal::settings(format!("{route}: {section} has several entries; name the one to use"))),
    }
}

fn by_name<T: ?Sized>(named: &Named<T>) -> HashMap<String, Arc<T>> {
    named.iter().map(|(name, made)| (name.to_string(), made.clone())).collect()
}

/// Finds out at the start whether Basiq knows the key. A Basiq that does not answer keeps nobody from
/// starting: what is due and needs it waits, and the rest is delivered.
pub(super) async fn greet(client: &basiq::Client) -> Result<(), Fatal> {
    match tokio::time::timeout(GREETING, client.check_key()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => match &error.kind {
            basiq::ErrorKind::KeyRefused => {
                return Err(Fatal::running(format!("{error}; see basiq.api_key_file and basiq.url")));
            }
            basiq::ErrorKind::KeyUnreadable(_) => {
                return Err(Fatal::settings(format!("basiq.api_key_file: {error}")));
            }
            _ => tracing::warn!(%error, "Basiq does not answer; what needs it waits"),
        },
        Err(_) => tracing::warn!("Basiq does not answer in time; what needs it waits"),
    }
    Ok(())
}

fn basiq_client(
    config: &BasiqConfig,
    file: Option<&Path>,
    clock: &daemon::Clock,
) -> Result<basiq::Client, Fatal> {
    let keys = match &config.api_key_file {
        Some(path) => {
            let path = daemon::config::relative_to(file, path);
            daemon::config::secret_from("basiq.api_key_file", &path)?;
            basiq::KeySource::file(path)
        }
        None => match std::env::var("BASIQ_API_KEY") {
            Ok(key) if !key.trim().is_empty() => basiq::KeySource::value(Secret::new(key.trim())),
            _ => {
                return Err(Fatal::settings(
                    "basiq.api_key_file is not set and neither is BASIQ_API_KEY; give the API key of Basiq's dashboard",
                ));
            }
        },
    };
    let quota = basiq::Quota {
        per_second: config.requests_per_second,
        per_day: config.requests_per_day,
        ..basiq::Quota::default()
    };
    basiq::Client::new(basiq::ClientConfig {
        base_url: config.url.clone(),
        quota: quota.share(0.2),
        clock: clock.clone(),
        user_agent: concat!("basiq-alerter/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..basiq::ClientConfig::new(keys)
    })
    .map_err(|error| Fatal::settings(format!("basiq: {error}")))
}
