//! The commands of `rollbook`, one file each.
//!
//! The file of a command has a struct with its arguments and a `run`. Settings that commands share are in
//! [`crate::config`]. [`main`] starts the log and the runtime, and [`Cli::run`] executes the command.

pub mod credential;
pub mod demo;
pub mod distributed;
pub mod export;
pub mod health;
pub mod import;
pub mod logging;
pub mod migrate;
pub mod openapi;
pub mod rebuild;
pub mod serve;
pub mod settings_reference;
pub mod token;
pub mod views;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::access::AccessError;
use crate::base::clock::Clock;
use crate::config::{ConfigError, DatabaseArgs, LogArgs, check_environment};
use crate::store::{self, SchemaState, Store, StoreError};

/// A headless Learning Record Store with an Activity Log, on SQLite or PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "rollbook", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The settings of the log.
    #[command(flatten)]
    pub log: LogArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `rollbook`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API
    Serve(Box<serve::Serve>),
    /// Serve a demo organisation on SQLite, and print tokens and examples
    Demo(demo::Demo),
    /// Migrate the database's schema to this version
    Migrate(migrate::Migrate),
    /// Show how a cluster with Citus has the tables
    Distributed(distributed::Distributed),
    /// Print the SQL views for BI tools
    Views(views::Views),
    /// Create a token for tests, signed with ROLLBOOK_JWT_SECRET
    Token(token::Token),
    /// Create, list and revoke credentials of integrations
    Credential(credential::Credential),
    /// Rebuild the log from the records
    Rebuild(rebuild::Rebuild),
    /// Write a whole organisation to a folder, to move it to another database
    Export(export::Export),
    /// Insert an organisation from the folder that `export` wrote
    Import(import::Import),
    /// Print the OpenAPI document, or compare it with a file
    Openapi(openapi::Openapi),
    /// Ask a running server whether it is ready
    Health(health::Health),
    /// Print docs/settings.md, or compare it with a file
    #[command(hide = true)]
    SettingsReference(settings_reference::SettingsReference),
}

/// Why a command failed. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key, secret or token is wrong.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The views for BI tools cannot be installed.
    #[error(transparent)]
    Views(#[from] store::ViewsError),
    /// The tables are not distributed, and cannot be.
    #[error(transparent)]
    Distribution(#[from] store::DistributionError),
    /// The file of an SQLite database cannot be opened.
    #[error("the database file {path}: {source}", path = .path.display())]
    DatabaseFile {
        /// The file.
        path: PathBuf,
        /// The error of the store.
        source: StoreError,
    },
    /// The database is older than this version.
    #[error(
        "the database's schema is at version {found} and this rollbook needs {needed}: run `rollbook migrate`, \
         or serve with `--migrate`"
    )]
    SchemaBehind {
        /// The version of the database. An empty one has version 0.
        found: i64,
        /// The version of this binary.
        needed: i64,
    },
    /// The database is newer than this version.
    #[error(
        "the database's schema is at version {found} and this rollbook supports {needed}: run a newer rollbook, \
         or restore a backup from before the migration"
    )]
    SchemaAhead {
        /// The database's version.
        found: i64,
        /// The version of this binary.
        needed: i64,
    },
    /// The server cannot listen on an address.
    #[error(
        "can't listen on {address}: {source}; is another server running there? Choose another with {setting}"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// The setting with the address.
        setting: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A generated file differs from what is generated now.
    #[error("{path} is not what `rollbook {command}` prints now: write it again", path = .path.display())]
    Drift {
        /// The file.
        path: PathBuf,
        /// The command that generates it.
        command: &'static str,
    },
    /// The demo's organisation could not be created.
    #[error(transparent)]
    Seed(#[from] demo::SeedError),
    /// An archive could not be written or read.
    #[error(transparent)]
    Archive(#[from] crate::archive::ArchiveError),
    /// The command cannot be executed. The message says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// Output could not be written, or the server's sockets failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the command, starts the log and the runtime, and runs the command. Returns the status of the process.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            // As clap does for wrong flags: 2 for what the user has to set right, 1 for everything else.
            ExitCode::from(if matches!(error, CliError::Config(_)) {
                2
            } else {
                1
            })
        }
    }
}

