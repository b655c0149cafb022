//! The reference of metrics, in Markdown, from the descriptions that the pages themselves use.

use std::fmt::Write;

use crate::Desc;

/// A section of a reference: a heading of the second level and a table of its families.
pub fn reference<'a>(title: &str, families: impl IntoIterator<Item = &'a Desc>) -> String {
    let mut out = format!(
        "\n## {title}\n\n| metric | type | labels | meaning | example |\n| --- | --- | --- | --- | --- |\n"
    );
    for family in families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, help) = (family.name, family.kind.as_text(), family.help);
        let example = family.example.replace('|', "\\|");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| `{name}` | {kind} | {} | {help} | `{example}` |", labels.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_a_row() {
        const JOBS: Desc = Desc::counter("jobs_total", "Jobs.")
            .labels(&["bank", "step"])
            .example("rate(jobs_total[5m]) > 1 | 0");
        let text = reference("Jobs", [&JOBS, &Desc::gauge("up", "Whether it is up.")]);
        assert!(text.starts_with("\n## Jobs\n\n| metric | type |"), "{text}");
        assert!(
            text.contains(
                "\n| `jobs_total` | counter | `bank`, `step` | Jobs. | `rate(jobs_total[5m]) > 1 \\| 0` |\n\
             | `up` | gauge |  | Whether it is up. | `up` |\n"
            ),
            "{text}"
        );
    }
}
