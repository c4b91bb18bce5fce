//! The settings of scheduled reports and e-mail.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use secrecy::SecretString;

use super::{ConfigError, parse_secret};
use crate::reports::mailer::{Mailer, SmtpSettings};
use crate::reports::packed_export::Sizes;
use crate::reports::rights::RecipientRules;
use crate::reports::sender::SenderOptions;

/// The default sender of messages without a mail server.
const FROM: &str = "Rollbook <rollbook@localhost>";

/// The settings of scheduled reports and e-mail.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailArgs {
    /// The mail server: `smtps://user:password@host:465`, or `smtp://user:password@host:587?tls=required` for STARTTLS
    ///
    /// Without it, messages are written to a folder. `tls=opportunistic` uses TLS if the server offers it, and
    /// `smtp://host:25` never uses it. A path after the host is the name in the greeting (EHLO). User and password are
    /// percent-encoded: `@` is `%40`. Prefer the environment variable: every user of the machine can see flags.
    #[arg(long, env = "ROLLBOOK_SMTP_URL", hide_env_values = true, value_name = "ADDRESS", value_parser = parse_secret)]
    pub smtp_url: Option<SecretString>,

    /// The maximum duration of each step of the mail server, in seconds
    ///
    /// A whole message may take ten times as long.
    #[arg(
        long,
        env = "ROLLBOOK_SMTP_TIMEOUT",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub smtp_timeout: u64,

    /// A PEM file with further certificates of authorities that the mail server's certificate may come from
    #[arg(long, env = "ROLLBOOK_SMTP_CERTIFICATE", value_name = "FILE")]
    pub smtp_certificate: Option<PathBuf>,

    /// The sender of messages: `learning@example.org`, or `Learning <learning@example.org>`
    ///
    /// It is required with a mail server. Messages in a folder come from `Rollbook <rollbook@localhost>` by default. The
    /// domain is part of the id of each message.
    #[arg(long, env = "ROLLBOOK_MAIL_FROM", value_name = "SENDER")]
    pub mail_from: Option<String>,

    /// The folder of messages without a mail server, one `.eml` file each; the first message creates it
    #[arg(
        long,
        env = "ROLLBOOK_MAIL_FOLDER",
        default_value = "rollbook-mail",
        value_name = "FOLDER"
    )]
    pub mail_folder: PathBuf,

    /// The domains with addresses that may receive reports without being in the directory, separated by commas
    ///
    /// By default only users of the directory may receive reports. A domain does not include its subdomains. An address
    /// at such a domain that belongs to no user receives the rows that the maker of the schedule may see. Do not list the
    /// organisation's own domain: a maker could send rows to an address such as `user+x@`, and so to a user with fewer
    /// rights.
    #[arg(
        long,
        env = "ROLLBOOK_MAIL_DOMAINS",
        value_delimiter = ',',
        value_name = "DOMAINS"
    )]
    #[arg(value_parser = parse_domain)]
    pub mail_domains: Vec<String>,

    /// The maximum number of bytes of a CSV that is attached uncompressed; a larger one is compressed with gzip
    #[arg(long, env = "ROLLBOOK_MAIL_GZIP_ABOVE")]
    #[arg(default_value_t = Sizes::default().gzip_above, value_name = "BYTES")]
    pub mail_gzip_above: u64,

    /// The maximum number of bytes of an attachment, compressed or not; a larger one is replaced by a link
    ///
    /// Mail makes an attachment a third larger, and many servers accept 20 or 25 MB. While the server sends reports, it
    /// may use up to twenty times as many bytes of memory: `ROLLBOOK_SENDER_RUNS` (8) reports at the same time, each with a
    /// file, and `ROLLBOOK_SENDER_LARGE_MESSAGES` (4), each three times as large as its file.
    #[arg(long, env = "ROLLBOOK_MAIL_LINK_ABOVE")]
    #[arg(default_value_t = Sizes::default().link_above, value_name = "BYTES")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    pub mail_link_above: u64,

    /// How long a link is valid, in hours
    #[arg(
        long,
        env = "ROLLBOOK_MAIL_LINK_HOURS",
        default_value_t = 168,
        value_name = "HOURS"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=8_760))]
    pub mail_link_hours: u32,

    /// The public address of this server: `https://learning.example.org`, with a path if it has one
    ///
    /// Links in messages begin with it, and the addresses in answers begin with its path. The default is `http://` and the
    /// address that the server listens on, which is useful only on the same machine.
    #[arg(long, env = "ROLLBOOK_PUBLIC_URL", value_name = "ADDRESS", value_parser = parse_public_url)]
    pub public_url: Option<String>,
}

