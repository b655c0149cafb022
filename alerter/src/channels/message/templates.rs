//! Loading, compiling and rendering templates.

use std::{collections::BTreeMap, fs, path::Path};

use include_dir::{Dir, include_dir};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

use super::{Rendered, values::Values};
use crate::channels::SettingsError;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
const FILES: [&str; 3] = ["subject.txt", "body.txt", "body.mjml"];
const MAX_BYTES: u64 = 64 * 1024;

/// What a `body.mjml` must not hold: it is the inside of `mj-body`, and the frame stays around it.
const OUTSIDE: [&str; 8] =
    ["<mjml", "</mjml", "<mj-body", "</mj-body", "<mj-head", "<mj-include", "<style", "<!--"];

/// Compiled templates by name.
pub(super) struct Templates {
    environment: Environment<'static>,
    names: BTreeMap<String, ()>,
}

impl Templates {
    pub(super) fn load(overrides: Option<&Path>) -> Result<Self, SettingsError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        });
        let mut templates = Self { environment, names: BTreeMap::new() };
        templates.add("_layout/footer.txt", embedded("_layout/footer.txt")?)?;
        for (name, [subject, text, mjml]) in sources(overrides)? {
            templates.add(&format!("{name}/subject.txt"), subject)?;
            templates.add(&format!("{name}/body.txt"), text)?;
            templates.add(&format!("{name}/body.html"), html_of(&name, &mjml)?)?;
            templates.names.insert(name, ());
        }
        Ok(templates)
    }

    fn add(&mut self, name: &str, source: String) -> Result<(), SettingsError> {
        self.environment
            .add_template_owned(name.to_owned(), source)
            .map_err(|error| refused(name, &error.to_string()))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    pub(super) fn render(&self, name: &str, values: &Values) -> Result<Rendered, String> {
        if !self.names.contains_key(name) {
            return Err(format!("no template named {name:?} is installed"));
        }
        let part = |file: &str| {
            let render = |template: minijinja::Template<'_, '_>| template.render(values);
            self.environment.get_template(file).and_then(render).map_err(|error| {
                // The kind and place only: details of the engine may quote values.
                format!(
                    "{file} does not fit the message: {}, line {}",
                    error.kind(),
                    error.line().unwrap_or_default()
                )
            })
        };
        let subject = super::values::clean(&part(&format!("{name}/subject.txt"))?, 160);
        let body = part(&format!("{name}/body.txt"))?;
        let mut help = String::new();
        for connection in values.connections.iter().filter(|connection| !connection.help.is_empty()) {
            help.push_str(&format!("\n\n{}: {}", connection.institution, connection.help));
        }
        let text = format!("{}{help}\n\n{}", body.trim(), part("_layout/footer.txt")?.trim_start());
        let html = part(&format!("{name}/body.html"))?;
        for owed in [&values.legal_name, &values.contact, &values.reference] {
            if !html.contains(&escaped(owed)) {
                return Err(format!("{name}/body.mjml removes the footer"));
            }
        }
        if subject.is_empty() {
            return Err(format!("{name}/subject.txt gives an empty subject"));
        }
        Ok(Rendered { subject, text, html })
    }
}

/// As the engine escapes in HTML.
fn escaped(text: &str) -> String {
    minijinja::HtmlEscape(text).to_string()
}

fn refused(place: &str, why: &str) -> SettingsError {
    SettingsError { place: format!("template {place}"), why: why.to_owned() }
}

fn embedded(path: &str) -> Result<String, SettingsError> {
    EMBEDDED
        .get_file(path)
        .and_then(|file| file.contents_utf8())
        .map(str::to_owned)
        .ok_or_else(|| refused(path, "is missing; a template has subject.txt, body.txt and body.mjml"))
}

