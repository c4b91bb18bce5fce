//! The same work, done by SQLite alone: loops through one connection with the settings that Rollbook uses.
//!
//! The file it writes to is a copy of Rollbook's own, with all its rows and indexes.

use std::fs::File;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous,
};
use sqlx::{Arguments as _, AssertSqlSafe, ConnectOptions as _, Row as _, TypeInfo as _, ValueRef as _};
use tokio::runtime::Runtime;

use super::subject::Subject;
use super::{Bench, data, load, measure, work};

/// The columns of `elearning`, joined, as they are stored. The database has to do at least this work.
const JOINED: &str = "SELECT u.first_name, u.last_name, u.email, u.role, u.job_title, u.language, u.location, \
    u.joined_on, m.first_name || ' ' || m.last_name, t.name, s.names, u.active, u.deactivated_at, a.action, c.title, \
    c.type, c.content_type, c.id, a.happened_at, a.completed, a.expired_at, c.tags, a.success, a.percent, \
    a.seconds / 60, a.seconds, a.certificate_expires_at \
    FROM activities a JOIN persons p ON p.org = a.org AND p.key = a.person \
    LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key \
    LEFT JOIN users m ON m.org = u.org AND m.key = u.manager \
    LEFT JOIN teams t ON t.org = u.org AND t.key = u.primary_team \
    LEFT JOIN (SELECT x.org, x.user_key, group_concat(y.name, '; ') AS names FROM memberships x \
      JOIN teams y ON y.org = x.org AND y.key = x.team JOIN users z ON z.org = x.org AND z.key = x.user_key \
      WHERE x.team <> z.primary_team GROUP BY x.org, x.user_key) s ON s.org = u.org AND s.user_key = u.key \
    LEFT JOIN contents c ON c.org = a.org AND c.key = a.content \
    WHERE a.org = 1 AND a.action <> 25 AND NOT p.deactivated";

const NEWEST_FIRST: &str = " ORDER BY a.happened_at DESC, a.seq DESC";

/// What [`work::PAGE_QUERIES`] ask, by hand.
const CONDITIONS: [&str; 4] = [
    "",
    " AND a.person IN (SELECT key FROM persons WHERE org = 1 AND user_key = (SELECT key FROM users WHERE org = 1 AND id = 'u77'))",
    " AND a.action = 8 AND c.content_type = 8",
    " AND p.user_key IN (SELECT x.user_key FROM memberships x JOIN teams y ON y.org = x.org AND y.key = x.team \
       WHERE x.org = 1 AND y.id = 't7')",
];

