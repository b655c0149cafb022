//! From text to pieces: literal text, and actions as tokens.

/// What stands between two actions, or an action.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `if`, `humanize`, `true`.
    Word(String),
    /// `$`, `$labels`.
    Variable(String),
    /// `.name`; whether white space stands before it decides if it belongs to what precedes.
    Field {
        name: String,
        spaced: bool,
    },
    /// `.` alone.
    Dot,
    Text(String),
    Int(i64),
    Float(f64),
    Pipe,
    Open,
    Close,
    Comma,
    Declare,
    Assign,
}

/// Takes a template apart. White space beside `{{-` and `-}}` is trimmed, comments are dropped.
pub(super) fn pieces(mut text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut trim = false;
    loop {
        let (literal, rest) = match text.find("{{") {
            Some(at) => (&text[..at], Some(&text[at + 2..])),
            None => (text, None),
        };
        let mut literal = if trim { literal.trim_start_matches(SPACE) } else { literal };
        let Some(mut inside) = rest else {
            push_text(&mut pieces, literal);
            return Ok(pieces);
        };
        if inside.starts_with('-') && inside[1..].starts_with(SPACE) {
            literal = literal.trim_end_matches(SPACE);
            inside = &inside[1..];
        }
        push_text(&mut pieces, literal);
        if let Some(comment) = inside.trim_start_matches(SPACE).strip_prefix("/*") {
            let end = comment.find("*/").ok_or("unclosed comment")?;
            let after = &comment[end + 2..];
            let (after_trim, trimmed) = end_trim(after);
            text = after_trim.strip_prefix("}}").ok_or("comment ends before closing delimiter")?;
            trim = trimmed;
            continue;
        }
        let (tokens, after, trimmed) = action(inside)?;
        pieces.push(Piece::Action(tokens));
        text = after;
        trim = trimmed;
    }
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// ` -` before the closing delimiter, if it is there.
fn end_trim(text: &str) -> (&str, bool) {
    let rest = text.trim_start_matches(SPACE);
    match rest.strip_prefix('-') {
        Some(after) if rest.len() < text.len() && after.starts_with("}}") => (after, true),
        _ => (text, false),
    }
}

/// The tokens up to `}}`, what follows it, and whether white space after it is trimmed.
fn action(mut text: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let mut tokens = Vec::new();
    let mut parens = 0_i32;
    loop {
        let (after, trimmed) = end_trim(text);
        if trimmed || text.starts_with("}}") {
            if parens != 0 {
                return Err("unclosed left paren".to_owned());
            }
            return Ok((tokens, &after[2..], trimmed));
        }
        let rest = text.trim_start_matches(SPACE);
        let spaced = rest.len() < text.len();
        if spaced {
            text = rest;
            if text.starts_with('-') && text[1..].starts_with("}}") {
                return Ok((tokens, &text[3..], true));
            }
            if text.starts_with("}}") {
                continue;
            }
        }
        let Some(first) = text.chars().next() else { return Err("unclosed action".to_owned()) };
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            '(' => {
                parens += 1;
                (Token::Open, 1)
            }
            ')' => {
                parens -= 1;
                if parens < 0 {
                    return Err("unexpected right paren".to_owned());
                }
                (Token::Close, 1)
            }
            ',' => (Token::Comma, 1),
            ':' if text.starts_with(":=") => (Token::Declare, 2),
            '=' => (Token::Assign, 1),
            '"' => {
                let (value, length) = quoted(text)?;
                (Token::Text(value), length)
            }
            '`' => {
                let end = text[1..].find('`').ok_or("unterminated raw quoted string")?;
                (Token::Text(text[1..=end].to_owned()), end + 2)
            }
            '\'' => {
                let (value, length) = character(text)?;
                (Token::Int(i64::from(u32::from(value))), length)
            }
            '$' => {
                let length = 1 + word_length(&text[1..]);
                (Token::Variable(text[..length].to_owned()), length)
            }
            '.' if !text[1..].starts_with(|c: char| c.is_ascii_digit()) => match word_length(&text[1..]) {
                0 => (Token::Dot, 1),
                length => (Token::Field { name: text[1..=length].to_owned(), spaced }, 1 + length),
            },
            '0'..='9' | '+' | '-' | '.' => number(text)?,
            c if c == '_' || c.is_alphabetic() => {
                let length = word_length(text);
                (Token::Word(text[..length].to_owned()), length)
            }
            other => return Err(format!("unexpected {other:?} in an action")),
        };
        tokens.push(token);
        text = &text[length..];
    }
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len())
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sign = text.len() - unsigned.len();
    let mut length = 0;
    let bytes = unsigned.as_bytes();
    let hex = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    while let Some(&byte) = bytes.get(length) {
        let exponent_sign = matches!(byte, b'+' | b'-')
            && !hex
            && length > 0
            && matches!(bytes.get(length - 1), Some(b'e' | b'E'));
        if !(byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || exponent_sign) {
            break;
        }
        length += 1;
    }
    let whole = &text[..sign + length];
    let bad = || format!("bad number syntax: {whole:?}");
    let digits = unsigned[..length].replace('_', "");
    let negative = text.starts_with('-');
    if digits.is_empty() {
        return Err(bad());
    }
    if hex {
        let value = i64::from_str_radix(&digits[2..], 16).map_err(|_| bad())?;
        return Ok((Token::Int(if negative { -value } else { value }), sign + length));
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(format!("{whole:?}: octal numbers are not supported"));
        }
        let value: i64 = digits.parse().map_err(|_| bad())?;
        return Ok((Token::Int(if negative { -value } else { value }), sign + length));
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(bad());
    }
    let value: f64 = digits.parse().map_err(|_| bad())?;
    Ok((Token::Float(if negative { -value } else { value }), sign + length))
}

