//! The settings: flags, environment variables, help texts and defaults, defined once and checked at the start.
//!
//! Each struct is a group of settings that commands share. [`ServeSettings`] contains all of them. Secrets never appear in
//! logs. [`check_environment`] refuses variables that are similar to settings, so that a misspelt one is not
//! ignored. [`reference()`] writes `docs/settings.md`.

mod connections;
mod environment;
mod imports;
mod launches;
mod limits;
mod mail;
mod memory;
mod recorder;
mod reference;
mod sender;
mod streams;
mod subscriptions;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use crate::access::KeyConfig;
use crate::access::credential::secret::BootstrapCredential;
use crate::http::AppOptions;
use crate::http::cors::check_origin;
use crate::http::xapi::UnversionedAnswer;
use crate::log::VerbTable;
use crate::log::action::Action;
use crate::reports::sender::SenderOptions;
use crate::server::ServerSettings;
use crate::store::{DEFAULT_COUNTING_MEMORY_BYTES, DEFAULT_SQLITE_CACHE_BYTES, DatabaseSettings};

pub use connections::ConnectionArgs;
pub use environment::{UnknownVariables, check_environment};
pub use imports::ImportArgs;
pub use launches::LaunchArgs;
pub use limits::LimitArgs;
pub use mail::MailArgs;
pub use recorder::RecorderArgs;
pub use reference::reference;
pub use sender::SenderArgs;
pub use streams::StreamArgs;
pub use subscriptions::SubscriptionArgs;

/// The error of a setting. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Unknown environment variables.
    #[error(transparent)]
    Unknown(#[from] UnknownVariables),
    /// The filter of the log is not valid.
    #[error("ROLLBOOK_LOG: {0}; write a level (`info`) or targets with levels (`info,rollbook=debug`)")]
    LogFilter(String),
    /// The file of verbs is not valid.
    #[error("the file of verbs {path} is not valid: {reason}", path = .path.display())]
    Verbs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A secret or a credential is not valid.
    #[error(transparent)]
    Access(#[from] crate::access::AccessError),
    /// The settings of e-mail are not valid.
    #[error(transparent)]
    Mail(#[from] crate::reports::mailer::MailerError),
    /// There is a mail server but no sender address.
    #[error(
        "ROLLBOOK_SMTP_URL is set and ROLLBOOK_MAIL_FROM is not: set it to the sender of messages, for example \
         `Learning <learning@example.org>`"
    )]
    MailFrom,
}

/// The settings of the database.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// `sqlite:PATH`, or `postgres://user:password@host:port/name`
    ///
    /// SQLite creates the file if it does not exist. Prefer the environment variable if the address contains a password.
    ///
    /// PostgreSQL can have several hosts, as libpq takes them: `postgres://user:password@host-a:5432,host-b:5432/name`.
    /// The one that is no standby is used, and after a fail-over the one that has become the primary.
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE",
        default_value = "sqlite:rollbook.db",
        hide_env_values = true
    )]
    #[arg(value_name = "ADDRESS", value_parser = parse_secret)]
    pub database: SecretString,

    /// What lends the connections to PostgreSQL
    ///
    /// `transaction`: a pooler that lends a connection for each transaction, such as pgbouncer with
    /// `pool_mode = transaction`. Then nothing outlives a transaction: each query runs in one, no prepared statement has a
    /// name, and replicas know of each other's commits after half a second. A pooler with `pool_mode = session` needs
    /// `none`.
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_POOLER",
        default_value = "none",
        value_name = "KIND"
    )]
    pub database_pooler: DatabasePooler,

    /// A replica of PostgreSQL for reads of the log, exports, summaries and statements, as an address like `--database`
    ///
    /// A read goes there only if the replica has everything that was stored before the read; otherwise to `--database`.
    #[arg(long, env = "ROLLBOOK_DATABASE_READ", hide_env_values = true)]
    #[arg(value_name = "ADDRESS", value_parser = parse_secret)]
    pub database_read: Option<SecretString>,

    /// How long a read waits for a replica that is late before it goes to `--database`, in milliseconds
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_READ_WAIT_MILLISECONDS",
        default_value_t = 200,
        value_name = "MILLISECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub database_read_wait_milliseconds: u64,

    /// The maximum number of connections to the database
    ///
    /// On SQLite these are readers; there is one writer in addition. On PostgreSQL, `serve` has one connection in addition,
    /// by which replicas tell each other of commits.
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_CONNECTIONS",
        default_value_t = 16,
        value_name = "NUMBER"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections: u32,

    /// How long a request waits for a connection or a lock before it is answered with 503, in seconds
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_WAIT",
        default_value_t = 10,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=300))]
    pub database_wait: u64,

    /// How long a query of an ordinary request may take on PostgreSQL before it is answered with 503, in seconds
    ///
    /// A connection that is silent for longer is closed. A statement that writes may take at least a second longer than
    /// the wait for a lock.
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_QUERY_TIMEOUT_SECONDS",
        default_value_t = 10,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub database_query_timeout_seconds: u64,

    /// How long a query of a summary or a count of progress may take on PostgreSQL, in seconds
    ///
    /// If a part of an export takes longer, the server asks the database whether it still works at the export.
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_LONG_QUERY_TIMEOUT_SECONDS",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub database_long_query_timeout_seconds: u64,

    /// The memory that SQLite uses for pages and statements of all connections, in bytes
    ///
    /// Beyond it, SQLite gives up the pages that it has not used for the longest time.
    #[arg(
        long,
        env = "ROLLBOOK_SQLITE_CACHE_BYTES",
        default_value_t = DEFAULT_SQLITE_CACHE_BYTES,
        value_name = "NUMBER"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(8_388_608..=1_099_511_627_776))]
    pub sqlite_cache_bytes: u64,

    /// The memory for the columns from which totals, summaries and facets are counted, in bytes
    ///
    /// An activity takes about 45 bytes, and less than 100 with many registrations. An organisation that does not fit is
    /// counted by a scan of its log, which takes seconds for millions of activities. 0 counts all by scans. Unless set: a
    /// quarter of the memory of the machine or container, but at least 805306368 (768 MiB, or half of the memory if that
    /// is less) and at most 2147483648 (2 GiB).
    #[arg(long, env = "ROLLBOOK_COUNTING_MEMORY_BYTES", value_name = "NUMBER")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=1_099_511_627_776))]
    pub counting_memory_bytes: Option<u64>,

    /// A JSON file that gives further verbs a meaning: `{"<verb IRI>": "<action key>"}`
    ///
    /// It cannot change entries of the standard table. After a change, run `rollbook rebuild`, so that earlier records are
    /// projected with the new verbs.
    #[arg(long, env = "ROLLBOOK_VERBS", value_name = "FILE")]
    pub verbs: Option<PathBuf>,
}

