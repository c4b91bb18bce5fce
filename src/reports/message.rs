//! The message that carries a report to one recipient (product text, section 9).
//!
//! A [`EmailMessage`] says what is sent; `compose` makes the message of RFC 5322 of it, and [`file_name`] the name of
//! its file. `words` has the sentences, once for the plain text and the HTML; `header` writes the fields that hold
//! what people wrote.
//!
//! What it promises:
//! - No name, whatever it holds, adds a header, a part or a tag to the message: names are one line without control
//!   characters and without marks that turn the direction of writing; in a header what is not plain words is
//!   encoded by RFC 2047; in the HTML it is escaped; and the bodies are encoded such that no line of theirs can be
//!   a boundary.
//! - The same letter is the same bytes: whoever receives it twice, after a crash, can tell by its Message-ID.
//! - Every line is of ASCII and at most 998 bytes, but for an address that itself is beyond ASCII.

mod header;
mod words;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono::NaiveDate;
use chrono_tz::Tz;
use lettre::message::header::{ContentTransferEncoding, ContentType, Date, MessageId};
use lettre::message::{Attachment, Body, Message, MultiPart, SinglePart};
use lettre::{Address, address::Envelope};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::log::{Period, Window};
use crate::reports::report::file_stem;

pub(super) use header::{Sender, sender};
use header::{address, encoded, mailbox, one_line, plain};

/// A report on its way to one recipient.
#[derive(Debug, Clone)]
pub struct EmailMessage<'a> {
    /// The delivery's id.
    pub delivery: Uuid,
    /// The recipient's place in the delivery; with its id it is the message's own.
    pub place: u16,
    /// The address, and the name where the directory has the recipient; without one it is an address outside.
    pub to: (&'a str, Option<&'a str>),
    /// The report's name.
    pub report: &'a str,
    /// The report's `period`, where it has one.
    pub period: Option<Period>,
    /// The stretch of time whose rows were asked for.
    pub window: Window,
    /// The zone in which days begin and moments are told.
    pub zone: Tz,
    /// The moment that the schedule was due.
    pub run_at: Timestamp,
    /// The moment of sending.
    pub now: Timestamp,
    /// Rows in the file.
    pub rows: u64,
    /// When the schedule runs: `every Monday at 08:00 (Europe/London)`.
    pub timing: &'a str,
    /// The name of whoever made the schedule.
    pub maker: &'a str,
    /// Whether others than its owner may open the report.
    pub shared: bool,
    /// Whether whoever made the schedule is who receives this message.
    pub own: bool,
    /// Who else receives it, as they are to be named.
    pub others: &'a [String],
    /// The file, or where it can be had.
    pub enclosed: Enclosed<'a>,
}

/// What a [`EmailMessage`] carries.
#[derive(Debug, Clone)]
pub enum Enclosed<'a> {
    /// The file itself.
    File {
        /// Its name; see [`file_name`].
        name: String,
        /// Its bytes.
        bytes: &'a Bytes,
        /// Whether it is a gzip file.
        gzipped: bool,
    },
    /// An address at which the file can be downloaded.
    Link {
        /// The address.
        url: &'a str,
        /// The first moment at which it opens no more.
        expires_at: Timestamp,
    },
}

/// A message ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct Composed {
    /// Whom it is for.
    pub to: Address,
    /// The message, headers and all, with CRLF at the end of each line.
    pub bytes: Vec<u8>,
}

/// Why no message can be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    /// What should be an address is none that a message can be sent to.
    #[error("the address can't be written to: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The parts don't make a message.
    #[error("the message can't be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// The name of a report's file: the report's name as [`file_stem`] has it, and the day of the
/// run in the zone, as `weekly-completions-2026-11-22.csv`, or with `.csv.gz`.
pub fn file_name(report: &str, run_at: Timestamp, zone: Tz, gzipped: bool) -> String {
    let extension = if gzipped { "csv.gz" } else { "csv" };
    format!("{}-{}.{extension}", file_stem(report), day(run_at, zone))
}

/// The day in the zone.
fn day(at: Timestamp, zone: Tz) -> NaiveDate {
    at.to_datetime().with_timezone(&zone).date_naive()
}

/// Makes the message.
pub(super) fn compose(letter: &EmailMessage<'_>, from: &Sender) -> Result<Composed, ComposeError> {
    let to = address(letter.to.0)?;
    let id = format!("<{}.{}@{}>", letter.delivery, letter.place, from.address.domain());
    let words = words::Words::of(letter);
    let text = MultiPart::alternative()
        .boundary(boundary(letter, "text"))
        .singlepart(readable(ContentType::TEXT_PLAIN, words.text()))
        .singlepart(readable(ContentType::TEXT_HTML, words.html()));
    let mut parts = MultiPart::mixed()
        .boundary(boundary(letter, "parts"))
        .multipart(text);
    if let Enclosed::File { name, bytes, gzipped } = &letter.enclosed {
        parts = parts.singlepart(attachment(name, bytes, *gzipped));
    }
    let message = Message::builder()
        .raw_header(mailbox("From", from.name.as_deref(), &from.address))
        .raw_header(mailbox("To", letter.to.1, &to))
        .raw_header(encoded("Subject", &words.subject()))
        .header(Date::new(system_time(letter.now)))
        .header(MessageId::from(id))
        .raw_header(plain("Auto-Submitted", "auto-generated"))
        .envelope(Envelope::new(Some(from.address.clone()), vec![to.clone()])?)
        .multipart(parts)?;
    Ok(Composed {
        to,
        bytes: message.formatted(),
    })
}

/// A line that no line of a part can be: `=_` stands neither in base64 nor in quoted-printable (RFC 2045, section
/// 6.7), and every part is one of the two.
fn boundary(letter: &EmailMessage<'_>, what: &str) -> String {
    format!("=_{}_{}_{what}", letter.delivery.simple(), letter.place)
}

/// A part to be read: quoted-printable, so that long lines are folded and any letter passes any server.
fn readable(kind: ContentType, text: String) -> SinglePart {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable);
    // Quoted-printable takes anything; were it to refuse, any other encoding will do.
    let body = body.unwrap_or_else(Body::new);
    SinglePart::builder().header(kind).body(body)
}

/// The file: base64, so that every byte arrives as it is, whatever its lines end with.
fn attachment(name: &str, bytes: &Bytes, gzipped: bool) -> SinglePart {
    let kind = if gzipped {
        "application/gzip"
    } else {
        "text/csv; charset=utf-8"
    };
    // Both are well-formed; a file of an unknown kind would still be the file.
    let kind = ContentType::parse(kind).unwrap_or(ContentType::TEXT_PLAIN);
    let body = Body::new_with_encoding(bytes.to_vec(), ContentTransferEncoding::Base64);
    // As above.
    let body = body.unwrap_or_else(Body::new);
    Attachment::new(one_line(name)).body(body, kind)
}

/// The moment for the Date header, which knows the years from 1970 to 9999.
fn system_time(at: Timestamp) -> SystemTime {
    /// 9999-12-31T23:59:59Z.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(at.micros() / 1_000_000).unwrap_or(0).min(LAST);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
