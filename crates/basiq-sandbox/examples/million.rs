//! One million users: job lists a second, and the memory of the process that serves (and reads) them.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use basiq_sandbox::{Handle, Sandbox, SandboxConfig, Scenario};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::TcpStream,
};

const USERS: u32 = 1_000_000;
const CONNECTIONS: usize = 8;
const TIME: Duration = Duration::from_secs(10);
const LEAST_PER_SECOND: f64 = 5_000.0;
const MOST_MIB: u64 = 200;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<ExitCode, Failure> {
    let mut scenario = Scenario::default();
    scenario.population.users = USERS;
    let basiq = Arc::new(Sandbox::start(SandboxConfig { scenario, ..SandboxConfig::default() }).await?);
    let token = token(&basiq).await?;
    let read = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let readers: Vec<_> = (0..CONNECTIONS)
        .map(|reader| tokio::spawn(reads(Arc::clone(&basiq), token.clone(), reader, Arc::clone(&read))))
        .collect();
    for reader in readers {
        reader.await??;
    }
    #[allow(clippy::cast_precision_loss)] // a count of some ten thousands
    let rate = read.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    let peak = peak_mib()?;
    let line = format!(
        "{USERS} users: {rate:.0} job lists a second (at least {LEAST_PER_SECOND:.0}), {peak} MiB at most (at most {MOST_MIB})\n"
    );
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())?;
    Ok(if rate >= LEAST_PER_SECOND && peak <= MOST_MIB { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads job lists of users all over the population until the time is up.
async fn reads(
    basiq: Arc<Handle>,
    token: String,
    reader: usize,
    read: Arc<AtomicU64>,
) -> Result<(), Failure> {
    let mut stream = BufStream::new(TcpStream::connect(basiq.addr).await?);
    let mut number = reader * 104_729;
    let began = Instant::now();
    while began.elapsed() < TIME {
        number = (number + 7_919) % USERS as usize;
        let id = basiq.user_id_at(number).ok_or("no such user")?;
        let request = format!(
            "GET /users/{id}/jobs HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        let body = exchange(&mut stream, &request).await?;
        if !body.starts_with(b"{\"data\":[{") {
            return Err(format!("not a list of jobs: {}", String::from_utf8_lossy(&body)).into());
        }
        read.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn token(basiq: &Handle) -> Result<String, Failure> {
    let mut stream = BufStream::new(TcpStream::connect(basiq.addr).await?);
    let request = format!(
        "POST /token HTTP/1.1\r\nhost: sandbox\r\nbasiq-version: 3.0\r\nauthorization: Basic {}\r\ncontent-length: 19\r\n\r\nscope=SERVER_ACCESS",
        basiq.api_key
    );
    let body: serde_json::Value = serde_json::from_slice(&exchange(&mut stream, &request).await?)?;
    Ok(body["access_token"].as_str().ok_or("no token")?.to_owned())
}

/// One request and its answer, by hand: the reader must cost less than what it measures.
async fn exchange(stream: &mut BufStream<TcpStream>, request: &str) -> Result<Vec<u8>, Failure> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err("the sandbox closed the connection".into());
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
            None if line == "\r\n" => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// The most memory this process ever held.
fn peak_mib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
