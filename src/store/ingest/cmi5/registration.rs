//! Registrations of cmi5: what a learner has reached in a course.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::cmi5::satisfaction::{TreeElement, find_newly_satisfied};
use crate::cmi5::{LaunchMethod, MoveOn, UnitResults};
use crate::record::Identifier;
use crate::record::language::{LanguageMap, LanguageTag};

use crate::store::db::StoreError;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::conversions::Json;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

use super::{LmsStatements, lms_statement};

/// `course_elements.kind` of the course itself.
pub(crate) const COURSE: i16 = 1;
/// `course_elements.kind` of an assignable unit.
pub(crate) const UNIT: i16 = 3;

/// A learner's registration for a course.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Registration {
    /// Its id.
    pub(crate) id: Uuid,
    /// The course.
    pub(crate) course: i64,
    /// The learner, as statements name the actor.
    pub(crate) actor: Identifier,
}

columns! {
    /// An assignable unit, as a launch needs it.
    #[derive(Debug, Clone)]
    pub(crate) struct CourseUnit {
        pub(crate) content: i64 = "e.content",
        pub(crate) course: i64 = "e.course",
        pub(crate) activity: String = "c.iri",
        pub(crate) publisher_id: String = "e.publisher_id",
        pub(crate) url: Option<String> = "e.url",
        pub(crate) move_on: Option<MoveOn> = "e.move_on",
        pub(crate) mastery_score: Option<f64> = "e.mastery_score",
        pub(crate) launch_method: Option<LaunchMethod> = "e.launch_method",
        pub(crate) launch_parameters: Option<String> = "e.launch_parameters",
        pub(crate) entitlement_key: Option<String> = "e.entitlement_key",
    }
}

columns! {
    /// An element with what the registration has reached in it.
    struct ReachedElement {
        key: i64 = "e.content",
        parent: Option<i64> = "e.parent",
        kind: i16 = "e.kind",
        move_on: Option<MoveOn> = "e.move_on",
        completed: Option<bool> = "r.completed",
        passed: Option<bool> = "r.passed",
        waived: Option<bool> = "r.waived",
        satisfied: Option<bool> = "r.satisfied",
    }
}

columns! {
    /// A block or course, as a statement names it.
    struct NamedElement {
        key: i64 = "e.content",
        kind: i16 = "e.kind",
        activity: String = "c.iri",
        publisher_id: String = "e.publisher_id",
        title: Json<std::collections::BTreeMap<String, String>> = "e.title",
    }
}

table_row! {
    struct RegistrationRow in "cmi5_registrations" {
        org: i64 = "org",
        registration: Uuid = "registration",
        key: i64 = "key",
        user_key: i64 = "user_key",
        course: i64 = "course",
        created_at: Timestamp = "created_at",
    }
}

impl ReachedElement {
    fn to_tree_element(&self) -> TreeElement {
        let is_unit = self.kind == UNIT;
        let results = UnitResults {
            completed: self.completed.unwrap_or(false),
            passed: self.passed.unwrap_or(false),
            waived: self.waived.unwrap_or(false),
        };
        TreeElement {
            key: self.key,
            parent: self.parent,
            is_unit,
            satisfied: match is_unit {
                true => self.move_on.unwrap_or_default().is_satisfied(results),
                false => self.satisfied.unwrap_or(false),
            },
        }
    }
}

/// Finds the assignable unit that a content is; `None` if it is none.
pub(crate) async fn find_course_unit(tx: &mut OrgTx, content: i64) -> Result<Option<CourseUnit>, StoreError> {
    let select = format!(
        "SELECT {} FROM course_elements e JOIN contents c ON c.org = e.org AND c.key = e.content \
         WHERE e.org = $1 AND e.content = $2 AND e.kind = $3",
        CourseUnit::COLUMNS
    );
    tx.fetch_row(Sql::new(&select).with(tx.org).with(content).with(UNIT))
        .await
}

/// Finds the newest registration of a user for a course.
pub(crate) async fn find_newest_registration(
    tx: &mut OrgTx,
    user_key: i64,
    course: i64,
) -> Result<Option<Uuid>, StoreError> {
    let select = Sql::new(
        "SELECT registration FROM cmi5_registrations WHERE org = $1 AND user_key = $2 AND course = $3 \
         ORDER BY key DESC LIMIT 1",
    );
    let found: Option<(Uuid,)> = tx
        .fetch_row(select.with(tx.org).with(user_key).with(course))
        .await?;
    Ok(found.map(|(id,)| id))
}

/// Finds the course of a registration.
pub(crate) async fn find_course(tx: &mut OrgTx, registration: Uuid) -> Result<Option<i64>, StoreError> {
    let select = Sql::new("SELECT course FROM cmi5_registrations WHERE org = $1 AND registration = $2");
    let found: Option<(i64,)> = tx.fetch_row(select.with(tx.org).with(registration)).await?;
    Ok(found.map(|(course,)| course))
}

impl Registration {
    /// Inserts the registration unless it exists. Returns whether it is new; `None` if it belongs to another user or
    /// course. A new one must be evaluated (cmi5, section 9.6.1): see [`Registration::satisfy`].
    pub(crate) async fn find_or_insert(
        &self,
        tx: &mut OrgTx,
        user_key: i64,
    ) -> Result<Option<bool>, StoreError> {
        let select =
            Sql::new("SELECT user_key, course FROM cmi5_registrations WHERE org = $1 AND registration = $2");
        let existing: Option<(i64, i64)> = tx.fetch_row(select.with(tx.org).with(self.id)).await?;
        if let Some(existing) = existing {
            return Ok((existing == (user_key, self.course)).then_some(false));
        }
        let row = RegistrationRow {
            org: tx.org,
            registration: self.id,
            key: tx.next_key(),
            user_key,
            course: self.course,
            created_at: tx.store().clock().now().whole_millisecond(),
        };
        tx.insert_rows(vec![row]).await?;
        Ok(Some(true))
    }

