//! Launches, waivers and abandoned sessions of cmi5 (`docs/cmi5.md`). Each is one transaction, so a crash leaves either
//! everything of it or nothing.
//!
//! It uses `db`, `ingest`, `directory` and `lrs`.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::cmi5::LaunchMethod;
use crate::cmi5::launch::{BuildError, LaunchTerms, LmsStatement};
use crate::cmi5::vocabulary::{LAUNCH_DATA, LEARNER_PREFERENCES};
use crate::record::{Identifier, Statement};

use crate::store::db::blobs::{Blob, Spool, SpoolError};
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::{BACKGROUND_LOCK_WAIT, OrgTx};
use crate::store::db::{Store, StoreError};
use crate::store::directory::launches::{
    CreatedLaunch, LaunchRefusal, NewLaunch, find_parties, insert_launch,
};
use crate::store::ingest::cmi5::{
    CourseUnit, LmsStatements, Registration, SessionRow, WaiveRefusal, abandon_open_sessions, find_course,
    find_course_unit, find_newest_registration, waive,
};
use crate::store::lrs::documents::DocumentSet;

/// The maximum number of bytes of a document that Rollbook writes itself.
const DOCUMENT_BYTES: u64 = 1024 * 1024;

/// The maximum number of expired sessions that are read at once.
const EXPIRED_AT_ONCE: i64 = 100;

/// When the background looks for expired sessions again. An index has them, so that it costs next to nothing.
const EXPIRY_PAUSE: Duration = Duration::from_secs(2);

/// A launched unit.
#[derive(Debug, Clone)]
pub struct Cmi5Launch {
    /// The launch.
    pub created: CreatedLaunch,
    /// The address of the unit, without the parameters of the launch.
    pub url: String,
    /// Which window the unit needs.
    pub launch_method: LaunchMethod,
}

/// What an address that returns a token answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// The token of this launch has the new hash.
    Token {
        /// The launch's id.
        launch: Uuid,
    },
    /// The token was returned before, or the session has ended.
    UsedOrExpired,
    /// No launch has this address.
    Unknown,
}

/// Why a unit of a launch is not waived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchWaiveRefusal {
    /// The organisation has no such launch.
    UnknownLaunch,
    /// The launch is not by cmi5, or its unit is in no course any more.
    NoUnit,
    /// The rules of cmi5.
    Rule(WaiveRefusal),
}

columns! {
    /// An open session of which the time has passed.
    struct ExpiredSession {
        organisation: OrgId = "o.id",
        expires_at: Timestamp = "s.expires_at",
        org: i64 = "s.org",
        id: Uuid = "s.id",
    }
}

