//! The speed of Rollbook compared with the database alone: one fixed data set, both sides in the same run.
//!
//! ```text
//! scripts/with-postgres --durable cargo bench                       # everything
//! scripts/with-postgres --durable cargo bench -- postgres export    # lines with all these words in their name
//! ROLLBOOK_BENCH_ROWS=1000000 scripts/with-postgres --durable cargo bench -- export
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
//! | `work` | the measured requests, the same on both databases |
//! | `postgres`, `sqlite` | the same work, done by the database alone |

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "it prints its results, and a failed step ends it"
)]

mod data;
mod load;
mod postgres;
mod sqlite;
mod subject;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The number of measurements of each line. Its figure is their median.
const REPETITIONS: usize = 3;

/// One line of the result.
pub struct Measured {
    what: String,
    /// The number of rows, statements or pages of each side.
    items: u64,
    rollbook: Duration,
    database: Duration,
    floor: Option<f64>,
}

impl Measured {
    fn ratio(&self) -> f64 {
        self.database.as_secs_f64() / self.rollbook.as_secs_f64()
    }

    fn is_below_floor(&self) -> bool {
        self.floor.is_some_and(|floor| self.ratio() < floor)
    }
}

/// The selected lines and their results.
pub struct Bench {
    words: Vec<String>,
    results: Vec<Measured>,
}

impl Bench {
    /// Whether the arguments select the line with this name.
    pub fn selects(&self, what: &str) -> bool {
        self.words.iter().all(|word| what.contains(word.as_str()))
    }

    /// Measures both sides alternately, because the load of the machine changes with time.
    pub fn compare(
        &mut self,
        what: impl Into<String>,
        items: u64,
        floor: Option<f64>,
        mut rollbook: impl FnMut(usize) -> Duration,
        mut database: impl FnMut(usize) -> Duration,
    ) {
        let what = what.into();
        if !self.selects(&what) {
            return;
        }
        let (mut rollbook_times, mut database_times) = (Vec::new(), Vec::new());
        for repetition in 0..REPETITIONS {
            rollbook_times.push(rollbook(repetition));
            database_times.push(database(repetition));
        }
        let line = Measured {
            what,
            items,
            rollbook: median(rollbook_times),
            database: median(database_times),
            floor,
        };
        eprintln!("{}", format_line(&line));
        self.results.push(line);
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The duration of the work.
pub fn measure(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn format_line(line: &Measured) -> String {
    let rate = |time: Duration| format!("{:.0}/s", line.items as f64 / time.as_secs_f64());
    let (floor, verdict) = match line.floor {
        Some(floor) => (
            format!("{floor:.1}"),
            if line.is_below_floor() { "FAIL" } else { "PASS" },
        ),
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
        eprintln!("run this with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = arguments
        .into_iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let [command, url, rows] = words.as_slice()
        && let Ok(rows) = rows.parse()
    {
        match command.as_str() {
            "load" => load::run(url, rows),
            "check" => load::check::run(url, rows),
            _ => panic!("the commands are `load` and `check`"),
        }
        return ExitCode::SUCCESS;
    }
    let mut bench = Bench {
        words,
        results: Vec::new(),
    };
    sqlite::run(&mut bench);
    postgres::run(&mut bench);

    println!(
        "\n{:<44} {:>12} {:>12} {:>7} {:>6}",
        "what", "rollbook", "database", "ratio", "floor"
    );
    bench
        .results
        .iter()
        .for_each(|line| println!("{}", format_line(line)));
    if bench.results.iter().any(Measured::is_below_floor) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
