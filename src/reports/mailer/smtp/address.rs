//! Where a mail server is and how it is spoken to: the address as lettre's documentation has it.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp::authentication;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::reports::mailer::MailerError;

/// What the address of a mail server says.
#[derive(Debug)]
pub(super) struct ServerAddress {
    pub host: String,
    pub port: u16,
    pub hello: ClientId,
    pub encryption: Encryption,
    pub credentials: Option<Credentials>,
}

/// Whether and when TLS begins.
pub(super) enum Encryption {
    /// Never.
    None,
    /// By STARTTLS, where the server offers it.
    Opportunistic(TlsParameters),
    /// By STARTTLS, or nothing is sent.
    Required(TlsParameters),
    /// With the first byte.
    Wrapper(TlsParameters),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Opportunistic(_) => "Opportunistic",
            Self::Required(_) => "Required",
            Self::Wrapper(_) => "Wrapper",
        })
    }
}

/// Who logs in.
#[derive(Debug)]
pub(super) struct Credentials {
    user: String,
    password: SecretString,
}

impl Credentials {
    /// As lettre takes them.
    pub(super) fn for_login(&self) -> authentication::Credentials {
        authentication::Credentials::new(self.user.clone(), self.password.expose_secret().to_owned())
    }

    /// Whether the password can be read out of the text, as it is or as it goes over the line.
    pub(super) fn show_in(&self, text: &str) -> bool {
        let password = self.password.expose_secret();
        let plain = format!("\0{}\0{password}", self.user);
        text.contains(password)
            || text.contains(&STANDARD.encode(password))
            || text.contains(&STANDARD.encode(plain))
    }
}

impl ServerAddress {
    /// Reads the address; the parts of it that are secret stand in no error.
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
        // An address of IP version 6 stands in brackets in a URL, and nowhere else.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = asked_tls(&url).map_err(|reason| refuse(&reason))?;
        let parameters = || tls_parameters(&host, certificate);
        let (port, encryption) = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) => (SUBMISSIONS_PORT, Encryption::Wrapper(parameters()?)),
            ("smtp", Some("required")) => (SUBMISSION_PORT, Encryption::Required(parameters()?)),
            ("smtp", Some("opportunistic")) => (SUBMISSION_PORT, Encryption::Opportunistic(parameters()?)),
            ("smtp", None) => (SMTP_PORT, Encryption::None),
            ("smtp", Some(_)) => return Err(refuse("`tls` is `required` or `opportunistic`")),
            _ => return Err(refuse("it begins neither with `smtps://` nor with `smtp://`")),
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
            encryption,
            credentials,
        })
    }
}

/// The parameter `tls`, the only one that there is.
fn asked_tls(url: &Url) -> Result<Option<String>, String> {
    let mut tls = None;
    for (name, value) in url.query_pairs() {
        if name != "tls" || tls.is_some() {
            return Err("its only parameter is `tls`, once".to_owned());
        }
        tls = Some(value.into_owned());
    }
    if url.fragment().is_some() {
        // A `#` in a password that wasn't encoded ends the address in the middle.
        return Err("it holds a `#`: in a user or password that is written `%23`".to_owned());
    }
    Ok(tls)
}

/// The name in a greeting: it goes into a command as it is.
fn hello_name(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    name.chars().all(allowed).then(|| name.to_owned())
}

fn credentials(url: &Url) -> Result<Option<Credentials>, &'static str> {
    let user = decoded(url.username()).ok_or("its user is not UTF-8 once `%` is decoded")?;
    let password = url.password().map(decoded);
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

/// Percent-decodes; a `%` without two digits after it stays as it is.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let hex = (byte == b'%').then(|| after.get(..2)).flatten();
        let value = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match value {
            Some(value) => {
                out.push(value);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// TLS that trusts the usual certificates, and those of the file.
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

/// How a certificate begins in a PEM file.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerAddress, String> {
        ServerAddress::parse(text, None).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_read_as_documented() {
        for (text, host, port, encryption) in [
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
            let found = (
                address.host.as_str(),
                address.port,
                format!("{:?}", address.encryption),
            );
            assert_eq!(found, (host, port, encryption.to_owned()), "{text}");
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
    fn what_cannot_be_used_is_refused_with_what_to_do_and_without_the_password() {
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
    fn the_password_is_found_in_whatever_form_it_goes_over_the_line() {
        let address = parse("smtp://me:hunter2@localhost").unwrap();
        assert!(!format!("{address:?}").contains("hunter2"));
        let credentials = address.credentials.unwrap();
        for text in ["not hunter2!", "aHVudGVyMg==", "AG1lAGh1bnRlcjI="] {
            assert!(credentials.show_in(text), "{text}");
        }
        assert!(!credentials.show_in("5.7.8 Username and password not accepted"));
    }

    #[test]
    fn a_file_of_certificates_must_hold_some() {
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
