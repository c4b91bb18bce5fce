//! `/v1/imports`: files with activities or statements, recorded in the background. See `docs/specification.md#imports`.
//!
//! The answer to POST is sent when the whole file is stored. Any replica reads it from there.
//!
//! An owner or admin sees all imports of the organisation. A credential sees its own: a file of rejected rows has data about
//! persons, and the credential may not read activities.

use std::str::FromStr;

use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::try_unfold;
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::permit::{WriteActivities, WriteStatements};
use crate::access::{Action as _, DefinitionRight, Principal};
use crate::base::clock::Timestamp;
use crate::http::auth::Caller;
use crate::http::body::{MediaType, content_length, stream_body};
use crate::http::keyed::Listing;
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::{QueryPairs, QueryReader};
use crate::http::routes::routes;
use crate::http::xapi::statements::authority;
use crate::imports::{
    FileEncoding, ImportFormat, ImportLimits, ImportOptions, ImportTerms, NamedOptions, check_beginning,
    write_error_page, write_template,
};
use crate::store::{ImportStatus, NewImport, StoredImport, Upload, WaitingLimits};

use super::exports::{CSV, content_disposition};
use super::report_resource::parse_id;

/// The bytes of a file that are checked before anything is stored.
const BEGINNING_BYTES: usize = 256 * 1024;

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

routes! {
    "/v1/imports/template.csv" => { get: read_import_template },
    "/v1/imports" => { get: list_imports, post: create_import },
    "/v1/imports/{id}" => { get: read_import, delete: cancel_import },
    "/v1/imports/{id}/errors.csv" => { get: export_import_errors },
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    /// It waits for a worker.
    Queued,
    /// A worker has begun.
    Running,
    /// Every row was read.
    Done,
    /// It cannot be continued; `reason` says why. The rows before stay recorded.
    Failed,
    /// It was cancelled. The rows before stay recorded.
    Cancelled,
}

/// A bulk import.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportJob)]
pub struct Import {
    /// The import's id, which the filter `import` takes.
    id: Uuid,
    /// How far it is.
    status: ImportState,
    /// The format of the file, when it is known.
    #[schema(required = true)]
    format: Option<ImportFormat>,
    /// The name of the mapping, or `custom` for one that was sent. Null without a mapping.
    #[schema(required = true, example = "learn_amp_activity_log")]
    mapping: Option<String>,
    /// The number of bytes that were sent.
    #[schema(example = 48_211)]
    bytes: i64,
    /// The number of rows that are done. Blank rows and headings do not count.
    #[schema(example = 200)]
    rows_read: i64,
    /// The number of new records. A row of some mappings has several.
    #[schema(example = 190)]
    created: i64,
    /// The number of records that were stored before.
    #[schema(example = 7)]
    duplicates: i64,
    /// The number of rejected rows.
    #[schema(example = 3)]
    rejected: i64,
    /// Why it failed.
    #[schema(required = true, example = json!(null))]
    reason: Option<String>,
    /// The path of the rejected rows as CSV. Null if there are none, and after they were deleted.
    #[schema(required = true)]
    errors: Option<String>,
    /// When it was sent.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When a worker began.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    finished_at: Option<Timestamp>,
}

impl Import {
    /// The JSON of an import. `base_path` begins the address of its rejected rows.
    fn new(stored: StoredImport, base_path: &str) -> Self {
        let options: ImportOptions = serde_json::from_str(&stored.options).unwrap_or_default();
        let found = match &stored.headings {
            Some(_) => Some(ImportFormat::Csv),
            None => (stored.rows_read > 0).then_some(ImportFormat::Ndjson),
        };
        let errors = stored
            .has_rejections()
            .then(|| format!("{base_path}/v1/imports/{}/errors.csv", stored.id));
        Self {
            id: stored.id,
            status: match stored.status {
                ImportStatus::Receiving | ImportStatus::Queued => ImportState::Queued,
                ImportStatus::Running => ImportState::Running,
                ImportStatus::Done => ImportState::Done,
                ImportStatus::Failed => ImportState::Failed,
                ImportStatus::Cancelled => ImportState::Cancelled,
            },
            format: options.format.or(found),
            mapping: options.mapping_name,
            bytes: stored.bytes,
            rows_read: stored.rows_read,
            created: stored.created,
            duplicates: stored.duplicates,
            rejected: stored.rejected,
            reason: stored.reason,
            errors,
            created_at: stored.created_at,
            started_at: stored.started_at,
            finished_at: stored.finished_at,
        }
    }
}