fn run() -> Result<(), CliError> {
    // Help and version come first: they must work in any environment.
    let cli = Cli::parse();
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    let foreign = check_environment(variables, &Cli::command()).map_err(ConfigError::from)?;
    logging::start(&cli.log)?;
    for variable in foreign {
        tracing::warn!(
            variable,
            "the variable is not a setting of Rollbook, and has no effect"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(cli.run())
}

impl Cli {
    /// Executes the command. It must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`CliError`] with a message for the user.
    pub async fn run(self) -> Result<(), CliError> {
        match self.command {
            Command::Serve(command) => command.run().await,
            Command::Demo(command) => command.run().await,
            Command::Migrate(command) => command.run().await,
            Command::Distributed(command) => command.run().await,
            Command::Views(command) => command.run().await,
            Command::Token(command) => command.run(),
            Command::Credential(command) => command.run().await,
            Command::Rebuild(command) => command.run().await,
            Command::Export(command) => command.run().await,
            Command::Import(command) => command.run().await,
            Command::Openapi(command) => command.run(),
            Command::Health(command) => command.run().await,
            Command::SettingsReference(command) => command.run(),
        }
    }
}

/// Opens the store without checking its schema.
pub(crate) async fn open_store(database: &DatabaseArgs) -> Result<Store, CliError> {
    let verbs = database.verb_table()?;
    let settings = database.settings();
    let opened = Store::open(&settings, Clock::system(), verbs).await;
    opened.map_err(|error| match store::file_of(&settings.url) {
        // The message of SQLite does not name the file.
        Some(path) if !matches!(error, StoreError::File(_)) => CliError::DatabaseFile { path, source: error },
        _ => error.into(),
    })
}

/// Checks that the schema has the version of this binary. With `migrate` an older schema is migrated first.
pub(crate) async fn check_schema(store: &Store, migrate: bool) -> Result<(), CliError> {
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

/// Opens the store for a command that may run beside a server. SQLite is migrated; PostgreSQL must be migrated already.
pub(crate) async fn open_migrated_store(database: &DatabaseArgs) -> Result<Store, CliError> {
    let store = open_store(database).await?;
    check_schema(&store, store.migrates_itself()).await?;
    Ok(store)
}

/// Opens the store for a command that reads or changes what exists.
///
/// # Errors
///
/// As [`open_migrated_store`], and if the file of an SQLite database is missing: an empty one would hide a wrong path.
pub(crate) async fn open_existing_store(database: &DatabaseArgs) -> Result<Store, CliError> {
    let file = store::file_of(&database.settings().url);
    if let Some(path) = file.filter(|path| !path.exists()) {
        return Err(CliError::Refused(format!(
            "there is no database at {}: check --database (ROLLBOOK_DATABASE); `rollbook serve` creates one",
            path.display()
        )));
    }
    open_migrated_store(database).await
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
    let existing = std::fs::read_to_string(&path).map_err(|source| CliError::File {
        path: path.clone(),
        source,
    })?;
    if existing == text {
        Ok(())
    } else {
        Err(CliError::Drift { path, command })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::config::check_environment;

    use super::*;

    #[test]
    fn commands_are_defined_correctly() {
        Cli::command().debug_assert();
    }

    #[test]
    fn variables_with_short_names_are_foreign_and_misspelt_settings_are_not() {
        let check = |name: &str| check_environment([(name.to_owned(), "x".to_owned())], &Cli::command());
        for name in [
            "PORT", "URL", "HOST", "HOME", "TAG", "ENV", "ORG", "KEY", "DIR", "DB", "MODE", "URLS", "USER",
        ] {
            let name = format!("ROLLBOOK_{name}");
            assert_eq!(check(&name), Ok(vec![name]));
        }
        for name in [
            "LOGG",
            "LISEN",
            "DATABSE",
            "DATBASE",
            "PUBLIC_ULR",
            "CORS_ORIGIN",
            "JWT_SECRT",
        ] {
            let name = format!("ROLLBOOK_{name}");
            assert!(check(&name).is_err(), "{name}");
        }
    }

    #[test]
    fn generated_file_is_compared_exactly() {
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
