//! The tokens of an expression: bounded, read by Prometheus's rules, and rewritten for the parser.

use crate::quoted::unquote_prefix;
use crate::refused::Refused;

/// The longest expression, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// The most tokens.
const MAX_TOKENS: usize = 8_000;
/// The deepest nesting of parentheses.
const MAX_DEPTH: usize = 60;
/// The most operators, signs included: each may be one level of the tree.
const MAX_OPERATORS: usize = 200;
/// The longest duration, in seconds: what Prometheus can hold in nanoseconds.
const MAX_SECONDS: f64 = 9_223_372_036.0;

/// An expression rewritten: strings are `"$0"`, `"$1"`, …; numbers and durations are 1, 2, … (not 0,
/// since the parser folds signs into them).
#[derive(Debug, Default)]
pub(super) struct Guarded {
    pub(super) text: String,
    pub(super) strings: Vec<String>,
    /// The numbers, and the durations in seconds.
    pub(super) numbers: Vec<f64>,
}

impl Guarded {
    /// The string behind a placeholder; anything else stands for itself.
    pub(super) fn string<'g>(&'g self, text: &'g str) -> &'g str {
        let index = text.strip_prefix('$').and_then(|index| index.parse::<usize>().ok());
        index.and_then(|index| self.strings.get(index)).map_or(text, String::as_str)
    }

    /// The number behind a placeholder.
    pub(super) fn number(&self, placeholder: f64) -> Option<f64> {
        if placeholder < 1.0 || placeholder.fract() != 0.0 {
            return None;
        }
        self.numbers.get(placeholder as usize - 1).copied()
    }

    /// Puts the strings back into a message of the parser.
    pub(super) fn restore(&self, message: &str) -> String {
        let mut restored = message.to_owned();
        for (index, text) in self.strings.iter().enumerate().rev() {
            restored = restored.replace(&format!("${index}"), text);
        }
        restored
    }

    fn push(&mut self, token: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(token);
    }
}

/// What kind of token came last, as far as it matters here.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Other,
    Offset,
    OffsetSign,
    Bracket,
    Range,
    Colon,
    Step,
}