/// A page of imports.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportList {
    /// The imports, the newest first.
    pub imports: Vec<Import>,
    /// The path of the next page. Null on the last page.
    #[schema(required = true, example = json!(null))]
    pub next: Option<String>,
}

/// The sender to whose imports the caller is limited; `None` for an owner or admin.
fn own_imports(principal: &Principal) -> Option<String> {
    principal.administrator().is_none().then(|| principal.caller_id())
}

/// List imports, the newest first. A credential sees its own.
#[utoipa::path(
    get,
    path = "/v1/imports",
    tag = "imports",
    operation_id = "list_imports",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "The number of imports of a page. Default: 50."),
        ("cursor" = Option<String>, Query, description = "From `next` of the page before."),
    ),
    responses((status = 200, description = "A page.", body = ImportList))
)]
async fn list_imports(caller: Caller<WriteActivities>, request: HttpRequest, pairs: QueryPairs) -> Answer {
    let query = pairs.reader();
    let listing = Listing::new(&caller, request.path(), &pairs, &query).await?;
    query.finish()?;
    let mut before: Option<i64> = listing.after_key()?;
    let sender = own_imports(caller.principal());
    let mut writer = PageWriter::new("imports", caller.app_state().limits());
    let mut more = true;
    while more && !writer.is_full() && writer.len() < listing.limit {
        let limits = listing.piece_after(writer.len());
        let page = caller
            .store()
            .find_imports(caller.org(), sender.as_deref(), before, limits)
            .await?;
        more = page.more;
        for stored in page.items {
            let key = stored.key;
            if !writer.push(&Import::new(stored, caller.app_state().base_path()))? {
                break;
            }
            before = Some(key);
        }
    }
    let last = before.map(|key| key.to_string());
    let next = listing.next(more || writer.is_full(), last.as_deref())?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// Import a file of activities or statements, of any size.
///
/// The file is a CSV with headings, NDJSON, or a JSON array, also compressed with gzip. Without a `mapping`, the columns of a
/// CSV are the members of the short form with dotted names (`result.score`), see `/v1/imports/template.csv`, and each line of
/// NDJSON is a short form or a statement. Good rows are recorded, others are listed in `errors.csv`. A row that was recorded
/// before is counted and not recorded again. The same file again answers the same import, unless it has rejected rows.
#[utoipa::path(
    post,
    path = "/v1/imports",
    tag = "imports",
    operation_id = "create_import",
    params(
        ("format" = Option<ImportFormat>, Query, description = "`csv` or `ndjson`. Default: by the media type, or the first character."),
        ("delimiter" = inline(Option<crate::imports::Delimiter>), Query, description = "`comma`, `semicolon` or `tab`. Default: the one that the headings have."),
        ("encoding" = inline(Option<FileEncoding>), Query, description = "`utf-8`, `utf-16le`, `utf-16be` or `windows-1252`. Default: by the byte order mark, else UTF-8."),
        ("mapping" = Option<String>, Query, description = "The name of a mapping: `learn_amp_activity_log`, `smarteru_learner_report`, `moodle_log`, `moodle_completion`, `learning_locker`, `lrsql`; or a mapping as JSON.", example = "learn_amp_activity_log"),
        ("time_zone" = Option<String>, Query, description = "For a named mapping: the IANA time zone of times without an offset.", example = "Europe/London"),
        ("date_format" = Option<String>, Query, description = "For a named mapping: `day_first`, `month_first`, `year_first`, `serial_1900`, `serial_1904`, `unix_seconds`, `unix_milliseconds`, or a pattern.", example = "%d/%m/%Y %H:%M"),
        ("home_page" = Option<String>, Query, description = "For a mapping of Moodle: the address of the site.", example = "https://moodle.example.org"),
        ("Content-Encoding" = Option<String>, Header, description = "`gzip` or `identity`.")
    ),
    request_body(content(
        (String = "text/csv", example = "user.email,action,content.iri,happened_at\nbo@example.org,completed,https://example.org/fire-safety,2026-01-31T09:00:00Z\n"),
        (String = "application/x-ndjson", example = "{\"user\":{\"email\":\"bo@example.org\"},\"action\":\"completed\",\"content\":{\"iri\":\"https://example.org/fire-safety\"},\"happened_at\":\"2026-01-31T09:00:00Z\"}\n"),
        (Vec<serde_json::Value> = "application/json"),
        (crate::http::openapi::Binary = "application/gzip"),
        (crate::http::openapi::Binary = "application/octet-stream")
    ), description = "The file."),
    responses(
        (status = 202, description = "The file is stored, and is imported in the background.", body = Import,
            headers(("Location" = String, description = "The import's address."))),
        (status = 200, description = "The same file was imported before.", body = Import,
            headers(("Location" = String, description = "The import's address.")))
    )
)]
async fn create_import(
    caller: Caller<WriteActivities>,
    request: HttpRequest,
    pairs: QueryPairs,
    payload: web::Payload,
) -> Answer {
    let query = pairs.reader();
    let options = read_options(&request, &query)?;
    query.finish()?;
    let limits = caller.app_state().imports();
    if content_length(request.headers()).is_some_and(|length| length > limits.max_bytes) {
        return Err(too_large(limits));
    }
    let mut pieces = Box::pin(stream_body(payload.into_inner(), caller.app_state().limits()));
    let mut beginning = Vec::new();
    while beginning.len() < BEGINNING_BYTES
        && let Some(piece) = pieces.try_next().await?
    {
        beginning.extend_from_slice(&piece);
    }
    check_beginning(&beginning, &options).map_err(|reason| Problem::invalid_body("", reason))?;
    let import = NewImport {
        sender: caller.principal().caller_id(),
        terms: to_json(&terms(&caller))?,
        options: to_json(&options)?,
    };
    let upload = caller
        .store()
        .begin_import(caller.org(), import, limits.waiting())
        .await?;
    let mut upload = upload.ok_or_else(|| too_many(limits))?;
    let received = async {
        let mut has_room = upload.push(&beginning).await?;
        while has_room && let Some(piece) = pieces.try_next().await? {
            has_room = upload.push(&piece).await?;
            if upload.bytes() > limits.max_bytes {
                return Err(too_large(limits));
            }
        }
        has_room.then_some(()).ok_or_else(|| too_many(limits))
    };
    if let Err(problem) = received.await {
        upload.discard().await?;
        return Err(problem);
    }
    match upload.finish().await?.ok_or_else(|| too_many(limits))? {
        Upload::New(stored) | Upload::Existing(stored) => {
            Ok(accepted(stored, caller.app_state().base_path()))
        }
    }
}

