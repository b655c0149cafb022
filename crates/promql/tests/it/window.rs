//! The window keeps what the rules read, and no more.

use promql::{Expr, Labels, Point, Sample, Value, Window};

fn labels(name: &str, instance: &str) -> Labels {
    Labels::new([("__name__", name), ("instance", instance)])
}

fn window_for(expressions: &[&str]) -> Window {
    let parsed: Vec<Expr> = expressions.iter().map(|text| Expr::parse(text).unwrap()).collect();
    Window::new(parsed.iter().flat_map(Expr::selectors))
}

fn count(expression: &str, window: &Window, at_ms: i64) -> usize {
    match Expr::parse(expression).unwrap().eval(window, at_ms).unwrap() {
        Value::Vector(elements) => elements.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unread_series_are_counted_but_not_kept() {
    let mut window = window_for(&["up == 0", "rate(requests_total{code=\"500\"}[1m])"]);
    let appended = window.append(
        "exporter",
        0,
        [
            (labels("up", "a"), 1.0),
            (labels("other", "a"), 1.0),
            (Labels::new([("__name__", "requests_total"), ("code", "500")]), 1.0),
            (Labels::new([("__name__", "requests_total"), ("code", "200")]), 1.0),
        ],
    );
    assert_eq!((appended.kept, appended.unread, window.series()), (2, 2, 2));
}

#[test]
fn instants_keep_one_sample_and_ranges_their_reach() {
    let mut window = window_for(&[
        "up == 0",
        "rate(requests_total[1m] offset 30s)",
        "max_over_time(rate(errors_total[1m])[2m:10s])",
    ]);
    for step in 0..100 {
        let samples =
            ["up", "requests_total", "errors_total"].map(|name| (labels(name, "a"), f64::from(step)));
        window.append("exporter", i64::from(step) * 10_000, samples);
    }
    let kept =
        |name: &str| window.iter().find(|(labels, _)| labels.metric_name() == Some(name)).unwrap().1.len();
    assert_eq!(kept("up"), 1);
    // 90 s at 10 s each, and the sample at the edge.
    assert_eq!(kept("requests_total"), 10);
    assert_eq!(kept("errors_total"), 19);
}

#[test]
fn what_a_target_no_longer_shows_ends_at_once() {
    let mut window = window_for(&["up"]);
    window.append("one", 0, [(labels("up", "a"), 1.0), (labels("up", "b"), 1.0)]);
    window.append("two", 0, [(labels("up", "c"), 1.0)]);
    let appended = window.append("one", 15_000, [(labels("up", "a"), 1.0)]);
    assert_eq!((appended.kept, appended.ended), (1, 1));
    assert_eq!(count("up", &window, 15_000), 2);
    // It comes back.
    window.append("one", 30_000, [(labels("up", "a"), 1.0), (labels("up", "b"), 1.0)]);
    assert_eq!(count("up", &window, 30_000), 3);
    // The whole target goes.
    assert_eq!(window.end("one", 45_000).ended, 2);
    assert_eq!(count("up", &window, 45_000), 1);
}

#[test]
fn a_silent_target_is_seen_for_the_look_back_only() {
    let mut window = window_for(&["up"]);
    window.append("one", 0, [(labels("up", "a"), 1.0)]);
    assert_eq!(count("up", &window, 299_999), 1);
    assert_eq!(count("up", &window, 300_000), 0);
    window.gc(299_999);
    assert_eq!(window.series(), 1);
    window.gc(300_001);
    assert_eq!(window.series(), 0);
}

#[test]
fn forgotten_series_make_room_and_can_come_back() {
    let mut window = window_for(&["up"]).limit(2);
    let appended = window.append("one", 0, ["a", "b", "c"].map(|instance| (labels("up", instance), 1.0)));
    assert_eq!((appended.kept, appended.over_limit), (2, 1));
    window.append("one", 10_000, ["b"].map(|instance| (labels("up", instance), 2.0)));
    window.gc(20_000);
    assert_eq!(window.series(), 1);
    window.append("one", 30_000, ["b", "c"].map(|instance| (labels("up", instance), 3.0)));
    assert_eq!(count("up", &window, 30_000), 2);
    window.append("one", 40_000, ["a", "b"].map(|instance| (labels("up", instance), 4.0)));
    window.gc(50_000);
    window.append("one", 60_000, ["a", "b"].map(|instance| (labels("up", instance), 5.0)));
    assert_eq!(count("up == 5", &window, 60_000), 2);
}

#[test]
fn slack_lets_an_evaluation_lag_behind() {
    let run = |slack: i64| {
        let mut window = window_for(&["up"]).slack(slack);
        for step in 0..10 {
            window.append("one", step * 15_000, [(labels("up", "a"), step as f64)]);
        }
        count("up", &window, 100_000)
    };
    assert_eq!((run(0), run(60_000)), (0, 1));
}

#[test]
fn text_pairs_and_label_sets_are_the_same_series() {
    let mut window = Window::unbounded();
    let mut append = window.begin("one", 0);
    append.add_pairs(&[("instance", "a"), ("__name__", "up"), ("empty", "")], 1.0);
    append.add(&labels("up", "a"), 2.0);
    append.finish();
    let all: Vec<_> = window.iter().map(|(labels, points)| (labels.clone(), points.to_vec())).collect();
    assert_eq!(all, [(labels("up", "a"), vec![Point { at_ms: 0, value: 2.0 }])]);
}

#[test]
fn the_result_of_a_recording_rule_can_be_read_by_another() {
    let mut window = window_for(&["up", "sum:up > 1"]);
    window.append("one", 0, [(labels("up", "a"), 1.0), (labels("up", "b"), 1.0)]);
    let Value::Vector(sums) = Expr::parse("sum(up)").unwrap().eval(&window, 0).unwrap() else { panic!() };
    let recorded =
        sums.into_iter().map(|Sample { labels, value }| (labels.with("__name__", "sum:up"), value));
    window.append("rule sum:up", 0, recorded);
    assert_eq!(count("sum:up > 1", &window, 0), 1);
    // The rule yields nothing: its series ends.
    window.append("rule sum:up", 15_000, []);
    assert_eq!(count("sum:up > 1", &window, 15_000), 0);
}

#[test]
fn a_window_for_other_rules_takes_over_samples_and_targets() {
    let mut window = window_for(&["up", "other"]);
    window.append("one", 0, ["a", "b"].map(|instance| (labels("up", instance), 1.0)));
    window.append("two", 0, [(labels("other", "a"), 1.0)]);
    let mut next = window_for(&["up == 1", "count_over_time(up[1m])"]);
    next.take_over(&window);
    assert_eq!((next.series(), count("up", &next, 0)), (2, 2));
    assert_eq!(next.append("one", 15_000, [(labels("up", "a"), 1.0)]).ended, 1);
    assert_eq!(count("up", &next, 15_000), 1);
}

#[test]
fn selectors_say_how_far_back_they_read() {
    let expr = Expr::parse("max_over_time(rate(a[5m] offset 1m)[1h:1m] offset 10m) + b offset -5m + c @ 100")
        .unwrap();
    let seen: Vec<_> = expr
        .selectors()
        .iter()
        .map(|s| (s.metric_name().unwrap(), s.range_ms, s.offset_ms, s.instant, s.pinned))
        .collect();
    assert_eq!(
        seen,
        [("a", 3_900_000, 660_000, false, false), ("b", 0, -300_000, true, false), ("c", 0, 0, true, true),]
    );
}
