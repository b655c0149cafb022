//! From the lists of the configuration to named plugins.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use daemon::Clock;

use super::message::Renderer;

/// What plugins may use. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    /// The configuration file, to whose folder the paths of settings are relative.
    pub file: Option<PathBuf>,
    /// The folder for what has no folder of its own in the settings.
    pub data: PathBuf,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Turns messages into text, HTML and MIME.
    pub renderer: Arc<Renderer>,
    /// `production` or another name; part of what tickets and notices say.
    pub environment: Arc<str>,
}

impl Parts {
    /// A path of the settings, as the configuration file means it.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        daemon::config::relative_to(self.file.as_deref(), path.as_ref())
    }
}

/// The settings of one instance of a plugin, which know how to make it.
pub trait Plugin<Made: ?Sized> {
    /// The name by which routes, metrics and the timeline call the instance.
    fn name(&self) -> &str;

    /// Makes the instance. Opens nothing on the network.
    ///
    /// # Errors
    /// A setting cannot work.
    fn build(self, parts: &Parts) -> Result<Arc<Made>, SettingsError>;
}

/// A setting that cannot work: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {why}")]
pub struct SettingsError {
    /// The section and instance, e.g. `channels.smtp "relay"`.
    pub place: String,
    /// What is wrong and what to do.
    pub why: String,
}

impl SettingsError {
    /// An error whose place the registry fills in.
    pub fn new(why: impl Into<String>) -> Self {
        Self { place: String::new(), why: why.into() }
    }
}

/// Plugins of one folder by the names of their instances.
pub struct Named<Made: ?Sized> {
    section: &'static str,
    made: BTreeMap<Arc<str>, Arc<Made>>,
}

impl<Made: ?Sized> Named<Made> {
    pub(crate) fn new(section: &'static str) -> Self {
        Self { section, made: BTreeMap::new() }
    }

    pub(crate) fn add<P: Plugin<Made>>(
        &mut self,
        kind: &str,
        settings: P,
        parts: &Parts,
    ) -> Result<(), SettingsError> {
        let name: Arc<str> = settings.name().into();
        let place = |why| SettingsError { place: format!("{}.{kind} \"{name}\"", self.section), why };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(place("a name has 1 to 64 letters, digits, '-', '_' or '.'".to_owned()));
        }
        if self.made.contains_key(&name) {
            return Err(place("another entry has the same name; give each its own".to_owned()));
        }
        let made = settings.build(parts).map_err(|error| place(error.why))?;
        self.made.insert(name, made);
        Ok(())
    }

    /// Replaces each instance by what `wrap` makes of it.
    pub(crate) fn wrap(
        &mut self,
        wrap: impl Fn(Arc<Made>) -> Result<Arc<Made>, SettingsError>,
    ) -> Result<(), SettingsError> {
        for made in self.made.values_mut() {
            *made = wrap(made.clone())?;
        }
        Ok(())
    }

    /// The instance of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Made>> {
        self.made.get(name)
    }

    /// All instances, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Made>)> {
        self.made.iter()
    }

    /// The instance of that name, or an error that lists those that exist.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn require(&self, route: &str, name: &str) -> Result<Arc<Made>, SettingsError> {
        self.made.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.made.keys().map(AsRef::as_ref).collect();
            SettingsError {
                place: route.to_owned(),
                why: format!("{} has no entry named {name:?}; it has: {}", self.section, known.join(", ")),
            }
        })
    }
}

/// Declares a folder's plugins: the section of the configuration (a list of instances per plugin), an
/// enumeration of the plugins, and how the section becomes [`Named`] instances. A section without any
/// entry becomes one instance of the first plugin with its default settings.
macro_rules! plugins {
    (
        $(#[$about:meta])*
        $section:ident, $kind:ident: dyn $made:ident in $path:literal {
            $( $(#[$doc:meta])* $field:ident => $variant:ident ),+ $(,)?
        } default $default:ident
    ) => {
        $( pub mod $field; )+

        $(#[$about])*
        #[derive(Clone, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $section {
            $( $(#[$doc])* pub $field: Vec<$field::Settings>, )+
        }

        /// The plugins of this folder.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {
            $( $(#[$doc])* $variant, )+
        }

        impl $kind {
            /// All plugins.
            pub const ALL: &[Self] = &[ $( Self::$variant, )+ ];

            /// The name of the plugin's list in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => stringify!($field), )+ }
            }
        }

        impl $section {
            /// Makes every instance that the section lists.
            ///
            /// # Errors
            /// A setting cannot work, or two instances have one name.
            pub fn build(
                self,
                parts: &$crate::channels::Parts,
            ) -> Result<$crate::channels::Named<dyn $crate::channels::$made>, $crate::channels::SettingsError> {
                let mut made = $crate::channels::Named::new($path);
                let empty = true $( && self.$field.is_empty() )+;
                let Self { $( $field, )+ } = self;
                $( for settings in $field { made.add(stringify!($field), settings, parts)?; } )+
                if empty {
                    made.add(stringify!($default), $default::Settings::default(), parts)?;
                }
                Ok(made)
            }
        }
    };
}
pub(crate) use plugins;
