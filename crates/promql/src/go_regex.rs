//! Regular expressions as Go's `regexp` reads them, for the `regex` crate.
//!
//! The two share most of their syntax, but not all of what it means: Go's `\d`, `\w`, `\s` and `\b` are
//! about ASCII only; a bracket within a class is itself; a brace that is no repetition is itself; an
//! escaped sign is itself. So a pattern is rewritten before it is compiled, and what Go would not accept
//! is refused.

use regex::{Regex, RegexBuilder};

/// The most memory that a compiled regular expression may take, in bytes.
const SIZE: usize = 1 << 20;
/// The deepest nesting of groups.
const DEPTH: u32 = 50;
/// Go's own limit on repetitions.
const MAX_REPEAT: u32 = 1000;

/// Compiles a pattern anchored at both ends, `.` matching line ends, as label matchers are; nothing if Go
/// would not accept it, or if it is too large.
pub(crate) fn anchored(pattern: &str) -> Option<Regex> {
    let rewritten = Rewriting { rest: pattern, out: String::with_capacity(pattern.len() + 16) }.run()?;
    let mut builder = RegexBuilder::new(&format!("^(?s:{rewritten})$"));
    builder.size_limit(SIZE).dfa_size_limit(SIZE).nest_limit(DEPTH).build().ok()
}

struct Rewriting<'p> {
    rest: &'p str,
    out: String,
}

impl Rewriting<'_> {
    fn run(mut self) -> Option<String> {
        // Whether what came last may be repeated: Go refuses a repetition of a repetition.
        let mut repeated = false;
        while let Some(c) = self.take() {
            let repeats = matches!(c, '*' | '+' | '?') || (c == '{' && repetition(self.rest).is_some());
            if repeats && repeated {
                return None;
            }
            match c {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => match repetition(self.rest) {
                    Some((length, most)) => {
                        if most > MAX_REPEAT {
                            return None;
                        }
                        let (counts, rest) = self.rest.split_at_checked(length)?;
                        self.out.push('{');
                        self.out.push_str(counts);
                        self.rest = rest;
                    }
                    None => self.out.push_str(r"\{"),
                },
                '}' | ']' => self.literal(c),
                _ => self.out.push(c),
            }
            if repeats && self.rest.starts_with('?') {
                self.take();
                self.out.push('?');
            }
            repeated = repeats;
        }
        Some(self.out)
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..)?;
        Some(c)
    }

    fn skip(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }

    /// After a backslash.
    fn escape(&mut self, in_class: bool) -> Option<()> {
        let c = self.take()?;
        let perl = match c {
            'd' => Some(("0-9", false)),
            'D' => Some(("0-9", true)),
            'w' => Some(("0-9A-Za-z_", false)),
            'W' => Some(("0-9A-Za-z_", true)),
            's' => Some((r"\t\n\f\r ", false)),
            'S' => Some((r"\t\n\f\r ", true)),
            _ => None,
        };
        match (c, perl) {
            (_, Some((members, negated))) => {
                let sign = if negated { "^" } else { "" };
                self.out.push_str(&format!("[{sign}{members}]"));
            }
            ('a' | 'f' | 'n' | 'r' | 't' | 'v', _) => {
                self.out.push('\\');
                self.out.push(c);
            }
            ('A' | 'z', _) if !in_class => {
                self.out.push('\\');
                self.out.push(c);
            }
            ('b' | 'B', _) if !in_class => self.out.push_str(&format!(r"(?-u:\{c})")),
            ('Q', _) if !in_class => {
                let (quoted, rest) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                for c in quoted.chars() {
                    self.literal(c);
                }
            }
            ('p' | 'P', _) => {
                let name = self.property()?;
                self.out.push_str(&format!("\\{c}{{{name}}}"));
            }
            ('x', _) => {
                let digits = match self.skip("{") {
                    true => {
                        let (digits, rest) = self.rest.split_once('}')?;
                        self.rest = rest;
                        digits
                    }
                    false => {
                        let (digits, rest) = self.rest.split_at_checked(2)?;
                        self.rest = rest;
                        digits
                    }
                };
                let plain = digits.chars().all(|c| c.is_ascii_hexdigit());
                let code = u32::from_str_radix(digits, 16).ok().filter(|_| plain)?;
                self.literal(char::from_u32(code)?);
            }
            ('0'..='7', _) => {
                // A single digit but 0 would be a reference back.
                let octal = |c: &char| c.is_digit(8);
                if c != '0' && !self.rest.chars().next().as_ref().is_some_and(octal) {
                    return None;
                }
                let mut code = c.to_digit(8)?;
                for _ in 0..2 {
                    if let Some(digit) = self.rest.chars().next().filter(octal) {
                        self.take();
                        code = code * 8 + digit.to_digit(8)?;
                    }
                }
                self.literal(char::from_u32(code)?);
            }
            _ if c.is_ascii_punctuation() => self.literal(c),
            _ => return None,
        }
        Some(())
    }

    /// The name of a Unicode class, as in `\pL` and `\p{Greek}`.
    fn property(&mut self) -> Option<String> {
        if !self.skip("{") {
            return self.take().filter(char::is_ascii_alphabetic).map(String::from);
        }
        let (name, rest) = self.rest.split_once('}')?;
        self.rest = rest;
        let letters = name.strip_prefix('^').unwrap_or(name);
        let plain = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
        plain.then(|| name.to_owned())
    }

    /// After an opening bracket.
    fn class(&mut self) -> Option<()> {
        self.out.push('[');
        if self.skip("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let c = self.take()?;
            match c {
                ']' if !first => break,
                '[' if self.rest.starts_with(':') => {
                    let (name, rest) = self.rest.get(1..)?.split_once(":]")?;
                    self.rest = rest;
                    self.out.push_str(&format!("[:{name}:]"));
                }
                '\\' => self.escape(true)?,
                '-' if first => self.out.push_str(r"\-"),
                '-' => self.out.push('-'),
                _ if c.is_ascii_punctuation() => self.literal(c),
                _ => self.out.push(c),
            }
            // Two signs of minus would be a difference of classes here.
            if c == '-' && !first && self.rest.starts_with('-') {
                self.take();
                self.out.push_str(r"\-");
            }
            first = false;
        }
        self.out.push(']');
        Some(())
    }

    /// After an opening parenthesis: of the flags, those that Go knows.
    fn group(&mut self) -> Option<()> {
        self.out.push('(');
        if !self.skip("?") {
            return Some(());
        }
        self.out.push('?');
        let (head, _) = self.rest.split_at(self.rest.find([':', ')', '<'])?);
        match head {
            "" | "P" => {}
            flags if flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 's' | 'U' | '-')) => {}
            _ => return None,
        }
        Some(())
    }
}

