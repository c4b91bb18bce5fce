//! `rollbook token`: creates a token for tests.

use std::time::Duration;

use clap::Args;

use crate::access::{Claims, Permissions, Reports, Role, mint};
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{OrgId, UserId};
use crate::cli::CliError;
use crate::config::TokenArgs;

/// A permission beyond the role.
const PERMISSIONS: [&str; 3] = ["reporting", "mark_complete", "indirect_reports"];

/// The arguments of `rollbook token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The organisation
    #[arg(long, value_name = "ID")]
    pub org: OrgId,

    /// The id of the user in the directory
    #[arg(long, value_name = "ID")]
    pub user: UserId,

    /// The role
    #[arg(long, default_value = "learner", value_name = "ROLE")]
    pub role: Role,

    /// A permission beyond the role; repeat for several
    #[arg(long = "permission", value_name = "PERMISSION", value_parser = PERMISSIONS)]
    pub permissions: Vec<String>,

    /// The user id of a direct report; repeat for several. With reports, the directory's tree of managers is not used
    #[arg(long = "direct-report", value_name = "ID")]
    pub direct_reports: Vec<UserId>,

    /// The user id of an indirect report; repeat for several
    #[arg(long = "indirect-report", value_name = "ID")]
    pub indirect_reports: Vec<UserId>,

    /// How long the token is valid, as a number with `s`, `m`, `h` or `d`
    #[arg(long, default_value = "8h", value_name = "TIME", value_parser = time)]
    pub expires_in: Duration,

    /// The secret, and the issuer and audience that the server requires.
    #[command(flatten)]
    pub tokens: TokenArgs,
}

impl Token {
    /// Prints the token.
    pub fn run(self) -> Result<(), CliError> {
        println!("{}", self.mint(Clock::system().now())?);
        Ok(())
    }

    fn mint(self, now: Timestamp) -> Result<String, CliError> {
        let secret = self.tokens.jwt_secret.as_ref().ok_or_else(|| {
            let help =
                "a token is signed with ROLLBOOK_JWT_SECRET, the server's own: set it to at least 32 bytes";
            CliError::Refused(help.to_owned())
        })?;
        let seconds = i64::try_from(self.expires_in.as_secs()).unwrap_or(i64::MAX);
        let exp = Timestamp::from_micros(now.micros().saturating_add(seconds.saturating_mul(1_000_000)));
        let mut claims = Claims::new(self.org, self.user, exp);
        claims.role = self.role;
        claims.permissions = Permissions::from_keys(self.permissions.iter().map(String::as_str));
        if !(self.direct_reports.is_empty() && self.indirect_reports.is_empty()) {
            claims.reports = Some(Reports::new(self.direct_reports, self.indirect_reports));
        }
        claims.iss = self.tokens.jwt_issuer;
        claims.aud = self.tokens.jwt_audience.into_iter().collect();
        Ok(mint(secret, &claims)?)
    }
}

/// Parses `90s`, `15m`, `8h` or `30d`; at most 3,650 days.
fn time(text: &str) -> Result<Duration, String> {
    const LONGEST: u64 = 3650 * 86_400;
    let help = || "write a number and `s`, `m`, `h` or `d`, as in `8h`; 3650d is the most".to_owned();
    let unit = text.chars().last().ok_or_else(help)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(help()),
    };
    // The unit is one of four ASCII letters here.
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| help())?;
    let seconds = number
        .checked_mul(factor)
        .filter(|seconds| (1..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(help)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::access::{KeyConfig, TokenKeys};

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        token: Token,
    }

    #[test]
    fn times_are_numbers_with_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("8h", 28_800), ("30d", 2_592_000)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for bad in [
            "",
            "8",
            "h",
            "0s",
            "-1h",
            "3651d",
            "99999999999999999999d",
            "8 h",
            "8hh",
            "1ß",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_minted_token_is_one_that_the_server_takes() {
        const SECRET: &str = "a secret of the tests, of more than 32 bytes";
        let arguments = [
            "token",
            "--org=acme",
            "--user=ada",
            "--role=manager",
            "--permission=mark_complete",
        ];
        let more = [
            "--direct-report=bo",
            "--jwt-secret",
            SECRET,
            "--jwt-audience=rollbook",
        ];
        let token = Only::parse_from(arguments.into_iter().chain(more)).token;
        let config: KeyConfig = token.tokens.key_config();
        let now = Clock::system().now();
        let text = token.mint(now).expect("a token");
        let keys = TokenKeys::load(&config).await.expect("keys");
        let person = keys.verify(&text, now).await.expect("a person");
        assert_eq!(
            (person.org.as_str(), person.user.as_str(), person.role),
            ("acme", "ada", Role::Manager)
        );
        assert!(person.permissions.mark_complete && !person.permissions.reporting);
        assert_eq!(person.reports.map(|reports| reports.direct().len()), Some(1));
    }

    #[test]
    fn without_a_secret_it_says_what_to_set() {
        let mut token = Only::parse_from(["token", "--org=acme", "--user=ada"]).token;
        token.tokens.jwt_secret = None;
        let error = token
            .mint(Timestamp::default())
            .expect_err("no secret")
            .to_string();
        assert!(error.contains("ROLLBOOK_JWT_SECRET"), "{error}");
    }
}