impl MailArgs {
    /// The mailer.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Mail`] if a setting is not valid, [`ConfigError::MailFrom`] if there is a mail server but no sender.
    pub fn mailer(&self) -> Result<Mailer, ConfigError> {
        let Some(url) = &self.smtp_url else {
            let from = self.mail_from.as_deref().unwrap_or(FROM);
            return Ok(Mailer::folder(&self.mail_folder, from)?);
        };
        let from = self.mail_from.as_deref().ok_or(ConfigError::MailFrom)?;
        Ok(Mailer::smtp(&self.smtp(url), from)?)
    }

    /// The settings of the mail server at an address.
    fn smtp(&self, url: &SecretString) -> SmtpSettings {
        SmtpSettings {
            url: url.clone(),
            timeout: Duration::from_secs(self.smtp_timeout),
            certificate: self.smtp_certificate.clone(),
        }
    }

    /// The rule for recipients outside the directory.
    pub fn recipients(&self) -> RecipientRules {
        RecipientRules {
            domains: self.mail_domains.clone(),
        }
    }

    /// The options of the sender, on a server that listens at `listening`.
    pub fn sender_options(&self, listening: SocketAddr) -> SenderOptions {
        let public_url = self.public_url.clone();
        SenderOptions {
            // One step more than the mailer allows for a whole message, so that the limit of the mailer applies first.
            send_within: Duration::from_secs(self.smtp_timeout * 11),
            link_hours: self.mail_link_hours,
            public_url: public_url.unwrap_or_else(|| format!("http://{listening}")),
            sizes: Sizes {
                gzip_above: self.mail_gzip_above,
                link_above: self.mail_link_above,
            },
            recipients: self.recipients(),
            ..SenderOptions::default()
        }
    }
}

/// Parses a domain and converts it to lower case.
fn parse_domain(text: &str) -> Result<String, String> {
    let domain = text.trim().to_lowercase();
    let well_formed =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    if domain.split('.').all(well_formed) {
        return Ok(domain);
    }
    Err("write what stands after the `@` of an address, as `example.org`".to_owned())
}

