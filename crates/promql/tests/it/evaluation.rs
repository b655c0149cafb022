//! Semantics, by family; the scripts of Prometheus say more where they are at hand.

use promql::script::{Verdict, run};
use promql::{Expr, Labels, Query, Value, Window};

/// Evaluations in the language of the scripts, all of which must pass.
fn passes(script: &str) {
    let outcomes = run(script);
    assert!(!outcomes.is_empty());
    for outcome in outcomes {
        assert_eq!(outcome.verdict, Verdict::Passed, "line {}: {}", outcome.line, outcome.expression);
    }
}

#[test]
fn ranges_are_open_on_the_left() {
    passes(
        r#"
load 1m
  m 1 2 3 4 5

eval instant at 4m sum_over_time(m[2m])
  {} 9

eval instant at 4m count_over_time(m[1m])
  {} 1

eval instant at 4m sum_over_time(m[2m:1m])
  {} 9

eval instant at 4m m[2m] offset 1m
  expect range vector from 2m to 3m step 1m
  m 3 4
"#,
    );
}

#[test]
fn matching_of_vectors() {
    passes(
        r#"
load 1m
  errors{code="500", method="get"} 24
  errors{code="404", method="get"} 30
  errors{code="500", method="post"} 6
  requests{method="get"} 600
  requests{method="post"} 120
  requests{method="del"} 34
  info{method="get", team="a"} 1

eval instant at 0 errors{code="500"} / ignoring (code) requests
  {method="get"} 0.04
  {method="post"} 0.05

eval instant at 0 errors / ignoring (code) group_left requests
  {code="500", method="get"} 0.04
  {code="404", method="get"} 0.05
  {code="500", method="post"} 0.05

eval instant at 0 requests * on (method) group_left (team) info
  {method="get", team="a"} 600

eval instant at 0 info * on (method) group_right (team) requests
  {method="get", team="a"} 600

eval instant at 0 requests unless on (method) errors
  requests{method="del"} 34

eval instant at 0 requests and on (method) errors{code="404"}
  requests{method="get"} 600

eval instant at 0 sum(errors) by (method) > bool 10
  {method="get"} 1
  {method="post"} 0

eval instant at 0 errors / ignoring (code) requests
  expect fail

eval instant at 0 requests / ignoring (code) errors
  expect fail

eval instant at 0 100 < requests < 200
  requests{method="post"} 120
"#,
    );
}

#[test]
fn labels_and_absence() {
    passes(
        r#"
load 1m
  m{src="a-b", dst="x"} 1

eval instant at 0 label_replace(m, "dst", "$2/${1}$$", "src", "(.*)-(.*)")
  m{src="a-b", dst="b/a$"} 1

eval instant at 0 label_replace(m, "dst", "", "src", ".*")
  m{src="a-b"} 1

eval instant at 0 label_replace(m, "dst", "y", "src", "a")
  m{src="a-b", dst="x"} 1

eval instant at 0 label_join(m, "all", ",", "src", "dst", "none")
  m{src="a-b", dst="x", all="a-b,x,"} 1

eval instant at 0 absent(gone{a="b", c=~"d", e="f", e="g"})
  {a="b"} 1

eval instant at 0 absent(m)

eval instant at 0 absent(sum(gone{a="b"}))
  {} 1

eval instant at 0 absent_over_time(gone{a="b"}[5m])
  {a="b"} 1

eval instant at 0 scalar(m) + scalar(gone)
  NaN

eval instant at 0 vector(2) * scalar(m)
  {} 2
"#,
    );
}

#[test]
fn classic_histograms() {
    passes(
        r#"
load 1m
  h_bucket{le="0.1", job="a"} 0+5x10
  h_bucket{le="0.5", job="a"} 0+10x10
  h_bucket{le="+Inf", job="a"} 0+10x10
  h_bucket{le="0.1", job="b"} 0+1x10
  h_bucket{le="bad", job="b"} 0+1x10

eval instant at 10m histogram_quantile(0.75, rate(h_bucket[5m]))
  {job="a"} 0.3
  {job="b"} NaN

eval instant at 10m histogram_quantile(0.5, sum by (le) (h_bucket{job="a"}))
  {} 0.1
"#,
    );
}

#[test]
fn times_and_math() {
    passes(
        r#"
load 1m
  m 1.5 -2.5 NaN

eval instant at 1m timestamp(m offset 30s)
  {} 0

eval instant at 90s time()
  90

eval instant at 1h30m minute() + hour() * 100
  {} 130

eval instant at 1m clamp(m, -1, 1)
  {} -1

eval instant at 1m clamp(m, 1, -1)

eval instant at 2m clamp_max(m, 1)
  {} NaN

eval instant at 0 round(m * 2.5, 0.5)
  {} 4

eval instant at 0 sgn(m - 2) + abs(m) + ceil(m) + floor(m)
  {} 3.5

eval instant at 0 2 ^ 3 ^ 2 % 100
  12

eval instant at 0 -2 ^ 2
  -4
"#,
    );
}

#[test]
fn names_are_dropped_by_each_operation_unless_that_is_delayed() {
    let mut window = Window::unbounded();
    for name in ["a", "b"] {
        window.write(&Labels::new([("__name__", name)]), 0, 1.0);
    }
    let count = |text: &str, delayed_name_removal: bool| {
        let query = Query { delayed_name_removal, ..Query::at(0) };
        Expr::parse(text).unwrap().query(&window, &query).map(|value| match value {
            Value::Vector(elements) => elements.len(),
            other => panic!("{other:?}"),
        })
    };
    // The names are all that tells the two apart: Prometheus 3 fails as long as the feature is off.
    assert!(count("sum(abs({__name__=~\"a|b\"}))", false).is_err());
    assert_eq!(count("sum(abs({__name__=~\"a|b\"}))", true), Ok(1));
    assert!(count("abs({__name__=~\"a|b\"})", true).is_err());
    assert_eq!(count("sum by (__name__) (abs(a))", true), Ok(1));
}

#[test]
fn at_and_subqueries() {
    passes(
        r#"
load 1m
  m 0+1x60

eval instant at 10m m @ 120
  m 2

eval range from 0 to 10m step 5m m @ end()
  m 10 10 10

eval range from 5m to 10m step 5m m @ start() offset 1m
  m 4 4

eval instant at 10m max_over_time(m[5m:1m] @ 300)
  {} 5

eval instant at 10m count_over_time(m[5m:])
  {} 5

eval instant at 10m rate(m[5m:30s])
  {} 0.018518518518518517
"#,
    );
}
