//! Events of generated users: found by their numbers, since what happens to them follows from these.

use jiff::{SignedDuration, Timestamp};

use super::sender::announced;
use crate::app::App;

/// How often generated users are swept.
const STEP: SignedDuration = SignedDuration::from_mins(1);

/// Announces what happened to generated users since the last sweep; when to sweep again.
pub(super) fn announce_generated(app: &App, now: Timestamp) -> Option<Timestamp> {
    let env = app.world.env();
    if env.population.users == 0 {
        return None;
    }
    let since = app.webhooks.state().swept.unwrap_or(now);
    if now < since + STEP && since != now {
        return Some(since + STEP);
    }
    for number in app.world.busy_between(since, now) {
        let found = app.world.read(number, now, |user, env| {
            let new = user.log.recent(now).filter(|event| since < event.at && event.at <= now);
            new.map(|event| announced(app, user, event, env)).collect::<Vec<_>>()
        });
        let mut state = app.webhooks.state();
        for event in found.unwrap_or_default() {
            state.announce(app.seed, now, &event);
        }
    }
    app.webhooks.state().swept = Some(now);
    Some(now + STEP)
}
