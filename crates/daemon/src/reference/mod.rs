//! `CONFIG.md` of a daemon: flags, environment and the configuration file, from the code that reads them.
//!
//! Flags come from clap; keys, types, defaults and meanings from the configuration's types by `schemars`, which
//! reads the same attributes as serde and the documentation comments.

mod keys;

use std::{fmt::Write, path::Path};

use clap::{Arg, Command, builder::StyledStr};
use schemars::{JsonSchema, generate::SchemaSettings};

use crate::traces;

/// What is set to have [`compare`] write files instead of comparing them.
const UPDATE: &str = "UPDATE_DOCS";

/// The reference, in Markdown, of a daemon with these flags, these variables of the environment beside those of
/// OpenTelemetry, and a configuration file that is a `Config`.
pub fn configuration<Config: JsonSchema>(command: &Command, variables: &[(&str, &str)]) -> String {
    let name = command.get_name();
    let mut out = format!(
        "# Configuration of {name}\n\n\
         Generated from the code: `{UPDATE}=1 cargo test --workspace reference`.\n\n\
         ## Flags\n\n| flag | default | meaning |\n| --- | --- | --- |\n"
    );
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_long().is_some()) {
        flag(&mut out, arg);
    }
    if command.has_subcommands() {
        out.push_str("\n## Commands\n\n| command | meaning |\n| --- | --- |\n");
        commands(&mut out, name, command);
    }
    out.push_str("\n## Environment\n\n| variable | meaning |\n| --- | --- |\n");
    for (name, meaning) in variables.iter().chain(traces::VARIABLES) {
        let _ = writeln!(out, "| `{name}` | {} |", cell(meaning));
    }
    out.push_str(
        "\n## Configuration file\n\n\
         YAML, the file that `--config.file` names. Unknown keys are refused with their place. Durations are written \
         as Prometheus writes them: `15s`, `10m`, `1h30m`, `7d`. Secrets are in files of their own, which keys that end \
         in `_file` name.\n",
    );
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<Config>();
    keys::sections(&mut out, schema.as_value());
    out
}

/// Holds a generated text against the committed file, or writes it if `UPDATE_DOCS` is set. For tests.
///
/// # Errors
/// They differ, or the file cannot be read or written; says what to do.
pub fn compare(path: &Path, text: &str) -> Result<(), String> {
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    if committed == text {
        return Ok(());
    }
    let line = committed.lines().zip(text.lines()).take_while(|(old, new)| old == new).count();
    let new = text.lines().nth(line).unwrap_or("the end of the file");
    Err(format!(
        "{}:{}: should be: {new}\nif that is right: {UPDATE}=1 cargo test --workspace reference",
        path.display(),
        line + 1
    ))
}

fn flag(out: &mut String, arg: &Arg) {
    let values: Vec<_> =
        arg.get_value_names().unwrap_or_default().iter().map(|name| format!("={name}")).collect();
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    let default = if defaults.is_empty() { String::new() } else { format!("`{}`", defaults.join(",")) };
    let mut meaning = sentence(arg.get_help());
    let possible: Vec<_> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if !possible.is_empty() {
        let _ = write!(meaning, " One of {}.", possible.join(", "));
    }
    let long = arg.get_long().unwrap_or_default();
    let _ = writeln!(out, "| `--{long}{}` | {default} | {} |", values.join(""), cell(&meaning));
}

fn commands(out: &mut String, path: &str, command: &Command) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        if sub.has_subcommands() {
            commands(out, &path, sub);
            continue;
        }
        let arguments = sub.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help");
        let arguments: Vec<String> = arguments
            .map(|arg| {
                let value = arg.get_id().as_str().to_uppercase();
                match arg.get_long() {
                    Some(long) if arg.get_action().takes_values() => format!(" [--{long} {value}]"),
                    Some(long) => format!(" [--{long}]"),
                    None => format!(" {value}"),
                }
            })
            .collect();
        let about = sentence(sub.get_about());
        let _ = writeln!(out, "| `{path}{}` | {} |", arguments.join(""), cell(&about));
    }
}

/// A help text with the full stop that clap takes away.
fn sentence(help: Option<&StyledStr>) -> String {
    let text = help.map(ToString::to_string).unwrap_or_default();
    if text.is_empty() || text.ends_with('.') { text } else { format!("{text}.") }
}

/// A text as it can stand in a table.
fn cell(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Links of rustdoc lead nowhere here.
    one_line.replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

#[cfg(test)]
#[allow(dead_code, reason = "these settings are read by the reference only")]
mod tests {
    use std::{collections::BTreeMap, path::PathBuf};

    use clap::Parser;
    use serde::Deserialize;

    use super::*;
    use crate::{Flags, config::Duration};

    #[derive(Parser)]
    #[command(name = "smallest")]
    struct Cli {
        #[command(flatten)]
        flags: Flags,
    }

    /// The whole file.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        /// How often, with a | in it.
        interval: Duration,
        /// How far.
        mode: Mode,
        /// Who is asked.
        servers: Vec<Server>,
        /// Numbers by name.
        numbers: BTreeMap<String, u32>,
        /// Where it is kept.
        store: Store,
    }

    impl Default for Config {
        fn default() -> Self {
            let interval = Duration(std::time::Duration::from_secs(90));
            let store = Store::File(File { path: PathBuf::new() });
            Self { interval, mode: Mode::DryRun, servers: Vec::new(), numbers: BTreeMap::new(), store }
        }
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Mode {
        /// Not at all.
        Off,
        /// Almost.
        DryRun,
    }

    /// A server.
    #[derive(Deserialize, JsonSchema)]
    struct Server {
        /// Its address.
        url: String,
        /// The file with its token.
        token_file: Option<PathBuf>,
        /// How long it may take.
        timeout: Option<Duration>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Store {
        /// In a file.
        File(File),
    }

    /// A file.
    #[derive(Deserialize, JsonSchema)]
    struct File {
        /// Which.
        path: PathBuf,
    }

    #[test]
    fn every_key_has_type_default_and_meaning() {
        use clap::CommandFactory;
        let text = configuration::<Config>(&Cli::command(), &[("API_KEY", "The key.")]);
        for line in [
            "# Configuration of smallest",
            "| `--log.level=LEVEL` | `info` | Least severe messages that are logged. One of `debug`, `info`, `warn`, `error`. |",
            "| `API_KEY` | The key. |",
            "| `interval` | duration | `1m30s` | How often, with a \\| in it. |",
            "| `mode` | `off`, `dry-run` |  | How far. |",
            "| `servers` | list of sections |  | Who is asked. |",
            "| `numbers` | mapping to integers |  | Numbers by name. |",
            "| `store` | one section |  | Where it is kept. |",
            "### `servers[]`",
            "| `url` | string | required | Its address. |",
            "| `token_file` | string |  | The file with its token. |",
            "| `timeout` | duration |  | How long it may take. |",
            "### `store.file`",
            "| `path` | string | required | Which. |",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis missing in\n{text}");
        }
        assert!(!text.contains("clock.speed"), "hidden flags are not for users");
    }

    #[test]
    fn a_file_that_differs_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.md");
        std::fs::write(&path, "a\nb\n").unwrap();
        assert_eq!(compare(&path, "a\nb\n"), Ok(()));
        let error = compare(&path, "a\nc\n").unwrap_err();
        assert!(error.contains("x.md:2: should be: c"), "{error}");
    }
}
