//! Sending messages: by SMTP, or as files in a folder where there is no mail server (product text, section 9).
//!
//! [`Mailer::smtp`] and [`Mailer::folder`] check their settings at start and connect nowhere; [`Mailer::send`] sends a
//! [`EmailMessage`]. `smtp` holds the conversation with a mail server, `folder` the files.
//!
//! What it promises:
//! - Every step has a time limit, and so has a message as a whole: nobody waits for a server that hangs.
//! - A message that was sent is one that the server took over in so many words; whatever else happens is a failure.
//! - What a server refuses for good is told from what is worth another try: [`SendError`].
//! - No password stands in an error or in the log, not even where the server gives it back.

mod folder;
mod smtp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::reports::message::{self, ComposeError, EmailMessage};

/// How a mail server is reached.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`, `…?tls=opportunistic`, or
    /// without TLS `smtp://host:25`; user and password percent-encoded. A path is the name to greet with (EHLO).
    pub url: SecretString,
    /// How long each step may take.
    pub timeout: Duration,
    /// A PEM file of certificates that are trusted beside the usual ones.
    pub certificate: Option<PathBuf>,
}

impl SmtpSettings {
    /// How many times a step's limit a whole message may take.
    const STEPS: u32 = 10;

    /// How long a message as a whole may take.
    pub fn message_timeout(&self) -> Duration {
        self.timeout.saturating_mul(Self::STEPS)
    }
}

/// What is wrong with the settings; the texts say what to do, and hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The mail server's address can't be used.
    #[error("the mail server's address (ROLLBOOK_SMTP_URL) can't be used: {0}")]
    Url(String),
    /// The sender can't be used.
    #[error(
        "`{from}` (ROLLBOOK_MAIL_FROM) is no sender: {reason}; write an address (`learning@example.org`) or a name \
         with one (`Learning <learning@example.org>`)"
    )]
    From {
        /// What was given.
        from: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The further root certificate can't be used.
    #[error("the certificates in {path} (ROLLBOOK_SMTP_CERTIFICATE) can't be used: {reason}", path = .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a message was not sent. The texts are for whoever looks at the delivery: they hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// For good: this recipient can't be sent this message.
    #[error("{0}")]
    Refused(String),
    /// For now: worth another try.
    #[error("{0}")]
    Failed(String),
}

/// Sends messages; cheap to clone.
#[derive(Debug, Clone)]
pub struct Mailer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    from: message::Sender,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Smtp(smtp::Server),
    Folder(PathBuf),
}

impl Mailer {
    /// A mailer that hands messages to a mail server.
    ///
    /// # Errors
    ///
    /// [`MailerError`], where a setting can't be used. The server is asked nothing yet.
    pub fn smtp(settings: &SmtpSettings, from: &str) -> Result<Self, MailerError> {
        Self::new(Way::Smtp(smtp::Server::new(settings)?), from)
    }

    /// A mailer that writes messages to a folder, each a file of its own; the folder is made when the first is.
    ///
    /// # Errors
    ///
    /// [`MailerError::From`].
    pub fn folder(path: impl Into<PathBuf>, from: &str) -> Result<Self, MailerError> {
        Self::new(Way::Folder(path.into()), from)
    }

    fn new(way: Way, from: &str) -> Result<Self, MailerError> {
        let from = message::sender(from).map_err(|error| MailerError::From {
            from: from.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self(Arc::new(Inner { from, way })))
    }

    /// The address that messages come from.
    pub fn address(&self) -> &str {
        self.0.from.address.as_ref()
    }

    /// Sends a message. Whoever drops the future gives it up: it may or may not have been sent.
    ///
    /// # Errors
    ///
    /// [`SendError::Refused`] where another try would end alike, [`SendError::Failed`] where it may not.
    pub async fn send(&self, letter: &EmailMessage<'_>) -> Result<(), SendError> {
        let message = message::compose(letter, &self.0.from).map_err(|error| match error {
            ComposeError::Address(_) => SendError::Refused(error.to_string()),
            ComposeError::Message(_) => SendError::Failed(error.to_string()),
        })?;
        match &self.0.way {
            Way::Smtp(server) => server.send(&self.0.from.address, &message).await,
            Way::Folder(folder) => folder::write(folder, &folder::name(letter), message.bytes).await,
        }
    }
}

#[cfg(test)]
mod tests;