/// The three files of each template, embedded or overridden.
fn sources(overrides: Option<&Path>) -> Result<BTreeMap<String, [String; 3]>, SettingsError> {
    let mut names: Vec<String> = super::TEMPLATES.iter().map(|name| (*name).to_owned()).collect();
    if let Some(folder) = overrides {
        let unreadable = |error: std::io::Error| {
            refused(&folder.display().to_string(), &format!("cannot be read: {error}"))
        };
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let fits = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if entry.path().is_dir() && fits && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let mut found = BTreeMap::new();
    for name in names {
        let mut sources = [String::new(), String::new(), String::new()];
        for (source, file) in sources.iter_mut().zip(FILES) {
            *source = match overrides.map(|folder| folder.join(&name).join(file)) {
                Some(path) if path.exists() => read(&path)?,
                _ => embedded(&format!("{name}/{file}"))?,
            };
        }
        found.insert(name, sources);
    }
    Ok(found)
}

fn read(path: &Path) -> Result<String, SettingsError> {
    let place = path.display().to_string();
    let size = fs::metadata(path).map_err(|error| refused(&place, &error.to_string()))?.len();
    if size > MAX_BYTES {
        return Err(refused(&place, "is larger than 64 KiB"));
    }
    fs::read_to_string(path).map_err(|error| refused(&place, &error.to_string()))
}

/// MJML becomes HTML once, before any value is known: values are escaped for HTML when they are put in,
/// and no value is ever parsed as markup.
fn html_of(name: &str, inside: &str) -> Result<String, SettingsError> {
    let place = format!("{name}/body.mjml");
    let lower = inside.to_ascii_lowercase();
    if let Some(found) = OUTSIDE.iter().find(|outside| lower.contains(*outside)) {
        return Err(refused(&place, &format!("holds {found:?}; it is the inside of mj-body, sections only")));
    }
    let head = embedded("_layout/head.mjml")?;
    let footer = embedded("_layout/footer.mjml")?;
    let render = |body: &str| -> Result<String, SettingsError> {
        let document = format!(
            "<mjml lang=\"en\" dir=\"ltr\">{head}<mj-body css-class=\"page\">{body}</mj-body></mjml>"
        );
        let parsed =
            mrml::parse(&document).map_err(|error| refused(&place, &format!("is not MJML: {error}")))?;
        parsed
            .element
            .render(&mrml::prelude::render::RenderOptions { fonts: Default::default(), ..Default::default() })
            .map_err(|error| refused(&place, &format!("cannot be rendered: {error}")))
    };
    // On its own first: what closes or opens more than its own elements shows here.
    render(inside)?;
    render(&format!("{}{inside}{footer}", embedded("_layout/header.mjml")?)).map(|html| folded(&html))
}

/// The same document in lines that mail carries as they are (RFC 5322 takes 998 characters, and values make them
/// longer), broken only where white space between blocks means nothing.
fn folded(html: &str) -> String {
    const BLOCKS: [&str; 8] = ["<table", "<tr", "<td", "<div", "</table", "</tr", "</td", "</div"];
    let mut lines = String::with_capacity(html.len() + html.len() / 64);
    let (mut done, mut line) = (0, 0);
    for (at, _) in html.match_indices("><") {
        let next = at + 1;
        line = html[done..next].rfind('\n').map_or(line, |end| done + end + 1);
        if next - line >= 240 && BLOCKS.iter().any(|block| html[next..].starts_with(block)) {
            lines.push_str(&html[done..next]);
            lines.push('\n');
            (done, line) = (next, next);
        }
    }
    lines.push_str(&html[done..]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_broken_between_blocks_alone() {
        let cell = "<td style=\"padding:0 24px;\"><a href=\"https://x.example\">one</a><b>two</b></td>";
        let row = format!("<table><tr>{}</tr></table>", cell.repeat(20));
        let lines = folded(&row);
        assert_eq!(lines.replace('\n', ""), row);
        assert!(lines.lines().count() > 4 && lines.lines().all(|line| line.len() < 400), "{lines}");
        assert!(!lines.contains(">\n<a") && !lines.contains(">\n<b"), "{lines}");
        assert_eq!(folded("<p>short</p><table></table>"), "<p>short</p><table></table>");
    }
}
