//! Creates a new database for each test and deletes it afterwards.

pub mod distribution;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rollbook::store::DatabaseSettings;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// The variable in which `scripts/with-postgres` passes the URL of its PostgreSQL cluster.
const POSTGRES: &str = "ROLLBOOK_TEST_POSTGRES";

/// The variable in which `scripts/with-pgbouncer` passes the address of its pooler.
pub const POOLER: &str = "ROLLBOOK_TEST_POOLER";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A new database: a folder with an SQLite file, or a database in the PostgreSQL cluster of the test run.
#[derive(Debug, Clone)]
pub enum Database {
    Sqlite {
        folder: PathBuf,
    },
    Postgres {
        cluster: Box<PgConnectOptions>,
        name: String,
        /// A pooler in transaction mode, which servers of the test use.
        pooler: Option<SocketAddr>,
        /// A replica, from which servers of the test read.
        replica: Option<SocketAddr>,
    },
}

impl Database {
    /// An SQLite file in a new folder.
    pub fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(format!("rollbook-{}", unique_name()));
        let _ = std::fs::remove_dir_all(&folder); // an earlier process with the same id may have left one
        std::fs::create_dir_all(&folder).expect("the folder can be created");
        Self::Sqlite { folder }
    }

    /// A PostgreSQL database with a new name. [`Database::create`] creates it.
    pub fn postgres() -> Self {
        let Ok(url) = std::env::var(POSTGRES) else {
            panic!("{POSTGRES} is not set: run scripts/test, or scripts/with-postgres cargo test");
        };
        let cluster: Result<PgConnectOptions, _> = url.parse();
        let cluster = cluster.unwrap_or_else(|error| panic!("{POSTGRES} is not a postgres:// URL: {error}"));
        let pooler = std::env::var(POOLER).ok().map(|address| address.parse().expect("an address"));
        let name = format!("rollbook_{}", unique_name());
        Self::Postgres { cluster: Box::new(cluster), name, pooler, replica: None }
    }

    /// Whether it is one PostgreSQL: with roles that can read the views, and with triggers.
    pub fn is_single_postgres(&self) -> bool {
        matches!(self, Self::Postgres { .. }) && !distribution::is_demanded()
    }

    /// Whether its tables are distributed over a cluster with Citus.
    pub fn is_distributed(&self) -> bool {
        matches!(self, Self::Postgres { .. }) && distribution::is_demanded()
    }

    /// The same database for servers behind this pooler.
    pub fn behind_pooler(mut self, address: SocketAddr) -> Self {
        if let Self::Postgres { pooler, .. } = &mut self {
            *pooler = Some(address);
        }
        self
    }

    /// The same database for servers that read from this replica.
    pub fn with_replica(mut self, address: SocketAddr) -> Self {
        if let Self::Postgres { replica, .. } = &mut self {
            *replica = Some(address);
        }
        self
    }

    /// The address of the database at the replica.
    pub fn replica_url(&self) -> Option<String> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { replica, .. } => replica.map(|address| self.url_at(address)),
        }
    }

    /// The pooler that servers of the test use.
    pub fn pooler(&self) -> Option<SocketAddr> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres { pooler, .. } => *pooler,
        }
    }

    /// The address for servers of the test: that of the pooler, if there is one.
    pub fn server_url(&self) -> String {
        match self.pooler() {
            Some(address) => self.url_at(address),
            None => self.url(),
        }
    }

    /// The settings of servers of the test.
    pub fn settings(&self) -> DatabaseSettings {
        DatabaseSettings {
            connections: 8,
            behind_transaction_pooler: self.pooler().is_some(),
            read_url: self.replica_url(),
            // With `synchronous_commit = off` of the tests, the primary sends a commit up to 600 milliseconds later,
            // and the replica follows all tests of the run.
            read_wait: Duration::from_secs(5),
            ..DatabaseSettings::new(self.server_url())
        }
    }

    /// The value for `--database`.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { folder } => format!("sqlite:{}", folder.join("rollbook.db").display()),
            Self::Postgres { cluster, name, .. } => {
                cluster.as_ref().clone().database(name).to_url_lossy().to_string()
            }
        }
    }

    /// [`Database::url`] through a proxy at this address.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let Self::Postgres { cluster, name, .. } = self else {
            panic!("only PostgreSQL is reached through a network");
        };
        let options = cluster.as_ref().clone().host(&address.ip().to_string()).port(address.port());
        options.database(name).to_url_lossy().to_string()
    }

    /// Creates the empty database. With [`distribution::DISTRIBUTED`] it has the distributed tables already.
    pub async fn create(&self) {
        match self {
            Self::Sqlite { .. } => {}
            Self::Postgres { cluster, name, .. } if distribution::is_demanded() => {
                distribution::create_database(cluster, name).await;
            }
            Self::Postgres { name, .. } => {
                self.execute_in_cluster(format!("CREATE DATABASE {name}")).await;
            }
        }
    }

    /// Deletes the database, even if it has open connections.
    pub async fn delete(&self) {
        match self {
            Self::Sqlite { folder } => {
                let _ = std::fs::remove_dir_all(folder); // a folder that is not deleted does no harm
            }
            Self::Postgres { cluster, name, .. } => {
                let drop = format!("DROP DATABASE {name} WITH (FORCE)");
                match distribution::is_demanded() {
                    true => distribution::execute_on_nodes(cluster, &drop).await,
                    false => self.execute_in_cluster(drop).await,
                }
            }
        }
    }

    async fn execute_in_cluster(&self, command: String) {
        let Self::Postgres { cluster, .. } = self else {
            return;
        };
        let mut connection = cluster.connect().await.expect("the cluster of the test run answers");
        let result = sqlx::raw_sql(AssertSqlSafe(command.clone())).execute(&mut connection).await;
        result.unwrap_or_else(|error| panic!("{command}: {error}"));
        let _ = connection.close().await; // the command has succeeded, so an error here does not matter
    }
}

/// A name that is unique among all tests and test runs on this machine.
fn unique_name() -> String {
    format!("{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
