//! A database of its own for each test, gone when the test ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// Where `scripts/with-postgres` says that its cluster is.
const POSTGRES: &str = "ROLLBOOK_TEST_POSTGRES";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A fresh database: a folder with an SQLite file, or a database in the cluster of the test run.
#[derive(Debug, Clone)]
pub enum Database {
    Sqlite { folder: PathBuf },
    Postgres { cluster: Box<PgConnectOptions>, name: String },
}

impl Database {
    /// An SQLite file in a folder of its own.
    pub fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(format!("rollbook-{}", unique()));
        let _ = std::fs::remove_dir_all(&folder); // an earlier process with the same number may have left one
        std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
        Self::Sqlite { folder }
    }

    /// A database in the cluster that `ROLLBOOK_TEST_POSTGRES` names; [`Database::create`] makes it.
    pub fn postgres() -> Self {
        let Ok(url) = std::env::var(POSTGRES) else {
            panic!(
                "{POSTGRES} is not set, so there is no PostgreSQL to test on: run scripts/test, or \
                 scripts/with-postgres cargo test"
            );
        };
        let cluster: Result<PgConnectOptions, _> = url.parse();
        let cluster = cluster.unwrap_or_else(|error| panic!("{POSTGRES} is not a postgres:// URL: {error}"));
        Self::Postgres { cluster: Box::new(cluster), name: format!("rollbook_{}", unique()) }
    }

    /// The setting `--database` for it.
    pub fn url(&self) -> String {
        match self {
            Self::Sqlite { folder } => format!("sqlite:{}", folder.join("rollbook.db").display()),
            Self::Postgres { cluster, name } => {
                cluster.as_ref().clone().database(name).to_url_lossy().to_string()
            }
        }
    }

    /// Makes it, empty.
    pub async fn create(&self) {
        if let Self::Postgres { name, .. } = self {
            self.in_cluster(format!("CREATE DATABASE {name}")).await;
        }
    }

    /// Deletes it, whoever is still connected.
    pub async fn delete(&self) {
        match self {
            Self::Sqlite { folder } => {
                let _ = std::fs::remove_dir_all(folder); // a leftover in the temporary folder harms nobody
            }
            Self::Postgres { name, .. } => {
                self.in_cluster(format!("DROP DATABASE {name} WITH (FORCE)")).await
            }
        }
    }

    async fn in_cluster(&self, command: String) {
        let Self::Postgres { cluster, .. } = self else {
            return;
        };
        let mut connection = cluster.connect().await.expect("the cluster of the test run answers");
        let done = sqlx::raw_sql(AssertSqlSafe(command.clone())).execute(&mut connection).await;
        done.unwrap_or_else(|error| panic!("{command}: {error}"));
        let _ = connection.close().await; // it is over either way
    }
}

/// A name that no other test, and no other test run on this machine, has.
fn unique() -> String {
    format!("{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}
