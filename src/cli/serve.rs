//! `rollbook serve`: serves the API until the process is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

use crate::access::credential::{BootstrapCredential, SecretHash};
use crate::access::{KeyConfig, Scopes, TokenKeys};
use crate::cli::{CliError, check_schema, open_store};
use crate::config::{MailArgs, ServeSettings};
use crate::http::{AppState, path_of_address};
use crate::reports::sender::{Sender, SenderOptions};
use crate::server::{self, Listeners};
use crate::store::{Store, StoreError, StoredCredential};

/// The first pause before a database that cannot be reached is tried again. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause before a database that cannot be reached is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The arguments of `rollbook serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The settings.
    #[command(flatten)]
    pub settings: ServeSettings,
}

impl Serve {
    /// Serves until SIGTERM or Ctrl-C.
    pub async fn run(self) -> Result<(), CliError> {
        serve(&self.settings, shutdown_signal()).await
    }
}

/// Checks the settings, then serves until `shutdown` is ready.
///
/// # Errors
///
/// The settings, keys, database or addresses are wrong. Then nothing is served.
pub async fn serve(
    settings: &ServeSettings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), CliError> {
    let bootstrap = settings.bootstrap_credential()?;
    let mailer = settings.mail.mailer()?;
    // From here on, SIGHUP does not end the process any more, also while it waits for the database.
    let hangups = watch_hangups();
    let keys = TokenKeys::load(&settings.tokens.key_config()).await?;
    let reloading = reload_at_hangups(hangups, keys.clone(), settings.tokens.key_config());
    let reloading = AbortOnDrop(tokio::spawn(reloading));
    let listeners = Listeners {
        api: listen(settings.listen.listen, "--listen (ROLLBOOK_LISTEN)")?,
        metrics: settings
            .server
            .metrics_listen
            .map(|address| listen(address, "--metrics-listen (ROLLBOOK_METRICS_LISTEN)"))
            .transpose()?,
    };
    let mut shutdown = Box::pin(shutdown);
    let Some(store) = open_reachable_store(settings, &listeners, &mut shutdown).await? else {
        return Ok(());
    };
    let _lock = store.lock_for_serving()?;
    check_schema(&store, settings.server.migrate || store.migrates_itself()).await?;
    if let Some(credential) = bootstrap {
        create_bootstrap_credential(&store, credential).await?;
    }
    if !keys.accept_tokens() {
        tracing::warn!(
            "tokens are not accepted: set ROLLBOOK_JWT_SECRET, ROLLBOOK_JWT_PUBLIC_KEY, \
             ROLLBOOK_JWT_JWKS or ROLLBOOK_JWT_ISSUERS"
        );
    }
    warn_about_plain_http(listeners.api.local_addr()?, &settings.connections.trusted_proxies);
    let options = settings.sender_options(listeners.api.local_addr()?);
    log_mail_settings(&settings.mail, &options);
    let sender = Sender::new(store.clone(), mailer, options);
    let app_state = AppState::new(store, keys, settings.app_options())?;
    let (running, address) = server::start(
        &settings.server_settings(),
        listeners,
        app_state,
        Some(sender),
        shutdown,
    )?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    running.await?;
    drop(reloading);
    tracing::info!("stopped");
    Ok(())
}

/// Opens the store. While the database cannot be reached, requests are answered with 503, and it is tried again. `None` if
/// the server is told to stop meanwhile.
async fn open_reachable_store(
    settings: &ServeSettings,
    listeners: &Listeners,
    shutdown: impl Future<Output = ()>,
) -> Result<Option<Store>, CliError> {
    let unreachable = match open_store(&settings.database).await {
        Err(CliError::Store(error @ StoreError::Unreachable { .. })) => error,
        opened => return opened.map(Some),
    };
    let address = listeners.api.local_addr()?;
    tracing::error!(%address, "{unreachable}; requests are answered with 503 until it answers");
    let reopen = async {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            match open_store(&settings.database).await {
                Err(CliError::Store(error @ StoreError::Unreachable { .. })) => tracing::warn!("{error}"),
                opened => return opened,
            }
        }
    };
    let opened = async {
        tokio::select! {
            () = shutdown => None,
            opened = reopen => Some(opened),
        }
    };
    let base_path = settings.mail.public_url.as_deref().map_or("", path_of_address);
    let opened = server::answer_until(&settings.server_settings(), listeners, base_path, opened).await?;
    if opened.is_some() {
        tracing::info!("the database answers");
    }
    opened.transpose()
}

