//! What a person decides about effects.

use daemon::{Clock, Fatal};

use super::{WHEN, known};
use crate::{
    plan::Command,
    store::{EffectState, Store},
};

/// What a person decides.
#[derive(Clone, Copy)]
pub(super) enum Hand {
    Retry,
    Release,
    Cancel,
}

/// Takes it down for each of the effects for which it can be asked, and says of which it cannot.
pub(super) async fn by_hand(
    hand: Hand,
    keys: Vec<String>,
    store: &dyn Store,
    clock: &Clock,
) -> Result<String, Fatal> {
    let (all, mut refused) = (keys.len(), Vec::new());
    for key in keys {
        match command(hand, key, store).await {
            Ok(command) => store.ask(&command, clock.now()).await.map_err(Fatal::running)?,
            Err(why) => refused.push(why.to_string()),
        }
    }
    let taken = all - refused.len();
    match (taken, refused.is_empty()) {
        (1, true) => Ok(format!("taken down; {WHEN}\n")),
        (_, true) => Ok(format!("taken down for {taken} effects; {WHEN}\n")),
        (0, false) => Err(Fatal::running(refused.join("; "))),
        (_, false) => {
            let refused = refused.join("; ");
            Err(Fatal::running(format!(
                "taken down for {taken} of {all} effects ({WHEN}), not for: {refused}"
            )))
        }
    }
}

/// The command for one, if it is in a state in which that can be asked for.
async fn command(hand: Hand, key: String, store: &dyn Store) -> Result<Command, Fatal> {
    use EffectState::{Attempting, Delivered, DryRun, Held, Obsolete};
    let state = known(&key, store).await?.state;
    let refuse = |what: &str| Err(Fatal::running(format!("{key} is {state}: {what}")));
    match (hand, state) {
        (Hand::Retry, Delivered | DryRun | Obsolete) => refuse("it is not tried again"),
        (Hand::Retry, Attempting) => refuse("it is being tried"),
        (Hand::Release, state) if state != Held => refuse("only what is held can be released"),
        (Hand::Cancel, state) if state.is_final() => refuse("it has its end"),
        (Hand::Cancel, Attempting) => refuse("it is on its way"),
        (Hand::Retry | Hand::Release, _) => Ok(Command::Retry { effect: key }),
        (Hand::Cancel, _) => Ok(Command::Cancel { effect: key }),
    }
}
