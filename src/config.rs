//! Settings: flags, environment variables, help and defaults from one place, checked once at start
//! (contract section 11).
//!
//! Each struct here is a group of settings that commands share; [`ServeSettings`] has them all. Secrets
//! are kept as such and shown nowhere. [`check_environment`] refuses a `ROLLBOOK_…` variable that no
//! setting has, so that a misspelt one is not ignored; [`reference()`] writes `docs/settings.md`.

mod environment;
mod mail;
mod reference;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{BoolishValueParser, RangedU64ValueParser};
use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

use crate::access::KeyConfig;
use crate::access::credential::secret::BootstrapCredential;
use crate::http::AppOptions;
use crate::http::cors::check_origin;
use crate::http::limits::Limits;
use crate::http::xapi::UnversionedAnswer;
use crate::log::VerbTable;
use crate::log::action::Action;
use crate::server::ServerSettings;
use crate::store::DatabaseSettings;

pub use environment::{UnknownVariables, check_environment};
pub use mail::MailArgs;
pub use reference::reference;

/// What is wrong with the settings; the texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Environment variables that no setting has.
    #[error(transparent)]
    Unknown(#[from] UnknownVariables),
    /// The log's filter can't be read.
    #[error("ROLLBOOK_LOG: {0}; write a level (`info`) or targets with levels (`info,rollbook=debug`)")]
    LogFilter(String),
    /// The file of verbs can't be used.
    #[error("the file of verbs {path} can't be used: {reason}", path = .path.display())]
    Verbs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A secret or a credential can't stand as it is.
    #[error(transparent)]
    Access(#[from] crate::access::AccessError),
    /// Messages can't be sent so.
    #[error(transparent)]
    Mail(#[from] crate::reports::mailer::MailerError),
    /// There is a mail server, and nobody for messages to come from.
    #[error(
        "ROLLBOOK_SMTP_URL is set and ROLLBOOK_MAIL_FROM is not: set it to whom messages come from, as \
         `Learning <learning@example.org>`"
    )]
    MailFrom,
}

/// Where everything is kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// `sqlite:PATH`, or `postgres://user:password@host:port/name`
    ///
    /// SQLite makes the file where it is not there yet. Prefer the environment variable where the address
    /// holds a password.
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE",
        default_value = "sqlite:rollbook.db",
        hide_env_values = true
    )]
    #[arg(value_name = "ADDRESS", value_parser = secret)]
    pub database: SecretString,

    /// The most connections to the database at once
    ///
    /// On SQLite these are readers; there is one writer beside them.
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_CONNECTIONS",
        default_value_t = 16,
        value_name = "NUMBER"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections: u32,

    /// How long a request waits for a connection before it is answered with 503, in seconds
    #[arg(
        long,
        env = "ROLLBOOK_DATABASE_WAIT",
        default_value_t = 10,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=300))]
    pub database_wait: u64,

    /// A JSON file that gives further verbs a meaning: `{"<verb IRI>": "<action key>"}`
    ///
    /// It can't change what the standard table says. After a change, run `rollbook rebuild`, so that
    /// what came before is read in the same way.
    #[arg(long, env = "ROLLBOOK_VERBS", value_name = "FILE")]
    pub verbs: Option<PathBuf>,
}

impl DatabaseArgs {
    /// The store's settings.
    pub fn settings(&self) -> DatabaseSettings {
        let mut settings = DatabaseSettings::new(self.database.expose_secret());
        settings.connections = self.database_connections;
        settings.wait = Duration::from_secs(self.database_wait);
        settings
    }

