//! The texts of an alert.
//!
//! Every alert that fires has some, and hardly any is ever read: of 100,000 connections that fail, those that are
//! told to operators. So they are rendered when they are asked for, from what they were made of.

use std::{collections::BTreeMap, fmt, sync::Arc};

use promql::Labels;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Renders the annotations of one rule.
pub trait Describe: Send + Sync {
    /// The annotations of an alert whose expression gave this sample.
    fn describe(&self, sample: &Labels, value: f64) -> BTreeMap<String, String>;
}

/// The annotations of an alert. Cheap to clone.
#[derive(Clone)]
pub struct Annotations(Texts);

#[derive(Clone)]
enum Texts {
    Rendered(Arc<BTreeMap<String, String>>),
    Due { rule: Arc<dyn Describe>, sample: Labels, value: f64 },
}

impl Annotations {
    /// Annotations that will be rendered by `rule` for this sample.
    pub fn due(rule: Arc<dyn Describe>, sample: Labels, value: f64) -> Self {
        Self(Texts::Due { rule, sample, value })
    }

    /// All of them, rendered.
    pub fn rendered(&self) -> Arc<BTreeMap<String, String>> {
        match &self.0 {
            Texts::Rendered(texts) => texts.clone(),
            Texts::Due { rule, sample, value } => Arc::new(rule.describe(sample, *value)),
        }
    }

    /// Whether there are none, as far as that is known without rendering them.
    fn is_empty(&self) -> bool {
        matches!(&self.0, Texts::Rendered(texts) if texts.is_empty())
    }
}

impl Default for Annotations {
    fn default() -> Self {
        Self(Texts::Rendered(Arc::default()))
    }
}

impl From<BTreeMap<String, String>> for Annotations {
    fn from(texts: BTreeMap<String, String>) -> Self {
        Self(Texts::Rendered(Arc::new(texts)))
    }
}

impl PartialEq for Annotations {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Texts::Due { rule, sample, value },
                Texts::Due { rule: other_rule, sample: other_sample, value: other_value },
            ) if Arc::ptr_eq(rule, other_rule)
                && sample == other_sample
                && value.to_bits() == other_value.to_bits() =>
            {
                true
            }
            _ => (self.is_empty() && other.is_empty()) || self.rendered() == other.rendered(),
        }
    }
}

impl fmt::Debug for Annotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rendered().fmt(f)
    }
}

impl Serialize for Annotations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rendered().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

/// Label sets as maps.
pub(crate) mod labels {
    use super::{BTreeMap, Deserialize as _, Deserializer, Labels, Serializer};

    pub(crate) fn serialize<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(labels.iter())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        Ok(Labels::new(BTreeMap::<String, String>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Once;

    impl Describe for Once {
        fn describe(&self, sample: &Labels, value: f64) -> BTreeMap<String, String> {
            BTreeMap::from([("summary".to_owned(), format!("{sample} {value}"))])
        }
    }

    #[test]
    fn what_is_due_reads_as_what_was_rendered() {
        let rule: Arc<dyn Describe> = Arc::new(Once);
        let due = |value| Annotations::due(rule.clone(), Labels::new([("a", "1")]), value);
        let json = serde_json::to_string(&due(1.0)).unwrap();
        assert_eq!(json, r#"{"summary":"{a=\"1\"} 1"}"#);
        let read: Annotations = serde_json::from_str(&json).unwrap();
        assert_eq!(read, due(1.0));
        assert_eq!(due(1.0), due(1.0));
        assert_ne!(due(1.0), due(2.0));
        assert_ne!(due(1.0), Annotations::default());
    }
}
