//! The same work, done by PostgreSQL alone: `pgbench`, `psql \copy`, and SQL by hand through a plain connection.
//!
//! The tables it writes to are copies of Rollbook's own with all their indexes, in a schema `bench` of the same
//! database, filled with the same rows.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::runtime::Runtime;

use super::subject::Subject;
use super::{Bench, data, load, measure, work};

/// The variable in which `scripts/with-postgres` gives the address of its cluster.
const CLUSTER: &str = "ROLLBOOK_TEST_POSTGRES";

/// The columns of `elearning`, joined. Times are converted, all other values are as they are stored. The database has
/// to do at least this work.
const JOINED: &str = "SELECT u.first_name, u.last_name, u.email, u.role, u.job_title, u.language, u.location, \
    u.joined_on, concat_ws(' ', m.first_name, m.last_name), t.name, s.names, u.active, \
    to_timestamp(u.deactivated_at / 1e6), a.action, c.title, c.type, c.content_type, c.id, \
    to_timestamp(a.happened_at / 1e6), a.completed, to_timestamp(a.expired_at / 1e6), c.tags, a.success, \
    a.percent, a.seconds / 60, a.seconds, to_timestamp(a.certificate_expires_at / 1e6) \
    FROM activities a JOIN persons p ON p.org = a.org AND p.key = a.person \
    LEFT JOIN users u ON u.org = p.org AND u.key = p.user_key \
    LEFT JOIN users m ON m.org = u.org AND m.key = u.manager \
    LEFT JOIN teams t ON t.org = u.org AND t.key = u.primary_team \
    LEFT JOIN (SELECT x.org, x.user_key, string_agg(y.name, '; ' ORDER BY y.name) AS names FROM memberships x \
      JOIN teams y ON y.org = x.org AND y.key = x.team JOIN users z ON z.org = x.org AND z.key = x.user_key \
      WHERE x.team <> z.primary_team GROUP BY x.org, x.user_key) s ON s.org = u.org AND s.user_key = u.key \
    LEFT JOIN contents c ON c.org = a.org AND c.key = a.content \
    WHERE a.org = 1 AND a.action <> 25 AND NOT p.deactivated";

const NEWEST_FIRST: &str = " ORDER BY a.happened_at DESC, a.seq DESC";

/// The conditions of [`work::PAGE_QUERIES`], written by hand.
const CONDITIONS: [&str; 4] = [
    "",
    " AND a.person IN (SELECT key FROM persons WHERE org = 1 AND user_key = (SELECT key FROM users WHERE org = 1 AND id = 'u77'))",
    " AND a.action = 8 AND c.content_type = 8",
    " AND p.user_key IN (SELECT x.user_key FROM memberships x JOIN teams y ON y.org = x.org AND y.key = x.team \
       WHERE x.org = 1 AND y.id = 't7')",
];

/// Measures everything on PostgreSQL, if a cluster is available.
pub fn run(bench: &mut Bench) {
    let Ok(cluster) = std::env::var(CLUSTER) else {
        eprintln!("PostgreSQL is not measured: run this within `scripts/with-postgres --durable`");
        return;
    };
    let names = ["ingest of singles", "ingest in batches", "page", "export"];
    if !names
        .iter()
        .any(|name| bench.selects(&format!("postgres: {name}")))
    {
        return;
    }
    let name = format!("rollbook_bench_{}", std::process::id());
    let (server, _) = cluster
        .rsplit_once('/')
        .expect("a postgres:// URL that ends with a database");
    let url = format!("{server}/{name}");
    sql(&cluster, &format!("CREATE DATABASE {name}"));
    let folder = std::env::temp_dir().join(&name);
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");

    let subject = load::start(&url, data::rows());
    sql(&url, "VACUUM ANALYZE");
    pages(bench, &subject, &url);
    export(bench, &subject, &url, &folder);
    if names[..2]
        .iter()
        .any(|name| bench.selects(&format!("postgres: {name}")))
    {
        create_copies(&url);
        batches(bench, &subject, &url, &folder);
        singles(bench, &subject, &url, &folder);
    }

    subject.stop();
    sql(&cluster, &format!("DROP DATABASE {name} WITH (FORCE)"));
    let _ = std::fs::remove_dir_all(&folder); // a remaining temporary folder does no harm
}

fn pages(bench: &mut Bench, subject: &Subject, url: &str) {
    let runtime = Runtime::new().expect("a runtime starts");
    for ((name, query), condition) in work::PAGE_QUERIES.into_iter().zip(CONDITIONS) {
        let mut connection = subject.connect();
        let mut plain = runtime
            .block_on(PgConnection::connect(url))
            .expect("the database answers");
        let text = format!("{JOINED}{condition}{NEWEST_FIRST} LIMIT 50");
        bench.compare(
            format!("postgres: {name}"),
            work::PAGES,
            None,
            |_| work::read_pages(&mut connection, query),
            |_| {
                measure(|| {
                    for _ in 0..work::PAGES {
                        let read = sqlx::query(AssertSqlSafe(text.clone())).fetch_all(&mut plain);
                        assert!(
                            !runtime.block_on(read).expect("SQL by hand").is_empty(),
                            "{name} has no rows"
                        );
                    }
                })
            },
        );
    }
}

