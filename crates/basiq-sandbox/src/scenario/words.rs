//! Spellings of the values that are either a word or a time.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{MfaAnswer, Span, Until, parse_offset};

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "never" => Ok(Self::Never),
            "credentials" => Ok(Self::Credentials),
            "action" => Ok(Self::Action),
            time => time
                .parse()
                .map(Self::At)
                .map_err(|error| D::Error::custom(format!("{error}; or one of never, credentials, action"))),
        }
    }
}

impl Serialize for Until {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => to.serialize_str("never"),
            Self::Credentials => to.serialize_str("credentials"),
            Self::Action => to.serialize_str("action"),
            Self::At(at) => at.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for MfaAnswer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match String::deserialize(from)?.as_str() {
            "never" => Ok(Self::Never),
            span => parse_offset(span).map(|span| Self::After(Span(span))).map_err(D::Error::custom),
        }
    }
}

impl Serialize for MfaAnswer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => to.serialize_str("never"),
            Self::After(span) => span.serialize(to),
        }
    }
}
