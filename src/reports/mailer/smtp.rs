//! The conversation with a mail server (RFC 5321, 3207, 4954), step by step.
//!
//! lettre speaks the protocol; the steps are taken here, so that each has its time limit and each failure is known by
//! the step at which it came: a server that refuses the recipient is not one that refuses the login.

mod address;

use std::future::Future;
use std::io;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{MailerError, SendError, SmtpSettings};
use crate::reports::message::Composed;
use address::{Encryption, ServerAddress};

/// Bytes of a message that are handed over at once: the limit of a step counts for each.
const PART: usize = 64 * 1024;
/// How long the server may take to say goodbye; nothing depends on it.
const GOODBYE: Duration = Duration::from_secs(2);
/// Characters of a server's answer that are kept.
const ANSWER: usize = 300;

/// A mail server.
#[derive(Debug)]
pub(super) struct Server {
    address: ServerAddress,
    /// How long a step may take.
    limit: Duration,
    /// How long a message as a whole may take.
    whole: Duration,
}

/// Where in the conversation something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    Encrypting,
    LoggingIn,
    NamingSender,
    NamingRecipient,
    Announcing,
    Sending,
}

impl Step {
    /// As a reason says it.
    fn doing(self) -> &'static str {
        match self {
            Self::Connecting => "while being connected to",
            Self::Encrypting => "at the beginning of TLS",
            Self::LoggingIn => "at the login",
            Self::NamingSender => "to the sender's address",
            Self::NamingRecipient => "to the recipient's address",
            Self::Announcing => "to the announcement of the message",
            Self::Sending => "to the message",
        }
    }

    /// Whether a refusal for good at this step is about this recipient and this message alone.
    fn is_about_the_recipient(self) -> bool {
        matches!(self, Self::NamingRecipient | Self::Announcing | Self::Sending)
    }
}

/// Answers that ask for another login, at whatever step (RFC 4954, section 6).
const LOGIN_WANTED: [u16; 4] = [530, 534, 535, 538];

impl Server {
    pub(super) fn new(settings: &SmtpSettings) -> Result<Self, MailerError> {
        Ok(Self {
            address: ServerAddress::parse(settings.url.expose_secret(), settings.certificate.as_deref())?,
            limit: settings.timeout,
            whole: settings.message_timeout(),
        })
    }

