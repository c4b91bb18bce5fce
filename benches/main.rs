//! The speed of Rollbook compared with the database alone: one fixed data set, both sides in the same run.
//!
//! ```text
//! scripts/with-postgres --durable cargo bench                        # everything, with 100,000 records
//! scripts/with-postgres --durable cargo bench -- PostgreSQL exports  # lines with all these words in their names
//! ROLLBOOK_BENCH_ROWS=100000,2000000 scripts/with-postgres --durable cargo bench
//! cargo bench -- load sqlite:/data/bench.sqlite 10000000             # makes a database, and prints a credential
//! cargo bench -- measure sqlite:/data/bench.sqlite KEY:SECRET pages  # measures on it
//! ```
//!
//! Each figure is the median of three. A ratio of 1 means that Rollbook, through HTTP and with all its rules, is as
//! fast as the database that only moves its own rows. `docs/benchmarks.md` describes both sides of each line. The run
//! fails if a ratio is below its floor.
//!
//! | file | content |
//! | --- | --- |
//! | `data` | the data set, from a fixed seed |
//! | `load` | loads the data set into a database at the speed of its bulk loading |
//! | `subject` | Rollbook under measurement: a server in this process, and a client that needs little time |
//! | `plain` | the database alone |
//! | `pages`, `counts`, `exports`, `ingest` | the lines, for both databases |
//! | `report` | the tables of results |

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it prints its results, and a failed step ends it"
)]

mod counts;
mod data;
mod exports;
mod ingest;
mod load;
mod pages;
mod plain;
mod report;
mod subject;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use plain::{Dialect, Plain, PlainPostgres, PlainSqlite};
use report::{LineName, Measured, Unit};
use subject::Subject;

/// The number of measurements of each line. Its figure is their median.
const REPETITIONS: usize = 3;
/// A database that takes longer for one measurement is measured once.
const LONG: Duration = Duration::from_secs(8);
/// The variable in which `scripts/with-postgres` gives the address of its cluster.
const CLUSTER: &str = "ROLLBOOK_TEST_POSTGRES";

/// A store that is measured.
pub struct Site<'s> {
    /// The server.
    pub subject: &'s Subject,
    /// A connection to its database.
    pub plain: Box<dyn Plain>,
    /// The records that were loaded.
    pub rows: u64,
    /// A folder for files.
    pub folder: &'s Path,
}

/// The selected lines and their results.
#[derive(Default)]
pub struct Bench {
    words: Vec<String>,
    results: Vec<Measured>,
}

impl Bench {
    /// Whether the arguments select this line.
    pub fn selects(&self, site: &Site<'_>, part: &str, line: &str) -> bool {
        let name = format!("{}: {part}: {line}", site.plain.dialect().name());
        self.words.iter().all(|word| name.contains(word.as_str()))
    }

    /// Whether the arguments may select a line of this part: those that name a part name this one.
    pub fn selects_part(&self, site: &Site<'_>, part: &str) -> bool {
        let other =
            |word: &String| ["pages", "counts", "exports", "writes"].contains(&word.as_str()) && word != part;
        self.selects_database(site.plain.dialect()) && !self.words.iter().any(other)
    }

    fn selects_database(&self, dialect: Dialect) -> bool {
        let other = |word: &String| {
            [Dialect::Sqlite, Dialect::Postgres]
                .iter()
                .any(|one| one.name() == word)
                && word != dialect.name()
        };
        !self.words.iter().any(other)
    }