    /// The verb table: the standard one, and what the operator's file adds.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Verbs`] where the file can't be read, is no such JSON, or contradicts the table.
    pub fn verb_table(&self) -> Result<VerbTable, ConfigError> {
        let mut table = VerbTable::standard();
        if let Some(path) = &self.verbs {
            let refuse = |reason: String| ConfigError::Verbs {
                path: path.clone(),
                reason,
            };
            for (iri, key) in read_verbs(path).map_err(refuse)? {
                let action = Action::from_key(&key)
                    .ok_or_else(|| refuse(format!("{iri}: `{key}` is no action's key")))?;
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

/// How people's tokens are verified.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "People's tokens")]
pub struct TokenArgs {
    /// The shared secret of HS256 tokens, at least 32 bytes
    ///
    /// Prefer the environment variable: flags can be seen by every user of the machine.
    #[arg(long, env = "ROLLBOOK_JWT_SECRET")]
    #[arg(hide_env_values = true, value_name = "SECRET", value_parser = secret)]
    pub jwt_secret: Option<SecretString>,

    /// A PEM file with the public key of RS256, ES256 or EdDSA tokens
    #[arg(long, env = "ROLLBOOK_JWT_PUBLIC_KEY", value_name = "FILE")]
    pub jwt_public_key: Option<PathBuf>,

    /// A key set (JWKS): a file, or an https address that is read again while the server runs
    #[arg(long, env = "ROLLBOOK_JWT_JWKS", value_name = "FILE OR ADDRESS")]
    pub jwt_jwks: Option<String>,

    /// The `iss` that tokens must have
    #[arg(long, env = "ROLLBOOK_JWT_ISSUER", value_name = "TEXT")]
    pub jwt_issuer: Option<String>,

    /// The `aud` that tokens must have
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

/// What is logged unless set: the HTTP library tells of its threads at `info`.
const DEFAULT_LOG: &str = "info,actix_server=warn";

/// How the log is written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// What is logged: a level, or targets with levels
    ///
    /// `error`, `warn`, `info`, `debug` or `trace`; `info,rollbook::http::middleware=warn` leaves out the line for
    /// each request.
    #[arg(long, env = "ROLLBOOK_LOG", default_value = DEFAULT_LOG, value_name = "FILTER", global = true)]
    pub log: String,

    /// The form of a line
    #[arg(
        long,
        env = "ROLLBOOK_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        global = true
    )]
    pub log_format: LogFormat,
}

/// The form of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// Where the server listens.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ListenArgs {
    /// The address and port that the API is served on; port 0 takes a free one
    #[arg(
        long,
        env = "ROLLBOOK_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,
}

/// How the server runs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// The address and port that `/metrics` and `/health` are served on instead of beside the API
    ///
    /// `/health` stays beside the API as well.
    #[arg(long, env = "ROLLBOOK_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// Bring the database's schema up before serving; SQLite does so in any case
    #[arg(long, env = "ROLLBOOK_MIGRATE", value_parser = BoolishValueParser::new())]
    pub migrate: bool,

    /// A credential with all scopes that is made at start where it is not there yet, as `org:key:secret`
    ///
    /// Prefer the environment variable: flags can be seen by every user of the machine.
    #[arg(
        long,
        env = "ROLLBOOK_BOOTSTRAP_CREDENTIAL",
        hide_env_values = true,
        value_name = "ORG:KEY:SECRET"
    )]
    #[arg(value_parser = secret)]
    pub bootstrap_credential: Option<SecretString>,

    /// Origins whose pages may read answers, with commas between them; `*` is all
    #[arg(
        long,
        env = "ROLLBOOK_CORS_ORIGINS",
        value_delimiter = ',',
        value_name = "ORIGINS"
    )]
    #[arg(value_parser = check_origin)]
    pub cors_origins: Vec<String>,

    /// What `/xapi` names as its version in an answer to a request that named none
    #[arg(
        long,
        env = "ROLLBOOK_XAPI_UNVERSIONED",
        default_value = "0.95",
        value_name = "VERSION"
    )]
    pub xapi_unversioned: UnversionedAnswer,

    /// Threads that serve requests; 0 is one for each core
    #[arg(long, env = "ROLLBOOK_WORKERS", default_value_t = 0, value_name = "NUMBER")]
    pub workers: usize,

    /// The most connections that one worker holds open at once
    #[arg(
        long,
        env = "ROLLBOOK_MAX_CONNECTIONS",
        default_value_t = 10_000,
        value_name = "NUMBER"
    )]
    pub max_connections: usize,

    /// How long an idle connection is kept for its client's next request, in seconds
    #[arg(
        long,
        env = "ROLLBOOK_KEEP_ALIVE",
        default_value_t = 75,
        value_name = "SECONDS"
    )]
    pub keep_alive: u64,

    /// How long requests under way may take to finish once the server is told to stop, in seconds
    #[arg(
        long,
        env = "ROLLBOOK_SHUTDOWN_TIMEOUT",
        default_value_t = 30,
        value_name = "SECONDS"
    )]
    pub shutdown_timeout: u64,

    /// How long the server still serves after it is told to stop while `/health/ready` says 503, in seconds
    ///
    /// It gives a load balancer time to take the server out.
    #[arg(
        long,
        env = "ROLLBOOK_SHUTDOWN_DELAY",
        default_value_t = 0,
        value_name = "SECONDS"
    )]
    pub shutdown_delay: u64,
}

