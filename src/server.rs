//! Starting and stopping the server.
//!
//! [`start`] takes bound listeners, so that port 0 works and tests serve the same routes. It returns the future of the
//! server and its address. When the server is told to stop, it accepts no more connections, finishes running requests
//! up to a deadline, and then closes the store. So no acknowledged record is lost.
//!
//! `listen` serves an application on a socket. Its connections are `stream::DeadlineStream`s, which have a deadline
//! for each phase.

pub mod deadlines;

mod address_limit;
mod idle_sessions;
mod listen;
mod phase;
mod requests;
mod stream;
mod waiting;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_server::ServerBuilder;
use actix_web::App;
use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use tokio::sync::watch;

use crate::http::{self, AppState, health, metrics};
use crate::imports::Importer;
use crate::reports::sender::Sender;
use deadlines::Deadlines;
pub use waiting::answer_until;

/// The settings of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The number of threads that serve requests; 0 is one per core.
    pub workers: usize,
    /// The maximum number of open connections per worker.
    pub max_connections: usize,
    /// The time that clients have for each phase of a connection.
    pub deadlines: Deadlines,
    /// How long running requests may take to finish after the server was told to stop, in whole seconds.
    pub shutdown_timeout: Duration,
    /// How long the server still serves after it was told to stop, while `/health/ready` answers 503.
    pub shutdown_delay: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            workers: 0,
            max_connections: 10_000,
            deadlines: Deadlines::default(),
            shutdown_timeout: Duration::from_secs(30),
            shutdown_delay: Duration::ZERO,
        }
    }
}

/// The sockets of the server.
#[derive(Debug)]
pub struct Listeners {
    /// The socket of the API.
    pub api: TcpListener,
    /// A separate socket for `/metrics` and `/health`.
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(api: TcpListener) -> Self {
        Self { api, metrics: None }
    }
}

/// Creates a server, and returns its future and the address of the API. The server runs while the future is polled.
///
/// A `sender` sends due reports until `shutdown` is ready.
///
/// The future ends after `shutdown` is ready and everything is finished and closed. It must be polled within the Tokio
/// runtime in which the store was opened.
///
/// # Errors
///
/// A listener is not usable.
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
            .map(|listener| monitoring(&settings, listener, app_state.clone()))
            .transpose()?;

        let (stopped, stop) = watch::channel(false);
        let (stop_requested, shutting_down) = watch::channel(false);
        let worker = app_state.subscription_worker();
        let working = worker.map(|worker| tokio::spawn(worker.run(wait_until_true(shutting_down.clone()))));
        let sending = sender.map(|sender| tokio::spawn(sender.run(wait_until_true(shutting_down.clone()))));
        let (store, recorder) = (app_state.store().clone(), app_state.recorder().clone());
        let importer = Importer::new(store, recorder, app_state.imports().clone());
        let importing = tokio::spawn(importer.run(wait_until_true(shutting_down)));
        let background = tokio::spawn(background(app_state.clone(), stop));
        let handles: Vec<ServerHandle> = [Some(api.handle()), aside.as_ref().map(Server::handle)]
            .into_iter()
            .flatten()
            .collect();
        let stopper = tokio::spawn(stop_after_shutdown(
            shutdown,
            settings.shutdown_delay,
            app_state.clone(),
            stop_requested,
            handles,
        ));

        let outcome = match aside {
            Some(aside) => tokio::try_join!(api, aside).map(|_| ()),
            None => api.await,
        };
        stopper.abort();
        let _ = stopped.send(true);
        // The task ends at once. A panic in it has been logged and must not keep the store open.
        let _ = background.await;
        // The sender was told to stop with the servers, or stops now because the stopping task has ended.
        if let Some(sending) = sending {
            let _ = sending.await;
        }
        if let Some(working) = working {
            let _ = working.await;
        }
        // The steps of imports that are being stored end. The importer was told to stop as the sender was.
        let _ = importing.await;
        app_state.recorder().finish().await;
        app_state.store().close().await;
        outcome
    };
    Ok((running, address))
}

/// The server of the API. Its worker threads start when it is first polled.
fn api(settings: &ServerSettings, listener: TcpListener, app_state: Data<AppState>) -> io::Result<Server> {
    let mut server = ServerBuilder::new();
    if settings.workers > 0 {
        server = server.workers(settings.workers);
    }
    let server = server
        .max_concurrent_connections(settings.max_connections)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals();
    let base_path = app_state.base_path().to_owned();
    let application = move || http::application(app_state.clone());
    Ok(listen::listen(server, listener, settings.deadlines, &base_path, application)?.run())
}

/// The server of the separate socket: metrics and health, without the API.
fn monitoring(
    settings: &ServerSettings,
    listener: TcpListener,
    app_state: Data<AppState>,
) -> io::Result<Server> {
    let server = ServerBuilder::new()
        .workers(1)
        .shutdown_timeout(1)
        .disable_signals();
    let base_path = app_state.base_path().to_owned();
    let application = move || {
        App::new()
            .app_data(app_state.clone())
            .configure(metrics::routes)
            .configure(health::routes)
    };
    Ok(listen::listen(server, listener, settings.deadlines, &base_path, application)?.run())
}

/// Waits until `shutdown` is ready. Then the server reports that it is not ready, serves during the delay, and
/// stops.
async fn stop_after_shutdown(
    shutdown: impl Future<Output = ()> + Send,
    delay: Duration,
    app_state: Data<AppState>,
    stop_requested: watch::Sender<bool>,
    servers: Vec<ServerHandle>,
) {
    shutdown.await;
    tracing::info!("stopping: requests under way are finished, no new ones are taken");
    app_state.stop();
    let _ = stop_requested.send(true); // an error means that there is no sender
    tokio::time::sleep(delay).await;
    futures_util::future::join_all(servers.iter().map(|server| server.stop(true))).await;
}

/// Ready when the value becomes true.
async fn wait_until_true(mut flag: watch::Receiver<bool>) {
    // An error means that the other end is gone, because the server has stopped.
    let _ = flag.wait_for(|value| *value).await;
}

/// The work in the background until the server has stopped: refreshing key sets, projecting rows again after their
/// content changed, keeping the log of SQLite small, watching commits, abandoning expired sessions of cmi5, recording idle
/// sessions of SCORM packages, measuring the backlog, and the upkeep of metrics.
async fn background(app_state: Data<AppState>, stop: watch::Receiver<bool>) {
    let stopped = || wait_until_true(stop.clone());
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
    let measure = async {
        loop {
            if let Err(error) = store.measure_backlog().await {
                tracing::debug!(%error, "the backlog could not be counted");
            }
            tokio::time::sleep(metrics::BACKLOG_EVERY).await;
        }
    };
    tokio::join!(
        app_state.keys().clone().refresh_loop(stopped()),
        async {
            tokio::select! { () = stopped() => {}, () = store.reproject_in_background() => {} }
        },
        async {
            tokio::select! { () = stopped() => {}, () = store.keep_log_small() => {} }
        },
        async {
            tokio::select! { () = stopped() => {}, () = store.watch_commits() => {} }
        },
        async {
            tokio::select! { () = stopped() => {}, () = store.keep_abandoning_sessions() => {} }
        },
        async {
            tokio::select! { () = stopped() => {}, () = idle_sessions::record_idle_sessions(&app_state) => {} }
        },
        async {
            tokio::select! { () = stopped() => {}, () = upkeep => {} }
        },
        async {
            tokio::select! { () = stopped() => {}, () = measure => {} }
        },
    );
}
