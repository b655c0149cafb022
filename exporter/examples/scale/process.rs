//! Processes: started, asked, measured, stopped.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a process may take for anything.
const PATIENCE: Duration = Duration::from_secs(180);

/// A process that ends with its owner.
pub(crate) struct Child(process::Child);

impl Child {
    /// The binary beside this example's folder.
    pub(crate) fn exporter(config: &Path, address: SocketAddr) -> Self {
        let mut path: PathBuf = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        let binary = path.join("basiq-exporter");
        assert!(
            binary.is_file(),
            "{} is missing: cargo build --release --workspace --bins",
            binary.display()
        );
        let child = Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// This program with other arguments, its ends of pipes in our hands.
    pub(crate) fn again(args: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self(command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn pipes(&mut self) -> (process::ChildStdin, process::ChildStdout) {
        (self.0.stdin.take().unwrap(), self.0.stdout.take().unwrap())
    }

    /// Waits until it answers.
    pub(crate) fn until_serving(&self, address: SocketAddr) {
        self.until(|| get(address, "/-/healthy", false).is_some());
    }

    /// Waits until it watches so many users, all of them named by its file.
    pub(crate) fn until_users(&self, address: SocketAddr, users: u32) {
        let wanted = [
            format!("basiq_exporter_users_watched {users}"),
            "basiq_exporter_collector_last_success_timestamp_seconds{collector=\"discovery\"}".to_owned(),
        ];
        self.until(|| {
            let page = text(address, "/metrics").unwrap_or_default();
            wanted.iter().all(|line| page.contains(line))
        });
    }

    fn until(&self, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "the process does not answer");
            assert!(Path::new(&format!("/proc/{}", self.0.id())).exists(), "the process has ended");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Resident memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        self.status("VmRSS:")
    }

    /// The most that was resident, in MiB.
    pub(crate) fn peak(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// CPU time of all its threads; those that ended meanwhile are missing, so it is asked often and briefly.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        let nanos = threads.filter_map(|thread| {
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Asks it to stop and waits.
    pub(crate) fn stop(mut self) {
        let id = self.0.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &id]).status();
        let _ = self.0.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A free port of loopback.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Asks for a page and reads all of the answer: how long it is, `None` if there is none.
pub(crate) fn get(address: SocketAddr, path: &str, gzip: bool) -> Option<usize> {
    let mut stream = ask(address, path, gzip)?;
    let (mut buffer, mut length) = (vec![0; 1 << 20], 0);
    loop {
        match stream.read(&mut buffer).ok()? {
            0 => return (length > 0).then_some(length),
            read => length += read,
        }
    }
}

fn text(address: SocketAddr, path: &str) -> Option<String> {
    let mut text = Vec::new();
    ask(address, path, false)?.read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn ask(address: SocketAddr, path: &str, gzip: bool) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    let encoding = if gzip { "accept-encoding: gzip\r\n" } else { "" };
    // At once: who answers after the first piece and closes would reset the connection.
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{encoding}connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    Some(stream)
}
