//! The sessions that the submissions of a batch belong to.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::access::LaunchMode;
use crate::base::clock::Timestamp;
use crate::base::fault::Place;
use crate::base::ids::StatementId;
use crate::cmi5::{RuleFault, SessionState, SessionTerms, SessionUpdate, UnitResults};
use crate::record::{Identifier, Statement};

use crate::store::db::StoreError;
use crate::store::db::columns::{columns, stored_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::completion_check::CompletionCheck;
use crate::store::ingest::new_records::Accepted;
use crate::store::ingest::submission::{Incoming, RecordError, Submission};

use super::registration::{Registration, find_course_unit, find_newest_registration, find_results, waive};
use super::{LmsStatements, lms_statement};

/// The reason of a waiver by a person (cmi5, section 9.5.5.2).
const ADMINISTRATIVE: &str = "Administrative";

/// How long after *terminated* earlier statements are still taken, in microseconds (cmi5, section 9.3.8).
const GRACE_MICROS: i64 = 30 * 1_000_000;

stored_row! {
    /// A session as it is stored.
    #[derive(Debug, Clone)]
    pub(crate) struct SessionRow in "cmi5_sessions" {
        pub(crate) org: i64 = "org",
        pub(crate) id: Uuid = "id",
        pub(crate) registration: Uuid = "registration",
        pub(crate) content: i64 = "content",
        pub(crate) home_page: String = "home_page",
        pub(crate) user_id: String = "user_id",
        pub(crate) publisher_id: String = "publisher_id",
        pub(crate) activity: String = "activity",
        pub(crate) mode: LaunchMode = "mode",
        pub(crate) mastery_score: Option<f64> = "mastery_score",
        pub(crate) fetch_hash: Vec<u8> = "fetch_hash",
        pub(crate) fetched_at: Option<Timestamp> = "fetched_at",
        pub(crate) launched_at: Timestamp = "launched_at",
        pub(crate) expires_at: Timestamp = "expires_at",
        pub(crate) initialized_at: Option<Timestamp> = "initialized_at",
        pub(crate) terminated_at: Option<Timestamp> = "terminated_at",
        pub(crate) ended_at: Option<Timestamp> = "ended_at",
        pub(crate) abandoned: bool = "abandoned",
        pub(crate) last_at: Option<Timestamp> = "last_at",
        pub(crate) completed: bool = "completed",
        pub(crate) judged: bool = "judged",
    }
}

columns! {
    struct CourseOfRegistration {
        registration: Uuid = "g.registration",
        course: i64 = "g.course",
    }
}

impl SessionRow {
    fn actor(&self) -> Identifier {
        Identifier::Account {
            home_page: self.home_page.clone(),
            name: self.user_id.clone(),
        }
    }

    /// The registration of the session.
    pub(crate) fn to_registration(&self, course: i64) -> Registration {
        Registration {
            id: self.registration,
            course,
            actor: self.actor(),
        }
    }

    fn terms(&self) -> SessionTerms {
        SessionTerms {
            actor: self.actor(),
            session: self.id,
            registration: self.registration,
            activity: self.activity.clone(),
            publisher_id: self.publisher_id.clone(),
            mastery_score: self.mastery_score,
            mode: self.mode,
        }
    }

    fn state(&self, results: UnitResults) -> SessionState {
        SessionState {
            initialized_at: self.initialized_at,
            terminated_at: self.terminated_at,
            ended_at: self.ended_at,
            abandoned: self.abandoned,
            last_at: self.last_at,
            completed: self.completed,
            judged: self.judged,
            results,
        }
    }

    fn set_state(&mut self, state: SessionState) {
        self.initialized_at = state.initialized_at;
        self.terminated_at = state.terminated_at;
        self.ended_at = state.ended_at;
        self.abandoned = state.abandoned;
        self.last_at = state.last_at;
        self.completed = state.completed;
        self.judged = state.judged;
    }

    /// Writes what statements change.
    async fn update(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let micros = |at: Option<Timestamp>| at.map(Timestamp::micros);
        let update = Sql::new(
            "UPDATE cmi5_sessions SET initialized_at = $3, terminated_at = $4, ended_at = $5, abandoned = $6, \
             last_at = $7, completed = $8, judged = $9 WHERE org = $1 AND id = $2",
        );
        let update = update
            .with(tx.org)
            .with(self.id)
            .with(micros(self.initialized_at))
            .with(micros(self.terminated_at))
            .with(micros(self.ended_at))
            .with(self.abandoned)
            .with(micros(self.last_at))
            .with(self.completed)
            .with(self.judged);
        tx.execute(update).await?;
        Ok(())
    }

    /// Ends the session without *terminated* (cmi5, section 9.3.6). The time of the session is that from *launched* to the
    /// last statement (section 9.5.4.2). The clock of the learner's device may be ahead, so it ends now at the latest.
    async fn abandon(&mut self, tx: &mut OrgTx, statements: &mut LmsStatements) -> Result<(), StoreError> {
        let now = tx.store().clock().now().whole_millisecond();
        let micros = self.last_at.map_or(0, |last| {
            last.min(now).micros().saturating_sub(self.launched_at.micros())
        });
        self.ended_at = Some(now);
        self.abandoned = true;
        self.update(tx).await?;
        // The course does not matter for this statement.
        let registration = self.to_registration(0);
        let statement = lms_statement(
            tx,
            &registration,
            self.id,
            (self.activity.as_str(), self.publisher_id.as_str()),
        );
        statements.push(statement.abandoned(micros))
    }
}

/// Abandons the open sessions of a registration, or the open session with this id. Returns how many there were.
pub(crate) async fn abandon_open_sessions(
    tx: &mut OrgTx,
    registration: Option<Uuid>,
    session: Option<Uuid>,
    statements: &mut LmsStatements,
) -> Result<usize, StoreError> {
    let select = format!(
        "SELECT {} FROM cmi5_sessions WHERE org = $1 AND ended_at IS NULL",
        SessionRow::COLUMNS
    );
    let mut sql = Sql::new(&select).with(tx.org);
    if let Some(registration) = registration {
        sql.push(" AND registration = ").bind(registration);
    }
    if let Some(session) = session {
        sql.push(" AND id = ").bind(session);
    }
    sql.push(" ORDER BY launched_at");
    let mut sessions: Vec<SessionRow> = tx.fetch_rows(sql).await?;
    for session in &mut sessions {
        session.abandon(tx, statements).await?;
    }
    Ok(sessions.len())
}

/// The sessions of a batch of submissions, with the changes of those that are accepted.
pub(crate) struct Sessions {
    now: Timestamp,
    rows: HashMap<Uuid, SessionRow>,
    /// The results of a unit in a registration.
    results: HashMap<(Uuid, i64), UnitResults>,
    courses: HashMap<Uuid, i64>,
    changed: HashSet<Uuid>,
    /// The sessions by which results changed, in their order.
    reached: Vec<Uuid>,
}

impl Sessions {
    /// Loads the sessions to which submissions belong. A batch without such submissions costs no query.
    pub(crate) async fn load(tx: &mut OrgTx, submissions: &[Submission]) -> Result<Self, StoreError> {
        let mut sessions = Self {
            now: tx.store().clock().now(),
            rows: HashMap::new(),
            results: HashMap::new(),
            courses: HashMap::new(),
            changed: HashSet::new(),
            reached: Vec::new(),
        };
        let ids: HashSet<Uuid> = submissions
            .iter()
            .filter_map(|submission| submission.session)
            .collect();
        if ids.is_empty() {
            return Ok(sessions);
        }
        let select = format!(
            "SELECT {} FROM cmi5_sessions WHERE org = $1 AND id IN LIST($2)",
            SessionRow::COLUMNS
        );
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let rows: Vec<SessionRow> = tx.fetch_rows(Sql::new(&select).with(tx.org).with(ids)).await?;
        let registrations: Vec<Uuid> = rows.iter().map(|row| row.registration).collect();
        let select = format!(
            "SELECT {} FROM cmi5_registrations g WHERE g.org = $1 AND g.registration IN LIST($2)",
            CourseOfRegistration::COLUMNS
        );
        let courses: Vec<CourseOfRegistration> = tx
            .fetch_rows(Sql::new(&select).with(tx.org).with(registrations))
            .await?;
        sessions.courses = courses
            .into_iter()
            .map(|row| (row.registration, row.course))
            .collect();
        for row in rows {
            let results = find_results(tx, row.registration, row.content).await?;
            sessions.results.insert((row.registration, row.content), results);
            sessions.rows.insert(row.id, row);
        }
        Ok(sessions)
    }

    /// Checks the new records of a submission and notes what they change.
    ///
    /// # Errors
    ///
    /// The first wrong record, and why it is wrong.
    pub(crate) fn apply(
        &mut self,
        submission: &Submission,
        records: &[&Incoming],
    ) -> Result<(), RecordError> {
        let Some(id) = submission.session else {
            return Ok(());
        };
        let Some(row) = self.rows.get_mut(&id) else {
            let fault = Place::Root.fault("the session of the launch does not exist; launch the unit again");
            return Err(RecordError::SessionRule {
                index: 0,
                fault: RuleFault::Order(fault),
            });
        };
        let key = (row.registration, row.content);
        let before = self.results.get(&key).copied().unwrap_or_default();
        let terms = row.terms();
        let statements: Vec<(StatementId, bool, &Statement)> = records
            .iter()
            .map(|record| (record.id, record.id_was_given, &*record.statement))
            .collect();
        let update = SessionUpdate::new(&terms, row.state(before), self.now, GRACE_MICROS);
        let state = update.check(&statements).map_err(|(index, fault)| {
            let id = records.get(index).map(|record| record.id);
            let index = submission.records.iter().position(|record| Some(record.id) == id);
            RecordError::SessionRule {
                index: index.unwrap_or(0),
                fault,
            }
        })?;
        if records.is_empty() {
            return Ok(());
        }
        row.set_state(state);
        self.changed.insert(id);
        if state.results != before {
            self.results.insert(key, state.results);
            self.reached.push(id);
        }
        Ok(())
    }

    /// Writes the changes, and waives the units that the accepted records mark as complete. Returns the statements that
    /// follow from them.
    pub(crate) async fn write(
        self,
        tx: &mut OrgTx,
        accepted: &[Accepted<'_>],
    ) -> Result<Option<Submission>, StoreError> {
        for id in &self.changed {
            if let Some(row) = self.rows.get(id) {
                row.update(tx).await?;
            }
        }
        let mut statements = LmsStatements::default();
        for id in &self.reached {
            let Some(row) = self.rows.get(id) else { continue };
            let Some(course) = self.courses.get(&row.registration) else {
                continue;
            };
            let registration = row.to_registration(*course);
            let key = (row.registration, row.content);
            let results = self.results.get(&key).copied().unwrap_or_default();
            registration.write_results(tx, row.content, results).await?;
            registration.satisfy(tx, row.id, &mut statements).await?;
        }
        waive_marked(tx, accepted, &mut statements).await?;
        statements.into_submission(tx).await
    }
}

/// Waives the units that somebody marks as complete for a learner, in the newest registration of the learner.
async fn waive_marked(
    tx: &mut OrgTx,
    accepted: &[Accepted<'_>],
    statements: &mut LmsStatements,
) -> Result<(), StoreError> {
    let marked: Vec<(i64, i64)> = accepted
        .iter()
        .filter_map(|record| record.mark())
        .map(CompletionCheck::keys)
        .collect();
    if marked.is_empty() {
        return Ok(());
    }
    let contents: HashSet<i64> = marked.iter().map(|(_, content)| *content).collect();
    for content in contents {
        let Some(unit) = find_course_unit(tx, content).await? else {
            continue;
        };
        for (user, _) in marked.iter().filter(|(_, marked)| *marked == content) {
            let Some(registration) = find_newest_enrolment(tx, *user, unit.course).await? else {
                continue;
            };
            // A unit that is waived or satisfied already needs nothing.
            let _ = waive(tx, &registration, &unit, ADMINISTRATIVE, statements).await?;
        }
    }
    Ok(())
}

/// The newest registration of a user for a course, with the actor of its sessions.
async fn find_newest_enrolment(
    tx: &mut OrgTx,
    user_key: i64,
    course: i64,
) -> Result<Option<Registration>, StoreError> {
    let Some(id) = find_newest_registration(tx, user_key, course).await? else {
        return Ok(None);
    };
    let select = format!(
        "SELECT {} FROM cmi5_sessions WHERE org = $1 AND registration = $2 LIMIT 1",
        SessionRow::COLUMNS
    );
    let session: Option<SessionRow> = tx.fetch_row(Sql::new(&select).with(tx.org).with(id)).await?;
    Ok(session.map(|session| session.to_registration(course)))
}
