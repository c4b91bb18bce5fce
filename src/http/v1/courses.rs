//! `/v1/courses`: course structures of cmi5 (`docs/specification.md#courses`, `docs/cmi5.md`).
//!
//! A course is imported from its `cmi5.xml` or from a ZIP package. The course, its blocks and its units become contents
//! of the catalogue. Every person may read the trees; what a user has reached is shown to callers that may read the log
//! of the user.

mod document;

use std::collections::HashMap;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::Action as _;
use crate::access::permit::{ManageCatalogue, ReadActivities, ReadCatalogue};
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::cmi5::{LaunchMethod, MoveOn};
use crate::http::auth::Caller;
use crate::http::keyed::{Listing, path_segment};
use crate::http::openapi::LanguageMap;
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::store::{
    CourseProgress, ElementProgress, StoredCourse, StoredElement, StoredKind, StoredObjective, Texts,
};

use document::{read_base_url, receive_structure, to_problem};

routes! {
    "/v1/courses" => { get: list_courses, post: import_course },
    "/v1/courses/{id}" => { get: read_course },
}

/// A page of courses.
#[derive(Debug, Serialize, ToSchema)]
pub struct CourseList {
    /// The courses without their trees, by id.
    pub courses: Vec<CourseHead>,
    /// The next page; `null` on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// A course without its tree.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "course-5f2b9f0c3f6e4a5d8c7b6a59", "iri": "https://lms.example.org/contents/course-5f2b9f0c3f6e4a5d8c7b6a59",
    "publisher_id": "https://publisher.example.org/courses/geology", "title": {"en-US": "Geology"},
    "description": {"en-US": "The study of the solid earth."}, "imported_at": "2026-03-02T08:30:00.000Z",
    "updated_at": "2026-03-02T08:30:00.000Z"
}))]
pub struct CourseHead {
    /// The id of the course in the catalogue. It follows from the publisher's id.
    pub id: String,
    /// The IRI by which statements name the course.
    #[schema(format = "uri")]
    pub iri: String,
    /// The id that the publisher chose.
    #[schema(format = "uri")]
    pub publisher_id: String,
    /// The title in each language.
    #[schema(value_type = LanguageMap)]
    pub title: Texts,
    /// The description in each language.
    #[schema(value_type = LanguageMap)]
    pub description: Texts,
    /// When it was imported for the first time.
    #[schema(value_type = String, format = DateTime)]
    pub imported_at: Timestamp,
    /// When it was imported for the last time.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// With `user`: what the user has reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<EnrolmentProgress>,
}

/// What a user has reached in a course.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"user": "bo", "registration": "0190a000-0000-7000-8000-00000000000f", "satisfied": false}))]
pub struct EnrolmentProgress {
    /// The user.
    #[schema(value_type = String)]
    pub user: UserId,
    /// The registration: the newest one, or the requested one. Null if the user has none.
    #[schema(required = true)]
    pub registration: Option<Uuid>,
    /// Whether everything in the course is satisfied.
    pub satisfied: bool,
}

/// A course with its tree.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "course-5f2b9f0c3f6e4a5d8c7b6a59", "iri": "https://lms.example.org/contents/course-5f2b9f0c3f6e4a5d8c7b6a59",
    "publisher_id": "https://publisher.example.org/courses/geology", "title": {"en-US": "Geology"},
    "description": {"en-US": "The study of the solid earth."}, "imported_at": "2026-03-02T08:30:00.000Z",
    "updated_at": "2026-03-02T08:30:00.000Z", "objectives": [],
    "children": [{
        "kind": "unit", "id": "au-0a1b2c3d4e5f60718293a4b5",
        "iri": "https://lms.example.org/contents/au-0a1b2c3d4e5f60718293a4b5",
        "publisher_id": "https://publisher.example.org/courses/geology/rocks", "title": {"en-US": "Rocks"},
        "description": {"en-US": "Three kinds of rock."}, "objectives": [],
        "unit": {
            "url": "https://publisher.example.org/rocks/index.html", "move_on": "CompletedAndPassed",
            "mastery_score": 0.8, "launch_method": "AnyWindow", "launch_parameters": null, "activity_type": null
        }
    }]
}))]
pub struct Course {
    /// The course.
    #[serde(flatten)]
    pub head: CourseHead,
    /// The learning objectives of the course.
    pub objectives: Vec<StoredObjective>,
    /// The blocks and units of the course, in the order of the document.
    pub children: Vec<CourseElement>,
}

