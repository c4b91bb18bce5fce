//! Statements with the contents of their attachments, as `multipart/mixed` (xAPI 1.0.3, Communication 1.5.2).

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::{Either, ready};
use futures_util::stream::{self, StreamExt as _};

use crate::store::{Store, StoreError, StoredAttachment};

/// A multipart body.
pub struct MultipartBody<S> {
    /// The value of the header `Content-Type`.
    pub content_type: String,
    /// The number of bytes.
    pub length: u64,
    /// The bytes. A content is read from the database when the reader takes it.
    pub bytes: S,
}

/// The body with this JSON and these contents.
///
/// No content has a `Content-Length`: it would have to be the length in the statement (Communication 1.5.2), which is
/// sometimes wrong.
pub fn multipart_body(
    store: &Store,
    json: &str,
    contents: Vec<StoredAttachment>,
) -> MultipartBody<impl Stream<Item = Result<Bytes, StoreError>> + Send + use<> + 'static> {
    // A new UUID needs no quotation marks, and no content can contain it.
    let boundary = store.clock().new_uuid();
    let mut length = 0;
    let mut parts = Vec::new();
    let mut text = |text: String| {
        length += text.len() as u64;
        Either::Left(stream::once(ready(Ok::<_, StoreError>(Bytes::from(text)))))
    };
    parts.push(text(format!(
        "--{boundary}\r\nContent-Type: application/json\r\n\r\n{json}\r\n"
    )));
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
    MultipartBody {
        content_type: format!("multipart/mixed; boundary={boundary}"),
        length: length + content_bytes,
        bytes: stream::iter(parts).flatten(),
    }
}
