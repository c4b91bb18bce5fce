//! The conversation with a mail server (RFC 5321, 3207, 4954), one step after the other.
//!
//! lettre's `AsyncSmtpConnection` connects, encrypts, logs in and speaks the protocol. The steps are here and not in
//! lettre's `AsyncSmtpTransport`, which does not tell at which command a server refused and limits the time of connecting
//! only. A refused recipient is permanent; a refused login or sender is a fault of the settings, and worth another attempt.

mod address;

use std::future::Future;
use std::io;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, Tls};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::{MailerError, SendError, SmtpSettings};
use crate::reports::message::ComposedMessage;
use address::ServerAddress;

/// Bytes of a message that are sent at once. Each part has the time limit of a step.
const PART_BYTES: usize = 64 * 1024;
/// The time limit of QUIT. Nothing depends on its answer.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest text of a server in an error, in characters.
const MAX_ANSWER_CHARACTERS: usize = 300;
/// Answers that request another login, at any step (RFC 4954, section 6).
const LOGIN_REQUIRED: [u16; 4] = [530, 534, 535, 538];

/// A mail server.
#[derive(Debug)]
pub(super) struct Server {
    address: ServerAddress,
    step_timeout: Duration,
    message_timeout: Duration,
}

/// A step of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    StartTls,
    Login,
    Sender,
    Recipient,
    Data,
    Message,
}

impl Step {
    /// The step as a part of an error's text.
    fn phrase(self) -> &'static str {
        match self {
            Self::Connect => "while being connected to",
            Self::StartTls => "at the beginning of TLS",
            Self::Login => "at the login",
            Self::Sender => "to the sender's address",
            Self::Recipient => "to the recipient's address",
            Self::Data => "to the announcement of the message",
            Self::Message => "to the message",
        }
    }

    /// Whether a permanent refusal at this step is about this recipient and message only.
    fn concerns_recipient(self) -> bool {
        matches!(self, Self::Recipient | Self::Data | Self::Message)
    }
}

impl Server {
    pub(super) fn new(settings: &SmtpSettings) -> Result<Self, MailerError> {
        Ok(Self {
            address: ServerAddress::parse(settings.url.expose_secret(), settings.certificate.as_deref())?,
            step_timeout: settings.timeout,
            message_timeout: settings.message_timeout(),
        })
    }

