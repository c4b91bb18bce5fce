//! The database alone: one connection that does by SQL what Rollbook does.

mod postgres;
mod sqlite;

pub use postgres::PlainPostgres;
pub use sqlite::PlainSqlite;

use std::path::Path;

/// The position from which on the database writes rows of its own, so that they can be removed again.
pub const FIRST_COPY: i64 = 4_000_000_000_000_000_000;

/// The database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The name in a table of results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    pub fn uuid(self, id: &str) -> String {
        match self {
            Self::Sqlite => format!("x'{}'", id.replace('-', "")),
            Self::Postgres => format!("'{id}'::uuid"),
        }
    }
}

/// A connection to the database of the server that is measured.
pub trait Plain: Send {
    fn dialect(&self) -> Dialect;

    /// Reads all rows of a query, and returns their number.
    fn read(&mut self, sql: &str) -> usize;

    /// The first column of the first row, an integer.
    fn integer(&mut self, sql: &str) -> i64;

    fn execute(&mut self, sql: &str);

    /// Gathers what the planner asks about the tables.
    fn analyze(&mut self);

    /// Writes the rows of a query to a CSV file with the database's own client. Returns false without that client.
    fn export(&mut self, sql: &str, file: &Path) -> bool;

    /// Keeps copies of the rows of `statements` and `activities` behind a position, under new ids and positions.
    fn take_copies(&mut self, after: i64);

    /// Writes the copies in bulk.
    fn write_in_bulk(&mut self);

    /// Writes that number of rows of both tables, each pair in a commit of its own, and returns the time.
    fn write_singles(&mut self, rows: u64, connections: usize) -> std::time::Duration;

    /// Another connection.
    fn another(&self) -> Box<dyn Plain>;

    /// Removes the copies that were written.
    fn remove_copies(&mut self) {
        for table in ["activities", "statements"] {
            self.execute(&format!(
                "DELETE FROM {table} WHERE org = 1 AND seq >= {FIRST_COPY}"
            ));
        }
    }
}

/// The tables with a row for each record.
const TABLES: [&str; 2] = ["statements", "activities"];