    /// Measures each side once.
    pub fn compare_once(
        &mut self,
        rows: u64,
        line: (Dialect, &'static str, &str, Unit),
        mut rollbook: impl FnMut() -> Duration,
        mut database: impl FnMut() -> Duration,
    ) {
        self.compare_repeatedly(1, rows, line, None, |_| rollbook(), |_| database());
    }

    /// Measures both sides alternately, because the load of the machine changes with time. Both give the time of one item.
    pub fn compare(
        &mut self,
        rows: u64,
        (dialect, part, line, unit): (Dialect, &'static str, &str, Unit),
        floor: Option<f64>,
        rollbook: impl FnMut(usize) -> Duration,
        database: impl FnMut(usize) -> Duration,
    ) {
        self.compare_repeatedly(
            REPETITIONS,
            rows,
            (dialect, part, line, unit),
            floor,
            rollbook,
            database,
        );
    }

    fn compare_repeatedly(
        &mut self,
        repetitions: usize,
        rows: u64,
        (dialect, part, line, unit): (Dialect, &'static str, &str, Unit),
        floor: Option<f64>,
        mut rollbook: impl FnMut(usize) -> Duration,
        mut database: impl FnMut(usize) -> Duration,
    ) {
        let mut measured = Measured {
            name: LineName {
                database: dialect.name(),
                part,
                line: line.to_owned(),
                unit,
            },
            rows,
            rollbook: Vec::new(),
            database: Vec::new(),
            floor,
        };
        for repetition in 0..repetitions {
            measured.rollbook.push(rollbook(repetition));
            let start = Instant::now();
            measured.database.push(database(repetition));
            if start.elapsed() > LONG {
                break;
            }
        }
        eprintln!("{rows} rows, {}: {line}: {}", dialect.name(), measured.cell());
        self.results.push(measured);
    }

    /// Measures the selected lines on a loaded database.
    fn measure(&mut self, url: &str, credential: &str, folder: &Path) {
        let mut plain: Box<dyn Plain> = match url.strip_prefix("sqlite:") {
            Some(file) => Box::new(PlainSqlite::open(Path::new(file))),
            None => Box::new(PlainPostgres::open(url, folder)),
        };
        plain.analyze();
        let rows = plain.integer("SELECT count(*) FROM statements WHERE org = 1 AND NOT voids");
        let subject = load::start(url, credential);
        let mut site = Site {
            subject: &subject,
            plain,
            rows: rows.unsigned_abs(),
            folder,
        };
        pages::run(self, &mut site);
        counts::run(self, &mut site);
        exports::run(self, &mut site);
        ingest::run(self, &mut site);
        drop(site);
        subject.stop();
    }
}

/// The duration of the work.
pub fn measure(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The mean duration of one repetition of the work, over about half a second.
pub fn measure_each(mut work: impl FnMut()) -> Duration {
    let start = Instant::now();
    let mut times = 0;
    while times < 200 && (times == 0 || start.elapsed() < Duration::from_millis(500)) {
        work();
        times += 1;
    }
    start.elapsed() / times
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("run this with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = arguments
        .into_iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let folder = std::env::temp_dir().join(format!("rollbook_bench_{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    let mut bench = Bench::default();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["load", url, rows] => load::run(url, rows.parse().expect("a number of rows")),
        ["check", url, rows] => load::check::run(url, rows.parse().expect("a number of rows")),
        ["measure", url, credential, ..] => {
            bench.words = words[3..].to_vec();
            bench.measure(url, credential, &folder);
        }
        _ => {
            bench.words = words;
            measure_all(&mut bench, &folder);
        }
    }
    let _ = std::fs::remove_dir_all(&folder); // a remaining temporary folder does no harm
    report::print(&bench.results);
    if bench.results.iter().any(Measured::is_below_floor) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Loads a database of each size, and measures on it.
fn measure_all(bench: &mut Bench, folder: &Path) {
    for rows in data::sizes() {
        if bench.selects_database(Dialect::Sqlite) {
            let file = folder.join(format!("{rows}.sqlite"));
            let url = format!("sqlite:{}", file.display());
            let credential = load::load(&url, rows, load::end_of_data());
            bench.measure(&url, &credential, folder);
            std::fs::remove_file(file).expect("the database is closed");
        }
        if !bench.selects_database(Dialect::Postgres) {
            continue;
        }
        let Ok(cluster) = std::env::var(CLUSTER) else {
            eprintln!("PostgreSQL is not measured: run this within `scripts/with-postgres --durable`");
            continue;
        };
        let name = format!("rollbook_bench_{}_{rows}", std::process::id());
        let (server, _) = cluster
            .rsplit_once('/')
            .expect("a postgres:// URL that ends with a database");
        let url = format!("{server}/{name}");
        let mut administrator = PlainPostgres::open(&cluster, folder);
        administrator.execute(&format!("CREATE DATABASE {name}"));
        let credential = load::load(&url, rows, load::end_of_data());
        bench.measure(&url, &credential, folder);
        administrator.execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
    }
}
