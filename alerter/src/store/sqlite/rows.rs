//! Statements that take many rows, whose text is made once.

use std::sync::{Arc, OnceLock};

use sqlx::{Arguments as _, AssertSqlSafe, Encode, Sqlite as Dialect, Type, sqlite::SqliteArguments};

use super::write::Tx;
use crate::store::StoreError;

/// Rows a statement, at most: beyond this nothing is gained, and SQLite bounds the number of parameters.
const ROWS: usize = 128;

/// Splits rows into pieces of 128, 64, 32, … rows, so that there are few statements, which stay prepared.
pub(super) fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = rows.len().checked_ilog2().map(|log| (1 << log).min(ROWS))?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

/// `head (?, ?), (?, ?), … tail`: a statement for any number of rows.
pub(super) struct Rows {
    head: &'static str,
    columns: usize,
    tail: &'static str,
    /// By the logarithm of the number of rows.
    texts: [OnceLock<Arc<str>>; ROWS.ilog2() as usize + 1],
}

/// The values of rows, in the order of the columns.
#[derive(Default)]
pub(super) struct Values {
    arguments: SqliteArguments,
    failed: Option<sqlx::Error>,
}

impl Values {
    /// A text, which is copied once.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.put(Arc::<str>::from(text))
    }

    /// A text or nothing.
    pub(super) fn maybe(&mut self, text: Option<&str>) -> &mut Self {
        self.put(text.map(Arc::<str>::from))
    }

    pub(super) fn put<'t, T: Encode<'t, Dialect> + Type<Dialect>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.failed = Some(sqlx::Error::Encode(error));
        }
        self
    }
}

impl Rows {
    pub(super) const fn new(head: &'static str, columns: usize, tail: &'static str) -> Self {
        Self { head, columns, tail, texts: [const { OnceLock::new() }; ROWS.ilog2() as usize + 1] }
    }

    /// Writes each of `rows`, with the values that `values` gives of it.
    pub(super) async fn write<T>(
        &self,
        tx: &mut Tx,
        rows: &[T],
        values: impl Fn(&mut Values, &T),
    ) -> Result<(), StoreError> {
        for rows in pieces(rows) {
            let (text, bound) = self.of(rows, &values)?;
            sqlx::query_with(AssertSqlSafe(text), bound).execute(&mut **tx).await?;
        }
        Ok(())
    }

    /// The text for these rows, made of constants, and their values.
    pub(super) fn of<T>(
        &self,
        rows: &[T],
        values: impl Fn(&mut Values, &T),
    ) -> Result<(Arc<str>, SqliteArguments), StoreError> {
        let mut bound = Values::default();
        bound.arguments.reserve(rows.len() * self.columns, 0);
        for row in rows {
            values(&mut bound, row);
        }
        match bound.failed {
            Some(error) => Err(error.into()),
            None => Ok((self.text(rows.len()), bound.arguments)),
        }
    }

    pub(super) fn text(&self, rows: usize) -> Arc<str> {
        let write = || {
            let row = format!("({})", vec!["?"; self.columns].join(", "));
            format!("{} {}{}", self.head, vec![row.as_str(); rows].join(", "), self.tail).into()
        };
        match self.texts.get(rows.ilog2() as usize).filter(|_| rows.is_power_of_two()) {
            Some(text) => text.get_or_init(write).clone(),
            None => write(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_few_sizes_and_none_is_left_out() {
        let sizes = |rows: usize| pieces(&vec![(); rows]).map(<[()]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(0), [0; 0]);
        assert_eq!(sizes(300), [128, 128, 32, 8, 4]);
        let rows = Rows::new("INSERT INTO t (a, b) VALUES", 2, " ON CONFLICT DO NOTHING");
        assert_eq!(&*rows.text(2), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING");
        assert_eq!(rows.text(2), rows.text(2));
    }
}