/// What lends the connections to PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DatabasePooler {
    /// Nothing, or a pooler that lends a connection for as long as it is open.
    None,
    /// A pooler that lends a connection for each transaction.
    Transaction,
}

impl DatabaseArgs {
    /// The settings of the store.
    pub fn settings(&self) -> DatabaseSettings {
        let mut settings = DatabaseSettings::new(self.database.expose_secret());
        settings.connections = self.database_connections;
        settings.behind_transaction_pooler = self.database_pooler == DatabasePooler::Transaction;
        settings.read_url = self
            .database_read
            .as_ref()
            .map(|url| url.expose_secret().to_owned());
        settings.read_wait = Duration::from_millis(self.database_read_wait_milliseconds);
        settings.wait = Duration::from_secs(self.database_wait);
        settings.sqlite_cache_bytes = self.sqlite_cache_bytes;
        settings.counting_memory_bytes = self.counting_memory_bytes.unwrap_or_else(|| {
            memory::available_bytes().map_or(DEFAULT_COUNTING_MEMORY_BYTES, memory::for_counting)
        });
        settings.query_timeout = Duration::from_secs(self.database_query_timeout_seconds);
        settings.long_query_timeout = Duration::from_secs(self.database_long_query_timeout_seconds);
        settings
    }

    /// The verb table: the standard one with the entries of the operator's file.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Verbs`] if the file cannot be read, is not such JSON, or contradicts the standard table.
    pub fn verb_table(&self) -> Result<VerbTable, ConfigError> {
        let mut table = VerbTable::standard();
        if let Some(path) = &self.verbs {
            let refuse = |reason: String| ConfigError::Verbs {
                path: path.clone(),
                reason,
            };
            for (iri, key) in read_verbs(path).map_err(refuse)? {
                let action = Action::from_key(&key)
                    .ok_or_else(|| refuse(format!("{iri}: `{key}` is not the key of an action")))?;
                table
                    .extend(&iri, action)
                    .map_err(|error| refuse(error.to_string()))?;
            }
        }
        Ok(table)
    }
}