/// The answer with a new import, or with the one that has the same file.
fn accepted(stored: StoredImport, base_path: &str) -> HttpResponse {
    let import = Import::new(stored, base_path);
    let mut answer = match import.status {
        ImportState::Queued | ImportState::Running => HttpResponse::Accepted(),
        ImportState::Done | ImportState::Failed | ImportState::Cancelled => HttpResponse::Ok(),
    };
    answer
        .insert_header((header::LOCATION, format!("/v1/imports/{}", import.id)))
        .json(import)
}

fn too_large(limits: &ImportLimits) -> Problem {
    let max_bytes = limits.max_bytes;
    let detail =
        format!("the file has more than {max_bytes} bytes; send it in several imports, or compressed");
    Problem::new(Code::BodyTooLarge, detail)
}

fn too_many(limits: &ImportLimits) -> Problem {
    let WaitingLimits { imports, bytes } = limits.waiting();
    let detail = format!(
        "{imports} imports of the organisation, or files with {bytes} bytes, may arrive, wait or run; send the file when one \
         has ended"
    );
    Problem::conflict(detail)
}

fn to_json(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(Problem::internal)
}

/// What the caller may import.
fn terms(caller: &Caller<WriteActivities>) -> ImportTerms {
    let principal = caller.principal();
    ImportTerms {
        authority: authority(principal, &caller.organisation().account_home_page),
        recorded_by: principal.user().map(ToString::to_string),
        defines: principal.definition_right() == DefinitionRight::Change,
        adds_definitions: principal.definition_right() == DefinitionRight::Add,
        names_recorder: principal.credential().is_some(),
        writes_statements: WriteStatements::allowed(principal),
    }
}

