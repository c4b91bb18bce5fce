//! The commands of `rollbook`, a file for each (contract section 11).
//!
//! A command's file has a struct of its arguments and a `run`. Settings that commands share are in
//! [`crate::config`]. [`Cli::run`] is the whole program but the runtime and the log.

pub mod credential;
pub mod demo;
pub mod health;
pub mod logging;
pub mod migrate;
pub mod openapi;
pub mod rebuild;
pub mod serve;
pub mod settings_reference;
pub mod token;

use std::io;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::access::AccessError;
use crate::base::clock::Clock;
use crate::config::{ConfigError, DatabaseArgs, LogArgs};
use crate::store::{SchemaState, Store, StoreError};

/// A headless Learning Record Store with an Activity Log, on SQLite or PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "rollbook", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// How the log is written.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `rollbook` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API
    Serve(Box<serve::Serve>),
    /// Serve an organisation to try things on: SQLite in a folder of its own, tokens and examples printed
    Demo(demo::Demo),
    /// Bring the database's schema up to this version
    Migrate(migrate::Migrate),
    /// Make a token for trying things, signed with ROLLBOOK_JWT_SECRET
    Token(token::Token),
    /// Make, list and revoke the credentials of integrations
    Credential(credential::Credential),
    /// Replay the records, so that the log is what they say
    Rebuild(rebuild::Rebuild),
    /// Print the OpenAPI document, or compare it with a file
    Openapi(openapi::Openapi),
    /// Ask a running server whether it is ready
    Health(health::Health),
    /// Print docs/settings.md, or compare it with a file
    #[command(hide = true)]
    SettingsReference(settings_reference::SettingsReference),
}

/// Why a command failed; the texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Keys, secrets or tokens.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database is older than this version.
    #[error(
        "the database's schema is at version {found} and this rollbook needs {needed}: run `rollbook migrate`, \
         or serve with `--migrate`"
    )]
    SchemaBehind {
        /// The database's version; 0 is empty.
        found: i64,
        /// What is needed.
        needed: i64,
    },
    /// The database is newer than this version.
    #[error(
        "the database's schema is at version {found} and this rollbook knows {needed}: run a newer rollbook, \
         or restore the backup from before it was migrated"
    )]
    SchemaAhead {
        /// The database's version.
        found: i64,
        /// What is known.
        needed: i64,
    },
    /// A socket can't be listened on.
    #[error(
        "can't listen on {address}: {source}; is another server running there? Choose another with {setting}"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Its setting.
        setting: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A file can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A generated file differs from what is generated now.
    #[error("{path} is not what `rollbook {command}` prints now: write it again", path = .path.display())]
    Drift {
        /// The file.
        path: PathBuf,
        /// What generates it.
        command: &'static str,
    },
    /// The demo's organisation.
    #[error(transparent)]
    Seed(#[from] demo::SeedError),
    /// What was asked for can't be done; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// Output could not be written, or the server's sockets failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Cli {
    /// Does what was asked; called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`CliError`], to be shown to the user.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Serve(command) => command.run().await,
            Command::Demo(command) => command.run().await,
            Command::Migrate(command) => command.run().await,
            Command::Token(command) => command.run(),
            Command::Credential(command) => command.run().await,
            Command::Rebuild(command) => command.run().await,
            Command::Openapi(command) => command.run(),
            Command::Health(command) => command.run().await,
            Command::SettingsReference(command) => command.run(),
        }
    }
}

/// Opens the store that the settings name, whatever its schema.
pub(crate) async fn open(database: &DatabaseArgs) -> Result<Store, CliError> {
    let verbs = database.verb_table()?;
    Ok(Store::open(&database.settings(), Clock::system(), verbs).await?)
}

/// Makes sure that the schema is this version's; brings it up first where `migrate` says so.
pub(crate) async fn ready(store: &Store, migrate: bool) -> Result<(), CliError> {
    let mut state = store.schema_state().await?;
    if migrate && matches!(state, SchemaState::Behind { .. }) {
        store.migrate().await?;
        state = store.schema_state().await?;
    }
    match state {
        SchemaState::Current => Ok(()),
        SchemaState::Behind { found, needed } => Err(CliError::SchemaBehind { found, needed }),
        SchemaState::Ahead { found, needed } => Err(CliError::SchemaAhead { found, needed }),
    }
}

/// Opens the store for a command that works on it beside a server: SQLite is migrated, PostgreSQL must be.
pub(crate) async fn open_ready(database: &DatabaseArgs) -> Result<Store, CliError> {
    let store = open(database).await?;
    ready(&store, store.migrates_itself()).await?;
    Ok(store)
}

/// Prints a generated text, or compares it with a file.
pub(crate) fn print_or_check(
    text: &str,
    check: Option<PathBuf>,
    command: &'static str,
) -> Result<(), CliError> {
    let Some(path) = check else {
        return Ok(io::Write::write_all(&mut io::stdout().lock(), text.as_bytes())?);
    };
    let kept = std::fs::read_to_string(&path).map_err(|source| CliError::File {
        path: path.clone(),
        source,
    })?;
    if kept == text {
        Ok(())
    } else {
        Err(CliError::Drift { path, command })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_put_together_rightly() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_generated_file_is_compared_to_the_letter() {
        let path = std::env::temp_dir().join(format!("rollbook-drift-{}", std::process::id()));
        std::fs::write(&path, "a\n").expect("a file");
        assert!(print_or_check("a\n", Some(path.clone()), "x").is_ok());
        assert!(matches!(
            print_or_check("a", Some(path.clone()), "x"),
            Err(CliError::Drift { .. })
        ));
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(
            print_or_check("a", Some(path), "x"),
            Err(CliError::File { .. })
        ));
    }
}