fn read_verbs(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// The settings of tokens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "People's tokens")]
pub struct TokenArgs {
    /// The shared secret of HS256 tokens, at least 32 bytes
    ///
    /// Prefer the environment variable: every user of the machine can see flags.
    #[arg(long, env = "ROLLBOOK_JWT_SECRET")]
    #[arg(hide_env_values = true, value_name = "SECRET", value_parser = parse_secret)]
    pub jwt_secret: Option<SecretString>,

    /// A PEM file with the public key of RS256, ES256 or EdDSA tokens
    #[arg(long, env = "ROLLBOOK_JWT_PUBLIC_KEY", value_name = "FILE")]
    pub jwt_public_key: Option<PathBuf>,

    /// A key set (JWKS): a file, or an https address that is read again while the server runs
    #[arg(long, env = "ROLLBOOK_JWT_JWKS", value_name = "FILE OR ADDRESS")]
    pub jwt_jwks: Option<String>,

    /// The required `iss` of tokens
    #[arg(long, env = "ROLLBOOK_JWT_ISSUER", value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// The required `aud` of tokens
    #[arg(long, env = "ROLLBOOK_JWT_AUDIENCE", value_name = "TEXT")]
    pub jwt_audience: Option<String>,

    /// A JSON file that binds each issuer and its keys to organisations
    ///
    /// `[{"issuer": "https://id.example.org", "organisations": ["acme"], "jwks": "https://…"}]`; instead of
    /// `jwks` a `public_key` (path) or a `jwt_secret_env` (the name of a variable, which may begin with
    /// `ROLLBOOK_SECRET_`); `organisations` may be `"*"`; `audience` may be given.
    #[arg(long, env = "ROLLBOOK_JWT_ISSUERS", value_name = "FILE")]
    pub jwt_issuers: Option<PathBuf>,
}

impl TokenArgs {
    /// The settings of the keys.
    pub fn key_config(&self) -> KeyConfig {
        KeyConfig {
            secret: self.jwt_secret.clone(),
            public_key: self.jwt_public_key.clone(),
            jwks: self.jwt_jwks.clone(),
            issuer: self.jwt_issuer.clone(),
            audience: self.jwt_audience.clone(),
            issuers: self.jwt_issuers.clone(),
        }
    }
}

/// The default filter. The HTTP library logs its threads at `info`, which is left out.
const DEFAULT_LOG: &str = "info,actix_server=warn";

/// The settings of the log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// The filter of the log: a level, or targets with levels
    ///
    /// `error`, `warn`, `info`, `debug` or `trace`; `info,rollbook::http::middleware=warn` leaves out the line for
    /// each request.
    #[arg(long, env = "ROLLBOOK_LOG", default_value = DEFAULT_LOG, value_name = "FILTER", global = true)]
    pub log: String,

    /// The format of a line
    #[arg(
        long,
        env = "ROLLBOOK_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        global = true
    )]
    pub log_format: LogFormat,
}

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for readers.
    Text,
    /// A JSON object per line, for programs.
    Json,
}

/// Parses an address to listen on, or finds that of a name such as `localhost`. Of several, IPv4 comes first: clients
/// that are given `127.0.0.1` reach it.
fn parse_listen_address(text: &str) -> Result<SocketAddr, String> {
    let help = "write an address or the name of this machine, and a port: 127.0.0.1:8080, [::1]:8080, localhost:8080";
    let addresses: Vec<SocketAddr> = match text.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(format!("{error}; {help}")),
    };
    let first = addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first());
    first.copied().ok_or_else(|| help.to_owned())
}

/// The origins of web pages that may use the API.
#[derive(Debug, Clone, Default, Args)]
pub struct CorsArgs {
    /// The origins with pages that may read answers, separated by commas; `*` is all origins
    #[arg(
        long,
        env = "ROLLBOOK_CORS_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGINS"
    )]
    #[arg(value_parser = check_origin)]
    pub cors_origins: Vec<String>,
}

/// The address of the API.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ListenArgs {
    /// The address and port of the API; port 0 selects a free one
    #[arg(
        long,
        env = "ROLLBOOK_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT",
        value_parser = parse_listen_address
    )]
    pub listen: SocketAddr,
}

