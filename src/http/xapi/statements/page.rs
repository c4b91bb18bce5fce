//! Writes answers as JSON, or as multipart/mixed with the contents of attachments (xAPI 1.0.3, Communication 1.5.2 and
//! 2.1.3).

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::future::{Either, ready};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::base::ids::OrgId;
use crate::store::{Store, StoreError, StoredAttachment, StoredRecord};

/// Whether an answer contains the contents of attachments (Communication 2.1.3, `attachments`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attachments {
    Omitted,
    Included,
}

impl Attachments {
    /// Finds the contents for an answer with these records, a list for each record. Returns `None` if they are not
    /// requested.
    pub(super) async fn find(
        self,
        store: &Store,
        organisation: &OrgId,
        records: &[StoredRecord],
    ) -> Result<Option<Vec<Vec<StoredAttachment>>>, StoreError> {
        match self {
            Self::Omitted => Ok(None),
            Self::Included => store.find_attachments(organisation, records).await.map(Some),
        }
    }
}

/// Returns the answer with this JSON, and with these contents if they are requested.
pub(super) fn statement_response(
    store: &Store,
    json: String,
    contents: Option<Vec<Vec<StoredAttachment>>>,
) -> HttpResponse {
    match contents {
        None => HttpResponse::Ok()
            .content_type(header::ContentType::json())
            .body(json),
        Some(contents) => multipart_response(store, &json, contents.into_iter().flatten()),
    }
}

/// Returns a multipart answer. A content is read from the database when the client takes it.
///
/// No content has a `Content-Length`: it would have to be the length in the statement (Communication 1.5.2), which is
/// sometimes wrong.
fn multipart_response(
    store: &Store,
    json: &str,
    contents: impl Iterator<Item = StoredAttachment>,
) -> HttpResponse {
    // A new UUID needs no quotation marks, and no content can contain it.
    let boundary = store.clock().new_uuid();
    let mut text_bytes = 0;
    let mut text = |text: String| {
        text_bytes += text.len() as u64;
        Either::Left(stream::once(ready(Ok::<_, StoreError>(Bytes::from(text)))))
    };
    let mut parts = vec![text(format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{json}\r\n"
    ))];
    let mut content_bytes = 0;
    for StoredAttachment {
        sha2,
        content_type,
        length,
        blob,
    } in contents
    {
        parts.push(text(format!(
            "--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\n\
             X-Experience-API-Hash: {sha2}\r\n\r\n"
        )));
        parts.push(Either::Right(store.blob(blob)));
        parts.push(text("\r\n".to_owned()));
        content_bytes += length;
    }
    parts.push(text(format!("--{boundary}--\r\n")));
    // The client only sees that the body is incomplete. The log has the reason.
    let body = stream::iter(parts)
        .flatten()
        .inspect_err(|cause| tracing::error!(%cause, "the transfer of attachments broke off"));
    HttpResponse::Ok()
        .insert_header((
            header::CONTENT_TYPE,
            format!("multipart/mixed; boundary={boundary}"),
        ))
        .body(SizedStream::new(text_bytes + content_bytes, body))
}
