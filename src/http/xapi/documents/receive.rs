//! Receives the body of a document.

use std::pin::pin;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use futures_util::TryStreamExt;

use crate::http::body::{content_length, refuse_encoding, stream_body};
use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem};
use crate::store::{Blob, Spool, SpoolError};

/// The media type of a document without a `Content-Type`.
const DEFAULT_TYPE: &str = "application/octet-stream";

/// Returns the `Content-Type` as the client sent it, since a document is given back with it.
pub(super) fn parse_content_type(request: &HttpRequest) -> Result<String, Problem> {
    let Some(content_type) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(DEFAULT_TYPE.to_owned());
    };
    match content_type.to_str() {
        Ok("") => Ok(DEFAULT_TYPE.to_owned()),
        Ok(content_type) => Ok(content_type.to_owned()),
        Err(_) => Err(Problem::bad_request("the header Content-Type must be ASCII")),
    }
}

/// Receives the document, within the limits of size and time.
pub(super) async fn receive(
    request: &HttpRequest,
    payload: Payload,
    limits: &Limits,
) -> Result<Blob, Problem> {
    refuse_encoding(request.headers())?;
    let too_large = || {
        let max_bytes = limits.document_bytes;
        let detail = format!("the document has more than {max_bytes} bytes; split it into several documents");
        Problem::new(Code::BodyTooLarge, detail)
    };
    if content_length(request.headers()).is_some_and(|length| length > limits.document_bytes) {
        return Err(too_large());
    }
    let spool_problem = |error| match error {
        SpoolError::TooLarge => too_large(),
        SpoolError::Io(error) => Problem::from_spool_error(error),
    };
    let mut spool = Spool::new(limits.document_bytes);
    let mut pieces = pin!(stream_body(payload.into_inner(), limits));
    while let Some(piece) = pieces.try_next().await? {
        spool.push(piece).await.map_err(spool_problem)?;
    }
    spool.finish().await.map_err(spool_problem)
}
