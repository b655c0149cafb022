//! Go's `printf` over the values of a template.

use super::{gofmt, run::Value};

/// Wider fields than any message has are not filled.
const MAX_WIDTH: usize = 1000;

#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

pub(super) fn printf(format: &str, arguments: &[Value]) -> Result<String, String> {
    let mut output = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            output.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                _ => spec.zero = true,
            }
        }
        spec.width = digits(&mut chars)?;
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(digits(&mut chars)?.unwrap_or(0));
        }
        let Some(verb) = chars.next() else {
            output.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            output.push('%');
            continue;
        }
        if matches!(verb, '*' | '[') {
            return Err(format!("%{verb} is not supported in printf"));
        }
        let Some(argument) = arguments.get(next) else {
            output.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        next += 1;
        // With `v` a plus sign means more of the same, which no value here has.
        spec.plus &= verb != 'v';
        output.push_str(&one(verb, &spec, argument));
    }
    if next < arguments.len() {
        let extra: Vec<_> =
            arguments[next..].iter().map(|value| format!("{}={}", value.kind(), value.print())).collect();
        output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(output)
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<usize>, String> {
    let mut text = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    if text.is_empty() {
        return Ok(None);
    }
    let value = text.parse().ok().filter(|value| *value <= MAX_WIDTH);
    value.map(Some).ok_or_else(|| format!("a width or precision over {MAX_WIDTH} in printf"))
}

fn one(verb: char, spec: &Spec, value: &Value) -> String {
    let (body, numeric) = match (verb, value) {
        ('v', Value::Float(v)) => (float('g', spec, *v), true),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(v)) => (float(verb, spec, *v), true),
        ('v' | 'd', Value::Int(v)) => (integer(spec, *v, 10, false), true),
        ('x', Value::Int(v)) => (integer(spec, *v, 16, false), true),
        ('X', Value::Int(v)) => (integer(spec, *v, 16, true), true),
        ('o', Value::Int(v)) => (integer(spec, *v, 8, false), true),
        ('b', Value::Int(v)) => (integer(spec, *v, 2, false), true),
        ('c', Value::Int(v)) => {
            let c = u32::try_from(*v).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
            (c.to_string(), false)
        }
        ('s' | 'v', Value::Text(text)) => (cut(text, spec.precision), false),
        ('q', Value::Text(text)) => (gofmt::quote(&cut(text, spec.precision)), false),
        ('x', Value::Text(text)) => (text.bytes().map(|b| format!("{b:02x}")).collect(), false),
        ('X', Value::Text(text)) => (text.bytes().map(|b| format!("{b:02X}")).collect(), false),
        ('t' | 'v', Value::Bool(v)) => (v.to_string(), false),
        ('s' | 'v', Value::Time(_) | Value::Duration(_) | Value::Map(_) | Value::Root) => {
            (value.print(), false)
        }
        ('v', Value::Nil) => ("<nil>".to_owned(), false),
        (verb, Value::Nil) => (format!("%!{verb}(<nil>)"), false),
        (verb, value) => return format!("%!{verb}({}={})", value.kind(), value.print()),
    };
    pad(spec, body, numeric)
}

fn cut(text: &str, precision: Option<usize>) -> String {
    match precision {
        Some(limit) => text.chars().take(limit).collect(),
        None => text.to_owned(),
    }
}

fn float(verb: char, spec: &Spec, value: f64) -> String {
    let text = match verb {
        'e' | 'E' => gofmt::exponent(value, spec.precision.unwrap_or(6)),
        'f' | 'F' => gofmt::fixed(value, spec.precision.unwrap_or(6)),
        _ => gofmt::general(value, spec.precision),
    };
    let text = if verb.is_ascii_uppercase() && value.is_finite() { text.to_uppercase() } else { text };
    signed(spec, &text)
}

fn integer(spec: &Spec, value: i64, radix: u32, upper: bool) -> String {
    let magnitude = value.unsigned_abs();
    let digits = match radix {
        16 if upper => format!("{magnitude:X}"),
        16 => format!("{magnitude:x}"),
        8 => format!("{magnitude:o}"),
        2 => format!("{magnitude:b}"),
        _ => magnitude.to_string(),
    };
    let digits = match spec.precision {
        Some(least) => format!("{digits:0>least$}"),
        None => digits,
    };
    let prefix = match (spec.sharp, radix, upper) {
        (true, 16, false) => "0x",
        (true, 16, true) => "0X",
        (true, 8, _) => "0",
        _ => "",
    };
    let sign = if value < 0 { "-" } else { "" };
    signed(spec, &format!("{sign}{prefix}{digits}"))
}

fn signed(spec: &Spec, text: &str) -> String {
    match text {
        text if text.starts_with('-') => text.to_owned(),
        // Go prints the sign of an infinity only where a sign is asked for or needed, but always in `%v`.
        text if text.starts_with('+') || text == "NaN" => text.to_owned(),
        text if spec.plus => format!("+{text}"),
        text if spec.space => format!(" {text}"),
        text => text.to_owned(),
    }
}

fn pad(spec: &Spec, body: String, numeric: bool) -> String {
    let Some(width) = spec.width else { return body };
    let missing = width.saturating_sub(body.chars().count());
    if missing == 0 {
        return body;
    }
    if spec.minus {
        return body + &" ".repeat(missing);
    }
    let digits = body.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit());
    if spec.zero && (!numeric || digits) {
        let zeros = "0".repeat(missing);
        return match body.strip_prefix(['+', '-', ' ']) {
            Some(rest) if numeric => format!("{}{zeros}{rest}", &body[..1]),
            _ => zeros + &body,
        };
    }
    " ".repeat(missing) + &body
}
