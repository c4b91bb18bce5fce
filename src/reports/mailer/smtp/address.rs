//! The URL of the mail server, in the format of lettre's `AsyncSmtpTransport::from_url`.
//!
//! lettre's own function is not used: it builds a transport, see [`super`], ignores unknown parameters and `#`, accepts any
//! text as the name of the greeting and knows no further certificate.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::reports::mailer::MailerError;

/// The parsed URL.
#[derive(Debug)]
pub(super) struct ServerAddress {
    pub host: String,
    pub port: u16,
    /// The name for the greeting.
    pub hello: ClientId,
    pub tls: Tls,
    pub credentials: Option<Credentials>,
}

/// The user and password of the login.
#[derive(Debug)]
pub(super) struct Credentials {
    user: String,
    password: SecretString,
}

impl Credentials {
    /// The credentials in lettre's type.
    pub(super) fn to_lettre(&self) -> authentication::Credentials {
        authentication::Credentials::new(self.user.clone(), self.password.expose_secret().to_owned())
    }

    /// Whether the text contains the password, in clear or as the login sends it.
    pub(super) fn appear_in(&self, text: &str) -> bool {
        let password = self.password.expose_secret();
        let plain = format!("\0{}\0{password}", self.user);
        text.contains(password)
            || text.contains(&STANDARD.encode(password))
            || text.contains(&STANDARD.encode(plain))
    }
}

impl ServerAddress {
    /// Parses the URL. Errors do not contain its secret parts.
    pub(super) fn parse(text: &str, certificate: Option<&Path>) -> Result<Self, MailerError> {
        let refuse = |reason: &str| {
            MailerError::Url(format!(
                "{reason}; write `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`, or \
                 `smtp://host:25` for a server without TLS"
            ))
        };
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| refuse("it names no host"))?;
        // Only a URL has an IPv6 address in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = tls_parameter(&url).map_err(|reason| refuse(&reason))?;
        let parameters = || tls_parameters(&host, certificate);
        let (port, tls) = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) => (SUBMISSIONS_PORT, Tls::Wrapper(parameters()?)),
            ("smtp", Some("required")) => (SUBMISSION_PORT, Tls::Required(parameters()?)),
            ("smtp", Some("opportunistic")) => (SUBMISSION_PORT, Tls::Opportunistic(parameters()?)),
            ("smtp", None) => (SMTP_PORT, Tls::None),
            ("smtp", Some(_)) => return Err(refuse("`tls` is `required` or `opportunistic`")),
            _ => return Err(refuse("it starts neither with `smtps://` nor with `smtp://`")),
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(hello_name(name).ok_or_else(|| {
                refuse("its path, the name to greet the server with, holds more than letters, digits, `.` and `-`")
            })?),
        };
        let credentials = credentials(&url).map_err(refuse)?;
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            hello,
            tls,
            credentials,
        })
    }
}

/// The value of the parameter `tls`. Any other parameter is an error.
fn tls_parameter(url: &Url) -> Result<Option<String>, String> {
    let mut tls = None;
    for (name, value) in url.query_pairs() {
        if name != "tls" || tls.is_some() {
            return Err("its only parameter is `tls`, once".to_owned());
        }
        tls = Some(value.into_owned());
    }
    if url.fragment().is_some() {
        // The URL ends at an unencoded `#` in a password.
        return Err("it holds a `#`: in a user or password that is written `%23`".to_owned());
    }
    Ok(tls)
}

/// The name for the greeting. It is part of a command, so only harmless characters are allowed.
fn hello_name(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    name.chars().all(allowed).then(|| name.to_owned())
}

fn credentials(url: &Url) -> Result<Option<Credentials>, &'static str> {
    let user = percent_decode(url.username()).ok_or("its user is not UTF-8 once `%` is decoded")?;
    let password = url.password().map(percent_decode);
    match password {
        None if user.is_empty() => Ok(None),
        None => Err("it names a user without a password"),
        Some(None) => Err("its password is not UTF-8 once `%` is decoded"),
        Some(Some(password)) if user.is_empty() || password.is_empty() => {
            Err("it has a user or a password without the other")
        }
        Some(Some(password)) => Ok(Some(Credentials {
            user: user.into_owned(),
            password: SecretString::from(password.into_owned()),
        })),
    }
}

