//! `rollbook serve`: the API, until it is told to stop.

use std::net::{SocketAddr, TcpListener};

use clap::Args;

use crate::access::credential::{BootstrapCredential, SecretHash};
use crate::access::{Scopes, TokenKeys};
use crate::cli::{CliError, open, ready};
use crate::config::{MailArgs, ServeSettings};
use crate::http::AppState;
use crate::reports::sender::{Sender, SenderOptions};
use crate::server::{self, Listeners};
use crate::store::{Store, StoredCredential};

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

/// Serves until `shutdown` is ready: checks everything, then listens.
///
/// # Errors
///
/// What is wrong with the settings, the keys, the database or the sockets, before anything is served.
pub async fn serve(
    settings: &ServeSettings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), CliError> {
    let bootstrap = settings.bootstrap_credential()?;
    let mailer = settings.mail.mailer()?;
    let keys = TokenKeys::load(&settings.tokens.key_config()).await?;
    let listeners = Listeners {
        api: listen(settings.listen.listen, "--listen (ROLLBOOK_LISTEN)")?,
        metrics: settings
            .server
            .metrics_listen
            .map(|address| listen(address, "--metrics-listen (ROLLBOOK_METRICS_LISTEN)"))
            .transpose()?,
    };
    let store = open(&settings.database).await?;
    ready(&store, settings.server.migrate || store.migrates_itself()).await?;
    if let Some(credential) = bootstrap {
        make_bootstrap_credential(&store, credential).await?;
    }
    if !keys.accept_tokens() {
        tracing::warn!(
            "people's tokens are not accepted: set ROLLBOOK_JWT_SECRET, ROLLBOOK_JWT_PUBLIC_KEY, \
             ROLLBOOK_JWT_JWKS or ROLLBOOK_JWT_ISSUERS"
        );
    }
    let options = settings.mail.sender_options(listeners.api.local_addr()?);
    tell_of_mail(&settings.mail, &options);
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
    tracing::info!("stopped");
    Ok(())
}

/// Says where messages go, and what may not be as the operator thinks.
fn tell_of_mail(settings: &MailArgs, options: &SenderOptions) {
    if settings.smtp_url.is_none() {
        tracing::info!(
            folder = %settings.mail_folder.display(),
            "messages are written to a folder: set ROLLBOOK_SMTP_URL to have them sent"
        );
    } else if settings.public_url.is_none() {
        tracing::warn!(
            "links in messages begin with {}: set ROLLBOOK_PUBLIC_URL to where this server is reached",
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

/// Keeps the credential of `ROLLBOOK_BOOTSTRAP_CREDENTIAL` where its key is not there yet. One that is
/// there stays as it is, revoked or not: a restart must not undo what somebody did to it.
pub async fn make_bootstrap_credential(store: &Store, given: BootstrapCredential) -> Result<(), CliError> {
    if let Some(kept) = store.credential(&given.key).await? {
        if kept.org != given.org {
            return Err(CliError::Refused(
                "the key in ROLLBOOK_BOOTSTRAP_CREDENTIAL belongs to another organisation: choose another"
                    .to_owned(),
            ));
        }
        if kept.secret_hash != SecretHash::from_secret(&given.secret).as_bytes() {
            tracing::warn!(
                "the secret in ROLLBOOK_BOOTSTRAP_CREDENTIAL is not the one that its key was made with"
            );
        }
        return Ok(());
    }
    let made = store
        .add_credential(StoredCredential {
            org: given.org,
            id: store.clock().new_uuid(),
            key: given.key,
            name: "Bootstrap".to_owned(),
            secret_hash: SecretHash::from_secret(&given.secret).as_bytes().to_vec(),
            scopes: Scopes::bootstrap().to_string(),
            created_at: store.clock().now(),
            revoked_at: None,
        })
        .await?;
    // Where it was not made, another replica was quicker.
    if made {
        tracing::info!("made the bootstrap credential");
    }
    Ok(())
}

/// Ready at the first SIGTERM or SIGINT; a second ends the process at once.
pub(super) async fn shutdown_signal() {
    stop_asked().await;
    tokio::spawn(async {
        stop_asked().await;
        tracing::warn!("told to stop a second time: stopping at once");
        std::process::exit(130);
    });
}

#[cfg(unix)]
async fn stop_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(error) => {
            tracing::warn!(%error, "SIGTERM can't be waited for; Ctrl-C still stops the server");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

#[cfg(not(unix))]
async fn stop_asked() {
    // An error means that there is no such signal to wait for: the server stops rather than run on unheard.
    let _ = tokio::signal::ctrl_c().await;
}
