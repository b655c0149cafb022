//! The functions of Prometheus's templates, and those of Go that come with them.

use std::{collections::BTreeMap, rc::Rc};

use daemon::Timestamp;

use super::{Data, gofmt, run::Value};

/// A function, how many arguments it takes, and what it does.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    least: usize,
    most: usize,
    pub(super) run: fn(&[Value], &Data<'_>) -> Result<Value, String>,
}

impl Function {
    pub(super) fn check(&self, arguments: usize) -> Result<(), String> {
        if arguments < self.least || arguments > self.most {
            return Err(format!("wrong number of arguments for {}: {arguments}", self.name));
        }
        Ok(())
    }
}

const ANY: usize = usize::MAX;

macro_rules! functions {
    ($($name:literal $least:expr, $most:expr => $run:expr;)*) => {
        const FUNCTIONS: &[Function] = &[$(Function { name: $name, least: $least, most: $most, run: $run }),*];
    };
}

functions! {
    "humanize" 1, 1 => |a, _| Ok(Value::Text(humanize(number(&a[0])?)));
    "humanize1024" 1, 1 => |a, _| Ok(Value::Text(humanize1024(number(&a[0])?)));
    "humanizeDuration" 1, 1 => |a, _| Ok(Value::Text(humanize_duration(number(&a[0])?)));
    "humanizePercentage" 1, 1 => |a, _| Ok(Value::Text(format!("{}%", gofmt::general(number(&a[0])? * 100.0, Some(4)))));
    "humanizeTimestamp" 1, 1 => |a, _| humanize_timestamp(number(&a[0])?);
    "toTime" 1, 1 => |a, _| to_time(number(&a[0])?).map(Value::Time);
    "toDuration" 1, 1 => |a, _| to_duration(number(&a[0])?).map(Value::Duration);
    "parseDuration" 1, 1 => |a, _| parse_duration(&text(&a[0])?).map(Value::Float);
    "title" 1, 1 => |a, _| Ok(Value::Text(title(&text(&a[0])?)));
    "toUpper" 1, 1 => |a, _| Ok(Value::Text(text(&a[0])?.to_uppercase()));
    "toLower" 1, 1 => |a, _| Ok(Value::Text(text(&a[0])?.to_lowercase()));
    "match" 2, 2 => |a, _| Ok(Value::Bool(regex(&text(&a[0])?)?.is_match(&text(&a[1])?)));
    "reReplaceAll" 3, 3 => |a, _| {
        let replacement = text(&a[1])?;
        Ok(Value::Text(regex(&text(&a[0])?)?.replace_all(&text(&a[2])?, &*replacement).into_owned()))
    };
    "stripPort" 1, 1 => |a, _| Ok(Value::Text(strip_port(&text(&a[0])?)));
    "stripDomain" 1, 1 => |a, _| Ok(Value::Text(strip_domain(&text(&a[0])?)));
    "externalURL" 0, 0 => |_, data| Ok(Value::Text(data.external_url.to_owned()));
    "pathPrefix" 0, 0 => |_, data| Ok(Value::Text(path_prefix(data.external_url)));
    "graphLink" 1, 1 => |a, _| Ok(Value::Text(link(&text(&a[0])?, 0)));
    "tableLink" 1, 1 => |a, _| Ok(Value::Text(link(&text(&a[0])?, 1)));
    "safeHtml" 1, 1 => |a, _| text(&a[0]).map(Value::Text);
    "args" 0, ANY => |a, _| {
        let named = a.iter().enumerate().map(|(n, value)| (format!("arg{n}"), value.clone()));
        Ok(Value::Map(Rc::new(named.collect::<BTreeMap<_, _>>())))
    };
    // Run by `Run::command`, which evaluates only as many of their arguments as it must.
    "and" 1, ANY => |a, _| Ok(a.iter().find(|v| !v.truth()).or(a.last()).cloned().unwrap_or(Value::Nil));
    "or" 1, ANY => |a, _| Ok(a.iter().find(|v| v.truth()).or(a.last()).cloned().unwrap_or(Value::Nil));
    "not" 1, 1 => |a, _| Ok(Value::Bool(!a[0].truth()));
    "eq" 2, ANY => |a, _| {
        for other in &a[1..] {
            if order(&a[0], other, true)? == Some(std::cmp::Ordering::Equal) {
                return Ok(Value::Bool(true));
            }
        }
        Ok(Value::Bool(false))
    };
    "ne" 2, 2 => |a, _| Ok(Value::Bool(order(&a[0], &a[1], true)? != Some(std::cmp::Ordering::Equal)));
    "lt" 2, 2 => |a, _| Ok(Value::Bool(order(&a[0], &a[1], false)?.is_some_and(|o| o.is_lt())));
    "le" 2, 2 => |a, _| Ok(Value::Bool(order(&a[0], &a[1], false)?.is_some_and(|o| o.is_le())));
    // As in Go the opposites of `le` and `lt`, which matters for NaN.
    "gt" 2, 2 => |a, _| Ok(Value::Bool(!order(&a[0], &a[1], false)?.is_some_and(|o| o.is_le())));
    "ge" 2, 2 => |a, _| Ok(Value::Bool(!order(&a[0], &a[1], false)?.is_some_and(|o| o.is_lt())));
    "len" 1, 1 => |a, _| match &a[0] {
        Value::Text(text) => Ok(Value::Int(text.len() as i64)),
        Value::Map(map) => Ok(Value::Int(map.len() as i64)),
        other => Err(format!("len of type {}", other.kind())),
    };
    "index" 1, ANY => |a, _| {
        let mut value = a[0].clone();
        for key in &a[1..] {
            value = match (&value, key) {
                (Value::Map(map), Value::Text(key)) => map.get(key).cloned().unwrap_or_else(|| Value::Text(String::new())),
                (value, key) => return Err(format!("cannot index {} with {}", value.kind(), key.kind())),
            };
        }
        Ok(value)
    };
    "print" 0, ANY => |a, _| Ok(Value::Text(print(a, false)));
    "println" 0, ANY => |a, _| Ok(Value::Text(print(a, true)));
    "printf" 1, ANY => |a, _| super::printf::printf(&text(&a[0])?, &a[1..]).map(Value::Text);
}

