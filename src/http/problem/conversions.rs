//! Turns the errors of lower layers into problems. Every `match` lists all variants, so that a new variant does not
//! compile until its answer is decided.

use actix_web::http::header::{self, HeaderValue};

use super::{Code, Problem, ProblemError};
use crate::access::credential::UnknownScope;
use crate::access::{AccessError, ScopeError, TokenError};
use crate::base::fault::{Fault, Faults, Place};
use crate::base::ids::{IdError, StatementId};
use crate::base::{CipherError, CursorError};
use crate::cmi5::RuleFault;
use crate::log::filter::ParameterFault;
use crate::store::{RecordError, StoreError, WriteFault};

/// The value of `Retry-After` when the database is busy or away, in seconds.
const BUSY_RETRY_SECONDS: u16 = 5;

/// The value of `Retry-After` when nothing can be written, in seconds.
const WRITE_FAULT_RETRY_SECONDS: u16 = 10;

impl From<Fault> for ProblemError {
    fn from(fault: Fault) -> Self {
        ProblemError::at_pointer(fault.pointer, fault.detail)
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Problem::with_errors(Code::InvalidBody, ProblemError::from(fault).into())
    }
}

impl From<Faults> for Problem {
    fn from(faults: Faults) -> Self {
        Problem::with_errors(Code::InvalidBody, faults.map(ProblemError::from))
    }
}

impl From<Faults<ParameterFault>> for Problem {
    fn from(faults: Faults<ParameterFault>) -> Self {
        let errors = faults.map(|fault| ProblemError::in_parameter(fault.parameter, fault.detail));
        Problem::with_errors(Code::BadParameter, errors)
    }
}

impl From<IdError> for Problem {
    fn from(error: IdError) -> Self {
        match error {
            IdError::Empty | IdError::TooLong | IdError::ControlCharacter | IdError::Naming(_) => {
                Problem::bad_request(error.to_string())
            }
        }
    }
}

impl From<UnknownScope> for Problem {
    fn from(error: UnknownScope) -> Self {
        Problem::bad_request(error.to_string())
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Problem::new(Code::TokenExpired, error.to_string()),
            TokenError::NotAccepted
            | TokenError::Malformed(_)
            | TokenError::UnknownKey
            | TokenError::BadSignature
            | TokenError::AlgorithmNotAllowed
            | TokenError::NotYetValid
            | TokenError::WrongIssuer
            | TokenError::WrongAudience
            | TokenError::MissingClaim(_)
            | TokenError::OrganisationNotAllowed
            | TokenError::BadClaim { .. } => Problem::new(Code::TokenInvalid, error.to_string()),
            TokenError::KeysUnavailable => Problem::new(Code::Unavailable, error.to_string())
                .with_header(header::RETRY_AFTER, HeaderValue::from(BUSY_RETRY_SECONDS))
                // With a cause it is logged as a fault of the server.
                .caused_by(error),
        }
    }
}

impl From<CursorError> for Problem {
    fn from(error: CursorError) -> Self {
        Problem::new(Code::BadCursor, error.to_string())
    }
}

impl From<CipherError> for Problem {
    fn from(error: CipherError) -> Self {
        Problem::internal(error)
    }
}

impl From<ScopeError> for Problem {
    fn from(error: ScopeError) -> Self {
        Problem::forbidden(error.to_string())
    }
}

impl From<AccessError> for Problem {
    /// An error of keys, secrets and settings is always the server's fault.
    fn from(error: AccessError) -> Self {
        Problem::internal(error)
    }
}

