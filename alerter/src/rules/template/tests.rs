//! What is printed was compared with promtool 3.5; see also `tests/it/rules/oracle.rs`.

use std::collections::BTreeMap;

use super::*;

fn expand(template: &str, value: f64) -> String {
    let labels = BTreeMap::from([
        ("institution".to_owned(), "AU00000".to_owned()),
        ("method".to_owned(), "web".to_owned()),
    ]);
    let external_labels = BTreeMap::new();
    let data =
        Data { labels: &labels, external_labels: &external_labels, external_url: "http://a.test/x/", value };
    Template::parse(template).unwrap_or_else(|error| panic!("{template}: {error}")).expand(&data)
}

#[test]
fn labels_and_value() {
    assert_eq!(
        expand("{{ $labels.institution }} by {{.Labels.method}}: {{ $value }}", 1.5),
        "AU00000 by web: 1.5"
    );
    assert_eq!(
        expand("[{{ $labels.absent }}] {{ $externalURL }} {{ pathPrefix }}", 0.0),
        "[] http://a.test/x/ /x"
    );
    assert_eq!(expand("{{ $value }}", 1_700_000_000.0), "1.7e+09");
    assert_eq!(expand("{{ $value }}", 123_456.0), "123456");
    assert_eq!(expand("{{ $labels }}", 0.0), "map[institution:AU00000 method:web]");
}

#[test]
fn humanize() {
    let cases = [
        ("humanize", 1_234_567.0, "1.235M"),
        ("humanize", 0.001_5, "1.5m"),
        ("humanize", 0.0, "0"),
        ("humanize", f64::INFINITY, "+Inf"),
        ("humanize1024", 1_048_576.0, "1Mi"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 59.5, "59.5s"),
        ("humanizeDuration", 3_661.0, "1h 1m 1s"),
        ("humanizeDuration", -604_800.0, "-7d 0h 0m 0s"),
        ("humanizeDuration", 0.012, "12ms"),
        ("humanizePercentage", 0.123_45, "12.35%"),
        ("humanizeTimestamp", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ("humanizeTimestamp", f64::NAN, "NaN"),
        ("toTime", 60.0, "1970-01-01 00:01:00 +0000 UTC"),
    ];
    for (function, value, expected) in cases {
        assert_eq!(expand(&format!("{{{{ $value | {function} }}}}"), value), expected, "{function} {value}");
    }
}

#[test]
fn control() {
    assert_eq!(
        expand("{{ if gt $value 1.0 }}many{{ else if eq $value 1.0 }}one{{ else }}few{{ end }}", 1.0),
        "one"
    );
    assert_eq!(expand("{{ with $labels.absent }}x{{ else }}none{{ end }}", 0.0), "none");
    assert_eq!(
        expand("{{ range $name, $text := .Labels }}{{ $name }}={{ $text }};{{ end }}", 0.0),
        "institution=AU00000;method=web;"
    );
    assert_eq!(expand("{{ $a := 1 }}{{ if true }}{{ $a = 2 }}{{ end }}{{ $a }}", 0.0), "2");
    assert_eq!(expand("a {{- /* no */ -}} b", 0.0), "ab");
    assert_eq!(
        expand("{{ range $l := $labels }}{{ if eq $l \"web\" }}{{ break }}{{ end }}{{ $l }}{{ end }}", 0.0),
        "AU00000"
    );
}

#[test]
fn texts() {
    let cases = [
        (
            r#"{{ printf "%.2f|%5d|%-4s|%q|%x|%03d" $value 7 "ab" "c\"" 255 5 }}"#,
            "1.50|    7|ab  |\"c\\\"\"|ff|005",
        ),
        (r#"{{ printf "%d" $value }}"#, "%!d(float64=1.5)"),
        (r#"{{ printf "%s" }}"#, "%!s(MISSING)"),
        (r#"{{ reReplaceAll "AU(0+)" "x$1" $labels.institution }}"#, "x00000"),
        (r#"{{ match "^A" $labels.institution }}"#, "true"),
        (r#"{{ "some words" | title }} {{ toUpper "a" }}"#, "Some Words A"),
        (r#"{{ stripPort "a.b:80" }} {{ stripDomain "a.b:80" }} {{ stripPort "[::1]:80" }}"#, "a.b a:80 ::1"),
        (r#"{{ "1h30m" | parseDuration }} {{ toDuration 90 }}"#, "5400 1m30s"),
        (r#"{{ (args 1 "x").arg1 }} {{ len $labels }} {{ index $labels "method" }}"#, "x 2 web"),
        (r#"{{ and true "" }}|{{ or "" "b" }}|{{ not 0 }}"#, "|b|true"),
    ];
    for (template, expected) in cases {
        assert_eq!(expand(template, 1.5), expected, "{template}");
    }
}

#[test]
fn what_fails_while_expanding_becomes_the_text() {
    let text = expand(r#"x {{ "no number" | humanize }}"#, 0.0);
    assert!(text.starts_with("<error expanding template: ") && text.contains("humanize"), "{text}");
}

#[test]
fn the_rest_is_refused_when_read() {
    for (template, why) in [
        ("{{ $nope }}", "undefined variable"),
        ("{{ nope }}", "not defined"),
        ("{{ .Nope }}", "unknown field"),
        ("{{ query \"up\" }}", "not supported"),
        ("{{ define \"a\" }}{{ end }}", "not supported"),
        ("{{ if true }}", "without {{end}}"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{ humanize }}", "number of arguments"),
        ("{{ 1 2 }}", "not a function"),
        ("{{ $value | 1 }}", "only a function"),
        ("{{ $value ", "unclosed action"),
        ("{{ (1 }}", "unclosed left paren"),
        ("{{ if true }}{{ $a := 1 }}{{ end }}{{ $a }}", "undefined variable"),
        ("{{}}", "missing value"),
    ] {
        let error = Template::parse(template).unwrap_err();
        assert!(error.contains(why), "{template}: {error}");
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(Template::parse(&deep).is_err());
}
