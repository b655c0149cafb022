//! What systemd wants to hear of a unit of `Type=notify`: ready, reloading, stopping, alive (sd_notify(3)).

use std::{
    ffi::{OsStr, OsString},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// What a daemon says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves; also after a reload.
    Ready,
    /// It reads its files again.
    Reloading,
    /// It ends what is in hand.
    Stopping,
    /// It is alive.
    Alive,
}

impl State {
    fn message(self) -> &'static str {
        match self {
            Self::Ready => "READY=1",
            Self::Reloading => "RELOADING=1",
            Self::Stopping => "STOPPING=1",
            Self::Alive => "WATCHDOG=1",
        }
    }
}

/// Tells the service manager, where one listens (`NOTIFY_SOCKET`); else does nothing.
pub fn notify(state: State) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, state)
    {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

fn send(socket: &OsStr, state: State) -> std::io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    // A manager that does not read must not hold up the daemon.
    let datagram = UnixDatagram::unbound()?;
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(state.message().as_bytes(), &address).map(|_| ())
}

/// How often the service manager wants to hear that this process is alive: half of what it grants, so that one
/// late answer is none too many. `None` where it does not ask.
fn interval(microseconds: Option<OsString>, process: Option<OsString>) -> Option<Duration> {
    let of_us = process.is_none_or(|id| id.to_str() == Some(&std::process::id().to_string()));
    let granted: u64 = microseconds?.to_str()?.parse().ok()?;
    (of_us && granted > 0).then(|| Duration::from_micros(granted) / 2)
}

/// Says that the process is alive as long as its runtime runs tasks: a task, so that a runtime whose threads are
/// all stuck falls silent.
pub(crate) fn keep_alive() {
    let Some(every) = interval(std::env::var_os("WATCHDOG_USEC"), std::env::var_os("WATCHDOG_PID")) else {
        return;
    };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            notify(State::Alive);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_hears_each_state_on_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        for (state, said) in [
            (State::Ready, "READY=1"),
            (State::Reloading, "RELOADING=1"),
            (State::Stopping, "STOPPING=1"),
            (State::Alive, "WATCHDOG=1"),
        ] {
            send(path.as_os_str(), state).unwrap();
            let mut heard = [0; 64];
            let length = manager.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], said.as_bytes());
        }
        drop(manager);
        assert!(send(path.as_os_str(), State::Ready).is_err());
    }

    #[test]
    fn a_manager_in_another_namespace_is_reached_by_an_abstract_name() {
        let name = format!("basiq-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), State::Ready).unwrap();
        let mut heard = [0; 64];
        assert_eq!(manager.recv(&mut heard).unwrap(), 7);
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_asks_and_only_for_us() {
        let text = |text: &str| Some(OsString::from(text));
        assert_eq!(interval(text("30000000"), None), Some(Duration::from_secs(15)));
        let us = std::process::id().to_string();
        assert_eq!(interval(text("2000000"), text(&us)), Some(Duration::from_secs(1)));
        assert_eq!(interval(text("2000000"), text("1")), None);
        assert_eq!(interval(text("0"), None), None);
        assert_eq!(interval(text("soon"), None), None);
        assert_eq!(interval(None, None), None);
    }
}
