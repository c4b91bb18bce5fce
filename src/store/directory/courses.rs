//! Imported course structures of cmi5: their elements are contents of the catalogue (`docs/specification.md#courses`).
//!
//! The id of an element follows from the publisher's ids of the course and the element, so a course that is imported
//! again updates the same contents.

mod import;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;
use utoipa::openapi::{Ref, RefOr};
use uuid::Uuid;

use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::cmi5::{LaunchMethod, MoveOn, UnitResults};

use crate::store::db::columns::columns;
use crate::store::db::conversions::{Json, converted};
use crate::store::db::database::Sql;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::rows::Reads;
use crate::store::db::{Store, StoreError, digest};

pub use import::ImportedCourse;

/// A text for each language.
pub type Texts = BTreeMap<String, String>;

/// The kind of an element, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredKind {
    /// The course itself.
    Course,
    /// A block.
    Block,
    /// An assignable unit.
    Unit,
}

converted!(StoredKind as i16,
read |code| match code {
    1 => Ok(StoredKind::Course),
    2 => Ok(StoredKind::Block),
    3 => Ok(StoredKind::Unit),
    code => Err(StoreError::corrupt("kind of an element", code)),
},
write |kind: StoredKind| match kind {
    StoredKind::Course => 1,
    StoredKind::Block => 2,
    StoredKind::Unit => 3,
});
converted!(MoveOn as String,
    read |key: String| key.parse().map_err(|error| StoreError::corrupt("moveOn", error)),
    write |move_on: MoveOn| move_on.key().to_owned());
converted!(LaunchMethod as String,
    read |key: String| key.parse().map_err(|error| StoreError::corrupt("launchMethod", error)),
    write |method: LaunchMethod| method.key().to_owned());

/// A learning objective of a course.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CourseObjective)]
pub struct StoredObjective {
    /// The id that its publisher chose.
    #[schema(format = "uri")]
    pub publisher_id: String,
    /// The title in each language.
    #[schema(schema_with = language_map_schema)]
    pub title: Texts,
    /// The description in each language.
    #[schema(schema_with = language_map_schema)]
    pub description: Texts,
}

fn language_map_schema() -> RefOr<Schema> {
    Ref::from_schema_name("LanguageMap").into()
}

columns! {
    /// A course without its tree.
    pub struct StoredCourse {
        /// The content's key.
        pub key: i64 = "c.key",
        /// The content's id.
        pub id: String = "c.id",
        /// The content's IRI.
        pub iri: String = "c.iri",
        /// The id that its publisher chose.
        pub publisher_id: String = "e.publisher_id",
        /// The title in each language.
        title: Json<Texts> = "e.title",
        /// The description in each language.
        description: Json<Texts> = "e.description",
        /// The objectives.
        objectives: Json<Vec<StoredObjective>> = "k.objectives",
        /// When it was imported for the first time.
        pub imported_at: Timestamp = "k.imported_at",
        /// When it was imported for the last time.
        pub updated_at: Timestamp = "k.updated_at",
    }
}

impl StoredCourse {
    /// The title in each language.
    pub fn title(&self) -> &Texts {
        &self.title.0
    }

    /// The description in each language.
    pub fn description(&self) -> &Texts {
        &self.description.0
    }

    /// The objectives.
    pub fn objectives(&self) -> &[StoredObjective] {
        &self.objectives.0
    }
}

