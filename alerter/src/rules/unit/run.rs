//! Runs unit tests as promtool does: samples up to a time are loaded, all groups are evaluated at it, and
//! alerts are compared at the newest evaluation that is not later than they are asked for.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use promql::{HISTOGRAM, Labels, Query, STALE, Value, series::Step};

use super::{
    super::{Book, Engine, Externals, RuleSet, load},
    file::{AlertTest, ExpressionTest, File, Test},
};

/// A test that would evaluate more often than this is a slip.
const MAX_STEPS: i64 = 1_000_000;

/// Runs all tests of a file.
pub(super) fn run(file: &File, folder: &Path) -> Result<usize, Vec<String>> {
    let mut paths = Vec::new();
    let mut errors = Vec::new();
    for pattern in &file.rule_files {
        match load::files(folder, std::slice::from_ref(pattern)) {
            Ok(found) => paths.extend(found),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let set = RuleSet::load(&paths, None)
        .map_err(|failures| failures.0.iter().map(ToString::to_string).collect::<Vec<_>>());
    let mut set = match set {
        Ok(set) if errors.is_empty() => set,
        Ok(_) => return Err(errors),
        Err(more) => return Err(errors.into_iter().chain(more).collect()),
    };
    let order = |name: &str| file.group_eval_order.iter().position(|known| known == name).unwrap_or(0);
    set.groups.sort_by_key(|group| order(&group.name));
    let set = Arc::new(set);
    for (n, test) in file.tests.iter().enumerate() {
        let name =
            if test.name.is_empty() { format!("test {}", n + 1) } else { format!("test {:?}", test.name) };
        let failures = one(file, test, set.clone());
        errors.extend(failures.into_iter().map(|failure| format!("{name}, {failure}")));
    }
    if errors.is_empty() { Ok(file.tests.len()) } else { Err(errors) }
}

fn one(file: &File, test: &Test, set: Arc<RuleSet>) -> Vec<String> {
    let externals = Externals { labels: test.external_labels.clone(), url: test.external_url.clone() };
    let mut engine = Engine::unbounded(Book::new("test".into(), set).externals(externals));
    let (every, spacing) = (ms(file.evaluation_interval), ms(test.interval));
    let times = test.alerts.iter().map(|t| t.at).chain(test.expressions.iter().map(|t| t.at));
    let end = ms(times.max().unwrap_or_default());
    if end / every > MAX_STEPS {
        return vec![format!("it would take more than {MAX_STEPS} evaluations")];
    }
    let mut failures = Vec::new();
    let mut loaded = -1;
    for at in (0..=end).step_by(usize::try_from(every).unwrap_or(usize::MAX)) {
        load_until(&mut engine, test, spacing, &mut loaded, at);
        let broken = engine.evaluate_all(at);
        if !broken.is_empty() {
            // As in promtool, a rule that cannot be evaluated ends the test.
            failures.extend(
                broken.iter().map(|(rule, failure)| format!("time {}: rule {rule}: {failure}", seconds(at))),
            );
            return failures;
        }
        for alert in test.alerts.iter().filter(|alert| (at..at + every).contains(&ms(alert.at))) {
            failures.extend(compare_alerts(&engine, alert));
        }
    }
    load_until(&mut engine, test, spacing, &mut loaded, end);
    for expression in &test.expressions {
        failures.extend(compare_samples(&engine, expression, every, file.fuzzy_compare));
    }
    failures
}

/// Writes the samples of the input series up to `at` that are not written yet.
fn load_until(engine: &mut Engine, test: &Test, spacing: i64, loaded: &mut i64, at: i64) {
    let window = engine.window_mut();
    while (*loaded + 1) * spacing <= at {
        *loaded += 1;
        let n = usize::try_from(*loaded).unwrap_or(usize::MAX);
        for series in &test.series {
            let value = match series.steps.get(n) {
                Some(Step::Value(value)) => *value,
                Some(Step::Stale) => STALE,
                Some(Step::Histogram) => HISTOGRAM,
                Some(Step::Missing) | None => continue,
            };
            window.write(&series.labels, *loaded * spacing, value);
        }
    }
}

fn compare_alerts(engine: &Engine, test: &AlertTest) -> Option<String> {
    let mut expected: Vec<_> = test
        .expected
        .iter()
        .map(|(labels, annotations)| {
            let mut labels = labels.clone();
            labels.insert("alertname".to_owned(), test.alert.clone());
            labels.retain(|_, value| !value.is_empty());
            (labels, annotations.clone())
        })
        .collect();
    let mut found = engine.book().firing_named(&test.alert);
    expected.sort();
    found.sort();
    (expected != found).then(|| {
        format!(
            "alert {} at {}:\n      expected: {}\n      found:    {}",
            test.alert,
            seconds(ms(test.at)),
            show(&expected),
            show(&found)
        )
    })
}

type Alert = (BTreeMap<String, String>, BTreeMap<String, String>);

fn show(alerts: &[Alert]) -> String {
    let one = |(labels, annotations): &Alert| {
        format!("{} annotations {}", Labels::new(labels.iter()), Labels::new(annotations.iter()))
    };
    if alerts.is_empty() { "none".to_owned() } else { alerts.iter().map(one).collect::<Vec<_>>().join(", ") }
}

fn compare_samples(engine: &Engine, test: &ExpressionTest, every: i64, fuzzy: bool) -> Option<String> {
    let at = ms(test.at);
    let fail = |text: String| Some(format!("expr {:?} at {}:\n      {text}", test.expr.text(), seconds(at)));
    let query = Query { step_ms: every, ..Query::at(at) };
    let mut found = match test.expr.query(engine.window(), &query) {
        Ok(Value::Vector(samples)) => {
            samples.into_iter().map(|sample| (sample.labels, sample.value)).collect()
        }
        Ok(Value::Scalar(value)) => vec![(Labels::empty(), value)],
        Ok(_) => return fail("the result is neither a vector nor a scalar".to_owned()),
        Err(error) => return fail(error.to_string()),
    };
    let mut expected = test.expected.clone();
    let by_labels = |a: &(Labels, f64), b: &(Labels, f64)| a.0.cmp(&b.0);
    expected.sort_by(by_labels);
    found.sort_by(by_labels);
    let same = expected.len() == found.len()
        && expected.iter().zip(&found).all(|(a, b)| a.0 == b.0 && equal(a.1, b.1, fuzzy));
    let text = |samples: &[(Labels, f64)]| {
        let one = |(labels, value): &(Labels, f64)| format!("{labels} {value}");
        if samples.is_empty() {
            "nothing".to_owned()
        } else {
            samples.iter().map(one).collect::<Vec<_>>().join(", ")
        }
    };
    if same { None } else { fail(format!("expected: {}\n      found:    {}", text(&expected), text(&found))) }
}

/// As promtool compares: exactly (NaN is not even itself), or to the neighbouring number with `fuzzy_compare`.
fn equal(a: f64, b: f64, fuzzy: bool) -> bool {
    a == b || (fuzzy && (a == b.next_up() || a == b.next_down()))
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn seconds(at: i64) -> String {
    daemon::config::format_duration(Duration::from_millis(at.unsigned_abs()))
}
