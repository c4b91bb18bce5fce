//! `rollbook demo`: an organisation to try everything on, without any setting (contract section 11).
//!
//! What it holds: [`Demo`], the command; [`prepare`], which gives a store with the organisation `acme` in it,
//! made at the first start and kept from then on; [`seed()`], which makes it; `guide`, what is printed. The
//! organisation itself is `people`, `contents`, `history` and `reports`.
//!
//! What it promises: everything goes in through the doors of real input (the parsers of requests, the writes of
//! directory and catalogue, the recorder); the same moment gives the same organisation; and no file is
//! touched but in the demo's folder, of which a database that the demo didn't make is left alone.

mod contents;
mod guide;
mod history;
mod people;
mod random;
mod reports;
mod seed;
mod state;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::access::{KeyConfig, Scopes, SecretHash, TokenKeys};
use crate::base::clock::Clock;
use crate::base::ids::OrgId;
use crate::cli::serve::{listen, shutdown_signal};
use crate::cli::{CliError, check_schema};
use crate::config::{ConfigError, ListenArgs};
use crate::http::{AppOptions, AppState};
use crate::log::VerbTable;
use crate::reports::mailer::Mailer;
use crate::reports::sender::{Sender, SenderOptions};
use crate::server::{self, ServerSettings};
use crate::store::{DatabaseSettings, Store, StoredCredential};

pub use reports::DemoReport;
pub use seed::{Part, SeedError, Seeded, seed};
pub use state::State;

/// The organisation's id.
pub const ORGANISATION: &str = "acme";

/// Whom the demo's messages come from.
const MAIL_FROM: &str = "Rollbook demo <rollbook@localhost>";

/// A minute in microseconds, as a [`crate::base::clock::Timestamp`] counts.
const MINUTE: i64 = 60_000_000;
/// A day in microseconds.
const DAY: i64 = 24 * 60 * MINUTE;

/// The arguments of `rollbook demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where the demo keeps its database and its secrets; made where it is not there yet
    #[arg(long, default_value = "./rollbook-demo", value_name = "FOLDER")]
    pub folder: PathBuf,

    /// Where the server listens.
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// How large an organisation is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Users; at least 40, so that every role and team has somebody.
    pub users: usize,
    /// Activities of the log.
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

/// A store with the demo's organisation in it.
pub struct Prepared {
    /// The store.
    pub store: Store,
    /// The demo's secrets.
    pub state: State,
    /// What was made, now or at an earlier start.
    pub seeded: Seeded,
}

impl Demo {
    /// Serves the demo until SIGTERM or Ctrl-C.
    pub async fn run(self) -> Result<(), CliError> {
        // First, so that a port that is taken costs no waiting.
        let listener = listen(self.listen.listen, "--listen (ROLLBOOK_LISTEN)")?;
        let Prepared { store, state, seeded } =
            prepare(&self.folder, Size::default(), Clock::system()).await?;
        let now = store.clock().now();
        let secret = state.jwt_secret();
        let keys = KeyConfig {
            secret: Some(secret.clone()),
            ..KeyConfig::default()
        };
        let sender = self.sender(&store, listener.local_addr()?)?;
        // What was queued with the first start is there when the guide speaks of it.
        sender.work().await?;
        let app_state = AppState::new(store, TokenKeys::load(&keys).await?, AppOptions::default())?;
        let (running, address) = server::start(
            &ServerSettings::default(),
            listener,
            app_state,
            Some(sender),
            shutdown_signal(),
        )?;

        let org = organisation()?;
        let mut tokens = Vec::with_capacity(seeded.cast.len());
        for part in &seeded.cast {
            tokens.push((part.clone(), guide::token(&secret, &org, part, now)?));
        }
        let path = self.folder.join("env.sh");
        let written = state::write_private(&path, &guide::variables(address, &state, &seeded, &tokens));
        written.map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })?;
        let text = guide::guide(address, &self.folder, &path, &state, &seeded, &tokens);
        // Who reads no further, as `| head` does, has seen enough; the server goes on.
        let _ = io::stdout().write_all(text.as_bytes());
        Ok(running.await?)
    }

    /// Sends what is scheduled: to the folder `mail` in the demo's own.
    fn sender(&self, store: &Store, listening: SocketAddr) -> Result<Sender, CliError> {
        let mailer = Mailer::folder(self.folder.join("mail"), MAIL_FROM).map_err(ConfigError::from)?;
        let options = SenderOptions {
            public_url: format!("http://{listening}"),
            ..SenderOptions::default()
        };
        Ok(Sender::new(store.clone(), mailer, options))
    }
}

/// Opens the demo of a folder, and makes it first where it is not there or was not finished.
///
/// # Errors
///
/// Where the folder can't be used or has a database that the demo didn't make, and where the store fails.
pub async fn prepare(folder: &Path, size: Size, clock: Clock) -> Result<Prepared, CliError> {
    let failed = |source| CliError::File {
        path: folder.to_path_buf(),
        source,
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let database = folder.join("rollbook.db");
    let kept = State::read(folder)?;
    if kept.is_none() && database.exists() {
        return Err(CliError::Refused(format!(
            "{} was not made by the demo: choose another folder with --folder",
            database.display()
        )));
    }
    if kept.as_ref().is_none_or(|state| state.seeded.is_none()) {
        remove(&database)?;
    }
    // What was begun with these secrets is gone; they do for the next try.
    let mut state = match kept {
        Some(state) => state,
        None => State::new()?,
    };
    if state.seeded.is_none() {
        // It says that what is there from here on is the demo's, whatever happens.
        state.write(folder)?;
    }
    let settings = DatabaseSettings::new(format!("sqlite:{}", database.display()));
    let store = Store::open(&settings, clock, VerbTable::standard()).await?;
    check_schema(&store, true).await?;
    let seeded = match state.seeded.clone() {
        Some(seeded) => seeded,
        None => {
            let seeded = fill(&store, &state, size).await?;
            state.seeded = Some(seeded.clone());
            state.write(folder)?;
            seeded
        }
    };
    Ok(Prepared { store, state, seeded })
}

/// Makes the credential and the organisation in a new database.
async fn fill(store: &Store, state: &State, size: Size) -> Result<Seeded, CliError> {
    // For whoever waits; the guide comes later.
    eprintln!("Making an organisation to try things on: two years of learning take a few seconds …");
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

/// Removes what an unfinished start left.
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
