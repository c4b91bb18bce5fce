//! Serves an application on a listener, like actix-web's `HttpServer`, with streams that have deadlines.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;

use super::address_limit::AddressLimit;
use super::deadlines::Deadlines;
use super::requests::track_requests;
use super::stream::DeadlineStream;

/// The time for the client to read the last answer after the server has stopped reading.
const DISCONNECT_TIME: Duration = Duration::from_secs(1);

/// The most bytes of an answer that the system takes before it sends them. With more, the server would not notice
/// for a long time that a client has stopped reading.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 32 * 1024;

/// The largest segment: that of Ethernet with jumbo frames. Segments of the loopback device are larger, and a receiver
/// that reads slowly reports its progress only after a whole one.
#[cfg(target_os = "linux")]
const SEGMENT_BYTES: u32 = 8960;

/// Adds a listener to a server. `base_path` is the path of the public address, and `application` makes the application of
/// each worker.
pub fn listen<F, I, S, B>(
    builder: ServerBuilder,
    listener: TcpListener,
    deadlines: Deadlines,
    base_path: &str,
    application: F,
) -> io::Result<ServerBuilder>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let address = listener.local_addr()?;
    set_options(&listener);
    let shutdown = builder.graceful_shutdown_signal();
    let base_path: Arc<str> = base_path.into();
    let by_address = AddressLimit::new(deadlines.connections_per_address);
    builder.listen(format!("rollbook-{address}"), listener, move || {
        let shutdown = shutdown.clone();
        let by_address = by_address.clone();
        let base_path = Arc::clone(&base_path);
        let application = application()
            .into_factory()
            .map_err(|error| error.into().error_response());
        let application = map_config(application, |()| AppConfig::default());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let signal = shutdown.clone();
                async move { signal.notified().await }
            })
            .keep_alive(deadlines.idle)
            // The stream has a deadline for each head.
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT_TIME)
            .local_addr(address)
            .on_connect_ext(|stream: &DeadlineStream, data| {
                data.insert(stream.phase());
            })
            .finish(track_requests(application));
        fn_service(move |socket: TcpStream| {
            let stream = open_stream(socket, deadlines, &base_path, &by_address);
            async move {
                let stream = stream?;
                let peer = stream.peer_address();
                Ok((stream, Protocol::Http1, peer))
            }
        })
        .and_then(http)
    })
}

/// The stream of a connection, unless its address has too many.
fn open_stream(
    socket: TcpStream,
    deadlines: Deadlines,
    base_path: &Arc<str>,
    by_address: &AddressLimit,
) -> Result<DeadlineStream, DispatchError> {
    let address = socket
        .peer_addr()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let Some(permit) = by_address.acquire(address) else {
        tracing::debug!("an address has too many connections; a new one is closed");
        return Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into()));
    };
    Ok(DeadlineStream::new(
        socket,
        deadlines,
        Arc::clone(base_path),
        permit,
    ))
}

/// Sets the options that the connections of the listener inherit. Without them, a slow client is noticed later.
fn set_options(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(listener);
        let outcome = socket
            .set_tcp_notsent_lowat(UNSENT_BYTES)
            .and_then(|()| socket.set_tcp_mss(SEGMENT_BYTES));
        if let Err(error) = outcome {
            tracing::debug!(%error, "an option of the listener cannot be set");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = listener;
}
