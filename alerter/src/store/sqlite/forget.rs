//! Erases what names a user who is forgotten, in the transaction that decided it; counts stay.

use std::collections::BTreeSet;

use daemon::Timestamp;

use super::write::Tx;
use crate::{
    plan::Forgotten,
    store::{StoreError, decode_effect, decode_incident, json, retention::spent},
};

pub(super) async fn forget(tx: &mut Tx, forgotten: &Forgotten, now: Timestamp) -> Result<(), StoreError> {
    let mut references: BTreeSet<String> = forgotten.incidents.iter().cloned().collect();
    let older: Vec<(String, String)> =
        sqlx::query_as("SELECT reference, body FROM incidents WHERE user = $1")
            .bind(&forgotten.user)
            .fetch_all(&mut **tx)
            .await?;
    for (reference, body) in older {
        let mut incident = decode_incident(&body)?;
        incident.erase(now);
        sqlx::query(
            "UPDATE incidents SET user = '', connection = '', open = 0, body = $1 WHERE reference = $2",
        )
        .bind(json(&incident))
        .bind(&reference)
        .execute(&mut **tx)
        .await?;
        references.insert(reference);
    }
    for reference in references {
        sqlx::query("DELETE FROM timeline WHERE incident = $1").bind(&reference).execute(&mut **tx).await?;
        let effects: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT key, body, state FROM effects WHERE key IN \
             (SELECT effect FROM effect_incidents WHERE incident = $1)",
        )
        .bind(&reference)
        .fetch_all(&mut **tx)
        .await?;
        for (key, body, state) in effects {
            let effect = spent(decode_effect(&body, &state)?);
            sqlx::query("UPDATE effects SET body = $1 WHERE key = $2")
                .bind(json(&effect))
                .bind(key)
                .execute(&mut **tx)
                .await?;
        }
    }
    if let Some(person) = &forgotten.person {
        sqlx::query("DELETE FROM suppressions WHERE person = $1").bind(person).execute(&mut **tx).await?;
    }
    Ok(())
}