/// The settings of the server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// The address and port of a separate listener for `/metrics` and `/health`
    ///
    /// Keep it within the network of the operator: it needs no authorisation. The API always serves `/health`.
    #[arg(long, env = "ROLLBOOK_METRICS_LISTEN", value_name = "ADDRESS:PORT", value_parser = parse_listen_address)]
    pub metrics_listen: Option<SocketAddr>,

    /// Serve `/metrics` on the address of the API too, to every client
    #[arg(long, env = "ROLLBOOK_METRICS_ON_API", value_parser = BoolishValueParser::new())]
    pub metrics_on_api: bool,

    /// Migrate the database's schema before serving; SQLite is always migrated
    #[arg(long, env = "ROLLBOOK_MIGRATE", value_parser = BoolishValueParser::new())]
    pub migrate: bool,

    /// A credential with all scopes, as `org:key:secret`, which the server creates at the start if it does not exist
    ///
    /// Prefer the environment variable: every user of the machine can see flags.
    #[arg(
        long,
        env = "ROLLBOOK_BOOTSTRAP_CREDENTIAL",
        hide_env_values = true,
        value_name = "ORG:KEY:SECRET"
    )]
    #[arg(value_parser = parse_secret)]
    pub bootstrap_credential: Option<SecretString>,

    /// The origins of web pages that may use the API.
    #[command(flatten)]
    pub cors: CorsArgs,

    /// The version that `/xapi` sends in the answer to a request without a version
    #[arg(
        long,
        env = "ROLLBOOK_XAPI_UNVERSIONED",
        default_value = "0.95",
        value_name = "VERSION"
    )]
    pub xapi_unversioned: UnversionedAnswer,

    /// The number of threads that serve requests; 0 is one per core
    #[arg(long, env = "ROLLBOOK_WORKERS", default_value_t = 0, value_name = "NUMBER")]
    pub workers: usize,

    /// The maximum number of open connections per worker
    #[arg(
        long,
        env = "ROLLBOOK_MAX_CONNECTIONS",
        default_value_t = 10_000,
        value_name = "NUMBER"
    )]
    pub max_connections: usize,

    /// How long an idle connection stays open, in seconds
    #[arg(
        long,
        env = "ROLLBOOK_KEEP_ALIVE",
        default_value_t = 75,
        value_name = "SECONDS"
    )]
    pub keep_alive: u64,

    /// How long running requests may take to finish after the server was told to stop, in seconds
    #[arg(
        long,
        env = "ROLLBOOK_SHUTDOWN_TIMEOUT",
        default_value_t = 30,
        value_name = "SECONDS"
    )]
    pub shutdown_timeout: u64,

    /// How long the server still serves after it was told to stop, while `/health/ready` answers 503, in seconds
    ///
    /// In this time a load balancer takes the server out.
    #[arg(
        long,
        env = "ROLLBOOK_SHUTDOWN_DELAY",
        default_value_t = 0,
        value_name = "SECONDS"
    )]
    pub shutdown_delay: u64,
}

/// All settings of `rollbook serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// The address of the API.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// The settings of the server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// The settings of connections.
    #[command(flatten)]
    pub connections: ConnectionArgs,
    /// The settings of the database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The settings of tokens.
    #[command(flatten)]
    pub tokens: TokenArgs,
    /// The settings of scheduled reports and e-mail.
    #[command(flatten)]
    pub mail: MailArgs,
    /// The limits of the sender.
    #[command(flatten)]
    pub sender: SenderArgs,
    /// The settings of subscriptions.
    #[command(flatten)]
    pub subscriptions: SubscriptionArgs,
    /// The limits on requests.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// The settings of launches.
    #[command(flatten)]
    pub launches: LaunchArgs,
    /// The limits of the recorder.
    #[command(flatten)]
    pub recorder: RecorderArgs,
    /// The limits of imports.
    #[command(flatten)]
    pub imports: ImportArgs,
    /// The limits and times of live streams.
    #[command(flatten)]
    pub streams: StreamArgs,
}

impl ServeSettings {
    /// The options of the API.
    pub fn app_options(&self) -> AppOptions {
        AppOptions {
            limits: self.limits.limits(),
            cors_origins: self.server.cors.cors_origins.clone(),
            xapi_unversioned: self.server.xapi_unversioned,
            recipients: self.mail.recipients(),
            metrics_on_api: self.server.metrics_on_api,
            public_url: self.mail.public_url.clone(),
            pages: &[],
            launch_lifetime: self.launches.lifetime(),
            recorder: self.recorder.options(),
            imports: self.imports.limits(self.limits.max_json_depth),
            streams: self.streams.options(),
            trusted_proxies: self.connections.trusted_proxies.clone(),
            subscriptions: self.subscriptions.options(),
            sends_subscriptions: true,
        }
    }

    /// The options of the sender, on a server that listens at `listening`.
    pub fn sender_options(&self, listening: SocketAddr) -> SenderOptions {
        SenderOptions {
            limits: self.sender.limits(),
            ..self.mail.sender_options(listening)
        }
    }

    /// The settings of the server.
    pub fn server_settings(&self) -> ServerSettings {
        ServerSettings {
            workers: self.server.workers,
            max_connections: self.server.max_connections,
            deadlines: self.connections.deadlines(
                Duration::from_secs(self.limits.header_timeout),
                Duration::from_secs(self.server.keep_alive),
            ),
            shutdown_timeout: Duration::from_secs(self.server.shutdown_timeout),
            shutdown_delay: Duration::from_secs(self.server.shutdown_delay),
        }
    }

    /// The credential to create at the start.
    ///
    /// # Errors
    ///
    /// It is not `org:key:secret`.
    pub fn bootstrap_credential(&self) -> Result<Option<BootstrapCredential>, ConfigError> {
        let setting = self.server.bootstrap_credential.as_ref();
        Ok(setting.map(BootstrapCredential::parse).transpose()?)
    }
}

/// Parses a secret. Any text is valid.
pub(crate) fn parse_secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests;
