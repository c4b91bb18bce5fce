//! Reads the messages that the sender wrote to a folder, and creates the reports and schedules for them.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use flate2::read::GzDecoder;
use mailparse::{MailHeaderMap as _, ParsedMail, addrparse_header};
use rollbook::reports::mailer::Mailer;
use rollbook::reports::sender::{Sender, SenderOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::TestServer;
use super::http::Caller;

/// The sender address of all messages.
pub const FROM: &str = "Rollbook <rollbook@example.org>";

/// A temporary folder that receives the messages. It is deleted when dropped.
pub struct Outbox(TempDir);

/// A parsed message.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The time of the run from the file name, for example `20260318T080000Z`.
    pub run_at: String,
    pub message_id: String,
    /// The address of the recipient.
    pub to: String,
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The name of the attached file.
    pub file_name: Option<String>,
    /// The attached CSV file, decompressed.
    pub csv: Option<Vec<u8>>,
}

impl Outbox {
    /// Creates an empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    /// A mailer that writes messages to this folder.
    pub fn mailer(&self) -> Mailer {
        Mailer::folder(self.0.path(), FROM).expect("a folder")
    }

    /// The message files, sorted by name: by run, delivery and recipient.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder exists");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut files: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "eml")).collect();
        files.sort();
        files
    }

    /// Reads and deletes all messages, in the order of [`Outbox::files`].
    pub fn take(&self) -> Vec<Mail> {
        let read = |file: PathBuf| {
            let bytes = std::fs::read(&file).expect("a message");
            std::fs::remove_file(&file).expect("the file can be deleted");
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            Mail::read(name.split('-').next().expect("a time"), &bytes)
        };
        self.files().into_iter().map(read).collect()
    }
}

impl Mail {
    /// Parses a message.
    pub fn read(run_at: &str, bytes: &[u8]) -> Self {
        let parsed = mailparse::parse_mail(bytes).expect("a message");
        let header = |name: &str| {
            let value = parsed.headers.get_first_value(name);
            value.unwrap_or_else(|| panic!("no {name}"))
        };
        let parts = leaf_parts(&parsed);
        let text = parts.iter().find(|part| part.ctype.mimetype == "text/plain");
        let file = parts.iter().find(|part| {
            let disposition = part.get_content_disposition();
            disposition.params.contains_key("filename")
        });
        Self {
            run_at: run_at.to_owned(),
            message_id: header("Message-ID"),
            to: recipient_address(&parsed),
            subject: header("Subject"),
            text: text.expect("plain text").get_body().expect("a text"),
            file_name: file.map(|file| file.get_content_disposition().params["filename"].clone()),
            csv: file.map(|file| decompress(file)),
        }
    }

    /// The cells of one column of the CSV file.
    pub fn column(&self, heading: &str) -> Vec<String> {
        let bytes = self.csv.as_deref().expect("a file");
        let mut reader = csv::Reader::from_reader(bytes);
        let headings = reader.headers().expect("headings").clone();
        let index = headings.iter().position(|name| name == heading);
        let index = index.unwrap_or_else(|| panic!("no column {heading} in {headings:?}"));
        let rows = reader.records().map(|row| row.expect("a row")[index].to_owned());
        rows.collect()
    }

    /// The number of rows of the CSV file.
    pub fn rows(&self) -> usize {
        self.column("First name").len()
    }

    /// The name of the schedule's maker.
    pub fn maker(&self) -> String {
        let line = self.text.lines().find_map(|line| line.strip_prefix("Scheduled by: "));
        line.and_then(|line| line.split(", ").next()).expect("a maker").to_owned()
    }

    /// The path of the download link in the text.
    pub fn link(&self) -> String {
        let start = self.text.find("/downloads/").expect("a link");
        let link: String = self.text[start..].chars().take_while(|c| !c.is_whitespace()).collect();
        link.trim_end_matches(['.', ')', '>']).to_owned()
    }
}

/// The address of the only recipient.
fn recipient_address(mail: &ParsedMail<'_>) -> String {
    let field = mail.headers.get_first_header("To").expect("a recipient");
    let addresses = addrparse_header(field).expect("addresses");
    addresses.extract_single_info().expect("one recipient").addr
}

fn leaf_parts<'m, 'b>(mail: &'m ParsedMail<'b>) -> Vec<&'m ParsedMail<'b>> {
    if mail.subparts.is_empty() {
        return vec![mail];
    }
    mail.subparts.iter().flat_map(leaf_parts).collect()
}

fn decompress(file: &ParsedMail<'_>) -> Vec<u8> {
    let bytes = file.get_body_raw().expect("a file");
    if file.ctype.mimetype != "application/gzip" {
        return bytes;
    }
    let mut csv = Vec::new();
    GzDecoder::new(bytes.as_slice()).read_to_end(&mut csv).expect("a gzip file");
    csv
}

/// A sender with the store and the clock of the server. It only runs when the test calls it.
pub fn sender(server: &TestServer, mailer: Mailer, options: SenderOptions) -> Sender {
    Sender::new(server.store.clone(), mailer, options)
}

/// Options with short intervals.
pub fn quick() -> SenderOptions {
    SenderOptions {
        poll: Duration::from_millis(20),
        stop_within: Duration::from_millis(200),
        ..SenderOptions::default()
    }
}

/// Saves a shared report and returns its id.
pub async fn report(owner: &Caller, name: &str, filter: Value) -> String {
    let body = json!({"name": name, "visibility": "shared", "filter": filter});
    let created = owner.post("/v1/reports", &body).await.expect(201).json();
    created["id"].as_str().expect("an id").to_owned()
}

/// Schedules a report daily at 08:00, changed by `timing`, and returns the schedule.
pub async fn schedule(maker: &Caller, report: &str, timing: Value, recipients: &[&str]) -> Value {
    let mut body = json!({"frequency": "daily", "at": "08:00", "recipients": recipients});
    for (name, value) in timing.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let path = format!("/v1/reports/{report}/schedules");
    maker.post(&path, &body).await.expect(201).json()
}

/// The path of a schedule.
pub fn path(schedule: &Value) -> String {
    format!("/v1/schedules/{}", schedule["id"].as_str().expect("an id"))
}

/// All deliveries of a report, the oldest first.
pub async fn deliveries(caller: &Caller, report: &str) -> Vec<Value> {
    let path = format!("/v1/reports/{report}/deliveries?limit=1000");
    let mut all = caller.list(&path, "deliveries").await;
    all.reverse();
    all
}

/// Starts a run of the schedule and returns the id of the delivery.
pub async fn run_now(caller: &Caller, schedule: &Value) -> String {
    let answer = caller.post(&format!("{}/run", path(schedule)), &json!({})).await;
    let answer = answer.expect(202).json();
    answer["delivery"].as_str().expect("an id").to_owned()
}