columns! {
    /// A course, a block or a unit.
    pub struct StoredElement {
        /// The content's key.
        pub key: i64 = "e.content",
        /// The key of the course.
        pub course: i64 = "e.course",
        /// The key of the content that contains it.
        pub parent: Option<i64> = "e.parent",
        /// What it is.
        pub kind: StoredKind = "e.kind",
        /// The content's id.
        pub id: String = "c.id",
        /// The content's IRI.
        pub iri: String = "c.iri",
        /// The id that its publisher chose.
        pub publisher_id: String = "e.publisher_id",
        /// The title in each language.
        title: Json<Texts> = "e.title",
        /// The description in each language.
        description: Json<Texts> = "e.description",
        /// The publisher's ids of its objectives.
        objectives: Json<Vec<String>> = "e.objectives",
        /// The address of a unit.
        pub url: Option<String> = "e.url",
        /// When a unit is satisfied.
        pub move_on: Option<MoveOn> = "e.move_on",
        /// The lowest scaled score that passes.
        pub mastery_score: Option<f64> = "e.mastery_score",
        /// Which window a unit needs.
        pub launch_method: Option<LaunchMethod> = "e.launch_method",
        /// The parameters of the course's designer.
        pub launch_parameters: Option<String> = "e.launch_parameters",
        /// The key by which a unit recognises the platform.
        pub entitlement_key: Option<String> = "e.entitlement_key",
        /// The activity type of a unit.
        pub activity_type: Option<String> = "e.activity_type",
    }
}

impl StoredElement {
    /// The title in each language.
    pub fn title(&self) -> &Texts {
        &self.title.0
    }

    /// The description in each language.
    pub fn description(&self) -> &Texts {
        &self.description.0
    }

    /// The publisher's ids of its objectives.
    pub fn objectives(&self) -> &[String] {
        &self.objectives.0
    }
}

/// The tables of [`StoredElement`].
pub(crate) const ELEMENT_TABLES: &str =
    "course_elements e JOIN contents c ON c.org = e.org AND c.key = e.content";

/// The tables of [`StoredCourse`].
const COURSE_TABLES: &str = "courses k JOIN course_elements e ON e.org = k.org AND e.content = k.content \
     JOIN contents c ON c.org = k.org AND c.key = k.content";

/// What a user has reached in a course.
#[derive(Debug, Clone, Default)]
pub struct CourseProgress {
    /// The newest registration; `None` if the user has none.
    pub registration: Option<Uuid>,
    /// The results by the key of the element. An element without results is not in it.
    pub results: HashMap<i64, ElementProgress>,
}

/// What a user has reached in a unit, block or course.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ElementProgress {
    /// The results of a unit.
    pub unit: UnitResults,
    /// Whether a block or course is satisfied.
    pub satisfied: bool,
}

columns! {
    /// The newest registration of a user for a course.
    struct NewestRegistration {
        course: i64 = "g.course",
        registration: Uuid = "g.registration",
        satisfied: Option<bool> = "r.satisfied",
    }
}

columns! {
    /// A row of `cmi5_results`.
    pub(crate) struct ResultRow {
        pub(crate) content: i64 = "r.content",
        pub(crate) completed: bool = "r.completed",
        pub(crate) passed: bool = "r.passed",
        pub(crate) waived: bool = "r.waived",
        pub(crate) satisfied: bool = "r.satisfied",
    }
}

impl ResultRow {
    pub(crate) fn progress(&self) -> ElementProgress {
        ElementProgress {
            unit: UnitResults {
                completed: self.completed,
                passed: self.passed,
                waived: self.waived,
            },
            satisfied: self.satisfied,
        }
    }
}

