//! The settings of imports.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::imports::ImportLimits;

/// The seconds of a day.
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The limits of imports (`docs/specification.md#limits`).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Imports")]
pub struct ImportArgs {
    /// The maximum number of bytes of a file to import, as it is sent (413)
    ///
    /// The file is in the database until its import has ended.
    #[arg(long, env = "ROLLBOOK_IMPORT_MAX_BYTES", value_name = "BYTES")]
    #[arg(default_value_t = ImportLimits::default().max_bytes)]
    pub import_max_bytes: u64,

    /// The maximum number of bytes of a file to import after it is uncompressed; beyond it the import fails
    #[arg(long, env = "ROLLBOOK_IMPORT_MAX_UNCOMPRESSED_BYTES", value_name = "BYTES")]
    #[arg(default_value_t = ImportLimits::default().max_uncompressed_bytes)]
    pub import_max_uncompressed_bytes: u64,

    /// The maximum number of bytes of a row of an import; a longer row is rejected
    #[arg(long, env = "ROLLBOOK_IMPORT_MAX_ROW_BYTES", value_name = "BYTES")]
    #[arg(default_value_t = ImportLimits::default().max_row_bytes)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1_024..=1_073_741_824))]
    pub import_max_row_bytes: usize,

    /// The maximum number of bytes of the rejected rows of an import; beyond it the import fails
    #[arg(long, env = "ROLLBOOK_IMPORT_MAX_REJECTED_BYTES", value_name = "BYTES")]
    #[arg(default_value_t = ImportLimits::default().max_rejected_bytes)]
    pub import_max_rejected_bytes: u64,

    /// The maximum number of imports of an organisation that arrive, wait or run (409)
    #[arg(long, env = "ROLLBOOK_IMPORT_MAX_WAITING", value_name = "IMPORTS")]
    #[arg(default_value_t = ImportLimits::default().max_waiting, value_parser = number())]
    pub import_max_waiting: usize,

    /// The maximum number of bytes of the files of an organisation that arrive, wait or run (409)
    #[arg(long, env = "ROLLBOOK_IMPORT_MAX_WAITING_BYTES", value_name = "BYTES")]
    #[arg(default_value_t = ImportLimits::default().max_waiting_bytes)]
    pub import_max_waiting_bytes: u64,

    /// How long the rejected rows of an import are kept after its end, in days
    #[arg(long, env = "ROLLBOOK_IMPORT_KEEP_REJECTED_DAYS", value_name = "DAYS")]
    #[arg(default_value_t = ImportLimits::default().keep_rejected.as_secs() / DAY_SECONDS)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=36_500))]
    pub import_keep_rejected_days: u64,

    /// The number of imports that a server works on at the same time, each of another organisation
    #[arg(long, env = "ROLLBOOK_IMPORT_WORKERS", value_name = "IMPORTS")]
    #[arg(default_value_t = ImportLimits::default().workers, value_parser = number())]
    pub import_workers: usize,

    /// The number of rows of an import that one transaction records
    ///
    /// After each transaction the import pauses for as long as the transaction took. More rows make imports faster, and
    /// delay the other records of the organisation for longer.
    #[arg(long, env = "ROLLBOOK_IMPORT_STEP_ROWS", value_name = "ROWS")]
    #[arg(default_value_t = ImportLimits::default().step_rows, value_parser = number())]
    pub import_step_rows: usize,

    /// How long an import stays with a server that does not answer any more, in seconds
    ///
    /// Afterwards another server, or the same one after a restart, continues it.
    #[arg(long, env = "ROLLBOOK_IMPORT_LEASE_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = ImportLimits::default().lease.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub import_lease_seconds: u64,

    /// How long an import is worked on while another organisation waits for a worker, in seconds
    #[arg(long, env = "ROLLBOOK_IMPORT_TURN_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = ImportLimits::default().turn.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub import_turn_seconds: u64,
}

/// Parses a limit: 1 to 1000.
fn number() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1000)
}

impl ImportArgs {
    /// The limits. `json_depth` is the limit on JSON bodies.
    pub fn limits(&self, json_depth: usize) -> ImportLimits {
        ImportLimits {
            max_bytes: self.import_max_bytes,
            max_uncompressed_bytes: self.import_max_uncompressed_bytes,
            max_row_bytes: self.import_max_row_bytes,
            max_rejected_bytes: self.import_max_rejected_bytes,
            max_waiting: self.import_max_waiting,
            max_waiting_bytes: self.import_max_waiting_bytes,
            keep_rejected: Duration::from_secs(self.import_keep_rejected_days * DAY_SECONDS),
            workers: self.import_workers,
            step_rows: self.import_step_rows,
            lease: Duration::from_secs(self.import_lease_seconds),
            turn: Duration::from_secs(self.import_turn_seconds),
            json_depth,
            ..ImportLimits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        imports: ImportArgs,
    }

    #[test]
    fn each_limit_has_its_own_setting() {
        let none = Only::parse_from(["rollbook"]).imports;
        assert_eq!(none.limits(64), ImportLimits::default());
        let all = Only::parse_from([
            "rollbook",
            "--import-max-bytes=21",
            "--import-max-uncompressed-bytes=22",
            "--import-max-row-bytes=2048",
            "--import-max-rejected-bytes=23",
            "--import-max-waiting=24",
            "--import-max-waiting-bytes=29",
            "--import-keep-rejected-days=30",
            "--import-workers=25",
            "--import-step-rows=26",
            "--import-turn-seconds=27",
            "--import-lease-seconds=28",
        ]);
        let expected = ImportLimits {
            max_bytes: 21,
            max_uncompressed_bytes: 22,
            max_row_bytes: 2_048,
            max_rejected_bytes: 23,
            max_waiting: 24,
            max_waiting_bytes: 29,
            keep_rejected: Duration::from_secs(30 * DAY_SECONDS),
            workers: 25,
            step_rows: 26,
            turn: Duration::from_secs(27),
            lease: Duration::from_secs(28),
            json_depth: 32,
            ..ImportLimits::default()
        };
        assert_eq!(all.imports.limits(32), expected);
        assert!(Only::try_parse_from(["rollbook", "--import-workers=0"]).is_err());
    }
}
