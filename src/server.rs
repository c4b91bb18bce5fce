//! Start, serve, stop (contract section 11).
//!
//! [`start`] takes bound listeners, so that port 0 works and tests serve the same routes, and gives the
//! server's future and its address. What it promises at the end: once it is told to stop, no connection is
//! accepted any more, requests under way are finished up to a deadline, and only then the store is closed,
//! so that nothing acknowledged is lost.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use tokio::sync::watch;

use crate::http::{self, AppState, health, metrics};
use crate::reports::sender::Sender;

/// How the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Threads that serve requests; 0 is one for each core.
    pub workers: usize,
    /// The most connections that one worker holds open at once.
    pub max_connections: usize,
    /// How long an idle connection is kept.
    pub keep_alive: Duration,
    /// How long a client may take to send a request's headers.
    pub header_timeout: Duration,
    /// How long requests under way may take to finish once the server is told to stop; whole seconds.
    pub shutdown_timeout: Duration,
    /// How long the server still serves after it is told to stop, while it says that it isn't ready.
    pub shutdown_delay: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            max_connections: 10_000,
            keep_alive: Duration::from_secs(75),
            header_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            shutdown_delay: Duration::ZERO,
        }
    }
}

/// The sockets that the server listens on.
#[derive(Debug)]
pub struct Listeners {
    /// For the API.
    pub api: TcpListener,
    /// For `/metrics` and `/health`, where they have a listener of their own.
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(api: TcpListener) -> Self {
        Self { api, metrics: None }
    }
}

/// Makes a server that runs once its future is polled, and tells the address of the API.
///
/// With a `sender`, what is due is sent from here beside the requests, until `shutdown` is ready.
///
/// The future ends after `shutdown` is ready and everything is finished and closed. It must be polled
/// within a Tokio runtime, the one in which the store was opened.
///
/// # Errors
///
/// Where a listener can't be used.
pub fn start(
    settings: &ServerSettings,
    listeners: impl Into<Listeners>,
    app_state: AppState,
    sender: Option<Sender>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<(impl Future<Output = io::Result<()>> + Send + 'static, SocketAddr)> {
    let listeners = listeners.into();
    let address = listeners.api.local_addr()?;
    let (settings, app_state) = (settings.clone(), Data::new(app_state));
    metrics::recorder();
    let running = async move {
        let api = api(&settings, listeners.api, app_state.clone())?;
        let aside = listeners
            .metrics
            .map(|listener| aside(listener, app_state.clone()))
            .transpose()?;

        let (stopped, stop) = watch::channel(false);
        let (told, shutting_down) = watch::channel(false);
        let sending = sender.map(|sender| tokio::spawn(sender.run(turns_true(shutting_down))));
        let background = tokio::spawn(background(app_state.clone(), stop));
        let handles: Vec<ServerHandle> = [Some(api.handle()), aside.as_ref().map(Server::handle)]
            .into_iter()
            .flatten()
            .collect();
        let stopper = tokio::spawn(stop_when_told(
            shutdown,
            settings.shutdown_delay,
            app_state.clone(),
            told,
            handles,
        ));

        let outcome = match aside {
            Some(aside) => tokio::try_join!(api, aside).map(|_| ()),
            None => api.await,
        };
        stopper.abort();
        let _ = stopped.send(true);
        // It ends at once when it is told; a panic in it has been logged and must not keep the store open.
        let _ = background.await;
        // It was told to stop with the servers, or is told now, the stopper being gone.
        if let Some(sending) = sending {
            let _ = sending.await;
        }
        app_state.recorder().finish().await;
        app_state.store().close().await;
        outcome
    };
    Ok((running, address))
}

/// The server of the API; its workers' threads begin when it is first polled.
fn api(settings: &ServerSettings, listener: TcpListener, app_state: Data<AppState>) -> io::Result<Server> {
    let mut server = HttpServer::new(move || http::application(app_state.clone()));
    if settings.workers > 0 {
        server = server.workers(settings.workers);
    }
    let server = server
        .max_connections(settings.max_connections)
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.header_timeout)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals();
    Ok(server.listen(listener)?.run())
}

/// The listener for whoever watches the server: metrics and health, no API.
fn aside(listener: TcpListener, app_state: Data<AppState>) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(app_state.clone())
            .configure(metrics::routes)
            .configure(health::routes)
    });
    Ok(server
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals()
        .listen(listener)?
        .run())
}

/// Waits until the server is told to stop; then it is not ready, serves on for the delay, and stops.
async fn stop_when_told(
    shutdown: impl Future<Output = ()> + Send,
    delay: Duration,
    app_state: Data<AppState>,
    told: watch::Sender<bool>,
    servers: Vec<ServerHandle>,
) {
    shutdown.await;
    tracing::info!("stopping: requests under way are finished, no new ones are taken");
    app_state.stop();
    let _ = told.send(true); // without a receiver nothing is sent
    tokio::time::sleep(delay).await;
    futures_util::future::join_all(servers.iter().map(|server| server.stop(true))).await;
}

/// Ready once that is true.
async fn turns_true(mut told: watch::Receiver<bool>) {
    // An error means that whoever would say it is gone: the server has stopped as well.
    let _ = told.wait_for(|told| *told).await;
}

/// What goes on beside the requests, until the server has stopped: keys are kept fresh, rows are projected
/// again where their content changed, metrics are folded in.
async fn background(app_state: Data<AppState>, stop: watch::Receiver<bool>) {
    let stopped = || turns_true(stop.clone());
    let upkeep = async {
        let mut every = tokio::time::interval(metrics::UPKEEP_EVERY);
        loop {
            every.tick().await;
            if let Some(recorder) = metrics::recorder() {
                recorder.run_upkeep();
            }
        }
    };
    let store = app_state.store().clone();
    tokio::join!(
        app_state.keys().clone().refresh_loop(stopped()),
        async {
            tokio::select! { () = stopped() => {}, () = store.reproject_in_background() => {} }
        },
        async {
            tokio::select! { () = stopped() => {}, () = upkeep => {} }
        },
    );
}
