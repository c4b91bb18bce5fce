//! The e-mail message that carries a report to one recipient: `docs/specification.md#messages`.
//!
//! [`EmailMessage`] describes the message, `compose` writes it (RFC 5322) and [`file_name`] names its file. The file
//! `text` fills in the templates; `header` writes the fields that contain text from users.
//!
//! Invariants:
//!
//! - A name cannot add a header, a part or a tag to the message. A name is one line without control characters and without
//!   marks that change the direction of writing. Headers encode it (RFC 2047), the HTML escapes it, and the bodies are
//!   encoded in a way that no line of them can be a boundary.
//! - The same [`EmailMessage`] gives the same bytes. A recipient that receives it twice, after a crash, sees the same
//!   Message-ID.
//! - Every line is ASCII and at most 998 bytes long, except for a line with an address that is not ASCII.

mod header;
mod text;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use chrono_tz::Tz;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, Message, MultiPart, SinglePart};
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::log::period::local_date;
use crate::log::{Period, Window};
use crate::reports::report::file_stem;
use crate::texts::Language;

pub(super) use header::parse_mailbox;
pub(super) use text::Templates;

use header::{mailbox, one_line, parse_address, subject};

/// A message with a report for one recipient.
#[derive(Debug, Clone)]
pub struct EmailMessage<'a> {
    /// The delivery's id.
    pub delivery: Uuid,
    /// The recipient's position in the delivery. Together with the delivery's id it identifies the message.
    pub place: u16,
    /// The address, and the name of a user of the directory. An address outside the directory has no name.
    pub to: (&'a str, Option<&'a str>),
    /// The language of the text.
    pub language: Language,
    /// The report's name.
    pub report: &'a str,
    /// The report's `period`, if it has one.
    pub period: Option<Period>,
    /// The time range of the rows.
    pub window: Window,
    /// The time zone in which the time range begins and ends: the run's for a `period`, the report's for dates.
    pub window_zone: Tz,
    /// The time zone of the run, in which the schedule's times and all other times of the text are.
    pub zone: Tz,
    /// The time that the run is for.
    pub run_at: Timestamp,
    /// The time of sending.
    pub now: Timestamp,
    /// The number of rows in the file.
    pub rows: u64,
    /// The number of rows that are missing in the file, because they cannot be read.
    pub skipped_rows: u64,
    /// When the schedule runs: `every Monday at 08:00 (Europe/London)`.
    pub timing: &'a str,
    /// The name of the schedule's maker.
    pub maker: &'a str,
    /// Whether the report is shared: others than its owner may open it.
    pub shared: bool,
    /// Whether the recipient is the schedule's maker.
    pub to_maker: bool,
    /// The names of the other recipients.
    pub others: &'a [String],
    /// The file or a link to it.
    pub enclosed: Enclosed<'a>,
}

/// The content of an [`EmailMessage`].
#[derive(Debug, Clone)]
pub enum Enclosed<'a> {
    /// The file itself.
    File {
        /// The file's name: see [`file_name`].
        name: String,
        /// The file's bytes.
        bytes: &'a Bytes,
        /// Whether it is a gzip file.
        gzipped: bool,
    },
    /// A link to the file.
    Link {
        /// The link's URL.
        url: &'a str,
        /// When the link expires.
        expires_at: Timestamp,
    },
}

/// A message that is ready to be sent.
#[derive(Debug, Clone)]
pub(super) struct ComposedMessage {
    /// The recipient's address.
    pub to: Address,
    /// The message with its headers. Each line ends with CRLF.
    pub bytes: Vec<u8>,
}

/// Why a message can't be composed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    /// The recipient's address is invalid.
    #[error("the address can't be written to: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The parts don't make a message.
    #[error("the message can't be put together: {0}")]
    Message(#[from] lettre::error::Error),
    /// A template can't be filled in.
    #[error("the text of the message can't be written: {0}")]
    Template(#[from] minijinja::Error),
}

/// The name of a report's file: the report's name as [`file_stem`] writes it, and the date of the run in its time zone, such
/// as `weekly-completions-2026-11-22.csv`, or with `.csv.gz`.
pub fn file_name(report: &str, run_at: Timestamp, zone: Tz, gzipped: bool) -> String {
    let extension = if gzipped { "csv.gz" } else { "csv" };
    format!("{}-{}.{extension}", file_stem(report), local_date(run_at, zone))
}

/// Writes the message.
pub(super) fn compose(
    email: &EmailMessage<'_>,
    from: &Mailbox,
    templates: &Templates,
) -> Result<ComposedMessage, ComposeError> {
    let (address, name) = email.to;
    let to = parse_address(address)?;
    let id = format!("<{}.{}@{}>", email.delivery, email.place, from.email.domain());
    let texts = templates.render(email)?;
    let readable = MultiPart::alternative()
        .boundary(boundary(email, "text"))
        .singlepart(text_part(ContentType::TEXT_PLAIN, texts.plain))
        .singlepart(text_part(ContentType::TEXT_HTML, texts.html));
    let mut parts = MultiPart::mixed()
        .boundary(boundary(email, "parts"))
        .multipart(readable);
    if let Enclosed::File { name, bytes, gzipped } = &email.enclosed {
        parts = parts.singlepart(file_part(name, bytes, *gzipped));
    }
    // lettre would parse the To field again to find the recipient.
    let envelope = Envelope::new(Some(from.email.clone()), vec![to.clone()])?;
    let message = Message::builder()
        .envelope(envelope)
        .from(mailbox(from.name.as_deref(), from.email.clone()))
        .to(mailbox(name, to.clone()))
        .raw_header(subject(&texts.subject))
        .date(system_time(email.now))
        .message_id(Some(id))
        .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
        .multipart(parts)?;
    Ok(ComposedMessage {
        to,
        bytes: message.formatted(),
    })
}

/// The header of messages that no person wrote (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A boundary that cannot be a line of a part: neither base64 nor quoted-printable contains `=_` (RFC 2045, section 6.7),
/// and every part is one of the two.
fn boundary(email: &EmailMessage<'_>, part: &str) -> String {
    format!("=_{}_{}_{part}", email.delivery.simple(), email.place)
}

/// A text part. Quoted-printable folds long lines, and any server accepts it.
fn text_part(content_type: ContentType, text: String) -> SinglePart {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable);
    // Quoted-printable accepts any text. If it did not, lettre would choose an encoding.
    let body = body.unwrap_or_else(Body::new);
    SinglePart::builder().header(content_type).body(body)
}

/// The file part. Base64 keeps every byte, also line ends.
fn file_part(name: &str, bytes: &Bytes, gzipped: bool) -> SinglePart {
    let content_type = if gzipped {
        "application/gzip"
    } else {
        "text/csv; charset=utf-8"
    };
    // Both are valid media types.
    let content_type = ContentType::parse(content_type).unwrap_or(ContentType::TEXT_PLAIN);
    let body = Body::new_with_encoding(bytes.to_vec(), ContentTransferEncoding::Base64);
    // Base64 accepts any bytes.
    let body = body.unwrap_or_else(Body::new);
    Attachment::new(one_line(name)).body(body, content_type)
}

/// The time for the Date header, which knows the years from 1970 to 9999.
fn system_time(at: Timestamp) -> SystemTime {
    /// 9999-12-31T23:59:59Z.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(at.micros() / 1_000_000).unwrap_or(0).min(LAST);
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