/// What the request says about the file.
fn read_options(request: &HttpRequest, query: &QueryReader<'_>) -> Result<ImportOptions, Problem> {
    check_encoding(request)?;
    let (media_format, charset) = read_media_type(request)?;
    let mut options = ImportOptions {
        format: choice(query, "format").or(media_format),
        delimiter: choice(query, "delimiter"),
        encoding: choice(query, "encoding").or(charset),
        ..ImportOptions::default()
    };
    let text = |name: &str| query.text(name).map(str::to_owned);
    let named = NamedOptions {
        time_zone: text("time_zone"),
        date_format: text("date_format"),
        home_page: text("home_page"),
    };
    match query.text("mapping") {
        Some(mapping) => {
            if let Err(detail) = options.set_mapping(mapping, &named) {
                query.add_fault("mapping", detail);
            }
        }
        None if named != NamedOptions::default() => {
            query.add_fault(
                "mapping",
                "is needed for `time_zone`, `date_format` and `home_page`",
            );
        }
        None => {}
    }
    Ok(options)
}

/// One of a few values; a wrong one is a fault.
fn choice<T: FromStr>(query: &QueryReader<'_>, name: &str) -> Option<T> {
    let text = query.text(name)?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        query.add_fault(
            name,
            format!("`{text}` is not known; the OpenAPI document lists the values"),
        );
    }
    parsed
}

fn check_encoding(request: &HttpRequest) -> Result<(), Problem> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    let encoding = encoding.map(|value| value.to_str().unwrap_or_default().to_ascii_lowercase());
    match encoding.as_deref() {
        // A compressed file is recognised by its first bytes.
        None | Some("identity" | "gzip" | "x-gzip") => Ok(()),
        Some(_) => Err(Problem::new(
            Code::UnsupportedMediaType,
            "send the file as it is, or with Content-Encoding: gzip",
        )),
    }
}

/// The format and the encoding that the media type says.
fn read_media_type(request: &HttpRequest) -> Result<(Option<ImportFormat>, Option<FileEncoding>), Problem> {
    let MediaType { essence, charset } = MediaType::from_headers(request.headers());
    let format = match essence.as_str() {
        "text/csv" | "text/tab-separated-values" => Some(ImportFormat::Csv),
        "application/x-ndjson" | "application/json" | "application/jsonl" => Some(ImportFormat::Ndjson),
        "application/gzip" | "application/x-gzip" | "application/octet-stream" => None,
        _ => {
            let detail =
                "send the file as text/csv, application/x-ndjson, application/json or application/gzip";
            return Err(Problem::new(Code::UnsupportedMediaType, detail));
        }
    };
    let encoding = match charset.as_deref() {
        None | Some("utf-8" | "utf8" | "us-ascii" | "utf-16") => None,
        Some(charset) => Some(charset.parse().map_err(|_| {
            let detail = "the charset is not known; send the file in utf-8, utf-16 or windows-1252";
            Problem::new(Code::UnsupportedMediaType, detail)
        })?),
    };
    Ok((format, encoding))
}

/// Read one import.
///
/// Ask again until `status` is an end. The rejected rows are in its `errors`.
#[utoipa::path(
    get,
    path = "/v1/imports/{id}",
    tag = "imports",
    operation_id = "read_import",
    params(("id" = Uuid, Path, description = "The import's id.")),
    responses((status = 200, description = "The import and its progress.", body = Import))
)]
async fn read_import(caller: Caller<WriteActivities>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let stored = find_import(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(Import::new(stored, caller.app_state().base_path())))
}

