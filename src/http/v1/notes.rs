//! `/v1/users/{id}/notes`, `/v1/notes/{id}`: what is noted about users, by hand (contract sections 4 and 13).
//!
//! Owner, admin and hr read and write notes about everybody, managers about their reports, and nobody about
//! themselves: such a note is 404 as if there were none. No credential does. A note is never taken away; changing one
//! keeps what stood there, with who wrote it and when.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::base::Fingerprint;
use crate::access::permit::Notes;
use crate::http::auth::Caller;
use crate::http::json::{JsonBody, JsonBytes};
use crate::http::keyed;
use crate::http::pages;
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::base::ids::UserId;
use crate::log::timeline::{Note, NoteForm, NotePatch, NoteVersion};
use crate::log::{Cursor, Sort, Window};
use crate::store::{NewNote, NoteRefusal};

routes! {
    "/v1/users/{id}/notes" => { get: list_notes, post: create_note },
    "/v1/notes/{id}" => { get: read_note, patch: patch_note },
    "/v1/notes/{id}/history" => { get: list_note_versions },
}

/// A page of the notes about one user.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoteList {
    /// The notes, the newest first.
    pub notes: Vec<Note>,
    /// The next page; null on the last one.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// What stood in a note before.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoteVersionList {
    /// Every version but the one that stands, the last one first.
    pub versions: Vec<NoteVersion>,
    /// Always null: the versions of a note fit on one page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the notes about a user, by when it happened, the newest first. One's own are not there.
#[utoipa::path(
    get,
    path = "/v1/users/{id}/notes",
    tag = "timelines",
    operation_id = "list_notes",
    params(
        ("id" = String, Path, description = "The id of the user whom they are about.", example = "bo"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Notes of a page: 50 unless given."),
        ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
    ),
    responses((status = 200, description = "A page.", body = NoteList))
)]
async fn list_notes(
    caller: Caller<Notes>,
    request: HttpRequest,
    id: web::Path<UserId>,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let limits = caller.app_state().limits();
    let limit = query
        .number("limit", 1..=limits.page_max)
        .unwrap_or(limits.page_default);
    let cursor = query.text("cursor");
    query.finish()?;
    let caller_id = caller.principal().caller_id();
    let fingerprint = Fingerprint::from_parts([caller.org().as_str(), &caller_id, request.path()]);
    let cursor = cursor.map(|text| Cursor::decode(text, fingerprint)).transpose();
    let cursor = cursor.map_err(|error| Problem::new(Code::BadCursor, error.to_string()))?;
    let one_more = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let after = cursor.map(|cursor| cursor.last);
    let mut notes = caller
        .store()
        .notes(&caller.subjects()?, &id, Window::default(), after, one_more)
        .await?
        .ok_or_else(Problem::not_found)?;
    let more = notes.len() > limit;
    notes.truncate(limit);
    let next = notes.last().filter(|_| more).map(|last| {
        let cursor = Cursor {
            sort: Sort::NewestFirst,
            last: last.position(),
            now: caller.now(),
            fingerprint,
        };
        pages::next_page_address(request.path(), &pairs, &cursor.encode())
    });
    let body = NoteList { notes, next };
    Ok(pages::list_response(&body, body.next.as_deref()))
}

/// Write a note about a user. `created_by` says who did what it is about, and doesn't change afterwards.
#[utoipa::path(
    post,
    path = "/v1/users/{id}/notes",
    tag = "timelines",
    operation_id = "create_note",
    params(("id" = String, Path, description = "The id of the user whom it is about.", example = "bo")),
    request_body = NoteForm,
    responses((status = 201, description = "Written.", body = Note,
        headers(("Location" = String, description = "The note's address."))))
)]
async fn create_note(caller: Caller<Notes>, id: web::Path<UserId>, pairs: QueryPairs, body: JsonBytes) -> Answer {
    pairs.refuse_any()?;
    let form = NoteForm::parse(body.text()?, caller.app_state().limits().json_depth)?;
    let subjects = caller.subjects()?;
    let note = NewNote {
        user: id.into_inner(),
        text: form.text,
        happened_at: form
            .happened_at
            .unwrap_or_else(|| caller.now().whole_millisecond()),
        created_by: form.created_by.unwrap_or_else(|| subjects.caller().clone()),
    };
    let note = caller.store().add_note(&subjects, note).await??;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/v1/notes/{}", note.id)))
        .json(note))
}

/// Read one note.
#[utoipa::path(
    get,
    path = "/v1/notes/{id}",
    tag = "timelines",
    operation_id = "read_note",
    params(("id" = Uuid, Path, description = "The note's id.")),
    responses((status = 200, description = "The note.", body = Note))
)]
async fn read_note(caller: Caller<Notes>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let note = caller.store().note(&caller.subjects()?, note_id(&id)?).await?;
    Ok(HttpResponse::Ok().json(note.ok_or_else(Problem::not_found)?))
}

/// Change a note by a merge patch (RFC 7396). What stood there stays readable; what changes nothing makes no version.
#[utoipa::path(
    patch,
    path = "/v1/notes/{id}",
    tag = "timelines",
    operation_id = "patch_note",
    params(("id" = Uuid, Path, description = "The note's id.")),
    request_body(content = NotePatch, content_type = "application/merge-patch+json",
        description = "The members to change; none can be taken away. Sent as application/json it means the same."),
    responses((status = 200, description = "The note as it is now.", body = Note))
)]
async fn patch_note(
    caller: Caller<Notes>,
    id: web::Path<String>,
    pairs: QueryPairs,
    JsonBody(body): JsonBody<Value>,
) -> Answer {
    pairs.refuse_any()?;
    let id = note_id(&id)?;
    let patch = keyed::patch(body)?.to_string();
    let change = NotePatch::parse(&patch, caller.app_state().limits().json_depth)?;
    let note = caller
        .store()
        .change_note(&caller.subjects()?, id, change)
        .await??;
    Ok(HttpResponse::Ok().json(note))
}

/// List the earlier versions of a note, with who wrote each and when.
#[utoipa::path(
    get,
    path = "/v1/notes/{id}/history",
    tag = "timelines",
    operation_id = "list_note_versions",
    params(("id" = Uuid, Path, description = "The note's id.")),
    responses((status = 200, description = "All of them but the one that stands, the last one first.",
        body = NoteVersionList))
)]
async fn list_note_versions(caller: Caller<Notes>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let versions = caller
        .store()
        .note_versions(&caller.subjects()?, note_id(&id)?)
        .await?;
    let body = NoteVersionList {
        versions: versions.ok_or_else(Problem::not_found)?,
        next: None,
    };
    Ok(pages::list_response(&body, None))
}

/// The id in the address; what is no UUID names nothing, whoever asks with whatever method.
fn note_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::not_found())
}

impl From<NoteRefusal> for Problem {
    fn from(refusal: NoteRefusal) -> Self {
        match refusal {
            NoteRefusal::NotFound => Problem::not_found(),
            NoteRefusal::UnknownCreator => Problem::invalid_body("/created_by", refusal.to_string()),
            NoteRefusal::TooManyVersions => Problem::conflict(refusal.to_string()),
        }
    }
}
