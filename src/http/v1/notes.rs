//! `/v1/users/{id}/notes`, `/v1/notes/{id}`: notes about users.
//!
//! The roles owner, admin and hr read and write notes about all users, and managers about their reports. No user may read
//! notes about themselves: the response is 404, as for a note that does not exist. Credentials have no access to notes.
//! A note cannot be deleted. A change keeps the previous version with its writer and time.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::Notes;
use crate::base::ids::UserId;
use crate::http::auth::Caller;
use crate::http::json::{JsonBody, MergePatch};
use crate::http::keyed::Listing;
use crate::http::pages::{self, NoOthers, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::timeline::{Note, NoteForm, NotePatch, NoteVersion};
use crate::log::{Cursor, Window};
use crate::store::{NewNote, NoteRefusal, PageLimits};

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
    /// The relative address of the next page; null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// The previous versions of a note.
#[derive(Debug, Serialize, ToSchema)]
pub struct NoteVersionList {
    /// The versions except the current one, the latest first.
    pub versions: Vec<NoteVersion>,
    /// The relative address of the next page; null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// List the notes about a user in the order of `happened_at`, the newest first. Notes about the caller are not found.
#[utoipa::path(
    get,
    path = "/v1/users/{id}/notes",
    tag = "timelines",
    operation_id = "list_notes",
    params(
        ("id" = String, Path, description = "The id of the user that the notes are about.", example = "bo"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of notes on a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "The cursor in `next` of the previous page."),
    ),
    responses((status = 200, description = "A page of notes.", body = NoteList))
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
    let cipher = pages::cursor_cipher(&caller, request.path(), &pairs).await?;
    let cursor = cursor.map(|text| Cursor::decrypt(text, &cipher)).transpose()?;
    let after = cursor.map(|cursor| cursor.last);
    let page_limits = PageLimits {
        rows: limit,
        bytes: limits.page_bytes,
    };
    let page = caller
        .store()
        .find_notes(&caller.subjects()?, &id, Window::default(), after, page_limits)
        .await?
        .ok_or_else(Problem::not_found)?;
    let mut writer = PageWriter::new("notes", limits);
    let shown = writer.push_all(&page.items)?;
    let next = match page.items[..shown].last() {
        Some(last) if page.more || writer.is_full() => {
            let (last, now) = (last.position(), caller.now());
            let cursor = Cursor { last, now }.encrypt(&cipher)?;
            Some(pages::next_address(&request, &pairs, &cursor))
        }
        _ => None,
    };
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Create a note about a user. `created_by` is the user that did what the note describes. It cannot be changed later.
#[utoipa::path(
    post,
    path = "/v1/users/{id}/notes",
    tag = "timelines",
    operation_id = "create_note",
    params(("id" = String, Path, description = "The id of the user that the note is about.", example = "bo")),
    request_body = NoteForm,
    responses((status = 201, description = "The note was created.", body = Note,
        headers(("Location" = String, description = "The note's address."))))
)]
async fn create_note(
    caller: Caller<Notes>,
    id: web::Path<UserId>,
    pairs: QueryPairs,
    body: JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let form = body.read(NoteForm::parse)?;
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
///
/// Notes about the caller are not found.
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
    let note = caller
        .store()
        .find_note(&caller.subjects()?, parse_note_id(&id)?)
        .await?;
    Ok(HttpResponse::Ok().json(note.ok_or_else(Problem::not_found)?))
}

/// Change a note with a merge patch (RFC 7396). The previous version stays readable. A patch without a change does not
/// create a version.
#[utoipa::path(
    patch,
    path = "/v1/notes/{id}",
    tag = "timelines",
    operation_id = "patch_note",
    params(("id" = Uuid, Path, description = "The note's id.")),
    request_body(content = NotePatch, content_type = "application/merge-patch+json",
        description = "The members to change. A member cannot be removed. The content type `application/json` has the same \
            meaning."),
    responses((status = 200, description = "The changed note.", body = Note))
)]
async fn patch_note(
    caller: Caller<Notes>,
    id: web::Path<String>,
    pairs: QueryPairs,
    patch: MergePatch,
) -> Answer {
    pairs.refuse_any()?;
    let id = parse_note_id(&id)?;
    let change = patch.read(NotePatch::parse)?;
    let note = caller
        .store()
        .change_note(&caller.subjects()?, id, change)
        .await??;
    Ok(HttpResponse::Ok().json(note))
}

/// List the previous versions of a note, each with its writer and time.
///
/// The newest version comes first. The current version is at `/v1/notes/{id}`.
#[utoipa::path(
    get,
    path = "/v1/notes/{id}/history",
    tag = "timelines",
    operation_id = "list_note_versions",
    params(
        ("id" = Uuid, Path, description = "The note's id."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of versions on a page. Default: 1000."),
        ("cursor" = Option<String>, Query, description = "The cursor in `next` of the previous page."),
    ),
    responses((status = 200, description = "A page of the versions except the current one, the latest first.",
        body = NoteVersionList))
)]
async fn list_note_versions(
    caller: Caller<Notes>,
    request: HttpRequest,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let limits = caller.app_state().limits();
    let listing = Listing::with_default(&caller, request.path(), &pairs, &query, limits.page_max).await?;
    query.finish()?;
    let before = listing.after_key()?;
    let page = caller
        .store()
        .find_note_versions(&caller.subjects()?, parse_note_id(&id)?, before, listing.limits())
        .await?
        .ok_or_else(Problem::not_found)?;
    let mut writer = PageWriter::new("versions", limits);
    let shown = writer.push_all(&page.items)?;
    let last = page.items[..shown].last().map(|last| last.version.to_string());
    let next = listing.next(page.more || writer.is_full(), last.as_deref())?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Parses the id in the address. A text that is not a UUID cannot be the id of a note, so the response is 404.
fn parse_note_id(text: &str) -> Result<Uuid, Problem> {
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
