//! Writes answers: JSON, or multipart/mixed with the content of attachments behind it (xAPI 1.0.3, Communication 1.5.2
//! and 2.1.3).

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::future::{Either, ready};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::base::ids::OrgId;
use crate::store::{StoredAttachment, StoredRecord, Store, StoreError};

/// Whether the content of attachments goes with an answer (Communication 2.1.3, `attachments`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attachments {
    Left,
    Sent,
}

impl Attachments {
    /// The contents that go with an answer which shows these statements; `None` where none are asked for.
    pub(super) async fn of(
        self,
        store: &Store,
        organisation: &OrgId,
        shown: &[StoredRecord],
    ) -> Result<Option<Vec<StoredAttachment>>, StoreError> {
        match self {
            Self::Left => Ok(None),
            Self::Sent => store.find_attachments(organisation, shown).await.map(Some),
        }
    }
}

/// The answer with this JSON, and with these contents where they are asked for.
pub(super) fn answer(store: &Store, json: String, contents: Option<Vec<StoredAttachment>>) -> HttpResponse {
    match contents {
        None => HttpResponse::Ok()
            .content_type(header::ContentType::json())
            .body(json),
        Some(contents) => multipart(store, &json, contents),
    }
}

/// Parts one by one as they are taken; nothing of a content is read before.
///
/// No length is declared with a content: it would have to match what the statement says of it (Communication 1.5.2),
/// which is wrong at times.
fn multipart(store: &Store, json: &str, contents: Vec<StoredAttachment>) -> HttpResponse {
    // Hexadecimal digits and hyphens, so that it needs no quotation marks; and nobody can have put it in a content.
    let boundary = store.clock().new_uuid();
    let mut length = 0;
    let mut text = |text: String| {
        length += text.len() as u64;
        Either::Left(stream::once(ready(Ok::<_, StoreError>(Bytes::from(text)))))
    };
    let mut frames = vec![text(format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{json}\r\n"
    ))];
    let mut bytes = 0;
    for StoredAttachment {
        sha2,
        content_type,
        length,
        blob,
    } in contents
    {
        frames.push(text(format!(
            "--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\n\
             X-Experience-API-Hash: {sha2}\r\n\r\n"
        )));
        frames.push(Either::Right(store.blob(blob)));
        frames.push(text("\r\n".to_owned()));
        bytes += length;
    }
    frames.push(text(format!("--{boundary}--\r\n")));
    // The client sees a transfer that breaks off; why, the log alone tells.
    let body = stream::iter(frames)
        .flatten()
        .inspect_err(|cause| tracing::error!(%cause, "attachments broke off"));
    HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            format!("multipart/mixed; boundary={boundary}"),
        ))
        .body(SizedStream::new(length + bytes, body))
}