/// Logs a warning if other machines may reach the API without a proxy that ends TLS. The server itself does not end TLS.
fn warn_about_plain_http(listening: SocketAddr, trusted_proxies: &[IpNet]) {
    if !listening.ip().to_canonical().is_loopback() && trusted_proxies.is_empty() {
        tracing::warn!(
            address = %listening,
            "other machines may reach this server without TLS, so that tokens and data cross the network in plain text; \
             put a proxy with TLS in front of it and name the proxy in ROLLBOOK_TRUSTED_PROXIES (docs/operations.md#tls)"
        );
    }
}

/// Logs where messages are sent, and settings that may surprise the operator.
fn log_mail_settings(settings: &MailArgs, options: &SenderOptions) {
    if settings.smtp_url.is_none() {
        tracing::info!(
            folder = %settings.mail_folder.display(),
            "messages are written to a folder; set ROLLBOOK_SMTP_URL to send them"
        );
    } else if settings.public_url.is_none() {
        tracing::warn!(
            "links in messages begin with {}; set ROLLBOOK_PUBLIC_URL to the public address of this server",
            options.public_url
        );
    }
}

pub(super) fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, CliError> {
    TcpListener::bind(address).map_err(|source| CliError::Listen {
        address,
        setting,
        source,
    })
}

/// Creates the credential of `ROLLBOOK_BOOTSTRAP_CREDENTIAL`, if its key does not exist. An existing credential stays as
/// it is, revoked or not: a restart must not undo a change.
pub async fn create_bootstrap_credential(
    store: &Store,
    configured: BootstrapCredential,
) -> Result<(), CliError> {
    if let Some(existing) = store.credential(&configured.key).await? {
        if existing.org != configured.org {
            return Err(CliError::Refused(
                "the key in ROLLBOOK_BOOTSTRAP_CREDENTIAL belongs to another organisation; choose another key"
                    .to_owned(),
            ));
        }
        if existing.secret_hash != SecretHash::from_secret(&configured.secret).as_bytes() {
            tracing::warn!(
                "the secret in ROLLBOOK_BOOTSTRAP_CREDENTIAL differs from the stored one; the stored one stays"
            );
        }
        return Ok(());
    }
    let created = store
        .add_credential(StoredCredential {
            org: configured.org,
            id: store.clock().new_uuid(),
            key: configured.key,
            name: "Bootstrap".to_owned(),
            secret_hash: SecretHash::from_secret(&configured.secret).as_bytes().to_vec(),
            scopes: Scopes::bootstrap().to_string(),
            created_at: store.clock().now(),
            revoked_at: None,
        })
        .await?;
    // Otherwise another replica has created it in the meantime.
    if created {
        tracing::info!("created the bootstrap credential");
    }
    Ok(())
}

/// A task that ends when this is dropped.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The SIGHUPs that come from now on. `None` if they cannot be handled.
#[cfg(unix)]
fn watch_hangups() -> Option<Signal> {
    let hangups = signal(SignalKind::hangup());
    hangups
        .inspect_err(
            |error| tracing::warn!(%error, "SIGHUP cannot be handled; restart the server for new keys"),
        )
        .ok()
}

/// Loads the keys of tokens again at each SIGHUP: a key or a file of issuers is exchanged without a restart.
#[cfg(unix)]
async fn reload_at_hangups(hangups: Option<Signal>, keys: TokenKeys, config: KeyConfig) {
    let Some(mut hangups) = hangups else { return };
    while hangups.recv().await.is_some() {
        match keys.reload(&config).await {
            Ok(()) => tracing::info!("loaded the keys of tokens again"),
            Err(error) => {
                tracing::error!(%error, "the keys of tokens can't be loaded again; the old ones stay")
            }
        }
    }
}

#[cfg(not(unix))]
fn watch_hangups() {}

#[cfg(not(unix))]
async fn reload_at_hangups((): (), _: TokenKeys, _: KeyConfig) {}

/// Ready at the first SIGTERM or SIGINT. A second one ends the process at once.
pub(super) async fn shutdown_signal() {
    stop_signal().await;
    tokio::spawn(async {
        stop_signal().await;
        tracing::warn!("second signal: stopping at once");
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn stop_signal() {
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be handled; Ctrl-C still stops the server");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn stop_signal() {
    // An error means that the signal cannot be handled. Then the server stops at once.
    let _ = tokio::signal::ctrl_c().await;
}
