//! Loads SQLite: multi-row inserts without a journal, and the indexes at the end.

use std::str::FromStr as _;

use serde_json::Value as Json;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Row as _};
use tokio::runtime::Runtime;

use super::{TABLES, Target, Value};

/// Rows of one insert. SQLite takes 32,766 parameters.
const ROWS: usize = 200;

pub struct SqliteTarget {
    runtime: Runtime,
    connection: SqliteConnection,
    indexes: Vec<String>,
}

impl SqliteTarget {
    pub fn open(path: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let options = SqliteConnectOptions::from_str(&format!("sqlite:{path}"))
            .expect("a path")
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", "-400000")
            .pragma("threads", "2");
        let connection = runtime.block_on(options.connect()).expect("the file opens");
        Self {
            runtime,
            connection,
            indexes: Vec::new(),
        }
    }
}

impl Target for SqliteTarget {
    fn read(&mut self, columns: &str, rest: &str) -> Vec<Json> {
        let text = format!("SELECT json_array({columns}) {rest}");
        let read = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(read).expect("a query");
        rows.iter()
            .map(|row| serde_json::from_str(row.get(0)).expect("JSON"))
            .collect()
    }

    fn execute(&mut self, text: &str) {
        let query = sqlx::query(AssertSqlSafe(text.to_owned())).execute(&mut self.connection);
        self.runtime
            .block_on(query)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    fn begin(&mut self) {
        for table in TABLES {
            let which = format!(
                "FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}' AND sql IS NOT NULL"
            );
            for index in self.read("name, sql", &which) {
                self.execute(&format!("DROP INDEX {}", index[0].as_str().expect("a name")));
                self.indexes
                    .push(index[1].as_str().expect("a definition").to_owned());
            }
        }
        self.execute("BEGIN");
    }

    fn write(&mut self, table: &str, columns: &[&str], rows: Vec<Vec<Value>>) {
        let mut rows = rows.into_iter().peekable();
        let row = format!("({})", vec!["?"; columns.len()].join(","));
        while rows.peek().is_some() {
            let mut arguments = SqliteArguments::default();
            let mut count = 0;
            for values in rows.by_ref().take(ROWS) {
                count += 1;
                for value in values {
                    add(&mut arguments, value);
                }
            }
            let text = format!(
                "INSERT INTO {table} ({}) VALUES {}",
                columns.join(","),
                vec![row.as_str(); count].join(",")
            );
            let insert = sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut self.connection);
            self.runtime.block_on(insert).expect("rows that fit");
        }
    }

    fn end(&mut self) {
        self.execute("COMMIT");
        for index in std::mem::take(&mut self.indexes) {
            self.execute(&index);
        }
    }
}

fn add(arguments: &mut SqliteArguments, value: Value) {
    match value {
        Value::Null => arguments.add(None::<i64>),
        Value::Long(value) => arguments.add(value),
        Value::Short(value) => arguments.add(value),
        Value::Bool(value) => arguments.add(value),
        Value::Real(value) => arguments.add(value),
        Value::Text(value) => arguments.add(value),
        Value::Uuid(value) => arguments.add(value),
        Value::Bytes(value) => arguments.add(value),
    }
    .expect("a value of a column");
}
