//! `rollbook demo`: a server with an example organisation, without any settings. See `docs/specification.md#commands`.
//!
//! [`Demo`] is the command. [`prepare`] opens a store with the organisation `acme`, and creates it at the first start.
//! [`seed()`] creates the organisation of `people`, `contents`, `history` and `reports`. The file `guide` has the printed text.
//!
//! Invariants:
//!
//! - All data is written with the functions that requests use: their parsers, the directory, the catalogue, the recorder.
//! - The same time gives the same organisation.
//! - Only files of the demo's folder are written. A database that the demo did not create is not changed.

mod contents;
mod guide;
mod handed_in;
mod history;
mod pages;
mod people;
mod random;
mod reports;
mod seed;
mod state;

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use ipnet::IpNet;

use crate::access::{KeyConfig, Scopes, SecretHash, TokenKeys};
use crate::base::clock::Clock;
use crate::base::ids::OrgId;
use crate::base::private_files;
use crate::cli::serve::{listen, shutdown_signal};
use crate::cli::{CliError, check_schema};
use crate::config::{ConfigError, CorsArgs, ListenArgs};
use crate::http::{AppOptions, AppState};
use crate::log::VerbTable;
use crate::reports::mailer::Mailer;
use crate::reports::sender::{Sender, SenderOptions};
use crate::server::{self, ServerSettings};
use crate::store::{DatabaseSettings, ServingLock, Store, StoredCredential};
use crate::subscriptions::egress::EgressRules;
use crate::subscriptions::worker::WorkerOptions;

pub use pages::{PAGES, UNIT, write_addresses};
pub use reports::DemoReport;
pub use seed::{CastMember, SeedError, Seeded, seed};
pub use state::State;

/// The organisation's id.
pub const ORGANISATION: &str = "acme";

/// The sender of the demo's messages.
const MAIL_FROM: &str = "Rollbook demo <rollbook@localhost>";

/// A minute in microseconds, as a [`crate::base::clock::Timestamp`] counts.
const MINUTE: i64 = 60_000_000;
/// A day in microseconds.
const DAY: i64 = 24 * 60 * MINUTE;

/// The arguments of `rollbook demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The folder of the demo's database and secrets. It is created if it does not exist
    #[arg(long, default_value = "./rollbook-demo", value_name = "FOLDER")]
    pub folder: PathBuf,

    /// The address of the server.
    #[command(flatten)]
    pub listen: ListenArgs,

    /// The origins of web pages that may use the API, as for `serve`.
    #[command(flatten)]
    pub cors: CorsArgs,
}

/// The size of the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The number of users, at least 40: each role and team has a user.
    pub users: usize,
    /// The number of activities in the log.
    pub activities: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            users: 200,
            activities: 20_000,
        }
    }
}

/// A store that contains the demo's organisation.
pub struct Prepared {
    /// The store.
    pub store: Store,
    /// The demo's secrets.
    pub state: State,
    /// The summary of the organisation.
    pub seeded: Seeded,
    /// The right to serve the database.
    pub lock: Option<ServingLock>,
}

impl Demo {
    /// Serves the demo until SIGTERM or Ctrl-C.
    pub async fn run(self) -> Result<(), CliError> {
        // The port comes first: if it is in use, the command fails at once.
        let listener = listen(self.listen.listen, "--listen (ROLLBOOK_LISTEN)")?;
        let Prepared {
            store,
            state,
            seeded,
            lock: _lock,
        } = prepare(&self.folder, Size::default(), Clock::system()).await?;
        let now = store.clock().now();
        let secret = state.jwt_secret();
        let keys = KeyConfig {
            secret: Some(secret.clone()),
            ..KeyConfig::default()
        };
        let sender = self.sender(&store, listener.local_addr()?)?;
        // The guide shows the delivery of the run that the first start has queued.
        sender.work().await?;
        let org = organisation()?;
        let written = pages::write_addresses(&store, &org, listener.local_addr()?).await;
        written.map_err(SeedError::from)?;
        let app_state = AppState::new(
            store,
            TokenKeys::load(&keys).await?,
            options(self.cors.cors_origins.clone()),
        )?;
        let (running, address) = server::start(
            &ServerSettings::default(),
            listener,
            app_state,
            Some(sender),
            shutdown_signal(),
        )?;

        let mut tokens = Vec::with_capacity(seeded.cast.len());
        for part in &seeded.cast {
            tokens.push((part.clone(), guide::create_token(&secret, &org, part, now)?));
        }
        let path = self.folder.join("env.sh");
        let written = state::write_private(&path, &guide::variables(address, &state, &seeded, &tokens));
        written.map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })?;
        let text = guide::guide(address, &self.folder, &path, &state, &seeded, &tokens);
        // A reader such as `| head` may close the output. The server continues.
        let _ = io::stdout().write_all(text.as_bytes());
        Ok(running.await?)
    }

    /// The sender of scheduled reports. It writes messages to the folder `mail` of the demo's folder.
    fn sender(&self, store: &Store, listening: SocketAddr) -> Result<Sender, CliError> {
        let mailer = Mailer::folder(self.folder.join("mail"), MAIL_FROM).map_err(ConfigError::from)?;
        let options = SenderOptions {
            public_url: format!("http://{listening}"),
            ..SenderOptions::default()
        };
        Ok(Sender::new(store.clone(), mailer, options))
    }
}