impl Store {
    /// Lists courses by id, after the id `after`.
    pub async fn list_courses(
        &self,
        organisation: &OrgId,
        after: Option<&str>,
        limits: PageLimits,
    ) -> Result<Page<StoredCourse>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let select = format!(
            "SELECT {} FROM {COURSE_TABLES} WHERE k.org = $1",
            StoredCourse::COLUMNS
        );
        let mut sql = Sql::new(&select).with(org);
        if let Some(after) = after {
            sql.push(" AND c.id > ").bind(after);
        }
        sql.push(" ORDER BY c.id");
        self.db().fetch_page(sql, limits).await
    }

    /// Finds a course with all of its elements, in the order of the document.
    pub async fn find_course(
        &self,
        organisation: &OrgId,
        id: &str,
    ) -> Result<Option<(StoredCourse, Vec<StoredElement>)>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = format!(
            "SELECT {} FROM {COURSE_TABLES} WHERE k.org = $1 AND c.id_digest = $2",
            StoredCourse::COLUMNS
        );
        let select = Sql::new(&select).with(org).with(digest(id));
        let Some(course) = self.db().fetch_row::<StoredCourse>(select).await? else {
            return Ok(None);
        };
        let elements = load_elements(&mut self.db(), org, course.key).await?;
        Ok(Some((course, elements)))
    }

    /// What a user has reached in the newest registration for a course, or in a given one. The caller has checked that the
    /// user is in its reach.
    pub async fn find_course_progress(
        &self,
        organisation: &OrgId,
        user: &UserId,
        course: i64,
        registration: Option<Uuid>,
    ) -> Result<CourseProgress, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(CourseProgress::default());
        };
        let mut sql = Sql::new(
            "SELECT g.registration FROM cmi5_registrations g \
             JOIN users u ON u.org = g.org AND u.key = g.user_key \
             WHERE g.org = $1 AND u.id = $2 AND g.course = $3",
        )
        .with(org)
        .with(user.as_str())
        .with(course);
        if let Some(registration) = registration {
            sql.push(" AND g.registration = ").bind(registration);
        }
        sql.push(" ORDER BY g.key DESC LIMIT 1");
        let found: Option<(Uuid,)> = self.db().fetch_row(sql).await?;
        let Some((registration,)) = found else {
            return Ok(CourseProgress::default());
        };
        let rows = load_results(&mut self.db(), org, registration).await?;
        Ok(CourseProgress {
            registration: Some(registration),
            results: rows.iter().map(|row| (row.content, row.progress())).collect(),
        })
    }

    /// What a user has reached in the newest registrations for courses, by the key of the course. Of the results, only
    /// those of the courses themselves are in it. The caller has checked that the user is in its reach.
    pub async fn find_courses_progress(
        &self,
        organisation: &OrgId,
        user: &UserId,
        courses: Vec<i64>,
    ) -> Result<HashMap<i64, CourseProgress>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(HashMap::new());
        };
        // The index of the user's registrations answers `max` for each course without reading the older ones.
        let select = format!(
            "SELECT {} FROM users u JOIN courses k ON k.org = u.org \
             JOIN cmi5_registrations g ON g.org = u.org AND g.user_key = u.key AND g.course = k.content AND g.key = \
             (SELECT max(n.key) FROM cmi5_registrations n WHERE n.org = $1 AND n.user_key = u.key \
             AND n.course = k.content) \
             LEFT JOIN cmi5_results r ON r.org = g.org AND r.registration = g.registration AND r.content = g.course \
             WHERE u.org = $1 AND u.id = $2 AND k.content IN LIST($3)",
            NewestRegistration::COLUMNS
        );
        let select = Sql::new(&select).with(org).with(user.as_str()).with(courses);
        let newest: Vec<NewestRegistration> = self.db().fetch_rows(select).await?;
        let progress = |row: NewestRegistration| {
            let reached = ElementProgress {
                satisfied: row.satisfied.unwrap_or(false),
                ..ElementProgress::default()
            };
            let progress = CourseProgress {
                registration: Some(row.registration),
                results: HashMap::from([(row.course, reached)]),
            };
            (row.course, progress)
        };
        Ok(newest.into_iter().map(progress).collect())
    }
}

/// The elements of a course, in the order of the document.
pub(crate) async fn load_elements(
    reads: &mut impl Reads,
    org: i64,
    course: i64,
) -> Result<Vec<StoredElement>, StoreError> {
    let select = format!(
        "SELECT {} FROM {ELEMENT_TABLES} WHERE e.org = $1 AND e.course = $2 ORDER BY e.place",
        StoredElement::COLUMNS
    );
    let rows = reads.rows(Sql::new(&select).with(org).with(course)).await?;
    rows.iter().map(StoredElement::read).collect()
}

/// The results of a registration.
pub(crate) async fn load_results(
    reads: &mut impl Reads,
    org: i64,
    registration: Uuid,
) -> Result<Vec<ResultRow>, StoreError> {
    let select = format!(
        "SELECT {} FROM cmi5_results r WHERE r.org = $1 AND r.registration = $2",
        ResultRow::COLUMNS
    );
    let rows = reads.rows(Sql::new(&select).with(org).with(registration)).await?;
    rows.iter().map(ResultRow::read).collect()
}
