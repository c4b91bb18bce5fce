//! The settings of the sender, which sends scheduled reports.

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::base::shared_limit::Shares;
use crate::reports::sender::SenderLimits;

/// The limits of the sender (`docs/specification.md#limits`).
///
/// Of each number, one organisation gets at most its part, and never more than all but two. The last free one is for an
/// organisation that has none.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sending reports")]
pub struct SenderArgs {
    /// The maximum number of runs of schedules that a server works on at the same time
    ///
    /// Each holds a file of up to `ROLLBOOK_MAIL_LINK_ABOVE` in memory. The last free run is for an organisation that has
    /// none, so that two organisations with a mail server that hangs do not stop the reports of others.
    #[arg(long, env = "ROLLBOOK_SENDER_RUNS", value_name = "RUNS")]
    #[arg(default_value_t = SenderLimits::default().runs.all(), value_parser = number())]
    pub sender_runs: usize,

    /// The maximum number of these runs that belong to one organisation; at most two fewer than all
    #[arg(long, env = "ROLLBOOK_SENDER_ORGANISATION_RUNS", value_name = "RUNS")]
    #[arg(default_value_t = SenderLimits::default().runs.of_one(), value_parser = number())]
    pub sender_organisation_runs: usize,

    /// The maximum number of exports that a server reads from the database for messages at the same time
    ///
    /// Each holds one connection to the database, and sometimes needs a second one.
    #[arg(long, env = "ROLLBOOK_SENDER_EXPORTS", value_name = "EXPORTS")]
    #[arg(default_value_t = SenderLimits::default().exports.all(), value_parser = number())]
    pub sender_exports: usize,

    /// The maximum number of these exports that belong to one organisation; at most two fewer than all
    #[arg(long, env = "ROLLBOOK_SENDER_ORGANISATION_EXPORTS", value_name = "EXPORTS")]
    #[arg(default_value_t = SenderLimits::default().exports.of_one(), value_parser = number())]
    pub sender_organisation_exports: usize,

    /// The maximum number of messages with a file of more than 1 MiB that a server sends at the same time
    ///
    /// Each is in memory while it is sent, three times as large as its file.
    #[arg(long, env = "ROLLBOOK_SENDER_LARGE_MESSAGES", value_name = "MESSAGES")]
    #[arg(default_value_t = SenderLimits::default().large_messages.all(), value_parser = number())]
    pub sender_large_messages: usize,

    /// The maximum number of these messages that belong to one organisation; at most two fewer than all
    #[arg(
        long,
        env = "ROLLBOOK_SENDER_ORGANISATION_LARGE_MESSAGES",
        value_name = "MESSAGES"
    )]
    #[arg(default_value_t = SenderLimits::default().large_messages.of_one(), value_parser = number())]
    pub sender_organisation_large_messages: usize,
}

/// Parses a limit: 1 to 1000.
fn number() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1000)
}

impl SenderArgs {
    /// The limits.
    pub fn limits(&self) -> SenderLimits {
        SenderLimits {
            runs: Shares::for_three(self.sender_runs, self.sender_organisation_runs),
            exports: Shares::for_three(self.sender_exports, self.sender_organisation_exports),
            large_messages: Shares::for_three(
                self.sender_large_messages,
                self.sender_organisation_large_messages,
            ),
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
        sender: SenderArgs,
    }

    #[test]
    fn each_limit_has_its_own_setting() {
        let none = Only::parse_from(["rollbook"]).sender;
        assert_eq!(none.limits(), SenderLimits::default());
        let all = Only::parse_from([
            "rollbook",
            "--sender-runs=21",
            "--sender-organisation-runs=11",
            "--sender-exports=22",
            "--sender-organisation-exports=12",
            "--sender-large-messages=23",
            "--sender-organisation-large-messages=13",
        ]);
        let expected = SenderLimits {
            runs: Shares::for_three(21, 11),
            exports: Shares::for_three(22, 12),
            large_messages: Shares::for_three(23, 13),
        };
        assert_eq!(all.sender.limits(), expected);
        assert!(Only::try_parse_from(["rollbook", "--sender-runs=0"]).is_err());
    }
}
