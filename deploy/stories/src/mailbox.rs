//! Reads what the alerter sent: messages and tickets that its default channels wrote as files.

use std::path::{Path, PathBuf};

/// A message as the customer got it.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Where it lies.
    pub path: PathBuf,
    /// The recipient's address.
    pub to: String,
    /// The subject, as one line.
    pub subject: String,
    /// The message it answers, for a closing message.
    pub in_reply_to: Option<String>,
    /// Its own id.
    pub message_id: String,
    /// Head and body.
    pub text: String,
}

/// A ticket with its comments.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// Where it lies.
    pub path: PathBuf,
    /// All of it.
    pub text: String,
}

/// The messages in a folder of the `files` channel, in the order of their names.
pub fn letters(folder: &Path) -> Vec<Letter> {
    files(folder, "eml")
        .into_iter()
        .map(|(path, text)| Letter {
            to: header(&text, "To").unwrap_or_default().trim_matches(['<', '>']).to_owned(),
            subject: header(&text, "Subject").unwrap_or_default(),
            in_reply_to: header(&text, "In-Reply-To"),
            message_id: header(&text, "Message-ID").unwrap_or_default(),
            text,
            path,
        })
        .collect()
}

/// The tickets in a folder of the `files` desk, in the order of their names.
pub fn tickets(folder: &Path) -> Vec<Ticket> {
    files(folder, "txt").into_iter().map(|(path, text)| Ticket { path, text }).collect()
}

/// A notice to operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Where it lies.
    pub path: PathBuf,
    /// The alert's name.
    pub alert: String,
    /// It says that it is over.
    pub ended: bool,
}

/// The notices in a folder, in the order of their names.
pub fn notices(folder: &Path) -> Vec<Notice> {
    let line = |text: &str, key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
    };
    files(folder, "txt")
        .into_iter()
        .map(|(path, text)| Notice {
            path,
            alert: line(&text, "alertname:").unwrap_or_default(),
            ended: line(&text, "Ended:").is_some(),
        })
        .collect()
}

/// One header of a message, unfolded.
fn header(message: &str, name: &str) -> Option<String> {
    let head = message.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Whole files with an extension; a file that is still being written under another name is not seen.
fn files(folder: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter_map(|path| Some((path.clone(), std::fs::read_to_string(path).ok()?)))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_notices() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("a", "Down\n\nEnded: now\nalertname: BasiqDown\n"), ("b", "alertname: BasiqSlow")]
        {
            std::fs::write(folder.path().join(format!("{name}.txt")), text).unwrap();
        }
        let found: Vec<_> = notices(folder.path()).into_iter().map(|it| (it.alert, it.ended)).collect();
        assert_eq!(found, [("BasiqDown".to_owned(), true), ("BasiqSlow".to_owned(), false)]);
    }

    #[test]
    fn reads_folded_headers() {
        let folder = tempfile::tempdir().unwrap();
        let text = "To: <a@b.test>\r\nSubject: one\r\n two\r\nMessage-ID: <1@x>\r\n\r\nSubject: not this\r\n";
        std::fs::write(folder.path().join("1.eml"), text).unwrap();
        std::fs::write(folder.path().join("2.eml.part"), text).unwrap();
        let found = letters(folder.path());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].to.as_str(), found[0].subject.as_str()), ("a@b.test", "one two"));
        assert_eq!((found[0].message_id.as_str(), &found[0].in_reply_to), ("<1@x>", &None));
    }
}