    /// Writes the results of a unit.
    pub(crate) async fn write_results(
        &self,
        tx: &mut OrgTx,
        content: i64,
        results: UnitResults,
    ) -> Result<(), StoreError> {
        upsert_results(tx, self.id, content, results, false).await
    }

    /// Adds a *satisfied* statement for each block and for the course, if everything in it is satisfied now and was not
    /// before (cmi5, section 9.3.9).
    pub(crate) async fn satisfy(
        &self,
        tx: &mut OrgTx,
        session: Uuid,
        statements: &mut LmsStatements,
    ) -> Result<(), StoreError> {
        let select = format!(
            "SELECT {} FROM course_elements e LEFT JOIN cmi5_results r ON r.org = e.org AND r.registration = $3 \
             AND r.content = e.content WHERE e.org = $1 AND e.course = $2 ORDER BY e.place",
            ReachedElement::COLUMNS
        );
        let select = Sql::new(&select).with(tx.org).with(self.course).with(self.id);
        let elements: Vec<ReachedElement> = tx.fetch_rows(select).await?;
        let tree: Vec<TreeElement> = elements.iter().map(ReachedElement::to_tree_element).collect();
        let newly = find_newly_satisfied(&tree);
        if newly.is_empty() {
            return Ok(());
        }
        let select = format!(
            "SELECT {} FROM course_elements e JOIN contents c ON c.org = e.org AND c.key = e.content \
             WHERE e.org = $1 AND e.content IN LIST($2)",
            NamedElement::COLUMNS
        );
        let select = Sql::new(&select).with(tx.org).with(newly.clone());
        let named: Vec<NamedElement> = tx.fetch_rows(select).await?;
        for key in newly {
            let Some(element) = named.iter().find(|element| element.key == key) else {
                continue;
            };
            upsert_results(tx, self.id, key, UnitResults::default(), true).await?;
            let statement = lms_statement(
                tx,
                self,
                session,
                (element.activity.as_str(), element.publisher_id.as_str()),
            );
            let title: LanguageMap = element
                .title
                .0
                .iter()
                .filter_map(|(tag, text)| Some((LanguageTag::parse(tag)?, text.clone())))
                .collect();
            statements.push(statement.satisfied(element.kind == COURSE, &title))?;
        }
        Ok(())
    }
}

async fn upsert_results(
    tx: &mut OrgTx,
    registration: Uuid,
    content: i64,
    results: UnitResults,
    satisfied: bool,
) -> Result<(), StoreError> {
    let upsert = Sql::new(
        "INSERT INTO cmi5_results (org, registration, content, completed, passed, waived, satisfied) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (org, registration, content) DO UPDATE SET \
         completed = excluded.completed, passed = excluded.passed, waived = excluded.waived, \
         satisfied = excluded.satisfied",
    );
    let upsert = upsert
        .with(tx.org)
        .with(registration)
        .with(content)
        .with(results.completed)
        .with(results.passed)
        .with(results.waived)
        .with(satisfied);
    tx.execute(upsert).await?;
    Ok(())
}

/// What a registration has reached in a unit.
pub(super) async fn find_results(
    tx: &mut OrgTx,
    registration: Uuid,
    content: i64,
) -> Result<UnitResults, StoreError> {
    let select = Sql::new(
        "SELECT completed, passed, waived FROM cmi5_results WHERE org = $1 AND registration = $2 AND content = $3",
    );
    let found: Option<(bool, bool, bool)> = tx
        .fetch_row(select.with(tx.org).with(registration).with(content))
        .await?;
    Ok(
        found.map_or_else(UnitResults::default, |(completed, passed, waived)| UnitResults {
            completed,
            passed,
            waived,
        }),
    )
}

/// Why a unit is not waived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaiveRefusal {
    /// It is waived already in this registration (cmi5, section 9.3.7).
    AlreadyWaived,
    /// The learner has satisfied it already.
    AlreadySatisfied,
}

/// Waives a unit in a registration (cmi5, section 9.3.7), with a session id of its own.
pub(crate) async fn waive(
    tx: &mut OrgTx,
    registration: &Registration,
    unit: &CourseUnit,
    reason: &str,
    statements: &mut LmsStatements,
) -> Result<Result<(), WaiveRefusal>, StoreError> {
    let results = find_results(tx, registration.id, unit.content).await?;
    if results.waived {
        return Ok(Err(WaiveRefusal::AlreadyWaived));
    }
    if unit.move_on.unwrap_or_default().is_satisfied(results) {
        return Ok(Err(WaiveRefusal::AlreadySatisfied));
    }
    let session = tx.store().clock().new_uuid();
    let waived = UnitResults {
        waived: true,
        ..results
    };
    registration.write_results(tx, unit.content, waived).await?;
    let statement = lms_statement(
        tx,
        registration,
        session,
        (unit.activity.as_str(), unit.publisher_id.as_str()),
    );
    statements.push(statement.waived(reason))?;
    registration.satisfy(tx, session, statements).await?;
    Ok(Ok(()))
}
