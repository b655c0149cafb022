//! Basiq's filters: `property.condition('value')`, several joined by commas, all of which must hold.

use crate::errors::ApiError;

/// One statement of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) property: String,
    pub(crate) condition: Condition,
    pub(crate) values: Vec<String>,
}

/// How a property is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Eq,
    Ne,
    In,
    Gt,
    Gteq,
    Lt,
    Lteq,
    Between,
}

impl Statement {
    /// Whether a value fits, compared as text (dates in one format compare as text, too).
    pub(crate) fn fits(&self, actual: &str) -> bool {
        let first = self.values.first().map_or("", String::as_str);
        match self.condition {
            Condition::Eq => actual == first,
            Condition::Ne => actual != first,
            Condition::In => self.values.iter().any(|value| value == actual),
            Condition::Gt => actual > first,
            Condition::Gteq => actual >= first,
            Condition::Lt => actual < first,
            Condition::Lteq => actual <= first,
            Condition::Between => {
                actual >= first && self.values.get(1).is_some_and(|last| actual <= last.as_str())
            }
        }
    }
}

/// Reads a filter in which only `known` properties may occur.
///
/// # Errors
/// Basiq's 400 for a filter it cannot read.
pub(crate) fn parse(text: Option<&str>, known: &[&str]) -> Result<Vec<Statement>, ApiError> {
    let text = text.unwrap_or_default().trim();
    let bad = || {
        ApiError::bad(
            "parameter-not-valid",
            "The provided filter parameter is in invalid format or unsupported",
            "filter",
        )
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut statements = Vec::new();
    let mut rest = text;
    loop {
        let (head, arguments) = rest.split_once('(').ok_or_else(bad)?;
        let (inside, after) = arguments.split_once(')').ok_or_else(bad)?;
        let (property, condition) = head.trim().rsplit_once('.').ok_or_else(bad)?;
        let condition = match condition {
            "eq" => Condition::Eq,
            "ne" => Condition::Ne,
            "in" => Condition::In,
            "gt" => Condition::Gt,
            "gteq" => Condition::Gteq,
            "lt" => Condition::Lt,
            "lteq" => Condition::Lteq,
            "bt" => Condition::Between,
            _ => return Err(bad()),
        };
        if !known.contains(&property) {
            return Err(bad());
        }
        let values =
            inside.split(',').map(|value| value.trim().trim_matches(['\'', '"']).to_owned()).collect();
        statements.push(Statement { property: property.to_owned(), condition, values });
        match after.trim().strip_prefix(',') {
            Some(more) => rest = more,
            None if after.trim().is_empty() => return Ok(statements),
            None => return Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_basiq_documents_them() {
        let known = ["connector.stage", "connector.institution.tier"];
        let read =
            parse(Some("connector.stage.eq('live'),connector.institution.tier.in('1','2')"), &known).unwrap();
        assert!(read[0].fits("live") && !read[0].fits("beta"));
        assert!(read[1].fits("2") && !read[1].fits("3"));
        assert!(parse(None, &known).unwrap().is_empty());
        for bad in [
            "x",
            "connector.stage.eq('live'",
            "connector.stage.like('a')",
            "user.id.eq('a')",
            "connector.stage.eq('a') x",
        ] {
            assert!(parse(Some(bad), &known).is_err(), "{bad}");
        }
    }
}
