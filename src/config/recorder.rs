//! The settings of the recorder, which writes records.

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::store::RecorderOptions;

/// The limits of the recorder (`docs/specification.md#limits`).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Writing records")]
pub struct RecorderArgs {
    /// The maximum number of submissions of one organisation that wait to be written
    ///
    /// A submission is the records of one request. A further one waits for a place, for as long as a writer waits for the
    /// lock of its organisation, and is then answered with 503.
    #[arg(
        long,
        env = "ROLLBOOK_RECORDER_ORGANISATION_SUBMISSIONS",
        value_name = "SUBMISSIONS"
    )]
    #[arg(default_value_t = RecorderOptions::default().waiting_per_organisation, value_parser = at_least_one())]
    pub recorder_organisation_submissions: usize,

    /// The maximum number of submissions of all organisations together that wait to be written
    ///
    /// Beyond it, a further submission of an organisation that has waiting ones is answered with 503 at once.
    #[arg(long, env = "ROLLBOOK_RECORDER_SUBMISSIONS", value_name = "SUBMISSIONS")]
    #[arg(default_value_t = RecorderOptions::default().waiting_in_total, value_parser = at_least_one())]
    pub recorder_submissions: usize,

    /// The maximum number of records that one transaction writes; a larger submission is written alone
    #[arg(long, env = "ROLLBOOK_RECORDER_BATCH_RECORDS", value_name = "RECORDS")]
    #[arg(default_value_t = RecorderOptions::default().records_per_batch, value_parser = at_least_one())]
    pub recorder_batch_records: usize,

    /// The number of threads that parse and project records; 0 is one per core, at least 2 and at most 4
    #[arg(
        long,
        env = "ROLLBOOK_RECORDER_THREADS",
        value_name = "THREADS",
        default_value_t = 0
    )]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(0..=256))]
    pub recorder_threads: usize,

    /// The maximum number of identifiers of persons, verbs and contents that are cached for all organisations together
    #[arg(
        long,
        env = "ROLLBOOK_RECORDER_CACHED_IDENTIFIERS",
        value_name = "IDENTIFIERS"
    )]
    #[arg(default_value_t = RecorderOptions::default().cached_identifiers, value_parser = at_least_one())]
    pub recorder_cached_identifiers: usize,
}

/// Parses a number of 1 or more.
fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

impl RecorderArgs {
    /// The options of the recorder.
    pub fn options(&self) -> RecorderOptions {
        let automatic = RecorderOptions::default().threads;
        RecorderOptions {
            waiting_per_organisation: self.recorder_organisation_submissions,
            waiting_in_total: self.recorder_submissions,
            records_per_batch: self.recorder_batch_records,
            threads: match self.recorder_threads {
                0 => automatic,
                threads => threads,
            },
            cached_identifiers: self.recorder_cached_identifiers,
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
        recorder: RecorderArgs,
    }

    #[test]
    fn each_option_has_its_own_setting() {
        let none = Only::parse_from(["rollbook"]).recorder;
        assert_eq!(none.options(), RecorderOptions::default());
        let all = Only::parse_from([
            "rollbook",
            "--recorder-organisation-submissions=11",
            "--recorder-submissions=12",
            "--recorder-batch-records=13",
            "--recorder-threads=14",
            "--recorder-cached-identifiers=15",
        ]);
        let expected = RecorderOptions {
            waiting_per_organisation: 11,
            waiting_in_total: 12,
            records_per_batch: 13,
            threads: 14,
            cached_identifiers: 15,
        };
        assert_eq!(all.recorder.options(), expected);
        assert!(Only::try_parse_from(["rollbook", "--recorder-batch-records=0"]).is_err());
    }
}
