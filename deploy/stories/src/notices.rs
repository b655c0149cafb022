//! What operators are owed where the alerter evaluates their rules itself.

use crate::{
    mailbox::Notice,
    plot::{AT_THE_EDGE, NOTICES, OF_A_STALL, WATCHDOG},
};

/// The files of the notices, if operators were told what they are owed and of nothing else; else what is wrong.
/// Where the machine `stalled`, what that alone may have caused is no fault, if it ended.
///
/// # Errors
/// What was told and what is owed, or which notice has not ended or should not have.
pub fn heard(notices: &[Notice], stalled: bool) -> Result<String, String> {
    let (mut owed, mut beyond) = (NOTICES.to_vec(), Vec::new());
    for notice in notices {
        match owed.iter().position(|name| *name == notice.alert) {
            Some(place) => drop(owed.swap_remove(place)),
            None => beyond.push(notice),
        }
    }
    let may = |notice: &&Notice| {
        let alert = notice.alert.as_str();
        notice.ended && (alert == AT_THE_EDGE || stalled && OF_A_STALL.contains(&alert))
    };
    let goes_on = notices.iter().find(|notice| notice.ended == (notice.alert == WATCHDOG));
    match goes_on {
        _ if !owed.is_empty() || !beyond.iter().all(may) => {
            let told: Vec<&str> = notices.iter().map(|notice| notice.alert.as_str()).collect();
            Err(format!("told {told:?}, expected {NOTICES:?}"))
        }
        Some(notice) if notice.ended => Err(format!("{} has ended", notice.alert)),
        Some(notice) => Err(format!("{} goes on", notice.alert)),
        None => {
            let paths: Vec<String> = notices.iter().map(|notice| notice.path.display().to_string()).collect();
            Ok(paths.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is owed, and `more`, each of which has ended or not.
    fn told(more: &[(&str, bool)]) -> Vec<Notice> {
        let owed = NOTICES.iter().map(|name| (*name, *name != WATCHDOG));
        owed.chain(more.iter().copied())
            .map(|(alert, ended)| Notice { path: alert.into(), alert: alert.to_owned(), ended })
            .collect()
    }

    #[test]
    fn operators_hear_what_they_are_owed_and_nothing_else() {
        assert!(heard(&told(&[]), false).is_ok());
        assert!(heard(&told(&[])[1..], false).is_err(), "one is missing");
        assert!(heard(&told(&[("BasiqEffectsDead", true)]), true).is_err(), "no stall causes that");
        assert!(heard(&told(&[("BasiqDown", true)]), false).is_err(), "nothing stood still");
    }

    #[test]
    fn a_stall_excuses_what_it_causes_once_that_is_over() {
        assert!(heard(&told(&[("BasiqDown", true), ("BasiqExporterDown", true)]), true).is_ok());
        assert!(heard(&told(&[("BasiqDown", false)]), true).is_err(), "it goes on");
    }
}