fn export(bench: &mut Bench, subject: &Subject, url: &str, folder: &Path) {
    let (rollbook_file, database_file) = (folder.join("rollbook.csv"), folder.join("database.csv"));
    let mut connection = subject.connect();
    let copy = format!(
        "\\copy ({JOINED}{NEWEST_FIRST}) TO '{}' CSV HEADER",
        database_file.display()
    );
    bench.compare(
        "postgres: export",
        data::rows(),
        Some(1.0),
        |_| work::export(&mut connection, &rollbook_file),
        |_| measure(|| sql(url, &copy)),
    );
    if rollbook_file.exists() {
        assert_eq!(
            work::count_lines(&rollbook_file),
            work::count_lines(&database_file),
            "both sides write the same rows"
        );
    }
}

/// Creates the copies of the tables to which the database alone writes.
fn create_copies(url: &str) {
    for table in ["statements", "activities"] {
        sql(
            url,
            &format!(
                "CREATE SCHEMA IF NOT EXISTS bench; \
                 CREATE TABLE bench.{table} (LIKE {table} INCLUDING ALL); \
                 INSERT INTO bench.{table} SELECT * FROM {table}; VACUUM ANALYZE bench.{table}"
            )
            .replace("; ", ";\n"),
        );
    }
    sql(url, "CREATE SEQUENCE bench.seq START 4000000000000000000 CACHE 1");
}

fn batches(bench: &mut Bench, subject: &Subject, url: &str, folder: &Path) {
    let file = |table: &str| folder.join(format!("{table}.copy"));
    bench.compare(
        "postgres: ingest in batches of 100",
        work::BATCHED,
        Some(0.2),
        |repetition| {
            let duration = work::ingest_batches(subject, repetition);
            for table in ["statements", "activities"] {
                // The copies do not have the rows that were just written.
                let new = format!("SELECT * FROM {table} WHERE seq > (SELECT max(seq) FROM bench.{table} WHERE seq < 4000000000000000000)");
                sql(url, &format!("\\copy ({new}) TO '{}'", file(table).display()));
            }
            duration
        },
        |_| {
            measure(|| {
                for table in ["statements", "activities"] {
                    sql(url, &format!("\\copy bench.{table} FROM '{}'", file(table).display()));
                }
            })
        },
    );
}

fn singles(bench: &mut Bench, subject: &Subject, url: &str, folder: &Path) {
    let script = folder.join("insert.sql");
    std::fs::write(&script, insert_script()).expect("a file can be written");
    let each = work::SINGLES / work::SINGLE_CONNECTIONS as u64;
    bench.compare(
        "postgres: ingest of singles at 64 connections",
        work::SINGLES,
        Some(0.3),
        |repetition| work::ingest_singles(subject, repetition),
        |_| {
            let out = run_program(
                Command::new(program("pgbench"))
                    .args([
                        "-n",
                        "-M",
                        "prepared",
                        "-c",
                        "64",
                        "-j",
                        "2",
                        "-t",
                        &each.to_string(),
                        "-f",
                    ])
                    .arg(&script)
                    .arg(url),
            );
            let tps = out
                .lines()
                .find_map(|line| line.strip_prefix("tps = "))
                .expect("pgbench prints its rate");
            let tps: f64 = tps
                .split(' ')
                .next()
                .and_then(|number| number.parse().ok())
                .expect("a number");
            Duration::from_secs_f64(work::SINGLES as f64 / tps)
        },
    );
}

/// The script of pgbench. Both rows are in one statement, which needs one round trip and one commit.
fn insert_script() -> String {
    let body: String = work::singles(0)[0]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "\\set actor random(1, {})\n\\set content random(1, {})\n\\set at random(1704067200000000, 1767139200000000)\n\
         WITH s AS (INSERT INTO bench.statements (org, seq, id, stored, actor, verb, object, registration, reference, \
         sender, voids, voided, envelope, body) VALUES (1, nextval('bench.seq'), gen_random_uuid(), :at, :actor, 7, \
         :content, gen_random_uuid(), NULL, 'rb_0123456789abcdef', false, false, '{{\"origin\": \"xapi\"}}', \
         '\\x{body}'::bytea) RETURNING org, seq, id, stored, actor, verb, object, registration) \
         INSERT INTO bench.activities (org, seq, id, happened_at, stored_at, person, verb, content, action, origin, \
         completed, success, certified, scaled, percent, seconds, registration) \
         SELECT org, seq, id, stored, stored, actor, verb, object, 5, 1, true, true, false, 0.92, 9200, 300, \
         registration FROM s;\n",
        data::USERS,
        data::CONTENTS,
    )
}

/// Runs SQL with `psql`.
fn sql(url: &str, text: &str) {
    let mut psql = Command::new(program("psql"));
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url]);
    text.split(";\n").for_each(|statement| {
        psql.args(["-c", statement]);
    });
    run_program(&mut psql);
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