async fn find_import(caller: &Caller<WriteActivities>, id: &str) -> Result<StoredImport, Problem> {
    let sender = own_imports(caller.principal());
    let found = caller
        .store()
        .find_import(caller.org(), sender.as_deref(), parse_id(id)?)
        .await?;
    found.ok_or_else(Problem::not_found)
}

/// Cancel an import. What it has recorded stays. An import that has ended stays as it is.
#[utoipa::path(
    delete,
    path = "/v1/imports/{id}",
    tag = "imports",
    operation_id = "cancel_import",
    params(("id" = Uuid, Path, description = "The import's id.")),
    responses((status = 200, description = "The import, which records nothing further.", body = Import))
)]
async fn cancel_import(caller: Caller<WriteActivities>, id: web::Path<String>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let stored = find_import(&caller, &id).await?;
    caller.store().cancel_import(caller.org(), stored.key).await?;
    let stored = find_import(&caller, &id).await?;
    Ok(HttpResponse::Ok().json(Import::new(stored, caller.app_state().base_path())))
}

/// Export the rejected rows of an import as CSV.
///
/// A CSV has the columns of its input, and `line`, `column` and `reason`. It can be corrected and sent again: these three
/// columns are ignored. Texts that a spreadsheet would run as a formula have an apostrophe before the sign of the formula,
/// which is removed when the file is sent again. For NDJSON the columns are `line`, `column`, `reason` and `row`.
#[utoipa::path(
    get,
    path = "/v1/imports/{id}/errors.csv",
    tag = "imports",
    operation_id = "export_import_errors_csv",
    params(
        ("id" = Uuid, Path, description = "The import's id."),
        ("bom" = Option<bool>, Query, description = "Begin the file with a byte order mark, for Excel."),
    ),
    responses((status = 200, description = "The rejected rows so far.", body = crate::http::openapi::Binary, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name with the import's id.")),
        example = "user,action,content,happened_at,line,column,reason\r\nbo,finished,fire-safety,2026-01-31T09:00:00Z,3,action,there is no such action\r\n"))
)]
pub(super) async fn export_import_errors(
    caller: Caller<WriteActivities>,
    id: web::Path<String>,
    pairs: QueryPairs,
) -> Answer {
    let query = pairs.reader();
    let bom = query.flag("bom").unwrap_or(false);
    query.finish()?;
    let stored = find_import(&caller, &id).await?;
    if stored.rejected > 0 && !stored.has_rejections() {
        let detail =
            "the rejected rows of this import were deleted after some time; send the file again to see them";
        return Err(Problem::new(Code::NotFound, detail));
    }
    let name = format!("import-{}-errors.csv", stored.id);
    let begin = if bom {
        Bytes::from_static(BYTE_ORDER_MARK)
    } else {
        Bytes::new()
    };
    let (store, organisation) = (caller.store().clone(), caller.org().clone());
    let rows = try_unfold(Some(0), move |after: Option<i64>| {
        let (store, organisation, stored) = (store.clone(), organisation.clone(), stored.clone());
        async move {
            let Some(after) = after else {
                return Ok::<_, Problem>(None);
            };
            let (bytes, next) = write_error_page(&store, &organisation, &stored, after).await?;
            Ok(Some((Bytes::from(bytes), next)))
        }
    });
    let rows = futures_util::stream::iter([Ok(begin)]).chain(rows);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, CSV))
        .insert_header(content_disposition(&name))
        .streaming(Box::pin(rows)))
}

/// Read the headings of a CSV for an import without a mapping.
///
/// Fill in the rows below the headings and send the file to `/v1/imports`.
#[utoipa::path(
    get,
    path = "/v1/imports/template.csv",
    tag = "imports",
    operation_id = "read_import_template_csv",
    responses((status = 200, description = "A CSV with headings and without rows. Columns that are not needed may be removed.",
        body = crate::http::openapi::Binary, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "A file name.")),
        example = "user,action,content,happened_at\r\n"))
)]
pub(super) async fn read_import_template(_caller: Caller<WriteActivities>, pairs: QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let out = write_template();
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, CSV))
        .insert_header(content_disposition("import-template.csv"))
        .body(out))
}
