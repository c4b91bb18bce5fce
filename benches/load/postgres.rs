//! Loads PostgreSQL by binary COPY, and makes the indexes at the end.

use serde_json::Value as Json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::runtime::Runtime;

use super::{TABLES, Target, Value};

pub struct PostgresTarget {
    runtime: Runtime,
    connection: PgConnection,
    indexes: Vec<String>,
}

impl PostgresTarget {
    pub fn open(url: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let connection = runtime
            .block_on(PgConnection::connect(url))
            .expect("the database answers");
        let mut target = Self {
            runtime,
            connection,
            indexes: Vec::new(),
        };
        for setting in ["maintenance_work_mem = '1GB'", "synchronous_commit = off"] {
            target.execute(&format!("SET {setting}"));
        }
        target
    }
}

impl Target for PostgresTarget {
    fn read(&mut self, columns: &str, rest: &str) -> Vec<Json> {
        let text = format!("SELECT json_build_array({columns})::text {rest}");
        let read = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(read).expect("a query");
        rows.iter()
            .map(|row| serde_json::from_str(row.get(0)).expect("JSON"))
            .collect()
    }

    fn execute(&mut self, text: &str) {
        let query = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut self.connection);
        self.runtime
            .block_on(query)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    fn begin(&mut self) {
        for table in TABLES {
            let which = format!(
                "FROM pg_indexes WHERE schemaname = 'public' AND tablename = '{table}' AND indexname <> '{table}_pkey'"
            );
            for index in self.read("indexname, indexdef", &which) {
                self.execute(&format!("DROP INDEX {}", index[0].as_str().expect("a name")));
                self.indexes
                    .push(index[1].as_str().expect("a definition").to_owned());
            }
        }
    }

    fn write(&mut self, table: &str, columns: &[&str], rows: Vec<Vec<Value>>) {
        let mut bytes = Vec::with_capacity(rows.len() * 700);
        bytes.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        for row in rows {
            bytes.extend_from_slice(&(row.len() as i16).to_be_bytes());
            row.iter().for_each(|value| add(&mut bytes, value));
        }
        bytes.extend_from_slice(&(-1i16).to_be_bytes());
        let copy = format!("COPY {table} ({}) FROM STDIN (FORMAT binary)", columns.join(","));
        let work = async {
            let mut copy = self.connection.copy_in_raw(&copy).await?;
            copy.send(bytes).await?;
            copy.finish().await
        };
        self.runtime
            .block_on(work)
            .unwrap_or_else(|error| panic!("{table}: {error}"));
    }

    fn end(&mut self) {
        for index in std::mem::take(&mut self.indexes) {
            self.execute(&index);
        }
        // As autovacuum does it some time later, but without statistics.
        for table in TABLES {
            self.execute(&format!("VACUUM {table}"));
        }
    }
}

fn add(bytes: &mut Vec<u8>, value: &Value) {
    let mut put = |value: &[u8]| {
        bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
        bytes.extend_from_slice(value);
    };
    match value {
        Value::Null => bytes.extend_from_slice(&(-1i32).to_be_bytes()),
        Value::Long(value) => put(&value.to_be_bytes()),
        Value::Short(value) => put(&value.to_be_bytes()),
        Value::Bool(value) => put(&[u8::from(*value)]),
        Value::Real(value) => put(&value.to_be_bytes()),
        Value::Text(value) => put(value.as_bytes()),
        Value::Uuid(value) => put(value.as_bytes()),
        Value::Bytes(value) => put(value),
    }
}
