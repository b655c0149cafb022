//! From pieces to a tree, refusing what is unknown.

use super::{
    functions::{self, Function},
    lexer::{Piece, Token, pieces},
};

/// Deeper nesting of actions or parentheses than any rule has.
const MAX_DEPTH: usize = 32;
/// Longer than any annotation.
const MAX_LENGTH: usize = 64 * 1024;
/// The fields of what Prometheus hands to a template.
pub(super) const ROOT_FIELDS: [&str; 4] = ["Labels", "ExternalLabels", "ExternalURL", "Value"];
/// The variables that Prometheus declares before the template begins.
const DECLARED: [&str; 5] = ["$", "$labels", "$externalLabels", "$externalURL", "$value"];

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// `{{ pipeline }}`; prints nothing if it declares or assigns.
    Action(Pipeline),
    /// `if` and `with`: the first branch whose pipeline is not empty.
    Choice {
        with: bool,
        branches: Vec<(Pipeline, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    Range {
        names: Vec<String>,
        over: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// The variable that gets the value; `true` if it is declared by this.
    pub(super) variable: Option<(String, bool)>,
    pub(super) commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) struct Command {
    /// The function, if it is a call.
    pub(super) function: Option<&'static Function>,
    /// Its arguments, or the one operand.
    pub(super) operands: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Base {
    Dot,
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Variable(String),
    Function(&'static Function),
    Pipeline(Box<Pipeline>),
}

pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("longer than {MAX_LENGTH} bytes"));
    }
    let mut parser = Parser {
        pieces: pieces(text)?.into_iter(),
        variables: DECLARED.iter().map(|&name| name.to_owned()).collect(),
        root: true,
        loops: 0,
        depth: 0,
    };
    match parser.list()? {
        (body, End::Text) => Ok(body),
        (_, end) => Err(format!("unexpected {{{{{}}}}}", end.word())),
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    variables: Vec<String>,
    /// Whether `.` is what Prometheus hands over.
    root: bool,
    loops: usize,
    depth: usize,
}

/// What ended a list of nodes.
enum End {
    Text,
    Close,
    Else(Vec<Token>),
}

impl End {
    fn word(&self) -> &'static str {
        match self {
            Self::Text => "end of text",
            Self::Close => "end",
            Self::Else(_) => "else",
        }
    }
}

impl Parser {
    fn list(&mut self) -> Result<(Vec<Node>, End), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let mut nodes = Vec::new();
        let end = loop {
            let tokens = match self.pieces.next() {
                None => break End::Text,
                Some(Piece::Text(text)) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Some(Piece::Action(tokens)) => tokens,
            };
            let word = match tokens.first() {
                None => return Err("missing value for command".to_owned()),
                Some(Token::Word(word)) => word.clone(),
                Some(_) => String::new(),
            };
            if tokens.len() > 1 && matches!(&*word, "end" | "break" | "continue") {
                return Err(format!("unexpected token after {word}"));
            }
            match &*word {
                "end" => break End::Close,
                "else" => break End::Else(tokens[1..].to_vec()),
                "if" => nodes.push(self.choice(false, &tokens[1..])?),
                "with" => nodes.push(self.choice(true, &tokens[1..])?),
                "range" => nodes.push(self.range(&tokens[1..])?),
                "break" | "continue" if self.loops == 0 => {
                    return Err(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" => {
                    return Err(format!("`{word}` is not supported: a rule's text stands in the rule"));
                }
                _ => nodes.push(Node::Action(self.pipeline(&tokens)?)),
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn choice(&mut self, with: bool, tokens: &[Token]) -> Result<Node, String> {
        let word = if with { "with" } else { "if" };
        let (scope, root) = (self.variables.len(), self.root);
        let mut branches = Vec::new();
        let mut tokens = tokens.to_vec();
        let otherwise = loop {
            let condition = self.pipeline(&tokens)?;
            self.root = root && !with;
            let (body, end) = self.list()?;
            self.root = root;
            branches.push((condition, body));
            match end {
                End::Close => break Vec::new(),
                End::Else(rest) if rest.is_empty() => match self.list()? {
                    (body, End::Close) => break body,
                    (_, end) => return Err(format!("expected end, found {}", end.word())),
                },
                End::Else(rest) if rest[0] == Token::Word(word.to_owned()) => tokens = rest[1..].to_vec(),
                End::Else(_) => return Err(format!("unexpected token after else of {word}")),
                End::Text => return Err(format!("{{{{{word}}}}} without {{{{end}}}}")),
            }
        };
        self.variables.truncate(scope);
        Ok(Node::Choice { with, branches, otherwise })
    }

    fn range(&mut self, tokens: &[Token]) -> Result<Node, String> {
        let (scope, root) = (self.variables.len(), self.root);
        let (names, rest) = match tokens {
            [Token::Variable(a), Token::Comma, Token::Variable(b), Token::Declare, rest @ ..] => {
                (vec![a.clone(), b.clone()], rest)
            }
            [Token::Variable(a), Token::Declare, rest @ ..] => (vec![a.clone()], rest),
            [Token::Variable(_), Token::Assign, ..] | [Token::Variable(_), Token::Comma, ..] => {
                return Err("range can only declare its variables (`:=`)".to_owned());
            }
            rest => (Vec::new(), rest),
        };
        let over = self.pipeline(rest)?;
        self.variables.extend(names.iter().cloned());
        self.root = false;
        self.loops += 1;
        let (body, end) = self.list()?;
        self.loops -= 1;
        self.root = root;
        self.variables.truncate(scope);
        let otherwise = match end {
            End::Close => Vec::new(),
            End::Else(rest) if rest.is_empty() => match self.list()? {
                (body, End::Close) => body,
                (_, end) => return Err(format!("expected end, found {}", end.word())),
            },
            End::Else(_) => return Err("unexpected token after else of range".to_owned()),
            End::Text => return Err("{{range}} without {{end}}".to_owned()),
        };
        Ok(Node::Range { names, over, body, otherwise })
    }

    fn pipeline(&mut self, tokens: &[Token]) -> Result<Pipeline, String> {
        let (variable, rest) = match tokens {
            [Token::Variable(name), Token::Declare, rest @ ..] => (Some((name.clone(), true)), rest),
            [Token::Variable(name), Token::Assign, rest @ ..] => {
                self.known(name)?;
                (Some((name.clone(), false)), rest)
            }
            rest => (None, rest),
        };
        let mut tokens = rest.iter().cloned().peekable();
        let commands = self.commands(&mut tokens, false)?;
        if let Some((name, true)) = &variable {
            self.variables.push(name.clone());
        }
        Ok(Pipeline { variable, commands })
    }

    fn known(&self, name: &str) -> Result<(), String> {
        let known = self.variables.iter().any(|known| known == name);
        if known { Ok(()) } else { Err(format!("undefined variable {name:?}")) }
    }

    fn commands(
        &mut self,
        tokens: &mut std::iter::Peekable<impl Iterator<Item = Token> + Clone>,
        inside: bool,
    ) -> Result<Vec<Command>, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let mut commands = vec![Vec::new()];
        loop {
            match tokens.next() {
                None if inside => return Err("unclosed left paren".to_owned()),
                None => break,
                Some(Token::Close) if inside => break,
                Some(Token::Pipe) => commands.push(Vec::new()),
                Some(Token::Field { name, spaced: false })
                    if commands.last().is_some_and(|c| !c.is_empty()) =>
                {
                    if let Some(operand) = commands.last_mut().and_then(|c: &mut Vec<Operand>| c.last_mut()) {
                        if !matches!(operand.base, Base::Variable(_) | Base::Pipeline(_) | Base::Dot) {
                            return Err(format!("unexpected .{name} after a constant or function"));
                        }
                        operand.fields.push(name);
                    }
                }
                Some(token) => {
                    let operand = self.operand(token, tokens)?;
                    if let Some(command) = commands.last_mut() {
                        command.push(operand);
                    }
                }
            }
        }
        self.depth -= 1;
        let commands: Result<Vec<_>, String> =
            commands.into_iter().enumerate().map(|(n, operands)| self.command(operands, n > 0)).collect();
        commands
    }

    fn operand(
        &mut self,
        token: Token,
        tokens: &mut std::iter::Peekable<impl Iterator<Item = Token> + Clone>,
    ) -> Result<Operand, String> {
        let base = match token {
            Token::Word(word) => match &*word {
                "true" => Base::Bool(true),
                "false" => Base::Bool(false),
                "nil" => Base::Nil,
                "if" | "else" | "end" | "range" | "with" | "define" | "template" | "block" => {
                    return Err(format!("unexpected <{word}> in a command"));
                }
                name => Base::Function(functions::find(name)?),
            },
            Token::Variable(name) => {
                self.known(&name)?;
                Base::Variable(name)
            }
            Token::Field { name, .. } => return Ok(Operand { base: Base::Dot, fields: vec![name] }),
            Token::Dot => Base::Dot,
            Token::Text(text) => Base::Text(text),
            Token::Int(value) => Base::Int(value),
            Token::Float(value) => Base::Float(value),
            Token::Open => {
                let commands = self.commands(tokens, true)?;
                Base::Pipeline(Box::new(Pipeline { variable: None, commands }))
            }
            Token::Close => return Err("unexpected right paren".to_owned()),
            Token::Comma => return Err("unexpected \",\" in a command".to_owned()),
            Token::Pipe | Token::Declare | Token::Assign => {
                return Err("unexpected token in a command".to_owned());
            }
        };
        Ok(Operand { base, fields: Vec::new() })
    }

    fn command(&self, mut operands: Vec<Operand>, piped: bool) -> Result<Command, String> {
        for operand in &operands {
            let root = match &operand.base {
                Base::Dot => self.root,
                Base::Variable(name) => name == "$",
                _ => false,
            };
            if let (true, Some(field)) = (root, operand.fields.first())
                && !ROOT_FIELDS.contains(&&**field)
            {
                return Err(format!(
                    "unknown field .{field}; there are .Labels, .ExternalLabels, .ExternalURL and .Value"
                ));
            }
        }
        let Some(first) = operands.first() else { return Err("missing value for command".to_owned()) };
        let Base::Function(function) = first.base else {
            if piped {
                return Err("only a function can take what is piped into it".to_owned());
            }
            if operands.len() > 1 {
                return Err("can't give an argument to something that is not a function".to_owned());
            }
            return Ok(Command { function: None, operands });
        };
        operands.remove(0);
        function.check(operands.len() + usize::from(piped))?;
        for operand in &operands {
            if let Base::Function(inner) = operand.base {
                inner.check(0)?;
            }
        }
        Ok(Command { function: Some(function), operands })
    }
}