/// Reads, checks and rewrites an expression.
pub(super) fn guard(text: &str) -> Result<Guarded, Refused> {
    if text.len() > MAX_BYTES {
        return Err(Refused::TooLarge(format!("{} bytes, at most {MAX_BYTES}", text.len())));
    }
    let mut out = Guarded::default();
    let (mut tokens, mut depth, mut operators) = (0usize, 0usize, 0usize);
    let mut in_braces = false;
    let mut last = Last::Other;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_whitespace() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
            continue;
        }
        if c == '#' {
            rest = rest.find(['\n', '\r']).and_then(|end| rest.get(end..)).unwrap_or("");
            continue;
        }
        tokens += 1;
        if tokens > MAX_TOKENS {
            return Err(Refused::TooLarge(format!("more than {MAX_TOKENS} tokens")));
        }
        let in_brackets = matches!(last, Last::Bracket | Last::Range | Last::Colon | Last::Step);
        let length = if matches!(c, '"' | '\'' | '`') {
            let Some((value, length)) = unquote_prefix(rest) else {
                return Err(bad_string(rest));
            };
            out.push(&format!("\"${}\"", out.strings.len()));
            out.strings.push(value);
            last = no_duration(last, rest)?;
            length
        } else if c.is_ascii_alphabetic() || c == '_' || (c == ':' && !in_brackets && !in_braces) {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':' && !in_braces));
            let length = end.unwrap_or(rest.len());
            let word = rest.get(..length).unwrap_or("");
            last = no_duration(last, rest)?;
            if in_braces {
                if word.eq_ignore_ascii_case("or") {
                    return Err(Refused::invalid("\"or\" between label matchers is not PromQL"));
                }
                out.push(word);
            } else if word.eq_ignore_ascii_case("nan") || word.eq_ignore_ascii_case("inf") {
                number(&mut out, if word.eq_ignore_ascii_case("nan") { f64::NAN } else { f64::INFINITY });
            } else {
                if is_operator_word(word) {
                    operators += 1;
                }
                if word.eq_ignore_ascii_case("offset") {
                    last = Last::Offset;
                }
                out.push(word);
            }
            length
        } else if c.is_ascii_digit() || c == '.' {
            let end = number_end(rest);
            let literal = rest.get(..end).unwrap_or("");
            let Some(value) = parse_number(literal).or_else(|| parse_duration(literal)) else {
                return Err(Refused::invalid(format!("bad number or duration syntax: {literal:?}")));
            };
            last = duration_in_place(last, value)?;
            number(&mut out, value);
            end
        } else {
            let token =
                punctuation(rest).ok_or_else(|| Refused::invalid(format!("unexpected character: {c:?}")))?;
            match token {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                "{" => in_braces = true,
                "}" => in_braces = false,
                "," | "]" | "[" | ":" | "@" => {}
                _ if in_braces => {}
                _ => operators += 1,
            }
            last = match (last, token) {
                (_, "[") => Last::Bracket,
                (Last::Range, "]") | (Last::Colon | Last::Step, "]") => Last::Other,
                (Last::Range, ":") => Last::Colon,
                (Last::Bracket, "]") => return Err(Refused::invalid("a range needs a duration: [5m]")),
                (_, ":") => return Err(Refused::invalid("unexpected ':'")),
                (Last::Offset, "+" | "-") => Last::OffsetSign,
                (last, _) => no_duration(last, rest)?,
            };
            out.push(token);
            token.len()
        };
        if depth > MAX_DEPTH {
            return Err(Refused::TooLarge(format!("parentheses nested more than {MAX_DEPTH} deep")));
        }
        if operators > MAX_OPERATORS {
            return Err(Refused::TooLarge(format!("more than {MAX_OPERATORS} operators")));
        }
        rest = rest.get(length..).unwrap_or("");
    }
    Ok(out)
}

fn number(out: &mut Guarded, value: f64) {
    out.numbers.push(value);
    out.push(&out.numbers.len().to_string());
}

/// The state after a token that is no duration; where one is needed, only a calculated duration can be
/// meant, which is an experimental feature.
fn no_duration(last: Last, rest: &str) -> Result<Last, Refused> {
    if last == Last::Other {
        return Ok(last);
    }
    let near: String = rest.chars().take(20).collect();
    Err(Refused::unsupported(format!(
        "a duration is expected at {near:?}; calculated durations are experimental"
    )))
}

fn duration_in_place(last: Last, value: f64) -> Result<Last, Refused> {
    let next = match last {
        Last::Bracket => Last::Range,
        Last::Colon => Last::Step,
        Last::Offset | Last::OffsetSign => Last::Other,
        Last::Other => return Ok(Last::Other),
        Last::Range | Last::Step => return Err(Refused::invalid("two durations in a row")),
    };
    if !value.is_finite() || value.abs() > MAX_SECONDS {
        return Err(Refused::invalid("duration out of range"));
    }
    if value <= 0.0 && next != Last::Other {
        return Err(Refused::invalid("duration must be greater than 0"));
    }
    Ok(next)
}

fn bad_string(rest: &str) -> Refused {
    let near: String = rest.chars().take(40).collect();
    Refused::unsupported(format!("a string that does not end, has a bad escape or is not UTF-8: {near}"))
}

fn is_operator_word(word: &str) -> bool {
    ["and", "or", "unless", "atan2"].iter().any(|operator| word.eq_ignore_ascii_case(operator))
}

fn punctuation(rest: &str) -> Option<&'static str> {
    const TOKENS: [&str; 24] = [
        "==", "=~", "=", "!=", "!~", "<=", "<", ">=", ">", "(", ")", "{", "}", "[", "]", ",", ":", "@", "+",
        "-", "*", "/", "%", "^",
    ];
    TOKENS.into_iter().find(|token| rest.starts_with(token))
}

