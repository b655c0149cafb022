//! Which test holds which sentence of behaviour's sections 3 to 8: each sentence by its first words, with the tests
//! that would fail if it did not hold. The tests quote their sentence; these tables are the way to them.

mod s3;
mod s4;
mod s5;
mod s6;
mod s7;
mod s8;

use std::path::{Path, PathBuf};

/// The sentence's first words, and its tests.
type Sentence = (&'static str, &'static [&'static str]);

/// The sections, each with its sentences in the document's order.
const SECTIONS: [(u32, &[Sentence]); 6] = [
    (3, s3::SENTENCES),
    (4, s4::SENTENCES),
    (5, s5::SENTENCES),
    (6, s6::SENTENCES),
    (7, s7::SENTENCES),
    (8, s8::SENTENCES),
];

/// All sentences, with their sections.
fn all() -> impl Iterator<Item = (u32, &'static Sentence)> {
    SECTIONS.iter().flat_map(|(section, sentences)| sentences.iter().map(|sentence| (*section, sentence)))
}

fn sources(folder: &Path, into: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of the sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&std::fs::read_to_string(&path).expect("a readable source"));
        }
    }
}

fn crate_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn each_test_of_the_table_exists() {
    let mut text = String::new();
    sources(&crate_folder().join("src"), &mut text);
    sources(&crate_folder().join("tests"), &mut text);
    for (section, (sentence, tests)) in all() {
        assert!(!tests.is_empty(), "section {section}, {sentence:?} has no test");
        for test in *tests {
            assert!(
                text.contains(&format!("fn {test}(")),
                "section {section}, {sentence:?}: there is no test {test}"
            );
        }
    }
}

/// Where the document lies beside the repository, each of its sentences is in the table, in its order.
#[test]
fn each_sentence_has_a_test() {
    let Ok(text) = std::fs::read_to_string(crate_folder().join("../../shared/behaviour.md")) else {
        assert!(std::env::var_os("CI").is_none(), "behaviour.md is not beside the repository");
        eprintln!("SKIPPED each_sentence_has_a_test: behaviour.md is not beside the repository");
        return;
    };
    let mut table = all();
    for section in text.split("\n## ").filter(|section| section.starts_with(['3', '4', '5', '6', '7', '8'])) {
        let number: u32 = section[..1].parse().unwrap();
        let body = section.split_once('\n').unwrap().1.replace("**", "");
        for paragraph in format!("\n{}", body.trim()).split("\n- ").filter(|text| !text.trim().is_empty()) {
            let paragraph = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
            for sentence in sentences(&paragraph) {
                let (section, (words, _)) =
                    table.next().unwrap_or_else(|| panic!("not in the table: {sentence}"));
                assert!(
                    number == section && sentence.starts_with(words),
                    "the table has {words:?}, not: {sentence}"
                );
            }
        }
    }
    assert_eq!(table.next(), None, "the table has more than the document");
}

/// Splits after a full stop, colon or semicolon that something new follows.
fn sentences(text: &str) -> Vec<&str> {
    let (mut all, mut from) = (Vec::new(), 0);
    for (at, _) in text.match_indices(' ') {
        let new = text[at + 1..].starts_with(|c: char| c.is_ascii_uppercase() || "`\"*2".contains(c));
        if new && text[..at].ends_with(['.', ':', ';']) {
            all.push(&text[from..at]);
            from = at + 1;
        }
    }
    all.push(&text[from..]);
    all
}
