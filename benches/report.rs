//! The results, as the tables of `docs/benchmarks.md`.

use std::collections::BTreeSet;
use std::time::Duration;

use rollbook::texts::Language;

/// The unit of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// The time of one item: a page, a count.
    Time,
    /// The items of one second: rows that are written or exported.
    Rate,
}

/// A line that is measured: the part of the table, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineName {
    /// The database.
    pub database: &'static str,
    pub part: &'static str,
    pub line: String,
    pub unit: Unit,
}

/// One line at one size. The times are those of one item, one for each repetition.
#[derive(Debug, Clone)]
pub struct Measured {
    pub name: LineName,
    /// The records in the store.
    pub rows: u64,
    pub rollbook: Vec<Duration>,
    pub database: Vec<Duration>,
    pub floor: Option<f64>,
}

impl Measured {
    /// The database's time divided by Rollbook's: the medians.
    pub fn ratio(&self) -> f64 {
        median(&self.database).as_secs_f64() / median(&self.rollbook).as_secs_f64()
    }

    /// The least and the greatest ratio of the repetitions. Both sides of one are measured directly one after the other.
    fn spread(&self) -> (f64, f64) {
        let pairs = self.rollbook.iter().zip(&self.database);
        let ratios = pairs.map(|(rollbook, database)| database.as_secs_f64() / rollbook.as_secs_f64());
        ratios.fold((f64::MAX, 0.0), |(least, greatest), ratio| {
            (least.min(ratio), f64::max(greatest, ratio))
        })
    }

    pub fn is_below_floor(&self) -> bool {
        self.floor.is_some_and(|floor| self.ratio() < floor)
    }

    fn figure(&self, times: &[Duration]) -> String {
        let seconds = median(times).as_secs_f64();
        match self.name.unit {
            Unit::Rate => format!("{:.0}/s", 1.0 / seconds),
            Unit::Time if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
            Unit::Time => format!("{seconds:.2} s"),
        }
    }

    /// Rollbook's figure, the database's, the ratio and its spread.
    pub fn cell(&self) -> String {
        let (least, greatest) = self.spread();
        let verdict = if self.is_below_floor() {
            " BELOW ITS FLOOR"
        } else {
            ""
        };
        format!(
            "{} · {} · **{:.2}** ({least:.2}–{greatest:.2}){verdict}",
            self.figure(&self.rollbook),
            self.figure(&self.database),
            self.ratio()
        )
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Prints a table for each database and part. Sizes are columns, and the last column is Rollbook's time for an item at the
/// greatest size divided by that at the least.
pub fn print(results: &[Measured]) {
    let sizes: BTreeSet<u64> = results.iter().map(|measured| measured.rows).collect();
    let mut names: Vec<&LineName> = Vec::new();
    for measured in results {
        if !names.contains(&&measured.name) {
            names.push(&measured.name);
        }
    }
    let mut table = None;
    for name in names {
        if table != Some((name.database, name.part)) {
            table = Some((name.database, name.part));
            let columns: String = sizes
                .iter()
                .map(|rows| format!(" {} rows |", Language::ENGLISH.group_digits(*rows)))
                .collect();
            println!("\n| {}: {} |{columns} growth |", name.database, name.part);
            println!("| --- |{} --- |", " --- |".repeat(sizes.len()));
        }
        let of_line: Vec<&Measured> = results.iter().filter(|measured| measured.name == *name).collect();
        let cell = |rows: &u64| {
            let found = of_line.iter().find(|measured| measured.rows == *rows);
            found.map_or(" |".to_owned(), |measured| format!(" {} |", measured.cell()))
        };
        let cells: String = sizes.iter().map(cell).collect();
        println!("| {} |{cells} {} |", name.line, growth(&of_line));
    }
}

fn growth(line: &[&Measured]) -> String {
    let least = line.iter().min_by_key(|measured| measured.rows);
    let greatest = line.iter().max_by_key(|measured| measured.rows);
    match (least, greatest) {
        (Some(least), Some(greatest)) if least.rows < greatest.rows => {
            let times = [greatest, least].map(|measured| median(&measured.rollbook).as_secs_f64());
            format!("{:.2}", times[0] / times[1])
        }
        _ => String::new(),
    }
}
