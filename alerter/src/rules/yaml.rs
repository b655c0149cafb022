//! YAML as a tree that knows its lines.
//!
//! Rule files are checked as a whole, so that all their errors are reported at once, each with its
//! line; and scalars keep their text, because Prometheus reads `severity: 1.0` as the string `1.0`.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, StrInput};

/// More nodes than any honest rule file has; aliases of aliases reach it soon.
const MAX_NODES: usize = 200_000;
/// Deeper nesting than rule files and their tests have.
const MAX_DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// Line in the file, from 1.
    pub(super) line: usize,
    /// What it is.
    pub(super) value: Value,
}

/// Keys, their lines, and values.
pub(super) type Entries = Vec<(String, usize, Node)>;

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar as it is written, without its quotes.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order of the file; the key's line with it.
    Map(Entries),
}

impl Node {
    /// The kind of value, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a scalar",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Reads the documents of a stream; empty ones are left out.
///
/// # Errors
/// The line and what is wrong there.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, (usize, String)> {
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let mut documents = Vec::new();
    loop {
        match reader.next()? {
            (Event::StreamEnd, _) => return Ok(documents),
            (Event::StreamStart | Event::DocumentEnd, _) => {}
            (Event::DocumentStart(..), _) => {
                let event = reader.next()?;
                let node = reader.node(event, 0)?;
                if node.value != Value::Null {
                    documents.push(node);
                }
            }
            (_, line) => return Err((line, "content outside of a document".to_owned())),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Anchored nodes and their sizes.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), (usize, String)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err((error.marker().line(), error.info())),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), (usize, String)> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err((line, format!("the file has more than {MAX_NODES} values")));
        }
        Ok(())
    }

    fn node(&mut self, (event, line): (Event<'a>, usize), depth: usize) -> Result<Node, (usize, String)> {
        if depth > MAX_DEPTH {
            return Err((line, format!("nested deeper than {MAX_DEPTH}")));
        }
        let before = self.nodes;
        self.count(1, line)?;
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let (mut node, size) = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or_else(|| (line, "an alias of something that contains it".to_owned()))?;
                self.count(size, line)?;
                node.line = line;
                return Ok(node);
            }
            Event::Scalar(text, style, anchor, _) => {
                let null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (anchor, if null { Value::Null } else { Value::Scalar(text.into_owned()) })
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break (anchor, Value::List(items)),
                        event => items.push(self.node(event, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(_, anchor, _) => (anchor, Value::Map(self.mapping(depth)?)),
            _ => return Err((line, "a value is missing".to_owned())),
        };
        let node = Node { line, value };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<Entries, (usize, String)> {
        let mut entries = Entries::new();
        let mut merged = Vec::new();
        loop {
            let (key, line) = match self.next()? {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, ..), line) => (text.into_owned(), line),
                (_, line) => return Err((line, "a key must be a scalar".to_owned())),
            };
            let event = self.next()?;
            let value = self.node(event, depth + 1)?;
            if key == "<<" {
                match value.value {
                    Value::Map(entries) => merged.extend(entries),
                    Value::List(maps) => {
                        for map in maps {
                            match map.value {
                                Value::Map(entries) => merged.extend(entries),
                                _ => return Err((line, "`<<` takes mappings".to_owned())),
                            }
                        }
                    }
                    _ => return Err((line, "`<<` takes a mapping".to_owned())),
                }
            } else if entries.iter().any(|(known, ..)| *known == key) {
                return Err((line, format!("the key {key:?} is given twice")));
            } else {
                entries.push((key, line, value));
            }
        }
        for (key, line, value) in merged {
            if !entries.iter().any(|(known, ..)| *known == key) {
                entries.push((key, line, value));
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar<'a>(node: &'a Node, key: &str) -> &'a str {
        let Value::Map(entries) = &node.value else { panic!("{node:?}") };
        match &entries.iter().find(|(known, ..)| known == key).unwrap().2.value {
            Value::Scalar(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_text_and_nodes_their_lines() {
        let node = parse("a: 1.0\nb: &x {c: 007, d: yes}\ne:\n  <<: *x\n  c: 8\n").unwrap().remove(0);
        assert_eq!(scalar(&node, "a"), "1.0");
        let Value::Map(entries) = &node.value else { panic!() };
        let (_, line, e) = &entries[2];
        assert_eq!((*line, scalar(e, "c"), scalar(e, "d")), (3, "8", "yes"));
    }

    #[test]
    fn errors_name_their_line() {
        assert_eq!(parse("a: 1\nb: 2\na: 3\n").unwrap_err(), (3, "the key \"a\" is given twice".to_owned()));
        assert_eq!(parse("a: 1\n b: [\n").unwrap_err().0, 2);
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let refs = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{refs}]\n"));
        }
        assert!(parse(&text).unwrap_err().1.contains("more than"));
        let deep = "[".repeat(1000);
        assert!(parse(&deep).is_err());
    }
}