impl Problem {
    /// Creates the problem for refused records. If the client sent an `array`, the pointer begins with the position of
    /// the record.
    pub fn from_record_error(error: RecordError, array: bool) -> Self {
        match error {
            RecordError::Conflicts(conflicts) => {
                let faults = conflicts.into_iter().map(|conflict| {
                    let fault = id_fault(conflict.id);
                    ProblemError::from(if array {
                        fault.in_element(conflict.index)
                    } else {
                        fault
                    })
                });
                Problem::with_errors(Code::Conflict, faults.collect())
            }
            // Only the worker of an import submits its steps.
            RecordError::ImportLost => Problem::internal(error),
            RecordError::AttemptTooLarge => {
                let detail = "the attempt would have too many elements or too much data; send fewer different elements, or \
                    begin a new attempt with another `registration`";
                Problem::new(Code::BodyTooLarge, detail)
            }
            RecordError::SessionRule { index, fault } => {
                let code = match &fault {
                    RuleFault::Form(_) => Code::InvalidBody,
                    RuleFault::Order(_) => Code::Forbidden,
                };
                let fault = fault.fault();
                let fault = if array { fault.in_element(index) } else { fault };
                Problem::with_errors(code, ProblemError::from(fault).into())
            }
            RecordError::Unreadable { index } => {
                let detail = "a value of this record cannot be stored so that it is read back the same; check its times and numbers";
                let fault = Place::Root.fault(detail);
                let fault = if array { fault.in_element(index) } else { fault };
                fault.into()
            }
            RecordError::Store(error) => error.into(),
            RecordError::Unconfirmed { ids, cause } => Problem::from(cause).with_ids(ids.into_iter()),
        }
    }
}

/// The fault of a record with the id of a different record.
pub fn id_fault(id: StatementId) -> Fault {
    let detail = format!("a different record with the id {id} is already stored, and records never change");
    Place::Root.member("id").fault(detail)
}

impl Problem {
    /// Creates the problem for a write that cannot be done at the moment.
    pub fn not_writable(fault: WriteFault) -> Self {
        let (code, detail) = match fault {
            WriteFault::DiskFull => (
                Code::InsufficientStorage,
                "the server's disk is full, so nothing was stored; try again when its operator has made space",
            ),
            WriteFault::DiskFailed => (
                Code::Unavailable,
                "the disk of the database fails; try again in a few seconds",
            ),
            WriteFault::ReadOnly => (
                Code::Unavailable,
                "the database is read-only at the moment, so nothing was stored; try again in a few seconds",
            ),
            WriteFault::FileReplaced => (
                Code::Unavailable,
                "the file of the database was removed or replaced, so nothing was stored; \
                 try again when the server was restarted",
            ),
            WriteFault::Locked => (
                Code::Unavailable,
                "another transaction holds the lock of the writers; try again in a few seconds",
            ),
        };
        Problem::new(code, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(WRITE_FAULT_RETRY_SECONDS))
    }

    /// Creates the problem for bytes that could not be kept in a temporary file.
    pub fn from_spool_error(error: std::io::Error) -> Self {
        StoreError::File(error).into()
    }
}

impl From<StoreError> for Problem {
    /// The client learns nothing about the error, except whether trying again can help.
    fn from(error: StoreError) -> Self {
        if let Some(fault) = error.write_fault() {
            return Problem::not_writable(fault).caused_by(error);
        }
        let (code, detail) = match &error {
            StoreError::Busy => (
                Code::Unavailable,
                "another writer has locked the organisation, or too many requests wait for it; nothing was stored, try \
                 again in a few seconds",
            ),
            StoreError::Closed => (
                Code::Unavailable,
                "the server is stopping; nothing was stored, try again in a few seconds",
            ),
            StoreError::Unavailable(_) | StoreError::Disconnected(_) | StoreError::Unreachable { .. } => (
                Code::DatabaseUnavailable,
                "the database cannot be reached or is overloaded; nothing was stored, try again in a few seconds",
            ),
            StoreError::UnknownOutcome(_) => (
                Code::OutcomeUnknown,
                "the database did not confirm the change, so it may be stored or not; read the resource before you \
                 send the change again, or send records again with the ids in `ids`",
            ),
            StoreError::UnknownDatabase
            | StoreError::Connect(_)
            | StoreError::Database(_)
            | StoreError::Migrate(_)
            | StoreError::Invariant(_)
            | StoreError::Corrupt { .. }
            | StoreError::Thread(_)
            | StoreError::File(_)
            | StoreError::NotWritable { .. }
            | StoreError::Served { .. }
            | StoreError::DatabaseFile { .. }
            | StoreError::RebuildReplaced => return Problem::internal(error),
        };
        let problem = Problem::new(code, detail).caused_by(error);
        if code == Code::OutcomeUnknown {
            // Clients repeat a request by themselves if they get `Retry-After`. That could store the change twice.
            return problem;
        }
        problem.with_header(header::RETRY_AFTER, HeaderValue::from(BUSY_RETRY_SECONDS))
    }
}
