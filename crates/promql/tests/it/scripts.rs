//! Prometheus's own test scripts, where they are at hand.

use std::path::Path;

use promql::script::{Tally, Verdict, run};

/// Where the scripts are, seen from the root of the repository. They are not ours to copy.
const FOLDER: &str = "../shared/promqltest";

#[test]
fn nothing_fails_in_the_scripts_of_prometheus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FOLDER);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "CI needs Prometheus's test scripts in {FOLDER}"
        );
        eprintln!(
            "SKIPPED: Prometheus's test scripts are not in {FOLDER}, so the evaluator was NOT compared with them"
        );
        return;
    };
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    let mut scripts = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        scripts += 1;
        for outcome in run(&std::fs::read_to_string(&path).unwrap()) {
            tally.add(&outcome.verdict);
            if let Verdict::Failed(why) = outcome.verdict {
                failures.push(format!("{}:{}: {}: {why}", path.display(), outcome.line, outcome.expression));
            }
        }
    }
    assert!(scripts > 0, "no *.test in {FOLDER}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tally.passed > 3 * tally.skipped, "too much is skipped:\n{tally}");
}

#[test]
fn a_script_tells_right_from_wrong_from_refused() {
    let script = r#"
load 1m
  metric{a="1"} 1 2 3
  metric{a="2"} 10 20 30
  histogram {{schema:0 count:1}}x3

# Right.
eval instant at 2m sum(metric)
  {} 33

eval range from 0 to 2m step 1m metric{a="1"}
  metric{a="1"} 1 2 3

eval instant at 2m sort_desc(metric)
  expect ordered
  metric{a="2"} 30
  metric{a="1"} 3

eval instant at 2m metric[2m]
  expect range vector from 1m to 2m step 1m
  metric{a="1"} 2 3
  metric{a="2"} 20 30

eval_fail instant at 2m metric + on () metric

# Wrong: value, labels, missing, too many, order, success.
eval instant at 2m sum(metric)
  {} 34

eval instant at 2m sum(metric)
  {a="1"} 33

eval instant at 2m nothing
  {} 1

eval instant at 2m metric
  metric{a="1"} 3

eval_ordered instant at 2m sort(metric)
  metric{a="2"} 30
  metric{a="1"} 3

eval_fail instant at 2m metric

# Refused.
eval instant at 2m histogram
  histogram {{schema:0 count:1}}

eval instant at 2m count(histogram)
  {} 1

eval instant at 2m mad_over_time(metric[2m])
"#;
    let outcomes = run(script);
    let mut tally = Tally::default();
    outcomes.iter().for_each(|outcome| tally.add(&outcome.verdict));
    let told = |from: usize, to: usize, kind: fn(&Verdict) -> bool| {
        outcomes[from..to].iter().for_each(|outcome| assert!(kind(&outcome.verdict), "{outcome:?}"));
    };
    told(0, 5, |verdict| matches!(verdict, Verdict::Passed));
    told(5, 11, |verdict| matches!(verdict, Verdict::Failed(_)));
    told(11, 14, |verdict| matches!(verdict, Verdict::Skipped(_)));
    assert!(tally.to_string().ends_with("5 passed, 6 failed, 3 skipped"), "{tally}");
    assert_eq!(outcomes[0].line, 8);
}