fn percent_decode(text: &str) -> Option<Cow<'_, str>> {
    percent_decode_str(text).decode_utf8().ok()
}

/// TLS that trusts the usual certificates and those of the file.
fn tls_parameters(host: &str, certificate: Option<&Path>) -> Result<TlsParameters, MailerError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = certificate {
        let refuse = |reason: String| MailerError::Certificate {
            path: path.to_path_buf(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
        if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
            return Err(refuse(
                "there is none in the file; it is text with `-----BEGIN CERTIFICATE-----` lines (PEM)"
                    .to_owned(),
            ));
        }
        let certificate = Certificate::from_pem(&pem).map_err(|error| refuse(error.to_string()))?;
        builder = builder.add_root_certificate(certificate);
        return builder.build().map_err(|error| refuse(error.to_string()));
    }
    builder
        .build()
        .map_err(|error| MailerError::Url(error.to_string()))
}

/// The first line of a certificate in a PEM file.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerAddress, String> {
        ServerAddress::parse(text, None).map_err(|error| error.to_string())
    }

    #[test]
    fn url_is_parsed_as_documented() {
        for (text, host, port, tls) in [
            ("smtps://mail.example.org", "mail.example.org", 465, "Wrapper"),
            (
                "smtps://mail.example.org:4650",
                "mail.example.org",
                4650,
                "Wrapper",
            ),
            (
                "smtp://mail.example.org?tls=required",
                "mail.example.org",
                587,
                "Required",
            ),
            (
                "smtp://mail.example.org:25?tls=opportunistic",
                "mail.example.org",
                25,
                "Opportunistic",
            ),
            ("smtp://localhost", "localhost", 25, "None"),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, "None"),
            ("smtp://[::1]:2525", "::1", 2525, "None"),
            ("smtps://[::1]", "::1", 465, "Wrapper"),
        ] {
            let address = parse(text).unwrap();
            let found = (address.host.as_str(), address.port, format!("{:?}", address.tls));
            assert_eq!(found, (host, port, tls.to_owned()), "{text}");
            assert!(address.credentials.is_none());
        }
        let address = parse("smtp://me%40x:a%25%2F%23+b@localhost/relay.example.org").unwrap();
        let credentials = address.credentials.unwrap();
        assert_eq!(
            (credentials.user.as_str(), credentials.password.expose_secret()),
            ("me@x", "a%/#+b")
        );
        assert_eq!(address.hello.to_string(), "relay.example.org");
    }

    #[test]
    fn error_of_an_invalid_url_has_an_example_and_no_password() {
        for text in [
            "mail.example.org",
            "http://me:hunter2@mail.example.org",
            "smtp://",
            "smtp://me:hunter2@mail.example.org:99999",
            "smtp://me:hunter2@mail.example.org?tls=yes",
            "smtp://me:hunter2@mail.example.org?tls=required&tls=required",
            "smtp://me:hunter2@mail.example.org?starttls=hunter2",
            "smtp://me:hun#ter2@mail.example.org",
            "smtp://me@mail.example.org",
            "smtp://:hunter2@mail.example.org",
            "smtp://me:%ff@mail.example.org",
            "smtp://me:hunter2@mail.example.org/a%0d%0ab",
        ] {
            let error = parse(text).map(|_| ()).unwrap_err();
            assert!(
                !error.contains("hunter2") && error.contains("ROLLBOOK_SMTP_URL"),
                "{text}: {error}"
            );
            assert!(
                error.contains("smtps://user:password@host:465"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn password_is_found_in_clear_and_as_the_login_sends_it() {
        let address = parse("smtp://me:hunter2@localhost").unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
        let credentials = address.credentials.unwrap();
        for text in ["not hunter2!", "aHVudGVyMg==", "AG1lAGh1bnRlcjI="] {
            assert!(credentials.appear_in(text), "{text}");
        }
        assert!(!credentials.appear_in("5.7.8 Username and password not accepted"));
    }

    #[test]
    fn file_without_a_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.pem");
        let parse = || {
            ServerAddress::parse("smtps://localhost", Some(&path))
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(parse().contains("ROLLBOOK_SMTP_CERTIFICATE"), "{}", parse());
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(parse().contains("there is none in the file"), "{}", parse());
        std::fs::write(
            &path,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(parse().contains("root.pem"), "{}", parse());
    }
}
