//! The settings of launches.

use clap::Args;

use crate::launches::LaunchLifetime;

/// How long the tokens of launches are valid (`docs/specification.md#launches`).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Launches")]
pub struct LaunchArgs {
    /// The time for which the token of a launch is valid unless the launch names another, in seconds
    ///
    /// Content that a user works on for longer must be launched again. It is never more than
    /// `ROLLBOOK_LAUNCH_MAX_SECONDS`.
    #[arg(long, env = "ROLLBOOK_LAUNCH_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = LaunchLifetime::default().usual_seconds)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=MOST_SECONDS))]
    pub launch_seconds: u32,

    /// The longest time for which the token of a launch may be valid, in seconds
    #[arg(long, env = "ROLLBOOK_LAUNCH_MAX_SECONDS", value_name = "SECONDS")]
    #[arg(default_value_t = LaunchLifetime::default().max_seconds)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=MOST_SECONDS))]
    pub launch_max_seconds: u32,
}

/// The greatest value of both: 30 days.
const MOST_SECONDS: i64 = 2_592_000;

impl LaunchArgs {
    /// How long tokens may be valid.
    pub fn lifetime(&self) -> LaunchLifetime {
        LaunchLifetime {
            usual_seconds: self.launch_seconds.min(self.launch_max_seconds),
            max_seconds: self.launch_max_seconds,
        }
    }
}
