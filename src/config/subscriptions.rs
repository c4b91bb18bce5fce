//! The settings of subscriptions: which addresses they may reach, and their limits.

use std::time::Duration;

use clap::Args;
use clap::builder::{BoolishValueParser, RangedU64ValueParser};
use ipnet::IpNet;

use crate::base::shared_limit::Shares;
use crate::subscriptions::egress::EgressRules;
use crate::subscriptions::worker::WorkerOptions;

/// The settings of subscriptions (`docs/specification.md#subscriptions`).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Subscriptions")]
pub struct SubscriptionArgs {
    /// Let subscriptions use `http` addresses
    ///
    /// Learning data then crosses the network in plain text.
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_ALLOW_HTTP", value_parser = BoolishValueParser::new())]
    pub subscription_allow_http: bool,

    /// The networks that subscriptions may reach although their addresses are not public, separated by commas
    ///
    /// For example `10.20.0.0/16,fd00:12::/32`. Owners and admins of every organisation can then send requests to each
    /// service of these networks.
    #[arg(
        long,
        env = "ROLLBOOK_SUBSCRIPTION_ALLOW_NETWORKS",
        value_delimiter = ',',
        value_name = "NETWORKS"
    )]
    pub subscription_allow_networks: Vec<IpNet>,

    /// How long a connection to a receiver may take, with its name and TLS, in seconds
    #[arg(
        long,
        env = "ROLLBOOK_SUBSCRIPTION_CONNECT_TIMEOUT_SECONDS",
        value_name = "SECONDS"
    )]
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub subscription_connect_timeout_seconds: u64,

    /// How long a receiver may take to answer, with the connection, in seconds
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_TIMEOUT_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub subscription_timeout_seconds: u64,

    /// The maximum number of subscriptions that a server works on at the same time
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_SENDERS", value_name = "NUMBER")]
    #[arg(default_value_t = WorkerOptions::default().senders.all(), value_parser = number())]
    pub subscription_senders: usize,

    /// The maximum number of these subscriptions that belong to one organisation; at most two fewer than all
    #[arg(
        long,
        env = "ROLLBOOK_SUBSCRIPTION_ORGANISATION_SENDERS",
        value_name = "NUMBER"
    )]
    #[arg(default_value_t = WorkerOptions::default().senders.of_one(), value_parser = number())]
    pub subscription_organisation_senders: usize,

    /// The number of attempts after which a delivery is given up
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_ATTEMPTS", value_name = "NUMBER")]
    #[arg(default_value_t = WorkerOptions::default().attempts, value_parser = clap::value_parser!(i64).range(1..=100))]
    pub subscription_attempts: i64,

    /// The pause after the first failed attempt, in seconds; each further one is four times as long, up to 6 hours
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_RETRY_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub subscription_retry_seconds: u64,

    /// The maximum number of statements that are forwarded in one request
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_BATCH_STATEMENTS", value_name = "NUMBER")]
    #[arg(default_value_t = WorkerOptions::default().batch_statements, value_parser = number())]
    pub subscription_batch_statements: usize,

    /// The maximum number of bytes of statements, and of attachments, that are forwarded in one request
    ///
    /// A single statement may have more.
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_BATCH_BYTES", value_name = "BYTES")]
    #[arg(default_value_t = WorkerOptions::default().batch_bytes)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1_024..=1_073_741_824))]
    pub subscription_batch_bytes: usize,

    /// The number of deliveries that a subscription lists; dead ones are counted for themselves
    #[arg(long, env = "ROLLBOOK_SUBSCRIPTION_KEPT_DELIVERIES", value_name = "NUMBER")]
    #[arg(default_value_t = WorkerOptions::default().kept_deliveries)]
    #[arg(value_parser = clap::value_parser!(i64).range(10..=1_000_000))]
    pub subscription_kept_deliveries: i64,
}

/// Parses a limit: 1 to 1000.
fn number() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=1000)
}

impl SubscriptionArgs {
    /// The options of the worker.
    pub fn options(&self) -> WorkerOptions {
        WorkerOptions {
            egress: EgressRules {
                allow_http: self.subscription_allow_http,
                allowed_networks: self.subscription_allow_networks.clone(),
                connect_within: Duration::from_secs(self.subscription_connect_timeout_seconds),
                answer_within: Duration::from_secs(self.subscription_timeout_seconds),
            },
            senders: Shares::for_three(self.subscription_senders, self.subscription_organisation_senders),
            attempts: self.subscription_attempts,
            first_pause: Duration::from_secs(self.subscription_retry_seconds),
            batch_statements: self.subscription_batch_statements,
            batch_bytes: self.subscription_batch_bytes,
            kept_deliveries: self.subscription_kept_deliveries,
            ..WorkerOptions::default()
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
        subscriptions: SubscriptionArgs,
    }

    #[test]
    fn defaults_are_those_of_the_worker() {
        let options = Only::parse_from(["rollbook"]).subscriptions.options();
        assert_eq!(format!("{options:?}"), format!("{:?}", WorkerOptions::default()));
    }

    #[test]
    fn each_limit_has_its_own_setting() {
        let options = Only::parse_from([
            "rollbook",
            "--subscription-allow-http",
            "--subscription-allow-networks=10.0.0.0/8,::1/128",
            "--subscription-connect-timeout-seconds=2",
            "--subscription-timeout-seconds=3",
            "--subscription-senders=40",
            "--subscription-organisation-senders=4",
            "--subscription-attempts=5",
            "--subscription-retry-seconds=6",
            "--subscription-batch-statements=7",
            "--subscription-batch-bytes=2048",
            "--subscription-kept-deliveries=90",
        ]);
        let options = options.subscriptions.options();
        assert!(options.egress.allow_http);
        assert_eq!(options.egress.allowed_networks.len(), 2);
        let seconds = [
            options.egress.connect_within,
            options.egress.answer_within,
            options.first_pause,
        ];
        assert_eq!(seconds.map(|duration| duration.as_secs()), [2, 3, 6]);
        assert_eq!(options.senders, Shares::for_three(40, 4));
        assert_eq!((options.attempts, options.kept_deliveries), (5, 90));
        assert_eq!((options.batch_statements, options.batch_bytes), (7, 2048));
    }
}
