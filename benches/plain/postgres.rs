//! PostgreSQL alone: SQL through one plain connection, `psql \copy` and `pgbench`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::runtime::Runtime;

use super::{Dialect, FIRST_COPY, Plain, TABLES};
use crate::data;

pub struct PlainPostgres {
    url: String,
    runtime: Runtime,
    connection: PgConnection,
    /// The files of copies.
    folder: PathBuf,
}

impl PlainPostgres {
    pub fn open(url: &str, folder: &Path) -> Self {
        let runtime = Runtime::new().expect("a runtime starts");
        let connection = runtime
            .block_on(PgConnection::connect(url))
            .expect("the database answers");
        Self {
            url: url.to_owned(),
            runtime,
            connection,
            folder: folder.to_owned(),
        }
    }

    fn file(&self, table: &str) -> PathBuf {
        self.folder.join(format!("{table}.copy"))
    }

    /// The columns of a table, with another position and, for a new row, another id.
    fn copied_columns(&mut self, table: &str) -> String {
        let text = format!(
            "SELECT string_agg(CASE column_name WHEN 'seq' THEN 'seq + {FIRST_COPY}' \
             WHEN 'id' THEN 'gen_random_uuid()' ELSE quote_ident(column_name) END, ', ' ORDER BY ordinal_position) \
             FROM information_schema.columns WHERE table_schema = 'public' AND table_name = '{table}'"
        );
        let read = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut self.connection);
        self.runtime.block_on(read).expect("the columns").get(0)
    }
}

impl Plain for PlainPostgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn read(&mut self, sql: &str) -> usize {
        let read = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.connection);
        let rows = self.runtime.block_on(read);
        rows.unwrap_or_else(|error| panic!("{sql}: {error}")).len()
    }

    fn integer(&mut self, sql: &str) -> i64 {
        let read = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.connection);
        let row = self.runtime.block_on(read);
        row.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
    }

    fn execute(&mut self, sql: &str) {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection);
        self.runtime
            .block_on(query)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn analyze(&mut self) {
        self.execute("ANALYZE");
    }

    fn export(&mut self, sql: &str, file: &Path) -> bool {
        psql(
            &self.url,
            &format!("\\copy ({sql}) TO '{}' CSV HEADER", file.display()),
        );
        true
    }

    fn take_copies(&mut self, after: i64) {
        for table in TABLES {
            let columns = self.copied_columns(table);
            let rows = format!(
                "SELECT {columns} FROM {table} WHERE org = 1 AND seq > {after} AND seq < {FIRST_COPY}"
            );
            psql(
                &self.url,
                &format!("\\copy ({rows}) TO '{}'", self.file(table).display()),
            );
        }
    }

    fn write_in_bulk(&mut self) {
        for table in TABLES {
            psql(
                &self.url,
                &format!("\\copy {table} FROM '{}'", self.file(table).display()),
            );
        }
    }

    fn write_singles(&mut self, rows: u64, connections: usize) -> Duration {
        self.execute(&format!(
            "CREATE SEQUENCE IF NOT EXISTS bench_seq START {FIRST_COPY} CACHE 1"
        ));
        let script = self.folder.join("insert.sql");
        std::fs::write(&script, insert_script()).expect("a file can be written");
        let each = (rows / connections as u64).to_string();
        let out = run_program(
            Command::new(program("pgbench"))
                .args(["-n", "-M", "prepared", "-j", "2", "-t", &each])
                .args(["-c", &connections.to_string(), "-f"])
                .arg(&script)
                .arg(&self.url),
        );
        let rate = out.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
        Duration::from_secs_f64(rows as f64 / rate.expect("pgbench prints its rate"))
    }

    fn another(&self) -> Box<dyn Plain> {
        Box::new(Self::open(&self.url, &self.folder))
    }
}

/// The script of pgbench. Both rows are in one statement, which needs one round trip and one commit.
fn insert_script() -> String {
    let body: String = crate::ingest::one_statement()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "\\set actor random(1, {})\n\\set content random(1, {})\n\\set at random(1704067200000000, 1767139200000000)\n\
         WITH s AS (INSERT INTO statements (org, seq, id, stored, actor, verb, object, registration, reference, \
         sender, voids, voided, envelope, body) VALUES (1, nextval('bench_seq'), gen_random_uuid(), :at, :actor, 7, \
         :content, gen_random_uuid(), NULL, 'rb_0123456789abcdef', false, false, '{{\"origin\": \"xapi\"}}', \
         '\\x{body}'::bytea) RETURNING org, seq, id, stored, actor, verb, object, registration) \
         INSERT INTO activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, \
         completed, success, certified, scaled, percent, seconds, registration) \
         SELECT org, seq, id, stored, stored, actor, verb, object, 5, 1, true, true, false, 0.92, 9200, 300, \
         registration FROM s;\n",
        data::USERS,
        data::CONTENTS,
    )
}

/// Runs a command of `psql`.
fn psql(url: &str, command: &str) {
    let arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", command];
    run_program(Command::new(program("psql")).args(arguments));
}

fn run_program(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{:?} failed: {errors}",
        command.get_program()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The path of a program of PostgreSQL. On some systems it is not in `PATH`.
fn program(name: &str) -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<PathBuf> = folders
        .map(|folder| folder.path().join("bin").join(name))
        .filter(|file| file.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}