/// The limits on what clients send, each with its own answer (contract section 12).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// The most bytes of a body (413)
    #[arg(long, env = "ROLLBOOK_MAX_BODY_BYTES")]
    #[arg(default_value_t = Limits::default().body_bytes, value_name = "BYTES")]
    pub max_body_bytes: usize,

    /// The most bytes of one attachment's content (413)
    #[arg(long, env = "ROLLBOOK_MAX_ATTACHMENT_BYTES")]
    #[arg(default_value_t = Limits::default().attachment_bytes, value_name = "BYTES")]
    pub max_attachment_bytes: u64,

    /// The most bytes of one state, agent profile or activity profile document (413)
    #[arg(long, env = "ROLLBOOK_MAX_DOCUMENT_BYTES")]
    #[arg(default_value_t = Limits::default().document_bytes, value_name = "BYTES")]
    pub max_document_bytes: u64,

    /// The most elements of a batch (413)
    #[arg(long, env = "ROLLBOOK_MAX_BATCH", default_value_t = Limits::default().batch, value_name = "NUMBER")]
    pub max_batch: usize,

    /// The most levels of JSON objects and arrays in a body (400), up to 256
    #[arg(long, env = "ROLLBOOK_MAX_JSON_DEPTH")]
    #[arg(default_value_t = Limits::default().json_depth, value_name = "LEVELS")]
    pub max_json_depth: usize,

    /// The most members of a group in a statement, and agents or groups that its context relates to (400)
    #[arg(long, env = "ROLLBOOK_MAX_GROUP_MEMBERS")]
    #[arg(default_value_t = Limits::default().group_members, value_name = "NUMBER")]
    pub max_group_members: usize,

    /// The most activities in each list of a statement's context (400)
    #[arg(long, env = "ROLLBOOK_MAX_CONTEXT_ACTIVITIES")]
    #[arg(default_value_t = Limits::default().context_activities, value_name = "NUMBER")]
    pub max_context_activities: usize,

    /// The most attachments that one statement declares (400)
    #[arg(long, env = "ROLLBOOK_MAX_ATTACHMENTS")]
    #[arg(default_value_t = Limits::default().attachments, value_name = "NUMBER")]
    pub max_attachments: usize,

    /// The most bytes of an address with its query (414)
    #[arg(long, env = "ROLLBOOK_MAX_URI_BYTES")]
    #[arg(default_value_t = Limits::default().uri_bytes, value_name = "BYTES")]
    pub max_uri_bytes: usize,

    /// The most bytes of a request's headers (431)
    #[arg(long, env = "ROLLBOOK_MAX_HEADER_BYTES")]
    #[arg(default_value_t = Limits::default().header_bytes, value_name = "BYTES")]
    pub max_header_bytes: usize,

    /// The most rows of a page (400)
    #[arg(long, env = "ROLLBOOK_MAX_PAGE", default_value_t = Limits::default().page_max, value_name = "ROWS")]
    pub max_page: usize,

    /// How long a client may take to send a request's headers, in seconds (408)
    #[arg(
        long,
        env = "ROLLBOOK_HEADER_TIMEOUT",
        default_value_t = 10,
        value_name = "SECONDS"
    )]
    pub header_timeout: u64,

    /// How long a client may take to send a request's body, in seconds (408)
    #[arg(long, env = "ROLLBOOK_BODY_TIMEOUT")]
    #[arg(default_value_t = Limits::default().body_timeout.as_secs(), value_name = "SECONDS")]
    pub body_timeout: u64,

    /// Requests a second that each caller may keep up with each replica (429); 0 is no limit
    ///
    /// Off unless set: what is fair depends on how many callers share how much machine, and a loader that
    /// fills the log must not be slowed by a guess.
    #[arg(long, env = "ROLLBOOK_RATE_LIMIT")]
    #[arg(default_value_t = Limits::default().requests_per_second, value_name = "NUMBER")]
    pub rate_limit: u32,

    /// Requests that a caller may make at once before the rate counts
    #[arg(long, env = "ROLLBOOK_RATE_BURST")]
    #[arg(default_value_t = Limits::default().burst, value_name = "NUMBER")]
    pub rate_burst: u32,

    /// The most exports that one server sends at once (503)
    ///
    /// Each export holds one connection to the database, and needs a second one now and then.
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_EXPORTS", value_name = "EXPORTS")]
    #[arg(default_value_t = Limits::default().concurrent_exports, value_parser = permits())]
    pub max_concurrent_exports: usize,

    /// The most downloads by link that one server sends at once (503)
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_DOWNLOADS", value_name = "DOWNLOADS")]
    #[arg(default_value_t = Limits::default().concurrent_downloads, value_parser = permits())]
    pub max_concurrent_downloads: usize,

    /// The most summaries, facets and counts of progress that one server works on at once (503)
    #[arg(long, env = "ROLLBOOK_MAX_CONCURRENT_COUNTS", value_name = "REQUESTS")]
    #[arg(default_value_t = Limits::default().concurrent_counts, value_parser = permits())]
    pub max_concurrent_counts: usize,
}

