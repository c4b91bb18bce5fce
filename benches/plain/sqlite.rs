//! SQLite alone: SQL through one connection with Rollbook's settings, and the `sqlite3` shell for exports.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Row as _, TypeInfo as _, ValueRef as _};
use tokio::runtime::Runtime;

use super::{Dialect, FIRST_COPY, Plain, TABLES};

/// The rows of one insert, and of one transaction of a bulk load.
const ROWS: usize = 100;

pub struct PlainSqlite {
    file: PathBuf,
    runtime: Runtime,
    connection: SqliteConnection,
    /// The position behind which this connection writes copies.
    first: i64,
    /// The copies of the rows of each table.
    copies: Vec<Vec<Vec<Value>>>,
}

enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl PlainSqlite {
    pub fn open(file: &Path) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let options = SqliteConnectOptions::from_str(&format!("sqlite:{}", file.display()))
            .expect("a path")
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30))
            .pragma("cache_size", "-16384")
            .pragma("temp_store", "memory");
        let connection = runtime.block_on(options.connect()).expect("the file opens");
        Self {
            file: file.to_owned(),
            runtime,
            connection,
            first: FIRST_COPY,
            copies: Vec::new(),
        }
    }

    fn rows(&mut self, text: &str) -> Vec<SqliteRow> {
        let read = sqlx::query(AssertSqlSafe(text.to_owned())).fetch_all(&mut self.connection);
        self.runtime
            .block_on(read)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Inserts rows by one prepared statement.
    fn insert(&mut self, table: usize, rows: std::ops::Range<usize>) {
        let mut arguments = SqliteArguments::default();
        let rows = &self.copies[table][rows];
        for value in rows.iter().flatten() {
            match value {
                Value::Null => arguments.add(None::<i64>),
                Value::Integer(value) => arguments.add(*value),
                Value::Real(value) => arguments.add(*value),
                Value::Text(value) => arguments.add(value.clone()),
                Value::Blob(value) => arguments.add(value.clone()),
            }
            .expect("a value that was read");
        }
        let row = format!("({})", vec!["?"; rows[0].len()].join(","));
        let text = format!(
            "INSERT INTO {} VALUES {}",
            TABLES[table],
            vec![row; rows.len()].join(",")
        );
        let query = sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut self.connection);
        self.runtime.block_on(query).expect("rows that were read");
    }

    /// Writes a part of the copies of both tables in one transaction.
    fn write_part(&mut self, part: std::ops::Range<usize>) {
        self.execute("BEGIN IMMEDIATE");
        for table in 0..TABLES.len() {
            let end = part.end.min(self.copies[table].len());
            if part.start < end {
                self.insert(table, part.start..end);
            }
        }
        self.execute("COMMIT");
    }
}

impl Plain for PlainSqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn read(&mut self, sql: &str) -> usize {
        self.rows(sql).len()
    }

    fn integer(&mut self, sql: &str) -> i64 {
        self.rows(sql)[0].get(0)
    }

    fn execute(&mut self, sql: &str) {
        let query = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection);
        self.runtime
            .block_on(query)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn analyze(&mut self) {
        self.execute("ANALYZE");
    }

    fn export(&mut self, sql: &str, file: &Path) -> bool {
        let out = std::fs::File::create(file).expect("a file can be written");
        let shell = Command::new("sqlite3")
            .args(["-readonly", "-csv", "-header"])
            .arg(&self.file)
            .arg(sql)
            .stdout(Stdio::from(out))
            .status();
        shell.is_ok_and(|status| status.success())
    }

    fn take_copies(&mut self, after: i64) {
        self.copies.clear();
        let first = self.first;
        for table in TABLES {
            let rows = self.rows(&format!(
                "SELECT * FROM {table} WHERE org = 1 AND seq > {after} AND seq < {FIRST_COPY} ORDER BY seq"
            ));
            let (seq, id) = (place(&rows[0], "seq"), place(&rows[0], "id"));
            let copy = |row: &SqliteRow| {
                let mut values: Vec<Value> = (0..row.len()).map(|at| column_value(row, at)).collect();
                values[id] = Value::Blob(rollbook::base::Clock::system().new_uuid().as_bytes().to_vec());
                values[seq] = Value::Integer(first + row.get::<i64, _>(seq));
                values
            };
            self.copies.push(rows.iter().map(copy).collect());
        }
    }

    fn write_in_bulk(&mut self) {
        let rows = self.copies.iter().map(Vec::len).max().unwrap_or(0);
        for start in (0..rows).step_by(ROWS) {
            self.write_part(start..start + ROWS);
        }
    }

    fn write_singles(&mut self, rows: u64, _: usize) -> Duration {
        // A second writer would only wait for the first one.
        let start = Instant::now();
        for row in 0..rows as usize {
            self.write_part(row..row + 1);
        }
        start.elapsed()
    }

    fn another(&self) -> Box<dyn Plain> {
        Box::new(Self {
            first: self.first + 100_000_000_000_000_000,
            ..Self::open(&self.file)
        })
    }
}

fn place(row: &SqliteRow, name: &str) -> usize {
    use sqlx::Column as _;
    let found = row.columns().iter().position(|column| column.name() == name);
    found.expect("a column of both tables")
}

fn column_value(row: &SqliteRow, at: usize) -> Value {
    let raw = row.try_get_raw(at).expect("a column");
    if raw.is_null() {
        return Value::Null;
    }
    let kind = raw.type_info().name().to_owned();
    match kind.as_str() {
        "REAL" => Value::Real(row.get_unchecked(at)),
        "TEXT" => Value::Text(row.get_unchecked(at)),
        "BLOB" => Value::Blob(row.get_unchecked(at)),
        _ => Value::Integer(row.get_unchecked(at)),
    }
}
