//! Prometheus's own checker has nothing to say about what is written here.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use exposition::{Desc, Families, Format, Page, Sheet};
use prometheus::{HistogramOpts, IntCounter, Registry};

#[test]
fn promtool_is_silent() {
    let Some(promtool) = crate::tool("promtool", "PROMTOOL") else { return };
    let registry = Registry::new();
    let requests = IntCounter::new("requests_total", "Requests \"so far\".").unwrap();
    registry.register(Box::new(requests)).unwrap();
    let seconds = HistogramOpts::new("wait_seconds", "Wait \\ for\nanswers.").buckets(vec![0.5, 2.0]);
    let seconds = prometheus::Histogram::with_opts(seconds).unwrap();
    seconds.observe(0.7);
    registry.register(Box::new(seconds)).unwrap();
    let mut sheet =
        Sheet::new(&[Desc::gauge("up", "Whether it is up."), Desc::counter("jobs_total", "Jobs.")]);
    for row in 0..100_u64 {
        let name = format!("{row}\n\"\\ä");
        let labels = [("row", name.as_str())];
        sheet.set(row, &[(0, &labels, 1e300), (1, &labels, row as f64)]);
    }
    let mut families = Families::new();
    let duration = Desc::histogram("job_duration_seconds", "How long jobs take.");
    families.family(&duration).histogram(&[("method", "web")], &[(5.0, 1), (60.0, 3)], 99.5, 4);
    let page = Page::new().with_registry(registry);
    page.publish([sheet.part(), families.part()]);

    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.to_text(Format::Text).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
