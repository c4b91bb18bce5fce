//! What a server answers while its database cannot be reached at the start.

use std::io;

use actix_server::{Server, ServerBuilder};
use actix_web::App;
use futures_util::future::join_all;

use super::{Listeners, ServerSettings, listen};
use crate::http::{BasePath, health};

/// Answers requests with 503 until `ready` has ended, and returns its result. The process is alive and not ready. `base_path`
/// is the path of the public address.
///
/// # Errors
///
/// A listener is not usable.
pub async fn answer_until<T>(
    settings: &ServerSettings,
    listeners: &Listeners,
    base_path: &str,
    ready: impl Future<Output = T>,
) -> io::Result<T> {
    let sockets = [Some(&listeners.api), listeners.metrics.as_ref()];
    let mut servers: Vec<Server> = Vec::new();
    for socket in sockets.into_iter().flatten() {
        let server = ServerBuilder::new()
            .workers(1)
            .shutdown_timeout(1)
            .disable_signals();
        let base = BasePath(base_path.to_owned());
        let application = move || {
            App::new()
                .app_data(base.clone())
                .configure(health::waiting_routes)
        };
        servers.push(
            listen::listen(
                server,
                socket.try_clone()?,
                settings.deadlines,
                base_path,
                application,
            )?
            .run(),
        );
    }
    let handles: Vec<_> = servers.iter().map(Server::handle).collect();
    let serving = tokio::spawn(join_all(servers));
    let result = ready.await;
    join_all(handles.iter().map(|handle| handle.stop(true))).await;
    let _ = serving.await; // the sockets go on in the server that is started next
    Ok(result)
}
