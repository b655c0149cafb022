//! Where promql-parser 0.11.1 differs from Prometheus's own parser, and what happens here instead.

use promql::{Expr, Labels, Refused, Sample, Value, Window};

fn eval(text: &str) -> Value {
    let mut window = Window::unbounded();
    window.write(&Labels::new([("__name__", "foo"), ("a", "b")]), 0, 1.0);
    Expr::parse(text).unwrap_or_else(|refused| panic!("{text}: {refused}")).eval(&window, 0).unwrap()
}

fn found(text: &str) {
    assert_eq!(
        eval(text),
        Value::Vector(vec![Sample { labels: Labels::new([("__name__", "foo"), ("a", "b")]), value: 1.0 }]),
        "{text}"
    );
}

fn invalid(text: &str) {
    assert!(matches!(Expr::parse(text), Err(Refused::Invalid(_))), "{text}: {:?}", Expr::parse(text));
}

#[test]
fn durations_that_make_it_panic_are_refused() {
    for text in [
        "foo[1e300]",
        "foo offset 1e400",
        "foo offset NaN",
        "foo[NaN]",
        "foo[Inf]",
        "foo[-1]",
        "foo[5m:1e300]",
    ] {
        assert!(Expr::parse(text).is_err(), "{text}");
    }
}

#[test]
fn durations_that_it_takes_for_nothing_are_refused() {
    for text in ["foo[0s]", "foo[0]", "foo[99999999999y]", "foo[5m:0s]", "foo offset 99999999999999999999s"] {
        invalid(text);
    }
}

#[test]
fn an_offset_of_nothing_is_an_offset() {
    found("foo offset 0s");
    found("foo offset 0");
    found("foo offset -0s");
}

#[test]
fn strings_in_back_quotes_and_all_of_gos_escapes_are_strings() {
    found("foo{a=`b`}");
    found(r#"foo{a="\x62"}"#);
    found(r#"foo{a="\u0062"}"#);
    found(r"foo{a='\142'}");
    assert_eq!(eval(r#""\"'`""#), Value::String("\"'`".into()));
    assert_eq!(eval(r"`\n`"), Value::String(r"\n".into()));
    assert!(Expr::parse(r#"foo{a="\q"}"#).is_err());
}

#[test]
fn numbers_are_written_as_in_go() {
    for (text, number) in [
        ("1_000", 1000.0),
        ("0x1F", 31.0),
        ("017", 15.0),
        ("089", 89.0),
        ("1e3", 1000.0),
        ("1m40s", 100.0),
        ("0", 0.0),
    ] {
        assert_eq!(eval(text), Value::Scalar(number), "{text}");
    }
    assert_eq!(eval("-0x10"), Value::Scalar(-16.0));
}

#[test]
fn alternatives_between_matchers_are_not_promql() {
    invalid(r#"{a="b" or c="d"}"#);
    invalid(r#"foo{a="b" or c="d"}"#);
}

#[test]
fn types_are_checked_where_it_does_not_check_them() {
    for text in [
        "ln(-1)",
        "exp(NaN)",
        "log2(0)",
        "foo + \"a\"",
        "\"a\" + 1",
        "sum(1)",
        "topk(foo, foo)",
        "rate(foo)",
        "abs(foo[5m])",
        "1 == 1",
    ] {
        invalid(text);
    }
}

#[test]
fn a_name_is_given_once_and_something_is_selected() {
    for text in [
        "{}",
        "{a=~\".*\"}",
        "{a!=\"b\"}",
        "{a=\"\"}",
        "foo{__name__=\"bar\"}",
        "foo{__name__=~\"b.*\"}",
        "foo{\"bar\"}",
    ] {
        invalid(text);
    }
    found("{\"foo\"}");
    found("{\"foo\", \"a\"=\"b\"}");
    found("{__name__=~\"f.+\", a!=\"\"}");
}

#[test]
fn experiments_of_prometheus_are_refused_by_name() {
    let cases = [
        "foo[5m * 2]",
        "foo offset (5m)",
        "limitk(1, foo)",
        "limit_ratio(0.5, foo)",
        "mad_over_time(foo[5m])",
        "info(foo)",
        "sort_by_label(foo, \"a\")",
        "foo + fill(1) foo",
        "histogram_count(foo)",
        "histogram_fraction(0, 1, foo)",
        "double_exponential_smoothing(foo[5m], 0.5, 0.5)",
        "first_over_time(foo[5m])",
        "step()",
    ];
    for text in cases {
        assert!(matches!(Expr::parse(text), Err(Refused::Unsupported(_))), "{text}: {:?}", Expr::parse(text));
    }
}

#[test]
fn messages_show_what_was_written_not_the_placeholders() {
    let refused = Expr::parse("sum(foo) foo{a=\"secret value\"}").unwrap_err().to_string();
    assert!(!refused.contains('$'), "{refused}");
}
