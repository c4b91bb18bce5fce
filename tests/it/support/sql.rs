//! Runs SQL on the database of the server, for what the API cannot do.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::Database;

impl Database {
    /// Runs one or more SQL statements and returns the number of changed rows.
    pub async fn execute(&self, text: &str) -> u64 {
        let (sql, url) = (AssertSqlSafe(text.to_owned()), self.url());
        let result = match self {
            Self::Sqlite { .. } => {
                let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
                let result = sqlx::raw_sql(sql).execute(&mut connection).await;
                connection.close().await.expect("it closes");
                result.map(|result| result.rows_affected())
            }
            Self::Postgres { .. } => {
                let mut connection = PgConnection::connect(&url).await.expect("the cluster answers");
                let result = sqlx::raw_sql(sql).execute(&mut connection).await;
                connection.close().await.expect("it closes");
                result.map(|result| result.rows_affected())
            }
        };
        result.unwrap_or_else(|error| panic!("{text}\n{error}"))
    }

    /// Runs a query that returns one number.
    pub async fn query_number(&self, text: &str) -> i64 {
        let (sql, url) = (AssertSqlSafe(text.to_owned()), self.url());
        let number = match self {
            Self::Sqlite { .. } => {
                let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
                let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
                connection.close().await.expect("it closes");
                number
            }
            Self::Postgres { .. } => {
                let mut connection = PgConnection::connect(&url).await.expect("the cluster answers");
                let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await;
                connection.close().await.expect("it closes");
                number
            }
        };
        number.unwrap_or_else(|error| panic!("{text}\n{error}"))
    }

    /// Locks a table of PostgreSQL against readers, until the connection ends or its transaction does.
    pub async fn lock_table(&self, table: &str) -> PgConnection {
        let mut connection = PgConnection::connect(&self.url()).await.expect("the cluster answers");
        let text = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.expect("the table is free");
        connection
    }

    /// Waits until a query returns this number.
    pub async fn wait_for_number(&self, text: &str, expected: i64) {
        let begin = Instant::now();
        while self.query_number(text).await != expected {
            assert!(begin.elapsed() < Duration::from_secs(10), "not {expected}: {text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The key of the organisation with this id. A text that names it runs on one node of a cluster.
    pub async fn organisation_key(&self, id: &str) -> i64 {
        self.query_number(&format!("SELECT key FROM organisations WHERE id = '{id}'")).await
    }

    /// An SQL expression for this id in a column.
    pub fn id_expression(&self, id: &str) -> String {
        match self {
            Self::Sqlite { .. } => format!("x'{}'", id.replace('-', "")),
            Self::Postgres { .. } => format!("'{id}'::uuid"),
        }
    }

    /// Inserts an import that waits for a worker and has parts to delete, for the key of an organisation that `select` gives.
    pub async fn insert_waiting_import(&self, select: &str) {
        let insert = format!(
            "INSERT INTO imports (org, key, id, status, sender, terms, options, bytes, rows_read, created, duplicates, \
             rejected, rejected_bytes, place, created_at, due, cleanup_at) \
             SELECT ({select}), 1, {}, 1, 's', '{{}}', '{{}}', 0, 0, 0, 0, 0, 0, '{{}}', 1, 1, 1",
            self.random_id()
        );
        assert_eq!(self.execute(&insert).await, 1);
    }

    /// Whether no worker has touched the import of [`Database::insert_waiting_import`].
    pub async fn has_untouched_import(&self) -> bool {
        let untouched = "SELECT count(*) FROM imports WHERE due = 1 AND status = 1 AND lease_until IS NULL";
        self.query_number(untouched).await == 1
    }

    /// A query that returns the numbers from 1 to `most` as column `n`.
    pub fn series(&self, most: u32) -> String {
        match self {
            Self::Sqlite { .. } => format!(
                "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {most}) SELECT n FROM s"
            ),
            Self::Postgres { .. } => format!("SELECT n::bigint AS n FROM generate_series(1, {most}) AS n"),
        }
    }

    /// An SQL expression that makes a new id for each row.
    pub fn random_id(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "randomblob(16)",
            Self::Postgres { .. } => "gen_random_uuid()",
        }
    }
}
