//! Which format and encoding a scrape gets, from its `Accept` and `Accept-Encoding`.

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus's text format 0.0.4.
    Text,
    /// OpenMetrics.
    OpenMetrics(Version),
}

/// The version of OpenMetrics that was asked for; what is written is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// 0.0.1, the draft's.
    V0_0_1,
    /// 1.0.0.
    V1_0_0,
}

impl Format {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics(Version::V0_0_1) => {
                "application/openmetrics-text; version=0.0.1; charset=utf-8"
            }
            Self::OpenMetrics(Version::V1_0_0) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    /// The format that a `Content-Type` names; anything but OpenMetrics is read as text, as Prometheus does.
    pub fn of_content_type(content_type: &str) -> Self {
        match parts(content_type).next() {
            Some("application/openmetrics-text") => Self::OpenMetrics(Version::V1_0_0),
            _ => Self::Text,
        }
    }
}

/// The format for an `Accept` header: the one with the highest weight that is written here, the first
/// among equals. Text, if none or nothing that is written here is asked for.
pub fn format_for(accept: Option<&str>) -> Format {
    let mut best = (0.0, Format::Text);
    for range in accept.unwrap_or_default().split(',') {
        let mut words = parts(range);
        let (mut version, mut weight) = (None, 1.0);
        let kind = words.next().unwrap_or_default();
        for word in words {
            match word.split_once('=') {
                Some((key, value)) if key.trim().eq_ignore_ascii_case("version") => {
                    version = Some(unquoted(value))
                }
                Some((key, value)) if key.trim().eq_ignore_ascii_case("q") => weight = quality(value),
                _ => {}
            }
        }
        let format = match (kind.to_ascii_lowercase().as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => Format::OpenMetrics(Version::V1_0_0),
            ("application/openmetrics-text", Some("0.0.1")) => Format::OpenMetrics(Version::V0_0_1),
            ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", None) => Format::Text,
            _ => continue,
        };
        if weight > best.0 {
            best = (weight, format);
        }
    }
    best.1
}

/// Whether an `Accept-Encoding` header asks for gzip, and not for plain text more than for gzip.
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let (mut gzip, mut identity, mut any) = (None, None, None);
    for range in accept_encoding.unwrap_or_default().split(',') {
        let mut words = parts(range);
        let coding = words.next().unwrap_or_default().to_ascii_lowercase();
        let weight = words
            .filter_map(|word| word.split_once('='))
            .find(|(key, _)| key.trim().eq_ignore_ascii_case("q"))
            .map_or(1.0, |(_, value)| quality(value));
        match coding.as_str() {
            "gzip" | "x-gzip" => gzip = Some(weight),
            "identity" => identity = Some(weight),
            "*" => any = Some(weight),
            _ => {}
        }
    }
    let gzip = gzip.or(any).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

fn parts(range: &str) -> impl Iterator<Item = &str> {
    range.split(';').map(str::trim)
}

fn unquoted(value: &str) -> &str {
    value.trim().trim_matches('"')
}

/// A weight; one that cannot be read counts as a refusal.
fn quality(value: &str) -> f64 {
    value.trim().parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V0: Format = Format::OpenMetrics(Version::V0_0_1);
    const V1: Format = Format::OpenMetrics(Version::V1_0_0);

    #[test]
    fn formats_as_scrapers_ask_for_them() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let cases = [
            (None, Format::Text),
            (Some(""), Format::Text),
            (Some("*/*"), Format::Text),
            (Some(prometheus_2), V1),
            (Some(prometheus_3), V1),
            (Some(browser), Format::Text),
            (Some("application/openmetrics-text; version=0.0.1"), V0),
            (Some("application/openmetrics-text; version=\"1.0.0\""), V1),
            (Some("application/openmetrics-text;version=2.0.0"), Format::Text),
            (Some("application/openmetrics-text;q=0.3, text/plain;q=0.7"), Format::Text),
            (Some("application/openmetrics-text;q=0, */*;q=0.1"), Format::Text),
            (Some("Application/OpenMetrics-Text;Q=1"), V1),
            (Some("application/openmetrics-text;q=many"), Format::Text),
            (Some("application/json"), Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(format_for(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn encodings_as_clients_ask_for_them() {
        let cases = [
            (None, false),
            (Some(""), false),
            (Some("gzip"), true),
            (Some("gzip, deflate, br, zstd"), true),
            (Some("GZip;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("*"), true),
            (Some("*;q=0"), false),
            (Some("gzip;q=0, *"), false),
            (Some("identity"), false),
            (Some("identity;q=1, gzip;q=0.5"), false),
            (Some("identity;q=0.5, gzip;q=1"), true),
            (Some("deflate, br"), false),
        ];
        for (accept, gzip) in cases {
            assert_eq!(accepts_gzip(accept), gzip, "{accept:?}");
        }
    }

    #[test]
    fn content_types_are_recognised() {
        for format in [Format::Text, V1] {
            assert_eq!(Format::of_content_type(format.content_type()), format);
        }
        assert_eq!(Format::of_content_type("text/html"), Format::Text);
    }
}
