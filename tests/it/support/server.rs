//! The real server, in this process, on a free port, with a database of its own.

use std::io;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use jsonwebtoken::{EncodingKey, Header};
use rollbook::access::{KeyConfig, TokenKeys};
use rollbook::clock::{Clock, Timestamp};
use rollbook::http::{Edge, EdgeOptions};
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

/// Where the server's clock stands when a test begins: 2026-03-18T10:17:23Z, a Wednesday.
pub const START: Timestamp = Timestamp::from_micros(1_773_829_043_000_000);

/// The secret that people's tokens are signed with.
pub const SECRET: &str = "a secret for tests alone, of more than 32 bytes";

/// The organisation of a test that needs only one.
pub const ORG: &str = "acme";

/// How long a token is good for: longer than any test moves the clock.
const TOKEN_SECONDS: i64 = 10 * 365 * 86_400;

/// A server under test.
pub struct TestServer {
    /// `http://127.0.0.1:PORT`.
    pub base: String,
    /// The server's clock, standing at [`START`] until it is moved.
    pub clock: Clock,
    /// The store beneath the server, for what no request can ask.
    pub store: Store,
    client: reqwest::Client,
    database: Database,
    stop: oneshot::Sender<()>,
    running: JoinHandle<io::Result<()>>,
}

/// Runs a test against a new server and takes both down again, whether it failed or not.
pub fn run<F>(database: Database, test: F)
where
    F: AsyncFnOnce(&TestServer),
{
    run_with(database, EdgeOptions::default(), test);
}

/// As [`run`], with other options than the usual.
pub fn run_with<F>(database: Database, options: EdgeOptions, test: F)
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
        database.create().await;
        let outcome = AssertUnwindSafe(test(&database)).catch_unwind().await;
        database.delete().await;
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

impl TestServer {
    async fn start(
        database: Database,
        options: EdgeOptions,
        clock: Clock,
        sending: Option<(Mailer, SenderOptions)>,
    ) -> Self {
        let settings = DatabaseSettings { connections: 8, ..DatabaseSettings::new(database.url()) };
        let store = Store::open(&settings, clock.clone(), VerbTable::standard()).await;
        let store = store.expect("the fresh database opens");
        store.migrate().await.expect("the fresh database takes the schema");
        let config = KeyConfig { secret: Some(SecretString::from(SECRET)), ..KeyConfig::default() };
        let keys = TokenKeys::load(&config).await.expect("the tests' secret is long enough");
        let edge = Edge::new(store.clone(), keys, options);
        let sender = sending.map(|(mailer, options)| Sender::new(store.clone(), mailer, options));
        let settings = ServerSettings {
            workers: 2,
            shutdown_timeout: Duration::from_secs(1),
            ..ServerSettings::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await; // a dropped sender stops the server as well
        };
        let (running, address) =
            rollbook::server::start(&settings, listener, edge, sender, shutdown).expect("the server starts");
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

    /// Another server on the same database, with a clock of its own.
    pub async fn replica(&self) -> Self {
        let clock = Clock::manual(START);
        Self::start(self.database.clone(), EdgeOptions::default(), clock, None).await
    }

    /// Another server on the same database and with the same clock, that sends what is due.
    pub async fn sending(&self, mailer: Mailer, options: SenderOptions) -> Self {
        let (database, clock) = (self.database.clone(), self.clock.clone());
        Self::start(database, EdgeOptions::default(), clock, Some((mailer, options))).await
    }

    /// Stops the server and waits until it has closed its database.
    pub async fn stop(self) {
        let Self { client, stop, running, .. } = self;
        // Its idle connections would keep the server waiting.
        drop(client);
        let _ = stop.send(()); // it may have ended by itself, which the next line tells
        running.await.expect("the server does not panic").expect("the server ends well");
    }

    /// Which database this server has.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Somebody without a name.
    pub fn nobody(&self) -> Caller {
        Caller::nobody(self.client.clone(), self.base.clone())
    }

    /// A person of the organisation [`ORG`], by role and id.
    pub fn person(&self, role: &str, user: &str) -> Caller {
        self.person_of(ORG, json!({"sub": user, "role": role}))
    }

    /// A person of an organisation, with whatever claims; `org` and `exp` are added where they are missing.
    pub fn person_of(&self, organisation: &str, mut claims: Value) -> Caller {
        let expires = self.clock.now().micros() / 1_000_000 + TOKEN_SECONDS;
        for (claim, value) in [("org", json!(organisation)), ("exp", json!(expires))] {
            if claims.get(claim).is_none() {
                claims[claim] = value;
            }
        }
        self.nobody().with_token(&sign(&claims))
    }

    /// A new credential of an organisation, with these scopes.
    pub async fn credential(&self, organisation: &str, scopes: &[&str]) -> Caller {
        let admin = self.person_of(organisation, json!({"sub": "root", "role": "admin"}));
        let made = admin.post("/v1/credentials", &json!({"name": scopes.join(" "), "scopes": scopes})).await;
        let made = made.expect(201).json();
        let text = |name: &str| made[name].as_str().expect("a credential has a key and a secret").to_owned();
        self.nobody().with_basic(&text("key"), &text("secret"))
    }
}

/// A token with these claims, signed by HS256 with [`SECRET`]. Made without the crate's own code, as a platform
/// would make it.
pub fn sign(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("claims are JSON")
}