/// The function of that name.
pub(super) fn find(name: &str) -> Result<&'static Function, String> {
    if let Some(function) = FUNCTIONS.iter().find(|function| function.name == name) {
        return Ok(function);
    }
    Err(match name {
        "query" | "first" | "label" | "value" | "sortByLabel" | "strvalue" => {
            format!(
                "`{name}` is not supported: put what is asked for into the rule's expression or its labels"
            )
        }
        "now" => "`now` is not supported: it would change the annotations at every evaluation".to_owned(),
        "tmpl" | "html" | "js" | "urlquery" | "call" | "slice" => format!("`{name}` is not supported"),
        _ => format!("function {name:?} not defined"),
    })
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Duration(nanos) => Ok(*nanos as f64 / 1e9),
        Value::Text(text) => {
            let plain =
                !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b));
            let parsed = text.parse().ok().filter(|_| plain);
            parsed
                .ok_or_else(|| format!("strconv.ParseFloat: parsing {}: invalid syntax", gofmt::quote(text)))
        }
        other => Err(format!("can't convert {} to float", other.kind())),
    }
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(format!("wrong type for value; expected string; got {}", other.kind())),
    }
}

fn regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|_| format!("invalid regular expression {pattern:?}"))
}

fn humanize(mut v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return gofmt::general(v, Some(4));
    }
    let mut prefix = "";
    if v.abs() >= 1.0 {
        for p in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if v.abs() < 1000.0 {
                break;
            }
            prefix = p;
            v /= 1000.0;
        }
    } else {
        (v, prefix) = small(v);
    }
    format!("{}{prefix}", gofmt::general(v, Some(4)))
}

fn small(mut v: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for p in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = p;
        v *= 1000.0;
    }
    (v, prefix)
}

fn humanize1024(mut v: f64) -> String {
    let mut prefix = "";
    if v.abs() > 1.0 && v.is_finite() {
        for p in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
            if v.abs() < 1024.0 {
                break;
            }
            prefix = p;
            v /= 1024.0;
        }
    }
    format!("{}{prefix}", gofmt::general(v, Some(4)))
}

fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return gofmt::general(v, Some(4));
    }
    if v == 0.0 {
        return "0s".to_owned();
    }
    if v.abs() < 1.0 {
        let (v, prefix) = small(v);
        return format!("{}{prefix}s", gofmt::general(v, Some(4)));
    }
    let sign = if v < 0.0 { "-" } else { "" };
    let v = v.abs();
    let whole = v as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", gofmt::general(v, Some(4)))
    }
}

fn to_time(v: f64) -> Result<i64, String> {
    let nanos = v * 1e9;
    if v.is_nan() || v.is_infinite() {
        return Err("value is NaN or Inf".to_owned());
    }
    if nanos.abs() >= i64::MAX as f64 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            gofmt::float(nanos)
        ));
    }
    Ok((nanos as i64).div_euclid(1_000_000))
}

