//! Runs the real server in the test process, on a free port and with a new database.

use std::io;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use jsonwebtoken::{EncodingKey, Header};
use rollbook::access::{KeyConfig, TokenKeys};
use rollbook::base::clock::{Clock, Timestamp};
use rollbook::http::{AppOptions, AppState};
use rollbook::log::VerbTable;
use rollbook::reports::mailer::Mailer;
use rollbook::reports::sender::{Sender, SenderOptions};
use rollbook::server::ServerSettings;
use rollbook::store::{DatabaseSettings, Store};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Database;
use super::http::Caller;
use super::sql_rule;

/// The time of the server's clock at the start of a test: 2026-03-18T10:17:23Z, a Wednesday.
pub const START: Timestamp = Timestamp::from_micros(1_773_829_043_000_000);

/// The secret that signs the tokens of people.
pub const SECRET: &str = "a secret for tests alone, of more than 32 bytes";

/// The organisation of most tests.
pub const ORG: &str = "acme";

/// The lifetime of a token. It is longer than any test moves the clock.
const TOKEN_SECONDS: i64 = 10 * 365 * 86_400;

/// A running server.
pub struct TestServer {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    /// The server's clock. It shows [`START`] until the test moves it.
    pub clock: Clock,
    /// The server's store, for what the API cannot do.
    pub store: Store,
    client: reqwest::Client,
    database: Database,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
}

/// Runs a test against a new server. Stops the server and deletes the database also when the test fails.
pub fn run<F>(database: Database, test: F)
where
    F: AsyncFnOnce(&TestServer),
{
    run_with(database, AppOptions::default(), test);
}

/// Like [`run`], with other options.
pub fn run_with<F>(database: Database, options: AppOptions, test: F)
where
    F: AsyncFnOnce(&TestServer),
{
    run_with_database(database, async |database: &Database| {
        let server = TestServer::start(database.clone(), options, Clock::manual(START), None).await;
        let outcome = AssertUnwindSafe(test(&server)).catch_unwind().await;
        server.stop().await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs a test against a new, empty database. Deletes the database also when the test fails.
pub fn run_with_database<F>(database: Database, test: F)
where
    F: AsyncFnOnce(&Database),
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        rollbook::store::observe_sql(sql_rule::observe);
        database.create().await;
        let outcome = AssertUnwindSafe(test(&database)).catch_unwind().await;
        database.delete().await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        let faults = sql_rule::take_faults();
        assert!(faults.is_empty(), "this test, or one beside it, sent: {}", faults.join("\n"));
    });
}

impl TestServer {
    async fn start(
        database: Database,
        options: AppOptions,
        clock: Clock,
        start_sender: Option<(Mailer, SenderOptions)>,
    ) -> Self {
        let settings = database.settings();
        Self::start_on(database, &settings, options, clock, start_sender).await
    }

    async fn start_on(
        database: Database,
        database_settings: &DatabaseSettings,
        options: AppOptions,
        clock: Clock,
        start_sender: Option<(Mailer, SenderOptions)>,
    ) -> Self {
        let store = Store::open(database_settings, clock.clone(), VerbTable::standard()).await;
        let store = store.expect("the fresh database opens");
        store.migrate().await.expect("the fresh database takes the schema");
        let config = KeyConfig { secret: Some(SecretString::from(SECRET)), ..KeyConfig::default() };
        let keys = TokenKeys::load(&config).await.expect("the tests' secret is long enough");
        // Tests read the metrics as they read the API.
        let options = AppOptions { metrics_on_api: true, ..options };
        let app_state = AppState::new(store.clone(), keys, options).expect("the recorder starts");
        let sender = start_sender.map(|(mailer, options)| Sender::new(store.clone(), mailer, options));
        let settings = ServerSettings {
            workers: 2,
            shutdown_timeout: Duration::from_secs(1),
            ..ServerSettings::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await; // a dropped sender stops the server too
        };
        let (running, address) = rollbook::server::start(&settings, listener, app_state, sender, shutdown)
            .expect("the server starts");
        Self {
            base: format!("http://{address}"),
            clock,
            store,
            client: reqwest::Client::builder().timeout(Duration::from_secs(60)).build().expect("a client"),
            database,
            stop,
            running: tokio::spawn(running),
        }
    }

    /// Starts another server on the same database, with a separate clock.
    pub async fn start_replica(&self) -> Self {
        let clock = Clock::manual(START);
        Self::start(self.database.clone(), AppOptions::default(), clock, None).await
    }

    /// Starts another server on the same database and clock, which counts by scans instead of columns in memory.
    pub async fn start_scanning(&self) -> Self {
        let (database, clock) = (self.database.clone(), self.clock.clone());
        let settings = DatabaseSettings { counting_memory_bytes: 0, ..database.settings() };
        Self::start_on(database, &settings, AppOptions::default(), clock, None).await
    }

    /// Starts another server on the same database and clock. It sends the reports that are due.
    pub async fn start_sender(&self, mailer: Mailer, options: SenderOptions) -> Self {
        let (database, clock) = (self.database.clone(), self.clock.clone());
        Self::start(database, AppOptions::default(), clock, Some((mailer, options))).await
    }

    /// Stops the server and waits until it has closed the database.
    pub async fn stop(self) {
        let Self { client, stop, running, .. } = self;
        // The server waits for idle connections.
        drop(client);
        let _ = stop.send(()); // it may have stopped already; the next lines report why
        running.await.expect("the server does not panic").expect("the server ends well");
    }

    /// The database of the server.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// A client without credentials.
    pub fn anonymous(&self) -> Caller {
        Caller::anonymous(self.client.clone(), self.base.clone())
    }

    /// A client with the token of a person of [`ORG`].
    pub fn person(&self, role: &str, user: &str) -> Caller {
        self.person_of(ORG, json!({"sub": user, "role": role}))
    }

    /// A client with the token of a person of an organisation. `org` and `exp` are added to the claims
    /// where they are missing.
    pub fn person_of(&self, organisation: &str, mut claims: Value) -> Caller {
        let expires = self.clock.now().micros() / 1_000_000 + TOKEN_SECONDS;
        for (claim, value) in [("org", json!(organisation)), ("exp", json!(expires))] {
            if claims.get(claim).is_none() {
                claims[claim] = value;
            }
        }
        self.anonymous().with_token(&sign(&claims))
    }

    /// Creates a credential of an organisation and returns a client that uses it.
    pub async fn credential(&self, organisation: &str, scopes: &[&str]) -> Caller {
        let admin = self.person_of(organisation, json!({"sub": "root", "role": "admin"}));
        let created =
            admin.post("/v1/credentials", &json!({"name": scopes.join(" "), "scopes": scopes})).await;
        let created = created.expect(201).json();
        let text =
            |name: &str| created[name].as_str().expect("a credential has a key and a secret").to_owned();
        self.anonymous().with_basic(&text("key"), &text("secret"))
    }
}

/// Signs a token with [`SECRET`] by HS256. Does not use code of the crate, as a platform would not.
pub fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("claims are JSON")
}
