//! The `smtp` channel against a real MTA: STARTTLS, authentication, delivery into a Maildir, and the
//! ways in which an MTA says no.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use basiq_alerter::channels::{
    Channel, Contact, DeliveryError, Plugin,
    smtp::{Deadlines, TlsMode},
    users::smtp::Settings,
};
use daemon::Secret;

use crate::{
    channels_files::parts,
    messages::{contact, message},
    smtp::settings,
    support::real::{free_port, program, run},
};

const PASSWORD: &str = "correct horse";

struct Exim {
    child: Child,
    folder: tempfile::TempDir,
    starttls: u16,
    implicit: u16,
}

impl Drop for Exim {
    fn drop(&mut self) {
        // Whatever became of the test: the daemon and the processes of its connections, which would
        // otherwise write their logs into a folder that is gone.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

impl Exim {
    fn start() -> Option<Self> {
        let (exim, openssl) = (program("exim4", "exim4-daemon-light")?, program("openssl", "openssl")?);
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::set_permissions(base, fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["spool", "log", "mail"] {
            fs::create_dir(base.join(sub)).unwrap();
        }
        run(Command::new(openssl)
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ])
            .arg("-keyout")
            .arg(base.join("key.pem"))
            .arg("-out")
            .arg(base.join("cert.pem")));
        let (starttls, implicit) = (free_port(), free_port());
        fs::write(base.join("exim.conf"), configuration(base, starttls, implicit)).unwrap();
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            // Started by root, exim works as its own user and reads no configuration of others.
            run(Command::new("chown")
                .arg("-R")
                .arg("Debian-exim")
                .args(["spool", "log", "mail", "key.pem"])
                .current_dir(base));
        }
        let child = Command::new(exim)
            .arg("-C")
            .arg(base.join("exim.conf"))
            .arg("-bdf")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let exim = Self { child, folder, starttls, implicit };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", starttls)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "exim does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(exim)
    }

    fn channel(&self, tls: TlsMode, password: &str) -> std::sync::Arc<dyn Channel> {
        let file = self.folder.path().join("password");
        fs::write(&file, password).unwrap();
        let settings = Settings {
            host: "localhost".to_owned(),
            port: Some(if tls == TlsMode::Implicit { self.implicit } else { self.starttls }),
            tls,
            username: Some("alerter".to_owned()),
            password_file: Some(file),
            ca_file: Some(self.folder.path().join("cert.pem")),
            deadlines: Deadlines::default(),
            ..settings(0)
        };
        settings.build(&parts(self.folder.path())).unwrap()
    }

