//! A sheet says what was set in it, whatever happened before.

use std::collections::BTreeMap;

use exposition::{Desc, Format, Limits, Page, Sheet, parse};
use proptest::prelude::*;

const FAMILIES: [Desc; 3] = [
    Desc::gauge("since_timestamp_seconds", "Since when."),
    Desc::gauge("failed_jobs", "How many."),
    Desc::counter("seen_total", "How often."),
];

#[derive(Clone, Debug)]
enum Step {
    Set(u8, [Option<i8>; 3]),
    Remove(u8),
    Publish,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<u8>(), any::<[Option<i8>; 3]>()).prop_map(|(row, values)| Step::Set(row, values)),
        3 => any::<u8>().prop_map(Step::Remove),
        1 => Just(Step::Publish),
    ];
    proptest::collection::vec(step, 0..600)
}

/// Name and row of each sample on the page, with its value.
fn shown(page: &Page) -> BTreeMap<(String, String), f64> {
    let text = page.to_text(Format::Text);
    let samples = parse::parse(text.as_bytes(), Format::Text, &Limits::default()).unwrap();
    let mut map = BTreeMap::new();
    for sample in samples {
        let row = sample.label("row").unwrap().into_owned();
        assert!(
            map.insert((sample.name.into_owned(), row), sample.value).is_none(),
            "a sample is there twice"
        );
    }
    map
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn shows_what_was_set(steps in steps()) {
        let (mut sheet, page) = (Sheet::<u8>::new(&FAMILIES), Page::new());
        let mut model: BTreeMap<u8, [Option<i8>; 3]> = BTreeMap::new();
        // Both forms are asked for, so that both are rendered ahead and must be right when blocks change.
        page.scrape(None, None);
        page.scrape(None, Some("gzip"));
        for step in steps.into_iter().chain([Step::Publish]) {
            match step {
                Step::Set(row, values) => {
                    let name = row.to_string();
                    let labels = [("row", name.as_str())];
                    let cells: Vec<_> = (0..3)
                        .filter_map(|family| values[family].map(|value| (family, &labels[..], f64::from(value))))
                        .collect();
                    sheet.set(row, &cells);
                    model.insert(row, values);
                }
                Step::Remove(row) => {
                    sheet.remove(&row);
                    model.remove(&row);
                }
                Step::Publish => {
                    page.publish([sheet.part()]);
                    let mut expected = BTreeMap::new();
                    for (row, values) in &model {
                        for (desc, value) in FAMILIES.iter().zip(values) {
                            if let Some(value) = value {
                                expected.insert((desc.name.to_owned(), row.to_string()), f64::from(*value));
                            }
                        }
                    }
                    prop_assert_eq!(shown(&page), expected);
                    prop_assert_eq!(sheet.len(), model.len());
                    let plain = page.scrape(None, None).chunks.concat();
                    let gzip = page.scrape(None, Some("gzip")).chunks.concat();
                    prop_assert_eq!(crate::gzip::inflate(&gzip), plain);
                }
            }
        }
    }
}

#[test]
fn families_are_contiguous_and_announced_once() {
    let (mut sheet, page) = (Sheet::new(&FAMILIES), Page::new());
    for row in 0..200_u64 {
        let name = row.to_string();
        let labels = [("row", name.as_str())];
        sheet.set(row, &[(1, &labels, 1.0), (0, &labels, 2.0)]);
    }
    page.publish([sheet.part()]);
    let text = page.to_text(Format::Text);
    let names: Vec<_> = text.lines().map(|line| line.split(['{', ' ']).next().unwrap()).collect();
    let mut runs = names.clone();
    runs.dedup();
    // HELP and TYPE begin with a #, so each family is a # and then its samples; the third has none.
    assert_eq!(runs, ["#", "since_timestamp_seconds", "#", "failed_jobs"]);
}

#[test]
fn a_scrape_sees_the_state_before_or_the_state_after() {
    let page = Page::new();
    let mut sheet = Sheet::new(&FAMILIES);
    let publish = |sheet: &mut Sheet, generation: f64| {
        for row in 0..300_u64 {
            let name = row.to_string();
            sheet.set(row, &[(0, &[("row", name.as_str())], generation)]);
        }
        page.publish([sheet.part()]);
    };
    publish(&mut sheet, 0.0);
    std::thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut last = 0.0;
            while last < 30.0 {
                let values: Vec<f64> = shown(&page).into_values().collect();
                assert_eq!(values.len(), 300);
                assert!(values.iter().all(|value| *value == values[0]), "half a state was shown");
                assert!(values[0] >= last);
                last = values[0];
            }
        });
        for generation in 1..=30 {
            publish(&mut sheet, f64::from(generation));
        }
        scraper.join().unwrap();
    });
}

#[test]
fn rows_that_leave_take_their_families_with_them() {
    let (mut sheet, page) = (Sheet::new(&FAMILIES), Page::new());
    for row in 0..130_u64 {
        sheet.set(row, &[(0, &[("row", "x")], 1.0)]);
    }
    sheet.retain(|row| *row == 64);
    assert_eq!((sheet.len(), sheet.contains(&64)), (1, true));
    sheet.set(64, &[]);
    page.publish([sheet.part()]);
    assert_eq!(page.to_text(Format::Text), "");
}
