//! The page at `/`.

use std::fmt::Write;

/// A link on the landing page.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Where it leads.
    pub path: &'static str,
    /// What is there.
    pub text: &'static str,
}

/// The whole page.
pub(crate) fn html(name: &str, version: &str, description: &str, links: &[Link]) -> String {
    let mut items = String::new();
    for Link { path, text } in links {
        // Writing to a string cannot fail.
        let _ =
            writeln!(items, "<li><a href=\"{0}\"><code>{0}</code></a> {1}</li>", escape(path), escape(text));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{name}</title>\
         <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}}\
         li{{margin:.3rem 0}}</style></head>\n<body><h1>{name}</h1>\n<p>{description}</p>\n<ul>\n{items}</ul>\n\
         <p>Version {version}</p></body></html>\n",
        name = escape(name),
        version = escape(version),
        description = escape(description),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let page = html("a<b", "1", "x & y", &[Link { path: "/m?a=\"1\"", text: "<m>" }]);
        assert!(page.contains("<h1>a&lt;b</h1>") && page.contains("x &amp; y"));
        assert!(page.contains("href=\"/m?a=&quot;1&quot;\"") && page.contains("&lt;m&gt;"));
    }
}
