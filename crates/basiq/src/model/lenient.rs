//! Decoding that tolerates what Basiq's documents contradict each other about, and keeps everything bounded.
//!
//! The schemas and the examples disagree (a string in one is a number or a list in the other, lists are
//! single objects, dates have no format), and one odd value must never cost a whole answer: where a text
//! is optional, anything else counts as absent. What stays an error is what leaves nothing to work with: an
//! entry without an id, a list or an object that is neither.

use std::{fmt, marker::PhantomData};

use jiff::{Timestamp, civil, tz::TimeZone};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// The longest text kept, in characters; what is longer is cut.
pub(super) const MAX_TEXT: usize = 1024;

/// The most entries of one list on one page; more are refused, so that a body of `{}` in its millions
/// cannot become a hundred times its size in memory.
pub(super) const MAX_ENTRIES: usize = 10_000;

/// The most steps of one job; the documents show five.
pub(super) const MAX_STEPS: usize = 64;

fn bounded(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => text[..end].to_owned(),
        None => text.to_owned(),
    }
}

struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(bounded(text)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A text; numbers and booleans become text (the example of `mobile` is a number), anything else is absent.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    deserializer.deserialize_any(Text)
}

/// A text where absent and `null` mean the same as empty.
pub(super) fn text_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(text(deserializer)?.unwrap_or_default())
}

/// A text that must be there, but may be a number.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer)?.ok_or_else(|| D::Error::custom("invalid value, expected an id"))
}

/// A point in time; a text that is none is absent, since the schemas give dates no format.
pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(text(deserializer)?.and_then(|text| parse_time(&text)))
}

/// RFC 3339; a time without offset, or a day alone, is taken as UTC.
fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let civil: civil::DateTime = text.parse().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })
}

/// An object, or nothing where something else stands (`null`, a text); of a list, its first object.
pub(super) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(Object(PhantomData))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let first = seq.next_element::<Maybe<T>>()?.and_then(|maybe| maybe.0);
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// An entry that is an object or is left out.
struct Maybe<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// A list; a single entry where a list belongs is a list of one, `null` is empty.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(List(PhantomData, MAX_ENTRIES))
}

/// The steps of a job: a list of at most [`MAX_STEPS`].
pub(super) fn steps<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(List(PhantomData, MAX_STEPS))
}

/// A list of which only the objects count.
pub(super) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let entries = deserializer.deserialize_any(List::<Maybe<T>>(PhantomData, MAX_ENTRIES))?;
    Ok(entries.into_iter().filter_map(|entry| entry.0).collect())
}

struct List<T>(PhantomData<T>, usize);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            if entries.len() == self.1 {
                return Err(A::Error::custom(format_args!(
                    "invalid length, expected at most {} entries",
                    self.1
                )));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// A list of texts, or one text (`subscribedEvents` is either).
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(Texts)
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        List(PhantomData, MAX_ENTRIES)
            .visit_seq(seq)
            .map(|texts: Vec<Word>| texts.into_iter().filter_map(|w| w.0).collect())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![bounded(text)])
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

struct Word(Option<String>);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer).map(Self)
    }
}

/// A number, also one written as text; anything that is no finite number is absent.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Ok(text(deserializer)?.and_then(|text| text.parse().ok()).filter(|number: &f64| number.is_finite()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_that_the_examples_use() {
        for (text, seconds) in [
            ("2016-06-08T09:10:32.000Z", Some(1_465_377_032)),
            ("2019-07-29T07:34:09Z", Some(1_564_385_649)),
            ("2019-07-29T17:34:09+10:00", Some(1_564_385_649)),
            ("2019-07-29T07:34:09", Some(1_564_385_649)),
            ("2019-07-29", Some(1_564_358_400)),
            ("12/01/2024", None),
            ("", None),
        ] {
            assert_eq!(parse_time(text).map(|time| time.as_second()), seconds, "{text}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = "é".repeat(MAX_TEXT + 5);
        assert_eq!(bounded(&text).chars().count(), MAX_TEXT);
    }

    #[test]
    fn a_list_beyond_the_bound_is_refused() {
        #[derive(Deserialize, Debug)]
        struct Holder {
            #[serde(deserialize_with = "list")]
            data: Vec<IgnoredAny>,
        }
        let of = |n: usize| format!("{{\"data\":[{}]}}", vec!["{}"; n].join(","));
        assert_eq!(serde_json::from_str::<Holder>(&of(MAX_ENTRIES)).unwrap().data.len(), MAX_ENTRIES);
        let error = serde_json::from_str::<Holder>(&of(MAX_ENTRIES + 1)).unwrap_err();
        assert!(error.to_string().contains("at most"), "{error}");
    }
}