/// What an element of a course is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CourseElementKind {
    /// A group of units and blocks.
    Block,
    /// An assignable unit, which is launched.
    Unit,
}

/// A block or a unit of a course.
#[derive(Debug, Serialize, ToSchema)]
pub struct CourseElement {
    /// What it is.
    pub kind: CourseElementKind,
    /// The id in the catalogue. A unit is launched by it.
    pub id: String,
    /// The IRI by which statements name it: for a unit the `activityId` of its launches.
    #[schema(format = "uri")]
    pub iri: String,
    /// The id that the publisher chose.
    #[schema(format = "uri")]
    pub publisher_id: String,
    /// The title in each language.
    #[schema(value_type = LanguageMap)]
    pub title: Texts,
    /// The description in each language.
    #[schema(value_type = LanguageMap)]
    pub description: Texts,
    /// The publisher's ids of its objectives.
    pub objectives: Vec<String>,
    /// The launch data of a unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<CourseUnit>,
    /// With `user`: what the user has reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<CourseElementProgress>,
    /// The blocks and units in a block.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub children: Option<Vec<CourseElement>>,
}

/// The launch data of a unit. The entitlement key is not shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct CourseUnit {
    /// The address, without the parameters of a launch.
    pub url: String,
    /// When the unit is satisfied.
    pub move_on: MoveOn,
    /// The lowest scaled score that passes.
    #[schema(required = true, minimum = 0, maximum = 1)]
    pub mastery_score: Option<f64>,
    /// Which window the unit needs.
    pub launch_method: LaunchMethod,
    /// The parameters of the course's designer.
    #[schema(required = true)]
    pub launch_parameters: Option<String>,
    /// The activity type.
    #[schema(required = true)]
    pub activity_type: Option<String>,
}

/// What a user has reached in a unit or block.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct CourseElementProgress {
    /// Whether the unit, or everything in the block, is satisfied.
    pub satisfied: bool,
    /// For a unit: whether *completed* is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<bool>,
    /// For a unit: whether *passed* is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed: Option<bool>,
    /// For a unit: whether it is waived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waived: Option<bool>,
}

/// The user of a request, and the registration.
struct Enrolment {
    user: UserId,
    registration: Option<Uuid>,
}

/// List the courses by id, without their trees.
///
/// With `user`, each course shows what the user has reached in the newest registration.
#[utoipa::path(
    get,
    path = "/v1/courses",
    tag = "catalogue",
    operation_id = "list_courses",
    params(
        ("user" = Option<String>, Query, description = "The user whose progress is shown. The caller needs the right to \
            read the user's log.", example = "bo"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The maximum number of courses of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = CourseList))
)]
async fn list_courses(caller: Caller<ReadCatalogue>, request: HttpRequest, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, request.path(), &pairs, &query).await?;
    let user = query.value::<UserId>("user");
    query.finish()?;
    let user = check_user(&caller, user).await?;
    let after = listing.after()?;
    let page = caller
        .store()
        .list_courses(caller.org(), after.as_deref(), listing.limits())
        .await?;
    let mut progress = match &user {
        Some(user) => {
            let keys = page.items.iter().map(|course| course.key).collect();
            caller
                .store()
                .find_courses_progress(caller.org(), user, keys)
                .await?
        }
        None => HashMap::new(),
    };
    let mut writer = PageWriter::new("courses", caller.app_state().limits());
    let mut last = None;
    for course in &page.items {
        let mut head = CourseHead::new(course);
        if let Some(user) = &user {
            let progress = progress.remove(&course.key).unwrap_or_default();
            head.progress = Some(EnrolmentProgress::new(user, &progress, course.key));
        }
        if !writer.push(&head)? {
            break;
        }
        last = Some(course.id.as_str());
    }
    let next = listing.next(page.more || writer.is_full(), last)?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Read a course with its tree.