/// The options of the server: its pages, and subscriptions that may reach receivers on this machine.
fn options(cors_origins: Vec<String>) -> AppOptions {
    let loopback = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::from(Ipv6Addr::LOCALHOST),
    ];
    let egress = EgressRules {
        allow_http: true,
        allowed_networks: loopback.map(IpNet::from).to_vec(),
        ..EgressRules::default()
    };
    AppOptions {
        subscriptions: WorkerOptions {
            egress,
            ..WorkerOptions::default()
        },
        sends_subscriptions: true,
        pages: pages::PAGES,
        cors_origins,
        ..AppOptions::default()
    }
}

/// Opens the demo of a folder. Creates it if it does not exist or was not completed.
///
/// # Errors
///
/// The folder can't be used or has a database that the demo did not create, or the store fails.
pub async fn prepare(folder: &Path, size: Size, clock: Clock) -> Result<Prepared, CliError> {
    let failed = |source| CliError::File {
        path: folder.to_path_buf(),
        source,
    };
    private_files::create_folder(folder).map_err(failed)?;
    let database = folder.join("rollbook.db");
    let stored = State::read(folder)?;
    if stored.is_none() && database.exists() {
        return Err(CliError::Refused(format!(
            "{} was not created by the demo: choose another folder with --folder",
            database.display()
        )));
    }
    if stored.as_ref().is_none_or(|state| state.seeded.is_none()) {
        remove(&database)?;
    }
    // The secrets of an incomplete demo are used again.
    let mut state = match stored {
        Some(state) => state,
        None => State::new()?,
    };
    if state.seeded.is_none() {
        // This file marks the folder as the demo's, even if the next steps fail.
        state.write(folder)?;
    }
    let settings = DatabaseSettings::new(format!("sqlite:{}", database.display()));
    let store = Store::open(&settings, clock, VerbTable::standard()).await?;
    let lock = store.lock_for_serving()?;
    check_schema(&store, true).await?;
    let seeded = match state.seeded.clone() {
        Some(seeded) => seeded,
        None => {
            let seeded = create_organisation(&store, &state, size).await?;
            state.seeded = Some(seeded.clone());
            state.write(folder)?;
            seeded
        }
    };
    Ok(Prepared {
        store,
        state,
        seeded,
        lock,
    })
}

/// Creates the credential and the organisation in a new database.
async fn create_organisation(store: &Store, state: &State, size: Size) -> Result<Seeded, CliError> {
    // A progress message: the guide comes some seconds later.
    eprintln!("Creating an example organisation with two years of learning. This takes a few seconds …");
    let org = organisation()?;
    let credential = StoredCredential {
        org: org.clone(),
        id: store.clock().new_uuid(),
        key: state.credential_key.clone(),
        name: "Learning platform".to_owned(),
        secret_hash: SecretHash::from_secret(&state.credential_secret())
            .as_bytes()
            .to_vec(),
        scopes: Scopes::bootstrap().to_string(),
        created_at: store.clock().now(),
        revoked_at: None,
    };
    store.add_credential(credential).await?;
    Ok(seed(store, &org, size, &state.credential_key).await?)
}

fn organisation() -> Result<OrgId, CliError> {
    OrgId::new(ORGANISATION).map_err(|error| CliError::Refused(error.to_string()))
}

/// Removes the database of an incomplete demo.
fn remove(database: &Path) -> Result<(), CliError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(CliError::File { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}