/// How long a repetition is that stands at the start, after its opening brace, and its largest count.
fn repetition(rest: &str) -> Option<(usize, u32)> {
    let end = rest.find('}')?;
    let (least, most) = match rest.get(..end)?.split_once(',') {
        Some((least, most)) => (least, most),
        None => (rest.get(..end)?, ""),
    };
    let count = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u32>().ok().or(Some(u32::MAX)),
        false => None,
    };
    let least = if least.is_empty() { return None } else { count(least)? };
    let most = if most.is_empty() { least } else { count(most)? };
    Some((end + 1, least.max(most)))
}

#[cfg(test)]
mod tests {
    use super::anchored;

    fn matches(pattern: &str, text: &str) -> bool {
        anchored(pattern).unwrap_or_else(|| panic!("{pattern} is refused")).is_match(text)
    }

    #[test]
    fn patterns_are_anchored_and_dots_match_line_ends() {
        assert!(matches("a|b", "b") && !matches("a|b", "ab"));
        assert!(matches("a.c", "a\nc"));
        assert!(matches("", "") && !matches("", "a"));
        assert!(matches("(?i:PRO).*", "production") && matches("((?i)PRO).*", "production"));
    }

    #[test]
    fn perl_classes_are_ascii() {
        assert!(matches(r"\d+", "12") && !matches(r"\d", "٣"));
        assert!(matches(r"\w+", "a_1") && !matches(r"\w", "é") && matches(r"\W", "é"));
        assert!(matches(r"[\d.]+", "1.2") && matches(r"[^\s]+", "ab") && !matches(r"[\D]", "1"));
        assert!(!matches(r"\s", "\u{b}") && matches(r"[\S\n]", "\n"));
    }

    #[test]
    fn brackets_braces_and_signs_are_themselves() {
        assert!(matches("[[a]+", "[a[") && matches("[]a]", "]") && matches("[a&&b]+", "&&ab"));
        assert!(matches("[+--]+", "+,-") && matches("[--/]+", "-./") && matches("[a-z-]+", "b-"));
        assert!(matches("[~~#]+", "~#") && matches(r"[\]\-]+", "-]"));
        assert!(matches("a{bbb}c", "a{bbb}c") && matches("a{,2}", "a{,2}") && matches("a{2}", "aa"));
        assert!(matches(r"\<a\>", "<a>") && matches(r"\Qa.b\E+", "a.bb") && !matches(r"\Qa.b\E", "axb"));
        assert!(matches(r"\x41\101\x{42}\.", "AAB."));
        assert!(matches("[[:alpha:]]+", "ab") && matches(r"\pL\p{Greek}", "aα"));
        assert!(matches("a}]", "a}]"));
    }

    #[test]
    fn what_go_refuses_is_refused() {
        let bad = [
            "(", "a**", "a{1001}", r"\1", r"\C", "(?x)a", "(?=a)", r"\Z", r"\e", "[b-a]", "*a", "(?u:a)",
            r"\p{L1}", "a{2}{3}", r"\é", "[",
        ];
        for pattern in bad {
            assert!(anchored(pattern).is_none(), "{pattern}");
        }
        assert!(
            anchored("a*?").is_some() && anchored("(a*)*").is_some() && anchored("(?P<n>a)(?:b)").is_some()
        );
    }
}
