//! parse(write(x)) = x, in both formats.

use exposition::{
    Desc, Entry, Families, Format, Kind, Limits, Page, Parser, negotiate::Version, parse::parse,
};
use proptest::prelude::*;

const GAUGE: Desc = Desc::gauge("a_gauge", "Says \\ \"what\"\nit means.");
const COUNTER: Desc = Desc::counter("a_counter_total", "Counts.");
const FORMATS: [Format; 2] = [Format::Text, Format::OpenMetrics(Version::V1_0_0)];

type Row = (String, String, f64);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    // Escapes, quotation marks, line ends, braces and whatever else a label may hold.
    let label = prop_oneof![".{0,12}", "[\\\\\"\n{}=, ]{0,8}", "[a-z0-9-]{0,36}"];
    let value = prop_oneof![any::<f64>(), any::<i32>().prop_map(f64::from)];
    proptest::collection::vec((label.clone(), label, value), 0..40)
}

proptest! {
    #[test]
    fn samples_read_back(rows in rows()) {
        let mut families = Families::new();
        for desc in [&GAUGE, &COUNTER] {
            let mut family = families.family(desc);
            for (at, (a, b, value)) in rows.iter().enumerate() {
                family.sample(&[("row", at.to_string().as_str()), ("a", a), ("b", b)], *value);
            }
        }
        let page = Page::new();
        page.publish([families.part()]);
        for format in FORMATS {
            let text = page.to_text(format);
            let samples = parse(text.as_bytes(), format, &Limits::default()).unwrap();
            prop_assert_eq!(samples.len(), 2 * rows.len());
            for (at, sample) in samples.iter().enumerate() {
                let desc = if at < rows.len() { GAUGE } else { COUNTER };
                let (a, b, value) = &rows[at % rows.len()];
                prop_assert_eq!(sample.name.as_ref(), desc.name);
                let labels: Vec<_> = sample.labels().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
                let row = (at % rows.len()).to_string();
                let expected = [("row", &row), ("a", a), ("b", b)].map(|(n, v)| (n.to_owned(), v.clone()));
                prop_assert_eq!(labels, expected);
                let same = sample.value.to_bits() == value.to_bits() || (sample.value.is_nan() && value.is_nan());
                prop_assert!(same, "{} is not {}", sample.value, value);
                prop_assert_eq!(sample.timestamp, None);
            }
        }
    }
}

#[test]
fn help_and_type_read_back() {
    let mut families = Families::new();
    families.family(&GAUGE).sample(&[], 1.0);
    families.family(&COUNTER).sample(&[], 1.0);
    let page = Page::new();
    page.publish([families.part()]);
    for (format, counter) in FORMATS.into_iter().zip(["a_counter_total", "a_counter"]) {
        let text = page.to_text(format);
        let entries: Result<Vec<_>, _> = Parser::new(text.as_bytes(), format, &Limits::default()).collect();
        let entries: Vec<_> =
            entries.unwrap().into_iter().filter(|entry| !matches!(entry, Entry::Sample(_))).collect();
        let entry = |name: &'static str, help: &'static str, kind| {
            [Entry::Help { name: name.into(), help: help.into() }, Entry::Type { name: name.into(), kind }]
        };
        let expected =
            [entry("a_gauge", GAUGE.help, Kind::Gauge), entry(counter, COUNTER.help, Kind::Counter)].concat();
        assert_eq!(entries, expected);
    }
}