impl Store {
    /// Launches a unit: the launch, the session, the launch data, and the statement *launched*. An open session of the
    /// registration is abandoned (cmi5, section 9.3.6). `fetch_hash` is the SHA-256 of the secret in the address that
    /// returns the token.
    pub async fn add_cmi5_launch(
        &self,
        organisation: &OrgId,
        mut new: NewLaunch,
        fetch_hash: [u8; 32],
    ) -> Result<Result<Cmi5Launch, LaunchRefusal>, StoreError> {
        let mut tx = self.write(organisation).await?;
        let parties = match find_parties(&mut tx, &new).await? {
            Ok(parties) => parties,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(unit) = find_course_unit(&mut tx, parties.content_key()).await? else {
            return Ok(Err(LaunchRefusal::NoCourseUnit));
        };
        if new.registration.is_none() {
            new.registration = find_newest_registration(&mut tx, parties.user_key(), unit.course).await?;
        }
        let user_key = parties.user_key();
        let created = insert_launch(&mut tx, new, parties).await?;
        let registration = Registration {
            id: created.launch.registration,
            course: unit.course,
            actor: Identifier::Account {
                home_page: created.launch.home_page.clone(),
                name: created.launch.user.to_string(),
            },
        };
        let Some(is_new) = registration.find_or_insert(&mut tx, user_key).await? else {
            return Ok(Err(LaunchRefusal::ForeignRegistration));
        };
        let mut statements = LmsStatements::default();
        abandon_open_sessions(&mut tx, Some(registration.id), None, &mut statements).await?;
        let terms = launch_terms(&created, &unit);
        tx.insert_rows(vec![session_row(tx.org, &created, &unit, fetch_hash)])
            .await?;
        write_launch_data(&mut tx, &created, &registration, &terms).await?;
        write_preferences(&mut tx, &created, &registration).await?;
        statements.push(launched(&tx, &created, &registration, &terms))?;
        if is_new {
            registration
                .satisfy(&mut tx, created.launch.id, &mut statements)
                .await?;
        }
        statements.write(&mut tx).await?;
        tx.commit().await?;
        Ok(Ok(Cmi5Launch {
            created,
            url: terms.url,
            launch_method: unit.launch_method.unwrap_or_default(),
        }))
    }

    /// Gives the launch with this address a new token, once. `secret_hash` is the SHA-256 of the token.
    ///
    /// It takes no caller: the secret in the address itself proves the right.
    pub async fn fetch_launch_token(
        &self,
        fetch_hash: &[u8; 32],
        secret_hash: &[u8; 32],
    ) -> Result<Fetched, StoreError> {
        let select = Sql::new(
            "SELECT o.id, s.id FROM cmi5_sessions s JOIN organisations o ON o.key = s.org WHERE s.fetch_hash = $1",
        );
        let found: Option<(OrgId, Uuid)> = self.db().fetch_row(select.with(fetch_hash.to_vec())).await?;
        let Some((organisation, launch)) = found else {
            return Ok(Fetched::Unknown);
        };
        let mut tx = self.write(&organisation).await?;
        let now = self.clock().now();
        let mark = Sql::new(
            "UPDATE cmi5_sessions SET fetched_at = $3 WHERE org = $1 AND id = $2 AND fetched_at IS NULL \
             AND ended_at IS NULL AND expires_at > $3",
        );
        let marked = tx
            .execute(mark.with(tx.org).with(launch).with(now.micros()))
            .await?;
        let update = Sql::new(
            "UPDATE launches SET secret_hash = $3 WHERE org = $1 AND id = $2 AND revoked_at IS NULL",
        );
        let update = update.with(tx.org).with(launch).with(secret_hash.to_vec());
        if marked == 0 || tx.execute(update).await? == 0 {
            return Ok(Fetched::UsedOrExpired);
        }
        tx.commit().await?;
        Ok(Fetched::Token { launch })
    }

    /// Waives the unit of a launch in its registration (cmi5, section 9.3.7).
    pub async fn waive_launch(
        &self,
        organisation: &OrgId,
        launch: Uuid,
        reason: &str,
    ) -> Result<Result<(), LaunchWaiveRefusal>, StoreError> {
        let mut tx = self.write(organisation).await?;
        let select = format!(
            "SELECT {} FROM cmi5_sessions WHERE org = $1 AND id = $2",
            SessionRow::COLUMNS
        );
        let session: Option<SessionRow> = tx.fetch_row(Sql::new(&select).with(tx.org).with(launch)).await?;
        let Some(session) = session else {
            let known = self.find_launch(organisation, launch).await?;
            return Ok(Err(match known {
                Some(_) => LaunchWaiveRefusal::NoUnit,
                None => LaunchWaiveRefusal::UnknownLaunch,
            }));
        };
        let Some(unit) = find_course_unit(&mut tx, session.content).await? else {
            return Ok(Err(LaunchWaiveRefusal::NoUnit));
        };
        let registration = session.to_registration(unit.course);
        // A course that was imported again may have given the unit away.
        if find_course(&mut tx, registration.id).await? != Some(unit.course) {
            return Ok(Err(LaunchWaiveRefusal::NoUnit));
        }
        let mut statements = LmsStatements::default();
        if let Err(refusal) = waive(&mut tx, &registration, &unit, reason, &mut statements).await? {
            return Ok(Err(LaunchWaiveRefusal::Rule(refusal)));
        }
        statements.write(&mut tx).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Abandons the open session of a launch that was revoked.
    pub async fn abandon_launch(&self, organisation: &OrgId, launch: Uuid) -> Result<(), StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(());
        };
        let select = Sql::new("SELECT id FROM cmi5_sessions WHERE org = $1 AND id = $2 AND ended_at IS NULL");
        let open: Option<(Uuid,)> = self.db().fetch_row(select.with(org).with(launch)).await?;
        if open.is_none() {
            return Ok(());
        }
        let mut tx = self.write(organisation).await?;
        let mut statements = LmsStatements::default();
        if abandon_open_sessions(&mut tx, None, Some(launch), &mut statements).await? == 0 {
            return Ok(());
        }
        statements.write(&mut tx).await?;
        tx.commit().await
    }