///
/// With `user`, the course, its blocks and its units show what the user has reached, in the newest registration or in
/// `registration`.
#[utoipa::path(
    get,
    path = "/v1/courses/{id}",
    tag = "catalogue",
    operation_id = "read_course",
    params(
        ("id" = String, Path, description = "The id of the course.", example = "course-5f2b9f0c3f6e4a5d8c7b6a59"),
        ("user" = Option<String>, Query, description = "The user whose progress is shown. The caller needs the right to \
            read the user's log.", example = "bo"),
        ("registration" = Option<Uuid>, Query, description = "A registration of the user. Default: the newest one."),
    ),
    responses((status = 200, description = "The course.", body = Course))
)]
async fn read_course(caller: Caller<ReadCatalogue>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let user = query.value::<UserId>("user");
    let registration = query.value::<Uuid>("registration");
    if registration.is_some() && user.is_none() {
        query.add_fault("registration", "needs `user` beside it");
    }
    query.finish()?;
    let user = check_user(&caller, user).await?;
    let enrolment = user.map(|user| Enrolment { user, registration });
    let course = load_course(&caller, &id, enrolment).await?;
    Ok(HttpResponse::Ok().json(course.ok_or_else(Problem::not_found)?))
}

/// Import a course structure of cmi5, or update an imported one.
///
/// The body is a `cmi5.xml`, or a ZIP package with `cmi5.xml` at its root. The course, its blocks and its units become
/// contents of the catalogue. Their ids follow from the publisher's ids, so that a course that is imported again updates
/// the same contents; contents that the course does not have any more are archived. The other files of a package are not
/// stored: serve them yourself and give their address as `base_url`.
#[utoipa::path(
    post,
    path = "/v1/courses",
    tag = "catalogue",
    operation_id = "import_course",
    params(
        ("base_url" = Option<String>, Query, description = "The http or https address to which relative addresses of units \
            are added. It should end with a slash.", example = "https://cdn.example.org/geology/"),
    ),
    request_body(description = "The course structure, or a package with it.", content(
        (String = "application/xml"),
        (String = "text/xml"),
        (crate::http::openapi::Binary = "application/zip"),
        (crate::http::openapi::Binary = "application/octet-stream"),
    )),
    responses(
        (status = 200, description = "Updated.", body = Course),
        (status = 201, description = "Imported.", body = Course,
            headers(("Location" = String, description = "The course's address."))),
    )
)]
async fn import_course(
    caller: Caller<ManageCatalogue>,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: web::Payload,
) -> Answer {
    let query = pairs.reader();
    let base_url = read_base_url(&query);
    query.finish()?;
    let limits = caller.app_state().limits();
    let mut structure = receive_structure(&request, payload, limits).await?;
    structure.resolve_urls(base_url.as_deref()).map_err(to_problem)?;
    let imported = caller.store().import_course(caller.org(), &structure).await?;
    let course = load_course(&caller, imported.id.as_str(), None).await?;
    let course = course.ok_or_else(|| Problem::internal("an imported course does not exist"))?;
    if !imported.is_new {
        return Ok(HttpResponse::Ok().json(course));
    }
    let location = format!("/v1/courses/{}", path_segment(&course.head.id));
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .json(course))
}

/// Checks that the caller may read the log of the user.
async fn check_user(caller: &Caller<ReadCatalogue>, user: Option<UserId>) -> Result<Option<UserId>, Problem> {
    let Some(user) = user else { return Ok(None) };
    if !ReadActivities::allowed(caller.principal()) {
        return Err(Problem::forbidden(
            "you may not read activities, so leave `user` out",
        ));
    }
    let reach = caller
        .principal()
        .reach(&caller.reach_rules())
        .ok_or_else(Problem::not_found)?;
    match caller.store().reaches(caller.org(), &reach, &user).await? {
        true => Ok(Some(user)),
        false => Err(Problem::not_found()),
    }
}

