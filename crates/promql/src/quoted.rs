//! Quoted strings as PromQL writes them, with Go's escapes.

/// Reads the quoted string at the start of a text. Returns its value and its length with the quotes;
/// nothing when it does not end, holds an escape that Go does not know, or is not UTF-8 (`"\xff"`).
pub(crate) fn unquote_prefix(text: &str) -> Option<(String, usize)> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\'' | '`'))?;
    if quote == '`' {
        let inner = text.get(1..)?;
        let end = inner.find('`')?;
        return Some((inner.get(..end)?.replace('\r', ""), end + 2));
    }
    let mut bytes = Vec::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((String::from_utf8(bytes).ok()?, at + 1));
        }
        if c == '\n' {
            return None;
        }
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let (_, escape) = chars.next()?;
        let mut code = |radix: u32, digits: usize, first: Option<char>| {
            let mut code = first.map_or(Some(0), |c| c.to_digit(radix))?;
            for _ in 0..digits {
                code = code.checked_mul(radix)?.checked_add(chars.next()?.1.to_digit(radix)?)?;
            }
            Some(code)
        };
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            'x' => bytes.push(u8::try_from(code(16, 2, None)?).ok()?),
            '0'..='7' => bytes.push(u8::try_from(code(8, 2, Some(escape))?).ok()?),
            'u' => push_char(&mut bytes, code(16, 4, None)?)?,
            'U' => push_char(&mut bytes, code(16, 8, None)?)?,
            other if other == quote => bytes.push(other as u8),
            _ => return None,
        }
    }
    None
}

fn push_char(bytes: &mut Vec<u8>, code: u32) -> Option<()> {
    let c = char::from_u32(code)?;
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::unquote_prefix;

    #[test]
    fn quotes_and_escapes_are_those_of_go() {
        let cases = [
            (r#""a\"b\\\n\t""#, "a\"b\\\n\t"),
            (r#"'it\'s "so"'"#, "it's \"so\""),
            (r"`raw \n`", r"raw \n"),
            (r#""\x41\101A\U00000041""#, "AAAA"),
            (r#""日""#, "日"),
            (r#""\xe6\x97\xa5""#, "日"),
        ];
        for (text, value) in cases {
            assert_eq!(
                unquote_prefix(&format!("{text} rest")),
                Some((value.to_owned(), text.len())),
                "{text}"
            );
        }
    }

    #[test]
    fn what_does_not_end_or_escapes_wrongly_is_no_string() {
        for bad in [
            r#"""#,
            r#""\""#,
            r#""\q""#,
            r#""\'""#,
            r"'\uD800'",
            r#""\x4""#,
            "\"a\nb\"",
            "`a",
            "a",
            r#""\777""#,
            r#""\xff""#,
        ] {
            assert_eq!(unquote_prefix(bad), None, "{bad}");
        }
    }
}