    /// Abandons sessions of which the time has passed. Returns how many.
    ///
    /// Several replicas may do it at the same time: the transaction of the organisation reads again which are open. A
    /// session that cannot be abandoned is passed over until the next call, so that it holds up no other session.
    pub async fn abandon_expired_sessions(&self) -> Result<usize, StoreError> {
        let now = self.clock().now();
        let (mut after, mut abandoned) = (None, 0);
        let mut locked: HashSet<OrgId> = HashSet::new();
        loop {
            let expired = self.find_expired_sessions(now, after).await?;
            let is_last_page = (expired.len() as i64) < EXPIRED_AT_ONCE;
            for session in expired {
                after = Some((session.expires_at, session.org, session.id));
                let organisation = session.organisation;
                if locked.contains(&organisation) {
                    continue;
                }
                match self.abandon_expired_session(&organisation, session.id).await {
                    Ok(count) => abandoned += count,
                    Err(StoreError::Busy) => {
                        locked.insert(organisation);
                    }
                    Err(error) => {
                        tracing::warn!(%organisation, %error, "an expired session of cmi5 could not be abandoned");
                    }
                }
            }
            if is_last_page {
                return Ok(abandoned);
            }
        }
    }

    /// Finds open sessions that have expired, after a place in their order.
    async fn find_expired_sessions(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, i64, Uuid)>,
    ) -> Result<Vec<ExpiredSession>, StoreError> {
        let select = format!(
            "SELECT {} FROM cmi5_sessions s JOIN organisations o ON o.key = s.org WHERE s.ended_at IS NULL \
             AND s.expires_at <= $1",
            ExpiredSession::COLUMNS
        );
        let mut sql = Sql::new(&select).with(now.micros());
        if let Some((expires_at, org, id)) = after {
            sql.push(" AND (s.expires_at, s.org, s.id) > (")
                .bind(expires_at.micros());
            sql.push(", ").bind(org);
            sql.push(", ").bind(id).push(")");
        }
        sql.push(" ORDER BY s.expires_at, s.org, s.id LIMIT ")
            .bind(EXPIRED_AT_ONCE);
        self.db().fetch_rows(sql).await
    }

    async fn abandon_expired_session(
        &self,
        organisation: &OrgId,
        session: Uuid,
    ) -> Result<usize, StoreError> {
        let mut tx = self.write_within(organisation, BACKGROUND_LOCK_WAIT).await?;
        let mut statements = LmsStatements::default();
        let abandoned = abandon_open_sessions(&mut tx, None, Some(session), &mut statements).await?;
        if abandoned > 0 {
            statements.write(&mut tx).await?;
            tx.commit().await?;
        }
        Ok(abandoned)
    }

    /// Abandons expired sessions until the server stops.
    pub async fn keep_abandoning_sessions(&self) {
        loop {
            if let Err(error) = self.abandon_expired_sessions().await {
                tracing::warn!(%error, "expired sessions of cmi5 could not be abandoned");
            }
            tokio::time::sleep(EXPIRY_PAUSE).await;
        }
    }
}