fn to_duration(v: f64) -> Result<i64, String> {
    let nanos = v * 1e9;
    if !v.is_finite() || nanos.abs() >= i64::MAX as f64 {
        return Err("value is not a duration".to_owned());
    }
    Ok(nanos as i64)
}

fn humanize_timestamp(v: f64) -> Result<Value, String> {
    if !v.is_finite() {
        return Ok(Value::Text(gofmt::general(v, Some(4))));
    }
    to_time(v).map(|at| Value::Text(time(at)))
}

/// `2006-01-02 15:04:05.999 +0000 UTC`, as Go prints a time.
pub(super) fn time(at: i64) -> String {
    let Ok(time) = Timestamp::from_millisecond(at) else { return at.to_string() };
    let seconds = time.strftime("%Y-%m-%d %H:%M:%S");
    let millis = match at.rem_euclid(1000) {
        0 => String::new(),
        millis => format!(".{millis:03}").trim_end_matches('0').to_owned(),
    };
    format!("{seconds}{millis} +0000 UTC")
}

/// `1h2m3.5s`, as Go prints a duration.
pub(super) fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let rest = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        match rest.trim_end_matches('0') {
            "" => format!("{}", value / unit),
            digits => format!("{}.{digits}", value / unit),
        }
    };
    match total {
        0 => return "0s".to_owned(),
        1..1000 => return format!("{sign}{total}ns"),
        1000..1_000_000 => return format!("{sign}{}µs", fraction(total, 1000)),
        1_000_000..1_000_000_000 => return format!("{sign}{}ms", fraction(total, 1_000_000)),
        _ => {}
    }
    let minutes = total / 60_000_000_000;
    let seconds = fraction(total % 60_000_000_000, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn parse_duration(text: &str) -> Result<f64, String> {
    daemon::config::parse_duration(text)
        .map(|duration| duration.as_secs_f64())
        .map_err(|error| error.to_string())
}

fn title(text: &str) -> String {
    let mut previous = ' ';
    text.chars()
        .map(|c| {
            let begins = !(previous.is_alphanumeric()
                || previous == '_'
                || (previous != ' ' && !previous.is_whitespace() && !previous.is_ascii_punctuation()));
            previous = c;
            if begins { c.to_uppercase().to_string() } else { c.to_string() }
        })
        .collect()
}

fn strip_port(address: &str) -> String {
    // Go's `net.SplitHostPort`; what it cannot split stays as it is.
    let Some((host, _)) = address.rsplit_once(':') else { return address.to_owned() };
    match host.strip_prefix('[') {
        Some(inner) => {
            inner.strip_suffix(']').filter(|i| !i.contains(['[', ']'])).unwrap_or(address).to_owned()
        }
        None if host.contains([':', '[', ']']) => address.to_owned(),
        None => host.to_owned(),
    }
}

fn strip_domain(address: &str) -> String {
    let host = strip_port(address);
    let (bare, port) = if host == address {
        (address, None)
    } else {
        (&*host, address.rsplit_once(':').map(|(_, port)| port))
    };
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return address.to_owned();
    }
    let first = bare.split('.').next().unwrap_or(bare);
    match port {
        Some(port) => format!("{first}:{port}"),
        None => first.to_owned(),
    }
}

fn path_prefix(url: &str) -> String {
    url::Url::parse(url).map_or_else(|_| String::new(), |url| url.path().trim_end_matches('/').to_owned())
}

fn link(expression: &str, tab: u8) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
    format!("/graph?g0.expr={escaped}&g0.tab={tab}")
}

/// Whether and how two values compare. Kinds that differ cannot, as in Go.
fn order(a: &Value, b: &Value, equality: bool) -> Result<Option<std::cmp::Ordering>, String> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Bool(a), Value::Bool(b)) if equality => Ok(Some(a.cmp(b))),
        (Value::Nil, Value::Nil) if equality => Ok(Some(std::cmp::Ordering::Equal)),
        (Value::Nil, _) | (_, Value::Nil) if equality => Ok(None),
        (Value::Map(_) | Value::Root | Value::Time(_), _) => Err("invalid type for comparison".to_owned()),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

/// As Go's `Sprint` and `Sprintln`: the first puts a space between operands when neither is a string.
fn print(values: &[Value], line: bool) -> String {
    let mut output = String::new();
    let mut before: Option<&Value> = None;
    for value in values {
        if let Some(before) = before
            && (line || !matches!((before, value), (Value::Text(_), _) | (_, Value::Text(_))))
        {
            output.push(' ');
        }
        output.push_str(&match value {
            Value::Nil => "<nil>".to_owned(),
            value => value.print(),
        });
        before = Some(value);
    }
    if line {
        output.push('\n');
    }
    output
}