    /// Hands the message over: it is sent once the server has answered for it.
    pub(super) async fn send(&self, from: &Address, message: &Composed) -> Result<(), SendError> {
        match timeout(self.whole, self.converse(from, message)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::Failed(format!(
                "the mail server took longer than {} for the message",
                seconds(self.whole)
            ))),
        }
    }

    async fn converse(&self, from: &Address, message: &Composed) -> Result<(), SendError> {
        let mut connection = self.connect().await?;
        let outcome = self.hand_over(&mut connection, from, message).await;
        // What was answered stands, whatever becomes of the goodbye.
        let _ = timeout(GOODBYE.min(self.limit), connection.abort()).await;
        outcome
    }

    /// A connection that messages can be sent by: encrypted and logged in, as the settings want it.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let address = &self.address;
        let wrapper = match &address.encryption {
            Encryption::Wrapper(tls) => Some(tls.clone()),
            _ => None,
        };
        let host = (address.host.as_str(), address.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(host, Some(self.limit), &address.hello, wrapper, None);
        let mut connection = self.step(Step::Connecting, connecting).await?;
        match &address.encryption {
            Encryption::Required(tls) => {
                let encrypting = connection.starttls(tls.clone(), &address.hello);
                self.step(Step::Encrypting, encrypting).await?;
            }
            Encryption::Opportunistic(tls) if connection.can_starttls() => {
                let encrypting = connection.starttls(tls.clone(), &address.hello);
                self.step(Step::Encrypting, encrypting).await?;
            }
            _ => {}
        }
        if let Some(credentials) = &address.credentials {
            let credentials = credentials.for_login();
            let login = connection.auth(DEFAULT_MECHANISMS, &credentials);
            self.step(Step::LoggingIn, login).await?;
        }
        Ok(connection)
    }

    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: &Address,
        message: &Composed,
    ) -> Result<(), SendError> {
        let mut parameters = Vec::new();
        // A domain is always of ASCII; see `message::address`.
        if !(from.user().is_ascii() && message.to.user().is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SendError::Refused(
                    "the mail server takes no addresses with other letters than those of ASCII".to_owned(),
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
            // Its headers hold the address as it is. Whoever offers SMTPUTF8 offers this as well (RFC 6531).
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let sender = connection.command(Mail::new(Some(from.clone()), parameters));
        self.step(Step::NamingSender, sender).await?;
        let recipient = connection.command(Rcpt::new(message.to.clone(), Vec::new()));
        self.step(Step::NamingRecipient, recipient).await?;
        self.step(Step::Announcing, connection.command(Data)).await?;
        self.contents(connection, &message.bytes).await
    }

    /// Hands the message itself over in parts: the limit counts from the last part that was taken, so that a slow
    /// line may take its time and one that stands still is given up.
    async fn contents(&self, connection: &mut AsyncSmtpConnection, bytes: &[u8]) -> Result<(), SendError> {
        let (taken, last) = watch::channel(Instant::now());
        // The next part is asked for when the last one was taken.
        let parts = bytes.chunks(PART).inspect(|_| {
            taken.send_replace(Instant::now());
        });
        let stands_still = async {
            loop {
                let until = *last.borrow() + self.limit;
                if Instant::now() >= until {
                    return;
                }
                sleep_until(until).await;
            }
        };
        tokio::select! {
            outcome = connection.message_iter(parts) => {
                outcome.map(|_| ()).map_err(|error| self.failure(Step::Sending, &error))
            }
            () = stands_still => Err(self.too_long(Step::Sending)),
        }
    }

    /// Takes a step within its limit.
    async fn step<T>(
        &self,
        step: Step,
        taken: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, SendError> {
        match timeout(self.limit, taken).await {
            Ok(outcome) => outcome.map_err(|error| self.failure(step, &error)),
            Err(_) => Err(self.too_long(step)),
        }
    }

    fn too_long(&self, step: Step) -> SendError {
        let text = match step {
            Step::Connecting => "did not answer",
            _ => "gave no answer",
        };
        self.note(step, "it took too long");
        SendError::Failed(format!(
            "the mail server {text} {} within {}",
            step.doing(),
            seconds(self.limit)
        ))
    }

    /// What went wrong, in words for whoever looks at the delivery.
    fn failure(&self, step: Step, error: &Error) -> SendError {
        let said = self.said(error);
        let Some(code) = error.status() else {
            self.note(step, &kind(error));
            return SendError::Failed(match step {
                Step::Connecting => format!("the mail server can't be reached: {said}"),
                _ => format!(
                    "the connection to the mail server failed {}: {said}",
                    step.doing()
                ),
            });
        };
        let code = u16::from(code);
        let answer = format!("the mail server answered {} with {code} {said}", step.doing());
        let answer = answer.trim_end().to_owned();
        if error.is_permanent() && step.is_about_the_recipient() && !LOGIN_WANTED.contains(&code) {
            return SendError::Refused(answer);
        }
        self.note(step, &code.to_string());
        SendError::Failed(answer)
    }

    /// Leaves a line in the log for whoever runs the server. Nothing that the server said is in it but a code: its words
    /// may hold an address.
    fn note(&self, step: Step, cause: &str) {
        let (server, port) = (&self.address.host, self.address.port);
        tracing::warn!(%server, port, ?step, cause, "a message was not sent");
    }

    /// The innermost cause or the server's words: one line, not long, without the password.
    fn said(&self, error: &Error) -> String {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let said = cause.to_string();
        if self
            .address
            .credentials
            .as_ref()
            .is_some_and(|credentials| credentials.show_in(&said))
        {
            return "(an answer that holds the login)".to_owned();
        }
        let line: Vec<&str> = said
            .split(|c: char| c.is_control() || c.is_whitespace())
            .collect();
        let line = line
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        line.chars().take(ANSWER).collect()
    }
}

/// What kind of failure it was, in words of our own: an error's own text may quote the server.
fn kind(error: &Error) -> String {
    let sources = std::iter::successors(std::error::Error::source(error), |inner| inner.source());
    let io = sources
        .into_iter()
        .find_map(|inner| inner.downcast_ref::<io::Error>());
    if error.is_tls() {
        "TLS failed".to_owned()
    } else if error.is_timeout() {
        "it took too long".to_owned()
    } else if error.is_response() {
        "the answer was not understood".to_owned()
    } else if let Some(io) = io {
        io.kind().to_string()
    } else if error.is_client() {
        "the server can't do what is asked of it".to_owned()
    } else {
        "the connection failed".to_owned()
    }
}

/// `60 seconds`, `1.5 seconds`.
fn seconds(limit: Duration) -> String {
    let seconds = limit.as_secs_f64();
    if limit == Duration::from_secs(1) {
        "1 second".to_owned()
    } else {
        format!("{seconds} seconds")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use lettre::transport::smtp::extension::ClientId;

    /// The error of connecting to a server that greets with these bytes and goes away.
    async fn greeted_with(greeting: &'static [u8]) -> Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
        });
        let outcome =
            AsyncSmtpConnection::connect_tokio1(address, None, &ClientId::default(), None, None).await;
        server.await.unwrap();
        outcome.err().expect("a failure")
    }

    #[tokio::test]
    async fn the_kind_of_a_failure_quotes_nothing() {
        let error = greeted_with(b"bob@example.org has no place here\r\n").await;
        assert!(error.status().is_none());
        assert_eq!(kind(&error), "the answer was not understood");
        let error = greeted_with(b"").await;
        assert!(!kind(&error).is_empty());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nowhere = listener.local_addr().unwrap();
        drop(listener);
        let error =
            AsyncSmtpConnection::connect_tokio1(nowhere, None, &ClientId::default(), None, None).await;
        assert_eq!(kind(&error.err().expect("a failure")), "connection refused");
    }
}