/// Reads a concurrency limit: 1 to 1000.
fn permits() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1000)
}

impl LimitArgs {
    /// The limits in force.
    pub fn limits(&self) -> Limits {
        Limits {
            body_bytes: self.max_body_bytes,
            attachment_bytes: self.max_attachment_bytes,
            document_bytes: self.max_document_bytes,
            batch: self.max_batch,
            json_depth: self.max_json_depth,
            group_members: self.max_group_members,
            context_activities: self.max_context_activities,
            attachments: self.max_attachments,
            uri_bytes: self.max_uri_bytes,
            header_bytes: self.max_header_bytes,
            page_default: Limits::default().page_default.min(self.max_page),
            page_max: self.max_page,
            body_timeout: Duration::from_secs(self.body_timeout),
            requests_per_second: self.rate_limit,
            burst: self.rate_burst,
            concurrent_exports: self.max_concurrent_exports,
            concurrent_downloads: self.max_concurrent_downloads,
            concurrent_counts: self.max_concurrent_counts,
            concurrency_wait: Limits::default().concurrency_wait,
        }
    }
}

/// Everything that `rollbook serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// Where the server listens.
    #[command(flatten)]
    pub listen: ListenArgs,
    /// How the server runs.
    #[command(flatten)]
    pub server: ServerArgs,
    /// Where everything is kept.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// How people's tokens are verified.
    #[command(flatten)]
    pub tokens: TokenArgs,
    /// How scheduled reports are sent.
    #[command(flatten)]
    pub mail: MailArgs,
    /// The limits on what clients send.
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl ServeSettings {
    /// What the app_state needs.
    pub fn app_options(&self) -> AppOptions {
        AppOptions {
            limits: self.limits.limits(),
            cors_origins: self.server.cors_origins.clone(),
            xapi_unversioned: self.server.xapi_unversioned,
            recipients: self.mail.recipients(),
            metrics_elsewhere: self.server.metrics_listen.is_some(),
        }
    }

    /// What the server needs.
    pub fn server_settings(&self) -> ServerSettings {
        ServerSettings {
            workers: self.server.workers,
            max_connections: self.server.max_connections,
            keep_alive: Duration::from_secs(self.server.keep_alive),
            header_timeout: Duration::from_secs(self.limits.header_timeout),
            shutdown_timeout: Duration::from_secs(self.server.shutdown_timeout),
            shutdown_delay: Duration::from_secs(self.server.shutdown_delay),
        }
    }

    /// The credential to make at start.
    ///
    /// # Errors
    ///
    /// Where it is not `org:key:secret`.
    pub fn bootstrap_credential(&self) -> Result<Option<BootstrapCredential>, ConfigError> {
        let setting = self.server.bootstrap_credential.as_ref();
        Ok(setting.map(BootstrapCredential::parse).transpose()?)
    }
}