/// Measures everything on SQLite.
pub fn run(bench: &mut Bench) {
    let names = ["ingest of singles", "ingest in batches", "page", "export"];
    if !names.iter().any(|name| bench.selects(&format!("sqlite: {name}"))) {
        return;
    }
    let folder = std::env::temp_dir().join(format!("rollbook_bench_{}_sqlite", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    let file = folder.join("rollbook.db");
    let subject = load::start(&format!("sqlite:{}", file.display()), data::rows());
    let mut own = Plain::open(&file);
    own.execute("ANALYZE");
    pages(bench, &subject, &mut own);
    export(bench, &subject, &mut own, &folder);
    if names[..2]
        .iter()
        .any(|name| bench.selects(&format!("sqlite: {name}")))
    {
        let copy = folder.join("copy.db");
        own.execute(&format!("VACUUM INTO '{}'", copy.display()));
        let mut copy_db = Plain::open(&copy);
        batches(bench, &subject, &mut own, &mut copy_db);
        singles(bench, &subject, &mut own, &mut copy_db);
    }
    drop(own);
    subject.stop();
    let _ = std::fs::remove_dir_all(&folder); // a remaining temporary folder does no harm
}

fn pages(bench: &mut Bench, subject: &Subject, plain: &mut Plain) {
    for ((name, query), condition) in work::PAGE_QUERIES.into_iter().zip(CONDITIONS) {
        let mut connection = subject.connect();
        let text = format!("{JOINED}{condition}{NEWEST_FIRST} LIMIT 50");
        bench.compare(
            format!("sqlite: {name}"),
            work::PAGES,
            None,
            |_| work::read_pages(&mut connection, query),
            |_| {
                measure(|| {
                    (0..work::PAGES)
                        .for_each(|_| assert!(!plain.rows(&text).is_empty(), "{name} has no rows"))
                })
            },
        );
    }
}

fn export(bench: &mut Bench, subject: &Subject, plain: &mut Plain, folder: &Path) {
    let (rollbook_file, database_file) = (folder.join("rollbook.csv"), folder.join("database.csv"));
    let mut connection = subject.connect();
    let text = format!("{JOINED}{NEWEST_FIRST}");
    bench.compare(
        "sqlite: export",
        data::rows(),
        None,
        |_| work::export(&mut connection, &rollbook_file),
        |_| measure(|| plain.write_csv(&text, &database_file)),
    );
    if rollbook_file.exists() {
        assert_eq!(
            work::count_lines(&rollbook_file),
            1 + work::count_lines(&database_file),
            "both sides write the same rows"
        );
    }
}

fn batches(bench: &mut Bench, subject: &Subject, own: &mut Plain, copy_db: &mut Plain) {
    let new = std::cell::RefCell::new(Vec::new());
    bench.compare(
        "sqlite: ingest in batches of 100",
        work::BATCHED,
        None,
        |repetition| {
            let before = own.last_seq();
            let duration = work::ingest_batches(subject, repetition);
            *new.borrow_mut() = own.rows_after(before);
            duration
        },
        |_| {
            measure(|| {
                copy_db.execute("BEGIN IMMEDIATE");
                new.borrow().iter().for_each(|row| copy_db.insert(row));
                copy_db.execute("COMMIT");
            })
        },
    );
}

fn singles(bench: &mut Bench, subject: &Subject, own: &mut Plain, copy_db: &mut Plain) {
    let new = std::cell::RefCell::new(Vec::new());
    bench.compare(
        "sqlite: ingest of singles at 64 connections",
        work::SINGLES,
        None,
        |repetition| {
            let before = own.last_seq();
            let duration = work::ingest_singles(subject, repetition);
            *new.borrow_mut() = own.rows_after(before);
            duration
        },
        |_| {
            measure(|| {
                let rows = new.borrow();
                let (statements, activities) = rows.split_at(rows.len() / 2);
                for (statement, activity) in statements.iter().zip(activities) {
                    copy_db.execute("BEGIN IMMEDIATE");
                    copy_db.insert(statement);
                    copy_db.insert(activity);
                    copy_db.execute("COMMIT");
                }
            })
        },
    );
}

/// One connection, and the runtime that drives it.
struct Plain {
    runtime: Runtime,
    connection: SqliteConnection,
}

/// A row of one of the two tables.
struct StoredRow {
    table: &'static str,
    values: Vec<Value>,
}

enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Plain {
    fn open(file: &Path) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let options = SqliteConnectOptions::from_str(&format!("sqlite:{}", file.display()))
            .expect("a path")
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30))
            .pragma("cache_size", "-16384")
            .pragma("temp_store", "memory");
        let connection = runtime.block_on(options.connect()).expect("the file opens");
        Self { runtime, connection }
    }

    fn execute(&mut self, text: &str) {
        let query = sqlx::query(AssertSqlSafe(text.to_owned())).execute(&mut self.connection);
        self.runtime
            .block_on(query)
            .unwrap_or_else(|error| panic!("{text}: {error}"));
    }

    fn rows(&mut self, text: &str) -> Vec<SqliteRow> {
        let read = sqlx::query(AssertSqlSafe(text.to_owned())).fetch_all(&mut self.connection);
        self.runtime
            .block_on(read)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The position of the last record.
    fn last_seq(&mut self) -> i64 {
        self.rows("SELECT max(seq) FROM statements")[0].get(0)
    }

    /// The rows of all later records: the statements, then their activities.
    fn rows_after(&mut self, seq: i64) -> Vec<StoredRow> {
        let mut all = Vec::new();
        for table in ["statements", "activities"] {
            let rows = self.rows(&format!(
                "SELECT * FROM {table} WHERE org = 1 AND seq > {seq} ORDER BY seq"
            ));
            all.extend(rows.iter().map(|row| StoredRow {
                table,
                values: (0..row.len()).map(|at| column_value(row, at)).collect(),
            }));
        }
        all
    }

    /// Inserts one row by a prepared statement.
    fn insert(&mut self, row: &StoredRow) {
        let placeholders = vec!["?"; row.values.len()].join(", ");
        let mut arguments = SqliteArguments::default();
        for value in &row.values {
            match value {
                Value::Null => arguments.add(None::<i64>),
                Value::Integer(value) => arguments.add(*value),
                Value::Real(value) => arguments.add(*value),
                Value::Text(value) => arguments.add(value.clone()),
                Value::Blob(value) => arguments.add(value.clone()),
            }
            .expect("a value that was read");
        }
        let text = format!("INSERT INTO {} VALUES ({placeholders})", row.table);
        let query = sqlx::query_with(AssertSqlSafe(text), arguments).execute(&mut self.connection);
        self.runtime.block_on(query).expect("a row that was read");
    }

    /// Streams rows into a CSV file.
    fn write_csv(&mut self, text: &str, file: &Path) {
        let mut out = csv::WriterBuilder::new()
            .buffer_capacity(256 * 1024)
            .from_writer(File::create(file).expect("a file can be written"));
        let mut rows = sqlx::query(AssertSqlSafe(text.to_owned())).fetch(&mut self.connection);
        self.runtime.block_on(async {
            while let Some(row) = rows.try_next().await.expect("SQL by hand") {
                for at in 0..row.len() {
                    match column_value(&row, at) {
                        Value::Null => out.write_field(""),
                        Value::Integer(value) => out.write_field(value.to_string()),
                        Value::Real(value) => out.write_field(value.to_string()),
                        Value::Text(value) => out.write_field(value),
                        Value::Blob(value) => out.write_field(value),
                    }
                    .expect("the file can be written");
                }
                out.write_record(None::<&[u8]>).expect("the file can be written");
            }
        });
        out.flush().expect("the file can be written");
    }
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
