//! What Prometheus's formats allow, and what they do not.

use exposition::{
    Entry, Format, Kind, Limits, Parser,
    negotiate::Version,
    parse::{Reason, parse},
};
use proptest::prelude::*;

const OPENMETRICS: Format = Format::OpenMetrics(Version::V1_0_0);

/// `name|label=value,…|value|timestamp` of each sample.
fn read(page: &str, format: Format) -> Vec<String> {
    let samples = parse(page.as_bytes(), format, &Limits::default()).unwrap();
    let line = |sample: &exposition::Sample<'_>| {
        let labels: Vec<_> = sample.labels().map(|(name, value)| format!("{name}={value}")).collect();
        let time = sample.timestamp.map_or_else(String::new, |ms| ms.to_string());
        format!("{}|{}|{}|{time}", sample.name, labels.join(","), sample.value)
    };
    samples.iter().map(line).collect()
}

fn refusal(page: &[u8], format: Format, limits: &Limits) -> (usize, Reason) {
    let error = parse(page, format, limits).unwrap_err();
    (error.line, error.reason)
}

#[test]
fn the_text_format_in_full() {
    // From the examples of Prometheus's documentation, and the liberties its parser takes.
    let page = "# HELP http_requests_total The total number of HTTP requests.\n\
        # TYPE http_requests_total counter\n\
        http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
        # Escaping in label values:\n\
        msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n\
        # Minimalistic line:\n\
        metric_without_timestamp_and_labels 12.47\n\
        something_weird{problem=\"division by zero\"} +Inf -3982045\n\
        \n\
        \t spaced \t { a = \"1\" , b = \"2\" , } \t -Inf \t 5 \t\n\
        empty{} NaN\n\
        no_space{a=\"1\"}3e-7\n\
        #no comment marker needs a space\n\
        # TYPE\n\
        unknown_escape{a=\"\\d\"} .5\n\
        crlf 1\r\n\
        colon:rule 0x1\n";
    let expected = [
        "http_requests_total|method=post,code=200|1027|1395066363000",
        "msdos_file_access_time_seconds|path=C:\\DIR\\FILE.TXT,error=Cannot find file:\n\"FILE.TXT\"|1458255915|",
        "metric_without_timestamp_and_labels||12.47|",
        "something_weird|problem=division by zero|inf|-3982045",
        "spaced|a=1,b=2|-inf|5",
        "empty||NaN|",
        "no_space|a=1|0.0000003|",
        "unknown_escape|a=\\d|0.5|",
        "crlf||1|",
    ];
    let error = refusal(page.as_bytes(), Format::Text, &Limits::default());
    assert_eq!(error, (14, Reason::MetricName), "a TYPE line without a name");
    let page = page.replace("# TYPE\n", "").replace("colon:rule 0x1\n", "");
    assert_eq!(read(&page, Format::Text), expected);
}

#[test]
fn openmetrics_in_full() {
    let page = "# TYPE acme_http_router_request_seconds summary\n\
        # UNIT acme_http_router_request_seconds seconds\n\
        # HELP acme_http_router_request_seconds Latency \\\"of\\\" all.\n\
        acme_http_router_request_seconds_sum{path=\"/api/v1\",method=\"GET\"} 9036.32\n\
        # TYPE foo info\n\
        foo_info{version=\"1\"} 1\n\
        # TYPE bar stateset\n\
        bar{bar=\"a\"} 1 1520879607.789\n\
        # TYPE baz unknown\n\
        baz 1e3\n\
        # TYPE buckets histogram\n\
        buckets_bucket{le=\"0.1\"} 8 # {} 0.054\n\
        buckets_bucket{le=\"+Inf\"} 17 123.5 # {trace_id=\"a}b\"} 9.8 1520879607.789\n\
        # EOF\n";
    let expected = [
        "acme_http_router_request_seconds_sum|path=/api/v1,method=GET|9036.32|",
        "foo_info|version=1|1|",
        "bar|bar=a|1|1520879607789",
        "baz||1000|",
        "buckets_bucket|le=0.1|8|",
        "buckets_bucket|le=+Inf|17|123500",
    ];
    assert_eq!(read(page, OPENMETRICS), expected);
    assert_eq!(read(page.trim_end(), OPENMETRICS), expected, "the last line feed may be missing");
    let entries: Vec<_> = Parser::new(page.as_bytes(), OPENMETRICS, &Limits::default())
        .map(Result::unwrap)
        .filter(|entry| !matches!(entry, Entry::Sample(_)))
        .take(4)
        .collect();
    let name = "acme_http_router_request_seconds";
    assert_eq!(
        entries,
        [
            Entry::Type { name: name.into(), kind: Kind::Summary },
            Entry::Unit { name: name.into(), unit: "seconds" },
            Entry::Help { name: name.into(), help: "Latency \"of\" all.".into() },
            Entry::Type { name: "foo".into(), kind: Kind::Info },
        ]
    );
}

#[test]
fn quoted_names_are_read() {
    let page = "{\"my.metric\"} 1\n{\"my.metric\", \"a.b\"=\"c\", d=\"e\"} 2\n# HELP \"my.metric\" says\n";
    assert_eq!(read(page, Format::Text), ["my.metric||1|", "my.metric|a.b=c,d=e|2|"]);
}

#[test]
fn errors_name_the_line_and_repeat_nothing() {
    let cases: [(&str, Format, usize, Reason); 26] = [
        ("a 1\nb", Format::Text, 2, Reason::CutOff),
        ("a 1\nb 17", Format::Text, 2, Reason::CutOff),
        ("a 1\n", OPENMETRICS, 2, Reason::CutOff),
        ("", OPENMETRICS, 1, Reason::CutOff),
        ("a 1\n# EOF\nb 1\n", OPENMETRICS, 2, Reason::AfterEof),
        ("\n1a 1\n", Format::Text, 2, Reason::MetricName),
        ("{a=\"1\"} 1\n", Format::Text, 1, Reason::MetricName),
        ("a{\"b\"} 1\n", Format::Text, 1, Reason::MetricName),
        ("a{\"b\",\"c\"} 1\n", Format::Text, 1, Reason::MetricName),
        ("a{1=\"1\"} 1\n", Format::Text, 1, Reason::LabelName),
        ("a{__name__=\"1\"} 1\n", Format::Text, 1, Reason::LabelName),
        ("a{,} 1\n", Format::Text, 1, Reason::LabelName),
        ("a{b=\"1\",b=\"2\"} 1\n", Format::Text, 1, Reason::LabelTwice),
        ("a{b=1} 1\n", Format::Text, 1, Reason::LabelValue),
        ("a{b=\"1} 1\n", Format::Text, 1, Reason::LabelValue),
        ("a{b=\"1\\\"} 1\n", Format::Text, 1, Reason::LabelValue),
        ("a{b=\"1\" c=\"2\"} 1\n", Format::Text, 1, Reason::LabelEnd),
        ("a{b=\"1\"\n", Format::Text, 1, Reason::LabelEnd),
        ("a\n", Format::Text, 1, Reason::Value),
        ("a{b=\"1\"}\n", Format::Text, 1, Reason::Value),
        ("a one\n", Format::Text, 1, Reason::Value),
        ("a 1 1.5\n", Format::Text, 1, Reason::Timestamp),
        ("a 1 1 1\n", Format::Text, 1, Reason::Trailing),
        ("a 1 # {} 1\n", Format::Text, 1, Reason::Trailing),
        ("a 1 # {b} 1\n# EOF\n", OPENMETRICS, 1, Reason::LabelValue),
        ("# TYPE a number\n", Format::Text, 1, Reason::Type),
    ];
    for (page, format, line, reason) in cases {
        assert_eq!(refusal(page.as_bytes(), format, &Limits::default()), (line, reason), "{page:?}");
    }
    assert_eq!(refusal(b"a 1\nb{c=\"\xff\"} 1\n", Format::Text, &Limits::default()), (2, Reason::NotUtf8));
    let error = parse(b"secret one\n", Format::Text, &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "line 1: expected a value");
}

#[test]
fn bounds_hold() {
    let limits = Limits { bytes: 200, line: 60, labels: 2, samples: 3 };
    let read = |page: &str| parse(page.as_bytes(), Format::Text, &limits).map(|samples| samples.len());
    assert_eq!(read("a{b=\"1\",c=\"2\"} 1\nb 1\nc 1\n"), Ok(3));
    let refused = |page: &str| refusal(page.as_bytes(), Format::Text, &limits);
    assert_eq!(refused(&"a 1\n".repeat(51)), (1, Reason::TooLarge(200)));
    assert_eq!(refused(&format!("b 1\n# {}\n", "x".repeat(70))), (2, Reason::LineTooLong(60)));
    assert_eq!(refused("a{b=\"1\",c=\"2\",d=\"3\"} 1\n"), (1, Reason::TooManyLabels(2)));
    assert_eq!(refused(&"a 1\n".repeat(4)), (4, Reason::TooManySamples(3)));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(page in "[a-z{}=,\"\\\\ \n#\t0-9.+-]{0,80}|.{0,40}", openmetrics: bool) {
        let format = if openmetrics { OPENMETRICS } else { Format::Text };
        for entry in Parser::new(page.as_bytes(), format, &Limits::default()) {
            if let Ok(Entry::Sample(sample)) = entry {
                prop_assert!(sample.labels().count() <= 64);
            }
        }
    }

    #[test]
    fn bytes_of_any_kind_end_in_an_answer(page in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&page, Format::Text, &Limits::default());
    }
}
