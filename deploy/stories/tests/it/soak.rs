//! Twenty seconds of `cargo run -p stories --example soak`, with the Prometheus that is installed and, where
//! `PROMETHEUS3` names one, a newer.

use std::{path::PathBuf, time::Duration};

use stories::{real::program, soak::soak};

#[tokio::test]
async fn prometheus_scrapes_under_constant_change_and_misses_nothing() {
    let newer = std::env::var_os("PROMETHEUS3").map(PathBuf::from);
    for prometheus in program("prometheus", "prometheus").into_iter().chain(newer) {
        let report = soak(&prometheus, Duration::from_secs(20)).await.unwrap();
        assert!(report.scrapes >= 10, "{report:?}");
        assert!(report.changes > 20, "the world stood still: {report:?}");
    }
}