    /// The one mail in a Maildir, once it is there.
    async fn mail(&self, of: &str) -> String {
        let new: PathBuf = self.folder.path().join("mail").join(of).join("new");
        let begun = Instant::now();
        loop {
            if let Some(file) = fs::read_dir(&new).ok().and_then(|mut files| files.next()) {
                return fs::read_to_string(file.unwrap().path()).unwrap();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "no mail for {of}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn configuration(base: &Path, starttls: u16, implicit: u16) -> String {
    format!(
        r#"
primary_hostname = localhost
spool_directory = {base}/spool
log_file_path = {base}/log/%slog
pid_file_path = {base}/spool/exim.pid
daemon_smtp_ports = {starttls} : {implicit}
local_interfaces = 127.0.0.1.{starttls} : 127.0.0.1.{implicit}
tls_on_connect_ports = {implicit}
tls_advertise_hosts = *
tls_certificate = {base}/cert.pem
tls_privatekey = {base}/key.pem
auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}
domainlist local_domains = example.test
acl_smtp_mail = mail
acl_smtp_rcpt = rcpt
acl_smtp_data = data
host_lookup =
rfc1413_hosts =
keep_environment =
deliver_drop_privilege = true
never_users =
untrusted_set_sender = *
smtp_accept_max = 20

begin acl
mail:
  deny condition = ${{if eq{{$authenticated_id}}{{}}}}
       message = 5.7.0 log in first
  accept
rcpt:
  deny local_parts = nobody
       message = 5.1.1 $local_part@$domain is not known here
  deny local_parts = full
       message = 5.2.2 mailbox full
  defer local_parts = later
       message = 4.2.1 $local_part@$domain is greylisted
  drop local_parts = hangup
       message = 4.7.0 going away
  accept domains = +local_domains
  deny message = 5.7.1 no relaying for $local_part@$domain
data:
  deny condition = ${{if match{{$h_subject:}}{{locked}}}}
       message = 5.6.0 content refused
  accept

begin routers
here:
  driver = accept
  domains = +local_domains
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = {base}/mail/inbox
  maildir_format
  create_directory
  envelope_to_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{alerter}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
"#,
        base = base.display(),
    )
}

fn to(address: &str) -> Contact {
    Contact { address: Some(Secret::new(address)), ..contact() }
}

#[tokio::test]
async fn mail_reaches_a_maildir_over_starttls_and_refusals_are_told_apart() {
    let Some(exim) = Exim::start() else { return };
    let channel = exim.channel(TlsMode::StartTls, PASSWORD);
    let receipt = channel.deliver(&message("ready"), &to("richard@example.test")).await.unwrap();
    assert!(receipt.remote.len() > 8, "exim's queue id: {receipt:?}");
    let mail = exim.mail("inbox").await;
    for line in [
        "Envelope-to: richard@example.test",
        "Message-ID: <ready.1@alerts.piper.example>",
        "In-Reply-To: <delayed.1@alerts.piper.example>",
        "Auto-Submitted: auto-generated",
        "esmtpsa",
        "multipart/alternative",
    ] {
        assert!(mail.contains(line), "{line} is not in\n{mail}");
    }

    for (template, address, expected) in [
        ("ready", "nobody@example.test", "recipient"),
        ("ready", "full@example.test", "permanent"),
        ("ready", "later@example.test", "retry"),
        ("ready", "hangup@example.test", "channel"),
        ("ready", "someone@elsewhere.test", "channel"),
        ("locked", "richard@example.test", "channel"),
    ] {
        let error = channel.deliver(&message(template), &to(address)).await.unwrap_err();
        let kind = match &error {
            DeliveryError::Recipient { code } if code == "5.1.1" => "recipient",
            DeliveryError::Permanent { .. } => "permanent",
            DeliveryError::Retry { .. } => "retry",
            DeliveryError::Channel { .. } => "channel",
            other => panic!("{address}: {other:?}"),
        };
        assert_eq!(kind, expected, "{address}: {error}");
        assert!(!format!("{error} {error:?}").contains("test"), "{error}");
    }
    channel.deliver(&message("delayed"), &to("richard@example.test")).await.unwrap();
}

#[tokio::test]
async fn mail_goes_over_implicit_tls_and_a_wrong_password_or_certificate_is_the_channels_fault() {
    let Some(exim) = Exim::start() else { return };
    exim.channel(TlsMode::Implicit, PASSWORD)
        .deliver(&message("ready"), &to("richard@example.test"))
        .await
        .unwrap();
    exim.mail("inbox").await;

    let wrong = exim.channel(TlsMode::StartTls, "battery staple");
    let error = wrong.deliver(&message("ready"), &to("richard@example.test")).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Channel { .. }), "{error}");
    assert!(!error.to_string().contains("battery"));

    for tls in [TlsMode::StartTls, TlsMode::Implicit] {
        let port = if tls == TlsMode::Implicit { exim.implicit } else { exim.starttls };
        let untrusted = Settings { host: "localhost".to_owned(), tls, ..settings(port) };
        let untrusted = Settings { deadlines: Deadlines::default(), ..untrusted };
        let untrusted = untrusted.build(&parts(exim.folder.path())).unwrap();
        let error = untrusted.deliver(&message("ready"), &to("richard@example.test")).await.unwrap_err();
        assert!(error.to_string().contains("TLS"), "{error}");
    }
}
