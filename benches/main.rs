//! How fast Rollbook is, beside what the database does alone: one fixed data set, both sides in the same run.
//!
//! ```text
//! scripts/with-postgres --durable cargo bench                       # everything
//! scripts/with-postgres --durable cargo bench -- postgres export    # rows whose name has all these words
//! ROLLBOOK_BENCH_ROWS=1000000 scripts/with-postgres --durable cargo bench -- export
//! ```
//!
//! Each figure is the median of three; a ratio of 1 means that Rollbook, through HTTP and with all its rules, is as
//! fast as the database that is only asked to do the same with its own rows. `docs/benchmarks.md` says what is
//! compared with what. Where a floor is missed the run fails.
//!
//! | file | holds |
//! | --- | --- |
//! | `data` | the data set, from a fixed seed |
//! | `subject` | Rollbook under measurement: a server in this process, and a client that costs little |
//! | `work` | what is measured, the same on both databases |
//! | `postgres`, `sqlite` | the database doing the same alone |

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it prints its results, and a failed step ends it"
)]

mod data;
mod postgres;
mod sqlite;
mod subject;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Every figure is the median of so many.
const TIMES: usize = 3;

/// One line of the result.
pub struct Measured {
    what: String,
    /// How many rows, statements or pages each side did.
    items: u64,
    rollbook: Duration,
    database: Duration,
    floor: Option<f64>,
}

impl Measured {
    fn ratio(&self) -> f64 {
        self.database.as_secs_f64() / self.rollbook.as_secs_f64()
    }

    fn missed(&self) -> bool {
        self.floor.is_some_and(|floor| self.ratio() < floor)
    }
}

/// Collects what was measured, of what was asked for.
pub struct Bench {
    words: Vec<String>,
    measured: Vec<Measured>,
}

impl Bench {
    /// Whether a line with this name is asked for.
    pub fn wants(&self, what: &str) -> bool {
        self.words.iter().all(|word| what.contains(word.as_str()))
    }

    /// Measures both sides by turns, so that a busy moment of the machine meets both.
    pub fn compare(
        &mut self,
        what: impl Into<String>,
        items: u64,
        floor: Option<f64>,
        mut rollbook: impl FnMut(usize) -> Duration,
        mut database: impl FnMut(usize) -> Duration,
    ) {
        let what = what.into();
        if !self.wants(&what) {
            return;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for time in 0..TIMES {
            ours.push(rollbook(time));
            theirs.push(database(time));
        }
        let line = Measured {
            what,
            items,
            rollbook: median(ours),
            database: median(theirs),
            floor,
        };
        eprintln!("{}", told(&line));
        self.measured.push(line);
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long something takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn told(line: &Measured) -> String {
    let rate = |time: Duration| format!("{:.0}/s", line.items as f64 / time.as_secs_f64());
    let (floor, verdict) = match line.floor {
        Some(floor) => (format!("{floor:.1}"), if line.missed() { "FAIL" } else { "PASS" }),
        None => ("-".to_owned(), ""),
    };
    format!(
        "{:<44} {:>12} {:>12} {:>7.2} {floor:>6} {verdict}",
        line.what,
        rate(line.rollbook),
        rate(line.database),
        line.ratio()
    )
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("nothing is measured without `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let words = arguments
        .into_iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let mut bench = Bench {
        words,
        measured: Vec::new(),
    };
    sqlite::run(&mut bench);
    postgres::run(&mut bench);

    println!(
        "\n{:<44} {:>12} {:>12} {:>7} {:>6}",
        "what", "rollbook", "database", "ratio", "floor"
    );
    bench.measured.iter().for_each(|line| println!("{}", told(line)));
    if bench.measured.iter().any(Measured::missed) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