/// A string in double quotes, with Go's escapes.
fn quoted(text: &str) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut at = 1;
    loop {
        let rest = &text[at..];
        match rest.chars().next() {
            None | Some('\n') => return Err("unterminated quoted string".to_owned()),
            Some('"') => return Ok((value, at + 1)),
            Some('\\') => {
                let (c, length) = escape(rest)?;
                value.push(c);
                at += length;
            }
            Some(c) => {
                value.push(c);
                at += c.len_utf8();
            }
        }
    }
}

fn character(text: &str) -> Result<(char, usize), String> {
    let rest = &text[1..];
    let (c, length) = match rest.chars().next() {
        Some('\\') => escape(rest)?,
        Some(c) => (c, c.len_utf8()),
        None => return Err("unterminated character constant".to_owned()),
    };
    if rest[length..].starts_with('\'') {
        Ok((c, length + 2))
    } else {
        Err("unterminated character constant".to_owned())
    }
}

fn escape(text: &str) -> Result<(char, usize), String> {
    let simple = |c| Ok((c, 2));
    let hex = |digits: usize| {
        let value = text.get(2..2 + digits).and_then(|d| u32::from_str_radix(d, 16).ok());
        // A byte that is no character of its own would make a string that is not UTF-8.
        value.filter(|v| digits > 2 || *v < 0x80).and_then(char::from_u32).map(|c| (c, 2 + digits))
    };
    match text.chars().nth(1) {
        Some('n') => simple('\n'),
        Some('t') => simple('\t'),
        Some('r') => simple('\r'),
        Some('a') => simple('\x07'),
        Some('b') => simple('\x08'),
        Some('f') => simple('\x0c'),
        Some('v') => simple('\x0b'),
        Some(c @ ('\\' | '"' | '\'')) => simple(c),
        Some('x') => hex(2).ok_or_else(|| "bad escape in a string".to_owned()),
        Some('u') => hex(4).ok_or_else(|| "bad escape in a string".to_owned()),
        Some('U') => hex(8).ok_or_else(|| "bad escape in a string".to_owned()),
        _ => Err("bad escape in a string".to_owned()),
    }
}
