//! Creates a new database for each test and deletes it afterwards.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// The variable in which `scripts/with-postgres` passes the URL of its PostgreSQL cluster.
const POSTGRES: &str = "ROLLBOOK_TEST_POSTGRES";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A new database: a folder with an SQLite file, or a database in the PostgreSQL cluster of the test run.
#[derive(Debug, Clone)]
pub enum Database {
    Sqlite { folder: PathBuf },
    Postgres { cluster: Box<PgConnectOptions>, name: String },
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
        Self::Postgres { cluster: Box::new(cluster), name: format!("rollbook_{}", unique_name()) }
    }

    /// The value for `--database`.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { folder } => format!("sqlite:{}", folder.join("rollbook.db").display()),
            Self::Postgres { cluster, name } => {
                cluster.as_ref().clone().database(name).to_url_lossy().to_string()
            }
        }
    }

    /// [`Database::url`] through a proxy at this address.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let Self::Postgres { cluster, name } = self else {
            panic!("only PostgreSQL is reached through a network");
        };
        let options = cluster.as_ref().clone().host(&address.ip().to_string()).port(address.port());
        options.database(name).to_url_lossy().to_string()
    }

    /// Creates the empty database.
    pub async fn create(&self) {
        if let Self::Postgres { name, .. } = self {
            self.execute_in_cluster(format!("CREATE DATABASE {name}")).await;
        }
    }

    /// Deletes the database, even if it has open connections.
    pub async fn delete(&self) {
        match self {
            Self::Sqlite { folder } => {
                let _ = std::fs::remove_dir_all(folder); // a folder that is not deleted does no harm
            }
            Self::Postgres { name, .. } => {
                self.execute_in_cluster(format!("DROP DATABASE {name} WITH (FORCE)")).await
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