    /// Sends the message. It counts as sent after the server accepted it.
    pub(super) async fn send(&self, from: &Address, message: &ComposedMessage) -> Result<(), SendError> {
        match timeout(self.message_timeout, self.converse(from, message)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SendError::Failed(format!(
                "the mail server took longer than {} for the message",
                format_seconds(self.message_timeout)
            ))),
        }
    }

    async fn converse(&self, from: &Address, message: &ComposedMessage) -> Result<(), SendError> {
        let mut connection = self.connect().await?;
        let outcome = self.transfer(&mut connection, from, message).await;
        // An error of QUIT does not change the outcome.
        let _ = timeout(QUIT_TIMEOUT.min(self.step_timeout), connection.abort()).await;
        outcome
    }

    /// Opens a connection, encrypted and logged in as the settings require.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let address = &self.address;
        let wrapper = match &address.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let host = (address.host.as_str(), address.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(host, Some(self.step_timeout), &address.hello, wrapper, None);
        let mut connection = self.run_step(Step::Connect, connecting).await?;
        let start_tls = match &address.tls {
            Tls::Required(parameters) => Some(parameters),
            Tls::Opportunistic(parameters) if connection.can_starttls() => Some(parameters),
            _ => None,
        };
        if let Some(parameters) = start_tls {
            let encrypting = connection.starttls(parameters.clone(), &address.hello);
            self.run_step(Step::StartTls, encrypting).await?;
        }
        if let Some(credentials) = &address.credentials {
            let credentials = credentials.to_lettre();
            let login = connection.auth(DEFAULT_MECHANISMS, &credentials);
            self.run_step(Step::Login, login).await?;
        }
        Ok(connection)
    }

    async fn transfer(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: &Address,
        message: &ComposedMessage,
    ) -> Result<(), SendError> {
        let mut parameters = Vec::new();
        // Domains are always ASCII: see `message::parse_address`.
        if !(from.user().is_ascii() && message.to.user().is_ascii()) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(SendError::Refused(
                    "the mail server accepts ASCII addresses only".to_owned(),
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
            // The headers contain the address as it is. A server with SMTPUTF8 also has 8BITMIME (RFC 6531).
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let sender = connection.command(Mail::new(Some(from.clone()), parameters));
        self.run_step(Step::Sender, sender).await?;
        let recipient = connection.command(Rcpt::new(message.to.clone(), Vec::new()));
        self.run_step(Step::Recipient, recipient).await?;
        self.run_step(Step::Data, connection.command(Data)).await?;
        self.send_content(connection, &message.bytes).await
    }

    /// Sends the message's content in parts. The time limit starts again with each part that the server took: a slow
    /// connection has the time that it needs, and one without progress fails.
    async fn send_content(
        &self,
        connection: &mut AsyncSmtpConnection,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        let (progress, last_progress) = watch::channel(Instant::now());
        // lettre requests the next part after the server took the one before.
        let parts = bytes.chunks(PART_BYTES).inspect(|_| {
            progress.send_replace(Instant::now());
        });
        let no_progress = async {
            loop {
                let until = *last_progress.borrow() + self.step_timeout;
                if Instant::now() >= until {
                    return;
                }
                sleep_until(until).await;
            }
        };
        tokio::select! {
            outcome = connection.message_iter(parts) => {
                outcome.map(|_| ()).map_err(|error| self.to_send_error(Step::Message, &error))
            }
            () = no_progress => Err(self.timeout_error(Step::Message)),
        }
    }

    /// Runs a step within its time limit.
    async fn run_step<T>(
        &self,
        step: Step,
        running: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, SendError> {
        match timeout(self.step_timeout, running).await {
            Ok(outcome) => outcome.map_err(|error| self.to_send_error(step, &error)),
            Err(_) => Err(self.timeout_error(step)),
        }
    }

    fn timeout_error(&self, step: Step) -> SendError {
        let text = match step {
            Step::Connect => "did not answer",
            _ => "gave no answer",
        };
        self.log_failure(step, "it took too long");
        SendError::Failed(format!(
            "the mail server {text} {} within {}",
            step.phrase(),
            format_seconds(self.step_timeout)
        ))
    }

    /// The error with a text for the delivery.
    fn to_send_error(&self, step: Step, error: &Error) -> SendError {
        let cause = self.cause_text(error);
        let Some(code) = error.status() else {
            self.log_failure(step, &error_kind(error));
            return SendError::Failed(match step {
                Step::Connect => format!("the mail server can't be reached: {cause}"),
                _ => format!(
                    "the connection to the mail server failed {}: {cause}",
                    step.phrase()
                ),
            });
        };
        let code = u16::from(code);
        let answer = format!("the mail server answered {} with {code} {cause}", step.phrase());
        let answer = answer.trim_end().to_owned();
        if error.is_permanent() && step.concerns_recipient() && !LOGIN_REQUIRED.contains(&code) {
            return SendError::Refused(answer);
        }
        self.log_failure(step, &code.to_string());
        SendError::Failed(answer)
    }

    /// Writes a line to the log for the operator. Of the server's answer it contains the code only, because its text may
    /// contain an address.
    fn log_failure(&self, step: Step, cause: &str) {
        let (server, port) = (&self.address.host, self.address.port);
        tracing::warn!(%server, port, ?step, cause, "a message was not sent");
    }

    /// The innermost cause or the server's answer: one line, shortened, without the password.
    fn cause_text(&self, error: &Error) -> String {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let text = cause.to_string();
        let credentials = self.address.credentials.as_ref();
        if credentials.is_some_and(|credentials| credentials.appear_in(&text)) {
            return "(an answer that contains the login)".to_owned();
        }
        let words = text.split(|c: char| c.is_control() || c.is_whitespace());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        words.join(" ").chars().take(MAX_ANSWER_CHARACTERS).collect()
    }
}

/// The kind of failure, in our own words: the error's text may quote the server.
fn error_kind(error: &Error) -> String {
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
        "the server does not support a needed feature".to_owned()
    } else {
        "the connection failed".to_owned()
    }
}

/// `60 seconds`, `1.5 seconds`.
fn format_seconds(duration: Duration) -> String {
    if duration == Duration::from_secs(1) {
        return "1 second".to_owned();
    }
    format!("{} seconds", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;
    use lettre::transport::smtp::extension::ClientId;

    /// The error of a connection to a server that sends these bytes and disconnects.
    async fn connect_to_server_that_sends(greeting: &'static [u8]) -> Error {
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
    async fn error_kind_does_not_quote_the_server() {
        let error = connect_to_server_that_sends(b"bob@example.org has no place here\r\n").await;
        assert!(error.status().is_none());
        assert_eq!(error_kind(&error), "the answer was not understood");
        let error = connect_to_server_that_sends(b"").await;
        assert!(!error_kind(&error).is_empty());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nowhere = listener.local_addr().unwrap();
        drop(listener);
        let error =
            AsyncSmtpConnection::connect_tokio1(nowhere, None, &ClientId::default(), None, None).await;
        assert_eq!(error_kind(&error.err().expect("a failure")), "connection refused");
    }
}
