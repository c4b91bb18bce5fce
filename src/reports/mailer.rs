//! Sends messages by SMTP, or writes them as files to a folder: `docs/specification.md#messages`.
//!
//! [`Mailer::smtp`] and [`Mailer::folder`] check their settings and do not connect. [`Mailer::send`] sends an
//! [`EmailMessage`]. The file `smtp` talks to the mail server, `folder` writes the files.
//!
//! Invariants:
//!
//! - Every SMTP step has a time limit, and so has a message as a whole.
//! - A message counts as sent only after the server accepted it. Every other outcome is a [`SendError`], which separates
//!   permanent refusals from temporary failures.
//! - Errors and the log do not contain the password, even if the server repeats it.

mod folder;
mod smtp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use secrecy::SecretString;

use crate::reports::message::{self, ComposeError, EmailMessage, Templates};

/// The settings of the mail server.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`, `…?tls=opportunistic`, or
    /// without TLS `smtp://host:25`. User and password are percent-encoded. A path is the name for the greeting (EHLO).
    pub url: SecretString,
    /// The time limit of each step.
    pub timeout: Duration,
    /// A PEM file of certificates to trust in addition to the usual ones.
    pub certificate: Option<PathBuf>,
}

impl SmtpSettings {
    /// The time limit of a message, in time limits of a step.
    const STEPS: u32 = 10;

    /// The time limit of a whole message.
    pub fn message_timeout(&self) -> Duration {
        self.timeout.saturating_mul(Self::STEPS)
    }
}

/// An invalid setting. The texts contain no secret.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The URL of the mail server is invalid.
    #[error("the mail server's address (ROLLBOOK_SMTP_URL) can't be used: {0}")]
    Url(String),
    /// The sender is invalid.
    #[error(
        "`{from}` (ROLLBOOK_MAIL_FROM) is no sender: {reason}; write an address (`learning@example.org`) or a name \
         with one (`Learning <learning@example.org>`)"
    )]
    From {
        /// The setting.
        from: String,
        /// Why it is invalid.
        reason: String,
    },
    /// The file of certificates is invalid.
    #[error("the certificates in {path} (ROLLBOOK_SMTP_CERTIFICATE) can't be used: {reason}", path = .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why it is invalid.
        reason: String,
    },
    /// The templates of messages have a fault. They are part of the program.
    #[error("the templates of messages can't be used: {0}")]
    Template(#[from] minijinja::Error),
}

/// Why a message was not sent. The texts are shown in the delivery and contain no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A permanent refusal: another attempt for this recipient would fail too.
    #[error("{0}")]
    Refused(String),
    /// A temporary failure: another attempt may succeed.
    #[error("{0}")]
    Failed(String),
}

/// Sends messages. Clones share their state.
#[derive(Debug, Clone)]
pub struct Mailer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    from: Mailbox,
    templates: Templates,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Smtp(smtp::Server),
    Folder(PathBuf),
}

impl Mailer {
    /// A mailer that sends messages to a mail server.
    ///
    /// # Errors
    ///
    /// [`MailerError`] for an invalid setting. The server is not contacted.
    pub fn smtp(settings: &SmtpSettings, from: &str) -> Result<Self, MailerError> {
        Self::new(Transport::Smtp(smtp::Server::new(settings)?), from)
    }

    /// A mailer that writes each message as a file to a folder. The first message creates the folder.
    ///
    /// # Errors
    ///
    /// [`MailerError::From`].
    pub fn folder(path: impl Into<PathBuf>, from: &str) -> Result<Self, MailerError> {
        Self::new(Transport::Folder(path.into()), from)
    }

    fn new(transport: Transport, from: &str) -> Result<Self, MailerError> {
        let from = message::parse_mailbox(from).map_err(|error| MailerError::From {
            from: from.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self(Arc::new(Inner {
            from,
            templates: Templates::new()?,
            transport,
        })))
    }

    /// The sender's address.
    pub fn address(&self) -> &str {
        self.0.from.email.as_ref()
    }

    /// Sends a message. If the future is dropped, the message may or may not have been sent.
    ///
    /// # Errors
    ///
    /// [`SendError::Refused`] for a permanent refusal, [`SendError::Failed`] for a temporary failure.
    pub async fn send(&self, email: &EmailMessage<'_>) -> Result<(), SendError> {
        let Inner {
            from,
            templates,
            transport,
        } = &*self.0;
        let message = message::compose(email, from, templates).map_err(|error| match error {
            ComposeError::Address(_) => SendError::Refused(error.to_string()),
            ComposeError::Message(_) | ComposeError::Template(_) => SendError::Failed(error.to_string()),
        })?;
        match transport {
            Transport::Smtp(server) => server.send(&from.email, &message).await,
            Transport::Folder(folder) => {
                folder::write_message(folder, &folder::file_name(email), message.bytes).await
            }
        }
    }
}

#[cfg(test)]
mod tests;