/// Parses the public address and removes a slash at its end.
fn parse_public_url(text: &str) -> Result<String, String> {
    let help =
        || "write `https://` with a host, and a path where the server has one, and nothing else".to_owned();
    let url = Url::parse(text).map_err(|_| help())?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if bare {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(help())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        mail: MailArgs,
    }

    fn mail(arguments: &[&str]) -> MailArgs {
        let arguments = std::iter::once(&"rollbook").chain(arguments);
        Only::try_parse_from(arguments).expect("good settings").mail
    }

    fn refused(argument: &str) -> String {
        Only::try_parse_from(["rollbook", argument])
            .expect_err(argument)
            .to_string()
    }

    #[test]
    fn messages_are_written_to_a_folder_by_default() {
        Only::command().debug_assert();
        let mail = mail(&[]);
        assert_eq!(mail.mailer().expect("a mailer").address(), "rollbook@localhost");
        let (options, usual) = (
            mail.sender_options(([127, 0, 0, 1], 8080).into()),
            SenderOptions::default(),
        );
        assert_eq!(
            (options.sizes, options.link_hours),
            (usual.sizes, usual.link_hours)
        );
        assert_eq!(
            (options.public_url, options.recipients),
            (usual.public_url, usual.recipients)
        );
    }

    #[test]
    fn settings_reach_the_sender() {
        let mail = mail(&[
            "--mail-gzip-above=11",
            "--mail-link-above=12",
            "--mail-link-hours=13",
            "--mail-domains=a.example,b.example",
            "--public-url=https://learning.example.org/x/",
        ]);
        let options = mail.sender_options(([127, 0, 0, 1], 8080).into());
        assert_eq!(
            (
                options.sizes.gzip_above,
                options.sizes.link_above,
                options.link_hours
            ),
            (11, 12, 13)
        );
        assert_eq!(options.recipients.domains, ["a.example", "b.example"]);
        assert_eq!(options.public_url, "https://learning.example.org/x");
    }

    #[test]
    fn the_mailer_s_limit_of_a_message_comes_before_the_sender_s() {
        for seconds in [1, 60, 600] {
            let mail = mail(&["--smtp-url=smtps://x", &format!("--smtp-timeout={seconds}")]);
            let options = mail.sender_options(([127, 0, 0, 1], 8080).into());
            let limit = mail
                .smtp(mail.smtp_url.as_ref().expect("a mail server"))
                .message_timeout();
            assert_eq!(limit, Duration::from_secs(seconds * 10));
            assert!(options.send_within > limit);
        }
    }

    #[test]
    fn a_mail_server_needs_a_sender() {
        let url = "--smtp-url=smtps://me:hunter2@mail.example.org";
        let error = mail(&[url]).mailer().expect_err("no sender").to_string();
        assert!(error.contains("ROLLBOOK_MAIL_FROM"), "{error}");
        let mail = mail(&[url, "--mail-from=Learning <learning@example.org>"]);
        assert_eq!(mail.mailer().expect("a mailer").address(), "learning@example.org");
        assert!(!format!("{mail:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_used_stops_the_start() {
        for arguments in [
            ["--smtp-url=mail.example.org", "--mail-from=a@b.example"],
            ["--smtp-url=smtp://x", "--mail-from=nobody"],
            ["--mail-folder=x", "--mail-from=nobody"],
        ] {
            let error = mail(&arguments).mailer().expect_err("refused").to_string();
            assert!(
                error.contains("ROLLBOOK_") && error.contains("; write "),
                "{error}"
            );
        }
        let error = mail(&[
            "--smtp-url=smtps://x",
            "--mail-from=a@b.example",
            "--smtp-certificate=/nowhere",
        ]);
        let error = error.mailer().expect_err("no file").to_string();
        assert!(error.contains("/nowhere (ROLLBOOK_SMTP_CERTIFICATE)"), "{error}");
    }

    #[test]
    fn domains_are_what_stands_after_the_at() {
        let mail = mail(&["--mail-domains=Example.org, partner.example,bücher.example"]);
        assert_eq!(
            mail.mail_domains,
            ["example.org", "partner.example", "bücher.example"]
        );
        for domains in [
            "@example.org",
            "a@example.org",
            "https://example.org",
            "example..org",
            "*.example.org",
            "*",
            "a.example,",
        ] {
            assert!(refused(&format!("--mail-domains={domains}")).contains("as `example.org`"));
        }
    }

    #[test]
    fn the_public_address_is_one_that_links_can_begin_with() {
        for (given, read) in [
            ("https://learning.example.org", "https://learning.example.org"),
            ("https://learning.example.org/", "https://learning.example.org"),
            ("http://10.0.0.1:8080/rollbook/", "http://10.0.0.1:8080/rollbook"),
        ] {
            let mail = mail(&[&format!("--public-url={given}")]);
            assert_eq!(mail.public_url.as_deref(), Some(read));
        }
        for given in [
            "learning.example.org",
            "ftp://x",
            "https://a:b@x",
            "https://x?y",
            "https://x#y",
            "javascript:x",
        ] {
            assert!(refused(&format!("--public-url={given}")).contains("with a host"));
        }
    }
}
