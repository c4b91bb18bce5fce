//! Sessions of cmi5 in the transaction that writes their statements (`docs/cmi5.md`).
//!
//! A statement of a unit is checked against its session after the ledger was locked, so that two requests at the same
//! time cannot both be the first *completed*. What follows from it is written in the same transaction: the state of the
//! session, the results of the registration, and the statements *satisfied* of blocks and the course.

mod registration;
mod sessions;

use std::sync::Arc;

use crate::base::ids::StatementId;
use crate::cmi5::launch::{BuildError, LmsStatement};
use crate::record::{Actor, Envelope, Identifier, Origin, Statement};

use crate::store::db::StoreError;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::identifier_cache::IdentifierCache;
use crate::store::ingest::new_records::{accept_all, write_accepted};
use crate::store::ingest::submission::{Incoming, Sameness, Submission};

pub use registration::WaiveRefusal;
pub(crate) use registration::{
    CourseUnit, Registration, find_course, find_course_unit, find_newest_registration, waive,
};
pub(crate) use sessions::{SessionRow, Sessions, abandon_open_sessions};

/// The version of the statements that Rollbook writes.
const VERSION: &str = "1.0.0";

/// The sender of the statements that Rollbook writes as the LMS.
const LMS: &str = "lms";

/// Statements of Rollbook as the LMS, which one transaction writes.
#[derive(Default)]
pub(crate) struct LmsStatements {
    statements: Vec<(StatementId, Statement)>,
}

impl LmsStatements {
    /// Adds a statement.
    pub(crate) fn push(&mut self, statement: Result<Statement, BuildError>) -> Result<(), StoreError> {
        let statement = statement.map_err(|error| StoreError::corrupt("cmi5 statement", error))?;
        let id = statement
            .id
            .ok_or(StoreError::Invariant("a statement of the LMS has no id"))?;
        self.statements.push((id, statement));
        Ok(())
    }

    /// The statements as one submission; `None` if there are none.
    pub(crate) async fn into_submission(self, tx: &mut OrgTx) -> Result<Option<Submission>, StoreError> {
        if self.statements.is_empty() {
            return Ok(None);
        }
        let organisation = tx.organisation().await?;
        let envelope = Arc::new(Envelope {
            origin: Origin::Xapi,
            ..Envelope::default()
        });
        let records = self.statements.into_iter().map(|(id, statement)| Incoming {
            id,
            id_was_given: false,
            statement: Arc::new(statement),
            envelope: Arc::clone(&envelope),
            sameness: Sameness::Statement,
            mark: None,
            voids_first: false,
        });
        Ok(Some(Submission {
            org: tx.organisation_id().clone(),
            records: records.collect(),
            authority: lms_authority(&organisation.account_home_page),
            version: VERSION,
            sender: LMS.to_owned(),
            adds_definitions: false,
            session: None,
            attachments: Vec::new(),
            import: None,
            attempt: None,
        }))
    }

    /// Writes the statements in the transaction.
    pub(crate) async fn write(self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let Some(submission) = self.into_submission(tx).await? else {
            return Ok(());
        };
        // Another replica may write, too, so a cache of its own is as good as that of the writer.
        let mut cache = IdentifierCache::default();
        cache.refresh(tx.cache_version());
        let submissions = [submission];
        write_accepted(tx, &mut cache, accept_all(&submissions)).await
    }
}

/// The authority of the statements that Rollbook writes as the LMS.
fn lms_authority(home_page: &str) -> String {
    let account = Identifier::Account {
        home_page: home_page.to_owned(),
        name: LMS.to_owned(),
    };
    Actor::agent(account, None).to_json()
}

/// The part of a statement that all statements about one registration share.
fn lms_statement(
    tx: &OrgTx,
    registration: &Registration,
    session: uuid::Uuid,
    (activity, publisher_id): (&str, &str),
) -> LmsStatement {
    let clock = tx.store().clock();
    LmsStatement {
        id: clock.new_statement_id(),
        actor: registration.actor.clone(),
        registration: registration.id,
        session,
        activity: activity.to_owned(),
        publisher_id: publisher_id.to_owned(),
        at: clock.now().whole_millisecond(),
    }
}