/// Reads a secret: any text, kept so that no log shows it.
pub(crate) fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        settings: ServeSettings,
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        Only::command().debug_assert();
        let settings = Only::parse_from(["rollbook"]).settings;
        assert_eq!(settings.listen.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.limits.limits(), Limits::default());
        assert_eq!(settings.server_settings().keep_alive, Duration::from_secs(75));
        assert_eq!(settings.server.xapi_unversioned.as_str(), "0.95");
    }

    #[test]
    fn every_limit_is_a_setting_of_its_own() {
        let flags: Vec<String> = [
            "max-body-bytes",
            "max-attachment-bytes",
            "max-document-bytes",
            "max-batch",
            "max-json-depth",
            "max-group-members",
            "max-context-activities",
            "max-attachments",
            "max-uri-bytes",
            "max-header-bytes",
            "max-page",
            "body-timeout",
            "rate-limit",
            "rate-burst",
            "max-concurrent-exports",
            "max-concurrent-downloads",
            "max-concurrent-counts",
        ]
        .iter()
        .zip(101..)
        .map(|(flag, value)| format!("--{flag}={value}"))
        .collect();
        let arguments = std::iter::once("rollbook").chain(flags.iter().map(String::as_str));
        let limits = Only::parse_from(arguments).settings.limits.limits();
        let expected = Limits {
            body_bytes: 101,
            attachment_bytes: 102,
            document_bytes: 103,
            batch: 104,
            json_depth: 105,
            group_members: 106,
            context_activities: 107,
            attachments: 108,
            uri_bytes: 109,
            header_bytes: 110,
            page_default: 50,
            page_max: 111,
            body_timeout: Duration::from_secs(112),
            requests_per_second: 113,
            burst: 114,
            concurrent_exports: 115,
            concurrent_downloads: 116,
            concurrent_counts: 117,
            concurrency_wait: Duration::from_secs(10),
        };
        assert_eq!(limits, expected);
        let statement = limits.statement();
        assert_eq!((statement.depth, statement.batch), (105, 104));
        assert_eq!(
            (
                statement.group_members,
                statement.context_activities,
                statement.attachments
            ),
            (106, 107, 108)
        );
    }

    #[test]
    fn secrets_never_show() {
        let settings = Only::parse_from([
            "rollbook",
            "--jwt-secret=hunter2",
            "--database=postgres://me:hunter2@db/x",
            "--bootstrap-credential=acme:key:hunter2",
            "--smtp-url=smtps://me:hunter2@mail.example.org",
        ])
        .settings;
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.database.settings().url, "postgres://me:hunter2@db/x");
    }

    #[test]
    fn wrong_values_are_refused_with_help() {
        for (argument, help) in [
            ("--listen=8080", "invalid socket address"),
            (
                "--cors-origins=https://a.example,learn.example",
                "is not an origin",
            ),
            ("--database-connections=0", "1..=1000"),
            ("--xapi-unversioned=3", "possible values"),
        ] {
            let error = Only::try_parse_from(["rollbook", argument])
                .expect_err(argument)
                .to_string();
            assert!(error.contains(help), "{error}");
        }
    }

    #[test]
    fn a_verb_file_adds_to_the_table_and_never_changes_it() {
        let folder = std::env::temp_dir().join(format!("rollbook-verbs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("verbs.json");
        let mut arguments = Only::parse_from(["rollbook"]).settings.database;
        arguments.verbs = Some(path.clone());
        for (text, good) in [
            (r#"{"https://example.org/verbs/ticked": "completed"}"#, true),
            (r#"{"https://example.org/verbs/ticked": "done"}"#, false),
            (r#"{"http://adlnet.gov/expapi/verbs/failed": "completed"}"#, false),
            ("[]", false),
        ] {
            std::fs::write(&path, text).expect("a file");
            assert_eq!(arguments.verb_table().is_ok(), good, "{text}");
        }
        std::fs::remove_dir_all(&folder).expect("removed");
        assert!(arguments.verb_table().is_err(), "no file");
    }
}