/// A time or a step as expressions write it, in seconds: `5m` or `300`.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    parse_number(text).or_else(|| parse_duration(text)).filter(|seconds| seconds.abs() <= MAX_SECONDS)
}

/// A number with an optional sign, `Inf` and `NaN` among them.
pub(crate) fn signed_number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = match unsigned {
        _ if unsigned.eq_ignore_ascii_case("nan") => f64::NAN,
        _ if unsigned.eq_ignore_ascii_case("inf") => f64::INFINITY,
        _ => parse_number(unsigned)?,
    };
    Some(if text.starts_with('-') { -number } else { number })
}

/// Where a number or a duration ends: letters, digits, dots and underscores, and a sign behind an exponent.
fn number_end(text: &str) -> usize {
    let hex = text.len() > 1 && text.as_bytes().get(1).is_some_and(|x| matches!(x, b'x' | b'X'));
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hex;
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
            return at;
        }
        before = c;
    }
    text.len()
}

/// A number as Go reads it: decimal, hexadecimal, octal with a leading 0, underscores between digits.
fn parse_number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    let hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let digit = |at: usize| {
        bytes.get(at).is_some_and(|c| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() })
    };
    let behind = |at: usize| at > 0 && (digit(at - 1) || (hex && at == 2));
    let misplaced = |(at, byte): (usize, &u8)| *byte == b'_' && !(behind(at) && digit(at + 1));
    if bytes.iter().enumerate().any(misplaced) {
        return None;
    }
    let plain = text.replace('_', "");
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16)
            .ok()
            .filter(|_| !hex.starts_with(['+', '-']))
            .map(|value| value as f64);
    }
    let octal =
        plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    if octal && let Ok(value) = i64::from_str_radix(&plain, 8) {
        return Some(value as f64);
    }
    let decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if plain.chars().all(decimal) { plain.parse().ok() } else { None }
}

/// A duration such as `1h30m`, in seconds: units in falling order, each at most once.
fn parse_duration(text: &str) -> Option<f64> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let mut units = UNITS.into_iter();
    let mut rest = text;
    let mut sum = 0u64;
    while !rest.is_empty() {
        let (count, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(count.parse::<u64>().ok()?.checked_mul(millis)?)?;
        rest = tail;
    }
    Some(sum as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        let cases = [
            ("1", 1.0),
            ("1_000", 1000.0),
            ("0x1F", 31.0),
            ("017", 15.0),
            ("089", 89.0),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("2.", 2.0),
            ("1e-3", 0.001),
            ("0", 0.0),
            ("1_000.5", 1000.5),
            ("0x_ff", 255.0),
            ("1e300", 1e300),
        ];
        for (text, value) in cases {
            assert_eq!(parse_number(text), Some(value), "{text}");
        }
        for bad in ["1_", "1__0", "_1", "1._5", "0x", "1e", "1.2.3", "5m", "0b1"] {
            assert_eq!(parse_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_have_falling_units() {
        let cases = [
            ("5m", 300.0),
            ("1h30m", 5400.0),
            ("1m40s", 100.0),
            ("250ms", 0.25),
            ("0s", 0.0),
            ("1y", 31_536_000.0),
            ("1s1ms", 1.001),
        ];
        for (text, value) in cases {
            assert_eq!(parse_duration(text), Some(value), "{text}");
        }
        for bad in ["5", "m", "1m1h", "1m1m", "5x", "1.5h", "99999999999999999999s", "99999999999999999y"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn strings_and_numbers_become_placeholders() {
        let guarded = guard("foo{a=`x\"y`, \"b c\"=~'.+'}[5m] offset -1_000 # note").unwrap();
        assert_eq!(guarded.text, r#"foo { a = "$0" , "$1" =~ "$2" } [ 1 ] offset - 2"#);
        assert_eq!(guarded.strings, ["x\"y", "b c", ".+"]);
        assert_eq!(guarded.number(1.0), Some(300.0));
        assert_eq!(guarded.number(2.0), Some(1000.0));
        assert_eq!(guarded.number(3.0), None);
    }
}
