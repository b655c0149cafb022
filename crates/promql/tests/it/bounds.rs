//! Whatever text comes in, the answer is an expression or a refusal: no panic, no overflow, no long wait.

use promql::{Expr, Refused, Window};
use proptest::prelude::*;

/// Parses on a stack as small as that of a worker thread.
fn parse_on_a_small_stack(text: String) -> Result<(), Refused> {
    let parse = move || {
        let expr = Expr::parse(&text)?;
        let _ = expr.eval(&Window::unbounded(), 0);
        Ok(())
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(parse).unwrap().join().unwrap()
}

#[test]
fn deep_and_long_expressions_are_refused_before_they_are_parsed() {
    let cases = [
        format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{}1", "-".repeat(100_000)),
        format!("1{}", "+1".repeat(100_000)),
        format!("1{}", "^1".repeat(5_000)),
        format!("{}x{}", "sum(".repeat(1_000), ")".repeat(1_000)),
        format!("x{{a=\"{}\"}}", "b".repeat(100_000)),
        format!("sum by ({}a) (x)", "a,".repeat(20_000)),
    ];
    for case in cases {
        let head: String = case.chars().take(20).collect();
        assert!(matches!(parse_on_a_small_stack(case), Err(Refused::TooLarge(_))), "{head}");
    }
}

#[test]
fn what_is_just_allowed_fits_a_small_stack() {
    let deep = format!("{}x{}", "sum(".repeat(60), ")".repeat(60));
    let long = format!("x{}", " + x".repeat(200));
    let powers = format!("2{}", "^2".repeat(200));
    let signs = format!("{}x", "-".repeat(200));
    let mixed = format!("{}x{}", "sum(-".repeat(60), ")".repeat(60));
    for case in [deep, long, powers, signs, mixed] {
        assert_eq!(parse_on_a_small_stack(case.clone()), Ok(()), "{case}");
    }
}

#[test]
fn large_regular_expressions_are_refused() {
    for pattern in ["(a{1000}){1000}", "(((((a{50}){50}){50}){50}){50})", &"(".repeat(1000)] {
        assert!(Expr::parse(&format!("x{{a=~\"{pattern}\"}}")).is_err(), "{pattern}");
    }
}

#[test]
fn endless_subqueries_end_with_an_error() {
    let mut window = Window::unbounded();
    window.write(&promql::Labels::new([("__name__", "x")]), 0, 1.0);
    let expr = Expr::parse("sum_over_time(sum_over_time(x[1y:1ms])[1y:1ms])").unwrap();
    assert!(matches!(expr.eval(&window, 0), Err(promql::EvalError::TooLarge(_))));
}

#[test]
fn labels_cannot_be_blown_up() {
    let mut text = "label_replace(vector(1), \"a\", \"aaaaaaaaaaaaaaaa\", \"\", \"\")".to_owned();
    for _ in 0..40 {
        text = format!("label_join({text}, \"a\", \"\", \"a\", \"a\")");
    }
    let evaluated = Expr::parse(&text).unwrap().eval(&Window::unbounded(), 0);
    assert!(matches!(evaluated, Err(promql::EvalError::TooLarge(_))));
}

/// Pieces of the language, to be put together at random: nearer to its edges than random letters.
const PIECES: &[&str] = &[
    "foo",
    "bar:baz",
    "sum",
    "rate",
    "label_replace",
    "histogram_quantile",
    "(",
    ")",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "[5m]",
    "[5m:1m]",
    "[1h:]",
    "{a=\"b\"}",
    "{a=~\".*\",b!=\"\"}",
    "=",
    "=~",
    "!=",
    "==",
    "bool",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "and",
    "or",
    "unless",
    "atan2",
    "on",
    "ignoring",
    "by",
    "without",
    "group_left",
    "group_right",
    "offset",
    "@",
    "start()",
    "end()",
    "1",
    "0",
    "-1",
    "1e300",
    "NaN",
    "Inf",
    "5m",
    "0s",
    "1_000",
    "0x1f",
    "\"str\"",
    "`raw`",
    "'q'",
    "\"\\",
    ",",
    ":",
    "#",
    "\n",
    " ",
    "fill(1)",
    "smoothed",
    "anchored",
    "time()",
    "__name__",
    "é",
    "$0",
    "\"$0\"",
    "count_values",
    "quantile",
    "topk",
    "vector(1)",
    "scalar",
    "absent",
    "1y",
    "1ms",
    "9999999999y",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_parsed_or_refused(text in ".{0,200}") {
        let _ = Expr::parse(&text);
    }

    #[test]
    fn any_pieces_are_parsed_or_refused_and_evaluated(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..25)) {
        for separator in ["", " "] {
            if let Ok(expr) = Expr::parse(&pieces.join(separator)) {
                let _ = expr.eval(&Window::unbounded(), 1_000_000);
            }
        }
    }

    #[test]
    fn any_series_is_read_or_refused(text in "[a-z{}=\"_0-9x+. \\-]{0,60}") {
        let _ = promql::series::parse(&text);
        let _ = promql::script::run(&format!("load 1m\n  {text}\n\neval instant at 0 {text}\n  {text}"));
    }

    #[test]
    fn numbers_survive_the_rewriting(number in any::<f64>().prop_filter("finite", |number| number.is_finite())) {
        let value = Expr::parse(&format!("{number:e}")).unwrap().eval(&Window::unbounded(), 0).unwrap();
        prop_assert_eq!(value, promql::Value::Scalar(number));
    }

    #[test]
    fn strings_survive_the_rewriting(text in "[^\r`]{0,40}") {
        let value = Expr::parse(&format!("`{text}`")).unwrap().eval(&Window::unbounded(), 0).unwrap();
        prop_assert_eq!(value, promql::Value::String(text));
    }
}
