//! Tickets leave the house: numbers that could be an account and addresses do not.

/// The text with every run of six or more digits (spaces, dots and dashes between digits do not end a run) and
/// every e-mail address replaced, control characters removed, and at most 500 characters long.
pub(super) fn masked(text: &str) -> String {
    let words: Vec<String> = text
        .split_whitespace()
        .map(|word| {
            let word: String = word.chars().filter(|c| !c.is_control()).collect();
            if word.contains('@') { "[address]".to_owned() } else { word }
        })
        .collect();
    let text: Vec<char> = words.join(" ").chars().take(500).collect();
    let mut out = String::new();
    let mut at = 0;
    while at < text.len() {
        let end = run(&text, at);
        let digits = text[at..end].iter().filter(|c| c.is_numeric()).count();
        if digits >= 6 {
            out.push_str("[number]");
        } else {
            out.extend(&text[at..end.max(at + 1)]);
        }
        at = end.max(at + 1);
    }
    out
}

/// The end of the run of digits that begins at `at`.
fn run(text: &[char], at: usize) -> usize {
    let mut end = at;
    let mut next = at;
    while next < text.len() {
        match text[next] {
            c if c.is_numeric() => {
                next += 1;
                end = next;
            }
            ' ' | '-' | '.' if next == end && end > at => next += 1,
            _ => break,
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_masked_and_the_rest_is_kept() {
        for (text, expected) in [
            ("Account is locked", "Account is locked"),
            ("account 062000123456 of a@b.test closed", "account [number] of [address] closed"),
            ("BSB 062-000 acct 1234 5678.", "BSB [number] acct [number]."),
            ("error 50032 at step 3", "error 50032 at step 3"),
            ("<mailto:a@b.test>\nnext", "[address] next"),
            ("１２３４５６ wide", "[number] wide"),
            ("2026-11-22", "[number]"),
            ("", ""),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
        assert!(masked(&"long ".repeat(1000)).chars().count() <= 500);
    }
}