/// Loads a course with its tree.
async fn load_course<A>(
    caller: &Caller<A>,
    id: &str,
    enrolment: Option<Enrolment>,
) -> Result<Option<Course>, Problem> {
    let Some((course, elements)) = caller.store().find_course(caller.org(), id).await? else {
        return Ok(None);
    };
    let progress = match &enrolment {
        None => None,
        Some(Enrolment { user, registration }) => {
            let progress = caller
                .store()
                .find_course_progress(caller.org(), user, course.key, *registration)
                .await?;
            if registration.is_some() && progress.registration.is_none() {
                return Ok(None);
            }
            Some(progress)
        }
    };
    let mut head = CourseHead::new(&course);
    if let (Some(enrolment), Some(progress)) = (&enrolment, &progress) {
        head.progress = Some(EnrolmentProgress::new(&enrolment.user, progress, course.key));
    }
    let objectives = course.objectives().to_vec();
    let children = build_tree(&elements, course.key, progress.as_ref());
    Ok(Some(Course {
        head,
        objectives,
        children,
    }))
}

impl CourseHead {
    fn new(course: &StoredCourse) -> Self {
        Self {
            id: course.id.clone(),
            iri: course.iri.clone(),
            publisher_id: course.publisher_id.clone(),
            title: course.title().clone(),
            description: course.description().clone(),
            imported_at: course.imported_at,
            updated_at: course.updated_at,
            progress: None,
        }
    }
}

impl EnrolmentProgress {
    fn new(user: &UserId, progress: &CourseProgress, course: i64) -> Self {
        Self {
            user: user.clone(),
            registration: progress.registration,
            satisfied: progress
                .results
                .get(&course)
                .is_some_and(|course| course.satisfied),
        }
    }
}

/// Builds the tree below an element. `elements` has each element before those in it.
fn build_tree(
    elements: &[StoredElement],
    course: i64,
    progress: Option<&CourseProgress>,
) -> Vec<CourseElement> {
    let mut children: HashMap<i64, Vec<CourseElement>> = HashMap::new();
    // The last element has no children, so from the end each element finds its children complete.
    for element in elements.iter().rev() {
        let Some(parent) = element.parent else { continue };
        let mut inner = children.remove(&element.key).unwrap_or_default();
        inner.reverse();
        let built = build_element(element, inner, progress);
        children.entry(parent).or_default().push(built);
    }
    let mut roots = children.remove(&course).unwrap_or_default();
    roots.reverse();
    roots
}

fn build_element(
    element: &StoredElement,
    children: Vec<CourseElement>,
    progress: Option<&CourseProgress>,
) -> CourseElement {
    let is_unit = element.kind == StoredKind::Unit;
    let unit = is_unit.then(|| CourseUnit {
        url: element.url.clone().unwrap_or_default(),
        move_on: element.move_on.unwrap_or_default(),
        mastery_score: element.mastery_score,
        launch_method: element.launch_method.unwrap_or_default(),
        launch_parameters: element.launch_parameters.clone(),
        activity_type: element.activity_type.clone(),
    });
    let progress = progress.map(|progress| {
        let reached = progress.results.get(&element.key).copied().unwrap_or_default();
        let ElementProgress { unit, satisfied } = reached;
        let is_enrolled = progress.registration.is_some();
        match is_unit {
            false => CourseElementProgress {
                satisfied,
                completed: None,
                passed: None,
                waived: None,
            },
            true => CourseElementProgress {
                satisfied: is_enrolled && element.move_on.unwrap_or_default().is_satisfied(unit),
                completed: Some(unit.completed),
                passed: Some(unit.passed),
                waived: Some(unit.waived),
            },
        }
    });
    CourseElement {
        kind: match is_unit {
            true => CourseElementKind::Unit,
            false => CourseElementKind::Block,
        },
        id: element.id.clone(),
        iri: element.iri.clone(),
        publisher_id: element.publisher_id.clone(),
        title: element.title().clone(),
        description: element.description().clone(),
        objectives: element.objectives().to_vec(),
        unit,
        progress,
        children: (!is_unit).then_some(children),
    }
}
