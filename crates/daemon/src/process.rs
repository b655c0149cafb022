//! The life of a daemon's process: runtime, logs, signals, panics, exit code.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, PanicHookInfo},
    process::ExitCode,
    time::Duration,
};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use crate::{
    Clock, Fatal, Flags, Reload, logs,
    notify::{State, keep_alive, notify},
    traces::Traces,
};

/// How long tasks that are still running may take once the daemon's own future has ended.
const LEFTOVERS: Duration = Duration::from_secs(2);

/// What a daemon is given by [`main`], and by tests that run it in their own process.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where `now` and `sleep` come from.
    pub clock: Clock,
    /// Cancelled by SIGINT and SIGTERM: finish what is in hand and return.
    pub stop: CancellationToken,
    /// SIGHUP and `POST /-/reload`.
    pub reload: Reload,
}

impl Context {
    /// A context on `clock` that hears no signals; whoever holds a clone stops or reloads it.
    pub fn new(clock: Clock) -> Self {
        Self { clock, stop: CancellationToken::new(), reload: Reload::new() }
    }
}

/// Runs a daemon from its flags to its exit code: 0 when it stopped as asked, 2 for wrong settings,
/// 1 for a failure, both with one line on standard error and never a backtrace.
#[must_use]
pub fn main<F, R>(name: &'static str, flags: &Flags, run: F) -> ExitCode
where
    F: FnOnce(Context) -> R,
    R: Future<Output = Result<(), Fatal>>,
{
    match start(name, flags, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            print_line(name, &fatal);
            ExitCode::from(&fatal)
        }
    }
}

fn start<F, R>(name: &'static str, flags: &Flags, run: F) -> Result<(), Fatal>
where
    F: FnOnce(Context) -> R,
    R: Future<Output = Result<(), Fatal>>,
{
    std::panic::set_hook(Box::new(log_panic));
    // Only fails where one is installed already, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::running(format!("cannot start threads: {error}")))?;
    let traces = runtime.block_on(async { Traces::start(name) })?;
    logs::install(flags, traces.as_ref());
    let result = runtime.block_on(async {
        let context = Context::new(flags.clock());
        watch_signals(name, &context)?;
        keep_alive();
        let daemon = std::panic::catch_unwind(AssertUnwindSafe(|| run(context)))
            .map_err(|payload| panicked(payload.as_ref()))?;
        AssertUnwindSafe(daemon)
            .catch_unwind()
            .await
            .unwrap_or_else(|payload| Err(panicked(payload.as_ref())))
    });
    if let Some(traces) = traces {
        traces.stop();
    }
    runtime.shutdown_timeout(LEFTOVERS);
    result
}

/// Cancels and reloads as signals ask. The second request to stop ends the process at once.
fn watch_signals(name: &'static str, context: &Context) -> Result<(), Fatal> {
    use tokio::signal::unix::{SignalKind, signal};
    let open =
        |kind| signal(kind).map_err(|error| Fatal::running(format!("cannot listen to signals: {error}")));
    let mut interrupt = open(SignalKind::interrupt())?;
    let mut terminate = open(SignalKind::terminate())?;
    let mut hangup = open(SignalKind::hangup())?;
    let (stop, reload) = (context.stop.clone(), context.reload.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {
                    let reload = reload.clone();
                    tokio::spawn(async move { reload.trigger().await });
                    continue;
                }
            }
            if stop.is_cancelled() {
                let fatal = Fatal::running("stopped at once by a second signal; work in hand was dropped");
                print_line(name, &fatal);
                std::process::exit(i32::from(fatal.code()));
            }
            tracing::info!("stopping");
            notify(State::Stopping);
            stop.cancel();
        }
    });
    Ok(())
}

fn panicked(payload: &(dyn Any + Send)) -> Fatal {
    Fatal::Running(format!("a fault of this program: {}; please report it with the log", message(payload)))
}

/// A panic is a fault of ours: one line in the log, with its place. The runtime keeps the other tasks
/// alive; whoever awaits the task hears of it as a `JoinError`.
fn log_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, ToString::to_string);
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(place, thread, reason = message(info.payload()), "panic");
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}

#[expect(clippy::print_stderr, reason = "the one line is for people, also where logs are JSON or off")]
fn print_line(name: &str, fatal: &Fatal) {
    eprintln!("{name}: {fatal}");
}
