//! Records in the [`Phase`] of a connection when its requests begin and end, and how an answer to HTTP/1.0 ends.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_http::body::{BodySize, MessageBody};
use actix_http::{ConnectionType, HttpMessage as _, Request, Response, Version};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, apply_fn_factory};
use actix_web::http::header;
use actix_web::web::Bytes;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::phase::Phase;

/// Wraps the application: its requests report to the [`Phase`] of their connection.
///
/// A streamed answer to HTTP/1.0 is not chunked, because such clients do not know chunks. It ends with the connection.
#[allow(clippy::type_complexity, reason = "the type of a service has no shorter form")]
pub fn track_requests<I, S, B>(
    application: I,
) -> impl ServiceFactory<
    Request,
    Config = S::Config,
    Response = Response<TrackedBody<B>>,
    Error = S::Error,
    Service = impl Service<Request, Response = Response<TrackedBody<B>>, Error = S::Error, Future: 'static>,
    InitError = S::InitError,
>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request>,
    S::Response: Into<Response<B>>,
    <S::Service as Service<Request>>::Future: 'static,
    S::Error: 'static,
    S::Response: 'static,
    B: MessageBody + 'static,
{
    apply_fn_factory(application, |request: Request, service: &S::Service| {
        let open = OpenRequest::begin(&request);
        let is_http_1_0 = request.version() < Version::HTTP_11;
        let answer = service.call(request);
        async move {
            let mut open = open;
            let mut response: Response<B> = match answer.await {
                Ok(response) => response.into(),
                Err(error) => {
                    open.complete();
                    return Err(error);
                }
            };
            let size = response.body().size();
            if is_http_1_0 && size == BodySize::Stream {
                let head = response.head_mut();
                head.no_chunking(true);
                head.set_connection_type(ConnectionType::Close);
            }
            open.is_complete = matches!(size, BodySize::None | BodySize::Sized(0));
            open.is_closing |= response.head().connection_type() == ConnectionType::Close;
            Ok(response.map_body(|_, body| TrackedBody { body, open }))
        }
    })
}

/// A request for which an answer is being made or sent.
struct OpenRequest {
    phase: Option<Rc<Phase>>,
    is_complete: bool,
    is_closing: bool,
}

impl OpenRequest {
    fn begin(request: &Request) -> Self {
        let phase = request.conn_data::<Rc<Phase>>().cloned();
        if let Some(phase) = &phase {
            let headers = request.headers();
            let has_body = headers.contains_key(header::TRANSFER_ENCODING)
                || headers
                    .get(header::CONTENT_LENGTH)
                    .is_some_and(|length| length != "0");
            phase.begin_request(has_body, Instant::now());
        }
        Self {
            phase,
            is_complete: false,
            is_closing: request.head().connection_type() == ConnectionType::Close,
        }
    }

    /// Ends the request. Its answer has not broken off.
    fn complete(mut self) {
        self.is_complete = true;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if let Some(phase) = &self.phase {
            phase.end_request(self.is_complete, self.is_closing, Instant::now());
        }
    }
}

pin_project! {
    /// The body of an answer. Its request ends when the body is dropped.
    pub struct TrackedBody<B> {
        #[pin]
        body: B,
        open: OpenRequest,
    }
}

impl<B: MessageBody> MessageBody for TrackedBody<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.project();
        let piece = ready!(this.body.poll_next(context));
        if piece.is_none() {
            this.open.is_complete = true;
        }
        Poll::Ready(piece)
    }
}
