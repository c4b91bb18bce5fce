//! Writes answers as JSON, or as multipart/mixed with the contents of attachments (xAPI 1.0.3, Communication 1.5.2 and
//! 2.1.3).

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::header;
use futures_util::stream::TryStreamExt as _;

use crate::base::ids::OrgId;
use crate::export::multipart::multipart_body;
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
        Some(contents) => multipart_response(store, &json, contents.into_iter().flatten().collect()),
    }
}

/// Returns a multipart answer. A content is read from the database when the client takes it.
fn multipart_response(store: &Store, json: &str, contents: Vec<StoredAttachment>) -> HttpResponse {
    let body = multipart_body(store, json, contents);
    // The client only sees that the body is incomplete. The log has the reason.
    let bytes = body
        .bytes
        .inspect_err(|cause| tracing::error!(%cause, "the transfer of attachments broke off"));
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, body.content_type))
        .body(SizedStream::new(body.length, bytes))
}