/// What the launch of a unit is made of.
fn launch_terms(created: &CreatedLaunch, unit: &CourseUnit) -> LaunchTerms {
    LaunchTerms {
        session: created.launch.id,
        activity: unit.activity.clone(),
        publisher_id: unit.publisher_id.clone(),
        mode: created.launch.mode,
        url: unit.url.clone().unwrap_or_default(),
        move_on: unit.move_on.unwrap_or_default(),
        mastery_score: unit.mastery_score,
        launch_parameters: unit.launch_parameters.clone(),
        entitlement_key: unit.entitlement_key.clone(),
        return_url: created.launch.return_url.clone(),
    }
}

fn session_row(org: i64, created: &CreatedLaunch, unit: &CourseUnit, fetch_hash: [u8; 32]) -> SessionRow {
    let launch = &created.launch;
    SessionRow {
        org,
        id: launch.id,
        registration: launch.registration,
        content: unit.content,
        home_page: launch.home_page.clone(),
        user_id: launch.user.to_string(),
        publisher_id: unit.publisher_id.clone(),
        activity: unit.activity.clone(),
        mode: launch.mode,
        mastery_score: unit.mastery_score,
        fetch_hash: fetch_hash.to_vec(),
        fetched_at: None,
        launched_at: launch.created_at,
        expires_at: launch.expires_at,
        initialized_at: None,
        terminated_at: None,
        ended_at: None,
        abandoned: false,
        last_at: None,
        completed: false,
        judged: false,
    }
}

fn launched(
    tx: &OrgTx,
    created: &CreatedLaunch,
    registration: &Registration,
    terms: &LaunchTerms,
) -> Result<Statement, BuildError> {
    let statement = LmsStatement {
        id: tx.store().clock().new_statement_id(),
        actor: registration.actor.clone(),
        registration: registration.id,
        session: terms.session,
        activity: created.launch.activity.clone(),
        publisher_id: terms.publisher_id.clone(),
        at: created.launch.created_at,
    };
    statement.launched(terms)
}

/// Writes the state document with the launch data (cmi5, section 10).
async fn write_launch_data(
    tx: &mut OrgTx,
    created: &CreatedLaunch,
    registration: &Registration,
    terms: &LaunchTerms,
) -> Result<(), StoreError> {
    let set = DocumentSet::States {
        activity: created.launch.activity.clone(),
        agent: registration.actor.clone(),
        registration: Some(registration.id),
    };
    let content = to_blob(&terms.to_launch_data()).await?;
    tx.put_document(&set, LAUNCH_DATA, content, true).await
}

/// Writes the language of the launch as the learner's preference, unless the learner has preferences (cmi5, section 11).
async fn write_preferences(
    tx: &mut OrgTx,
    created: &CreatedLaunch,
    registration: &Registration,
) -> Result<(), StoreError> {
    let Some(language) = &created.launch.language else {
        return Ok(());
    };
    let set = DocumentSet::AgentProfile {
        agent: registration.actor.clone(),
    };
    let preferences = json!({"languagePreference": language, "audioPreference": "on"});
    tx.put_document(&set, LEARNER_PREFERENCES, to_blob(&preferences).await?, false)
        .await
}

async fn to_blob(value: &serde_json::Value) -> Result<Blob, StoreError> {
    let to_error = |error| match error {
        SpoolError::TooLarge => StoreError::Invariant("a document of the launch is too large"),
        SpoolError::Io(error) => StoreError::File(error),
    };
    let mut spool = Spool::new(DOCUMENT_BYTES);
    spool.push(value.to_string()).await.map_err(to_error)?;
    spool.finish().await.map_err(to_error)
}
