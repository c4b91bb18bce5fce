//! How scheduled reports are sent (product text, sections 9 and 11).

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

/// Whom messages come from where there is no mail server.
const FROM: &str = "Rollbook <rollbook@localhost>";

/// How scheduled reports are sent.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailArgs {
    /// The mail server: `smtps://user:password@host:465`, or `smtp://user:password@host:587?tls=required` for STARTTLS
    ///
    /// Without it, messages are written to a folder. `tls=opportunistic` uses TLS where the server offers it, and
    /// `smtp://host:25` never; a path after the host is the name to greet the server with (EHLO). User and password are
    /// percent-encoded: `@` is `%40`. Prefer the environment variable: flags can be seen by every user of the
    /// machine.
    #[arg(long, env = "ROLLBOOK_SMTP_URL", hide_env_values = true, value_name = "ADDRESS", value_parser = parse_secret)]
    pub smtp_url: Option<SecretString>,

    /// How long the mail server may take for each step, in seconds
    ///
    /// A message as a whole may take ten times as long.
    #[arg(
        long,
        env = "ROLLBOOK_SMTP_TIMEOUT",
        default_value_t = 60,
        value_name = "SECONDS"
    )]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=600))]
    pub smtp_timeout: u64,

    /// A PEM file of certificates that the mail server's may come from, beside the usual ones
    #[arg(long, env = "ROLLBOOK_SMTP_CERTIFICATE", value_name = "FILE")]
    pub smtp_certificate: Option<PathBuf>,

    /// Whom messages come from: `learning@example.org`, or `Learning <learning@example.org>`
    ///
    /// It must be set where a mail server is; messages in a folder come from `Rollbook <rollbook@localhost>` unless it
    /// is. Its domain is part of each message's id.
    #[arg(long, env = "ROLLBOOK_MAIL_FROM", value_name = "SENDER")]
    pub mail_from: Option<String>,

    /// Where messages are written without a mail server, an `.eml` file each; made when the first message is
    #[arg(
        long,
        env = "ROLLBOOK_MAIL_FOLDER",
        default_value = "rollbook-mail",
        value_name = "FOLDER"
    )]
    pub mail_folder: PathBuf,

    /// Domains whose addresses may receive reports without being in the directory, with commas between them
    ///
    /// Without it, only users of the directory may. A domain doesn't stand for those below it. An address at such a domain
    /// that no user of the directory has receives what the schedule's maker may see: don't list the organisation's own
    /// domain, or whoever makes schedules can have their rows sent to an address such as `user+x@` that reaches somebody
    /// who may see less.
    #[arg(
        long,
        env = "ROLLBOOK_MAIL_DOMAINS",
        value_delimiter = ',',
        value_name = "DOMAINS"
    )]
    #[arg(value_parser = domain)]
    pub mail_domains: Vec<String>,

    /// The most bytes of a CSV that is attached as it is; a larger one is compressed with gzip
    #[arg(long, env = "ROLLBOOK_MAIL_GZIP_ABOVE")]
    #[arg(default_value_t = Sizes::default().gzip_above, value_name = "BYTES")]
    pub mail_gzip_above: u64,

    /// The most bytes of an attachment, compressed or not; instead of a larger one a link is sent
    ///
    /// Mail makes an attachment a third larger, and many servers take 20 or 25 MB. While it sends reports, this server
    /// may hold up to twenty times as many bytes in memory: it sends up to eight reports at once, each with a file of its
    /// own, and up to four large messages, each three times as large as its file.
    #[arg(long, env = "ROLLBOOK_MAIL_LINK_ABOVE")]
    #[arg(default_value_t = Sizes::default().link_above, value_name = "BYTES")]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    pub mail_link_above: u64,

    /// How long a link opens, in hours
    #[arg(
        long,
        env = "ROLLBOOK_MAIL_LINK_HOURS",
        default_value_t = 168,
        value_name = "HOURS"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=8_760))]
    pub mail_link_hours: u32,

    /// Where those who receive messages reach this server: `https://learning.example.org`, with a path where it has one
    ///
    /// Links begin with it. Unless set it is `http://` and the address that the server listens on, which is of use on
    /// the same machine alone.
    #[arg(long, env = "ROLLBOOK_PUBLIC_URL", value_name = "ADDRESS", value_parser = public_url)]
    pub public_url: Option<String>,
}

impl MailArgs {
    /// What sends messages.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Mail`] where a setting can't be used, [`ConfigError::MailFrom`] where there is a mail server and
    /// nobody for messages to come from.
    pub fn mailer(&self) -> Result<Mailer, ConfigError> {
        let Some(url) = &self.smtp_url else {
            let from = self.mail_from.as_deref().unwrap_or(FROM);
            return Ok(Mailer::folder(&self.mail_folder, from)?);
        };
        let from = self.mail_from.as_deref().ok_or(ConfigError::MailFrom)?;
        Ok(Mailer::smtp(&self.smtp(url), from)?)
    }

    /// How the mail server at that address is reached.
    fn smtp(&self, url: &SecretString) -> SmtpSettings {
        SmtpSettings {
            url: url.clone(),
            timeout: Duration::from_secs(self.smtp_timeout),
            certificate: self.smtp_certificate.clone(),
        }
    }

    /// Who outside the directory may receive reports.
    pub fn recipients(&self) -> RecipientRules {
        RecipientRules {
            domains: self.mail_domains.clone(),
        }
    }

    /// What the sender needs, on a server that listens there.
    pub fn sender_options(&self, listening: SocketAddr) -> SenderOptions {
        let public_url = self.public_url.clone();
        SenderOptions {
            // A step more than the mailer gives a whole message, so that its own limit comes first.
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

/// Reads a domain, in lower case.
fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim().to_lowercase();
    let well_formed =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    if domain.split('.').all(well_formed) {
        return Ok(domain);
    }
    Err("write what stands after the `@` of an address, as `example.org`".to_owned())
}

/// Reads the address that links begin with, without a slash at its end.
fn public_url(text: &str) -> Result<String, String> {
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
    fn without_settings_messages_go_to_a_folder() {
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
    fn what_is_set_reaches_the_sender() {
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
