//! The body of an import: a course structure, or a package with it.

use std::io::SeekFrom;
use std::pin::pin;

use actix_web::{HttpRequest, web};
use futures_util::TryStreamExt as _;
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};

use crate::base::fault::Faults;
use crate::catalogue::content::is_web_address;
use crate::cmi5::{CourseFault, CourseStructure, Package, PackageError};
use crate::http::body::{MediaType, content_length, read_body, refuse_encoding, stream_body};
use crate::http::limits::Limits;
use crate::http::problem::{Code, Problem, ProblemError};
use crate::http::query::QueryReader;

/// Receives a course structure, or a package with it.
pub(super) async fn receive_structure(
    request: &HttpRequest,
    payload: web::Payload,
    limits: &Limits,
) -> Result<CourseStructure, Problem> {
    match MediaType::from_headers(request.headers()).essence.as_str() {
        "application/xml" | "text/xml" => {
            let body = read_body(payload.into_inner(), request.headers(), limits).await?;
            run(move || parse(&body)).await
        }
        // Many clients send any file as `application/octet-stream`.
        "application/zip" | "application/x-zip-compressed" | "application/octet-stream" => {
            let file = receive_package(request, payload, limits).await?;
            let max_bytes = limits.body_bytes;
            run(move || read_package(file, max_bytes)).await
        }
        _ => {
            let detail = "send a course structure as application/xml, or a package as application/zip";
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

/// Reads the parameter `base_url`.
pub(super) fn read_base_url(query: &QueryReader<'_>) -> Option<String> {
    let text = query.text("base_url")?;
    if !is_web_address(text) {
        query.add_fault(
            "base_url",
            "write an address with http or https, for example `https://example.org/course/`",
        );
        return None;
    }
    Some(text.to_owned())
}

/// Runs work that keeps a processor busy on another thread.
async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(Problem::internal)?
}

fn parse(document: &[u8]) -> Result<CourseStructure, Problem> {
    CourseStructure::parse(document).map_err(to_problem)
}

/// Writes a package to a temporary file, which has no name and is gone when it is closed.
async fn receive_package(
    request: &HttpRequest,
    payload: web::Payload,
    limits: &Limits,
) -> Result<std::fs::File, Problem> {
    refuse_encoding(request.headers())?;
    let max_bytes = limits.course_package_bytes;
    let too_large = || {
        let detail = format!("the package has more than {max_bytes} bytes; send its `cmi5.xml` alone");
        Problem::new(Code::BodyTooLarge, detail)
    };
    if content_length(request.headers()).is_some_and(|length| length > max_bytes) {
        return Err(too_large());
    }
    let file = tempfile::tempfile().map_err(Problem::from_spool_error)?;
    let mut file = tokio::fs::File::from_std(file);
    let mut received = 0_u64;
    let mut pieces = pin!(stream_body(payload.into_inner(), limits));
    while let Some(piece) = pieces.try_next().await? {
        received += piece.len() as u64;
        if received > max_bytes {
            return Err(too_large());
        }
        file.write_all(&piece).await.map_err(Problem::from_spool_error)?;
    }
    file.flush().await.map_err(Problem::from_spool_error)?;
    file.seek(SeekFrom::Start(0))
        .await
        .map_err(Problem::from_spool_error)?;
    Ok(file.into_std().await)
}

/// Reads the course structure of a package. The relative addresses of units must be files of the package (cmi5, section
/// 14.1).
fn read_package(file: std::fs::File, max_bytes: usize) -> Result<CourseStructure, Problem> {
    let mut package = Package::open(file).map_err(from_package_error)?;
    let document = package.read_structure(max_bytes).map_err(from_package_error)?;
    let structure = parse(&document)?;
    let missing = package
        .find_missing(&structure.relative_files())
        .map_err(from_package_error)?;
    let faults: Faults<CourseFault> = missing
        .into_iter()
        .map(|name| CourseFault {
            place: String::new(),
            detail: format!("the package has no file `{name}`, which is the url of an au"),
        })
        .collect();
    match faults.is_empty() {
        true => Ok(structure),
        false => Err(to_problem(faults)),
    }
}

fn from_package_error(error: PackageError) -> Problem {
    match error {
        PackageError::Io(error) => Problem::from_spool_error(error),
        PackageError::StructureTooLarge(_) => Problem::new(Code::BodyTooLarge, error.to_string()),
        PackageError::Damaged(_)
        | PackageError::TooManyEntries
        | PackageError::NoStructure
        | PackageError::Encrypted
        | PackageError::UnknownMethod(_) => Problem::invalid_body("", error.to_string()),
    }
}

pub(super) fn to_problem(faults: Faults<CourseFault>) -> Problem {
    let errors = faults.map(|fault| ProblemError::at_pointer("", fault.to_string()));
    Problem::with_errors(Code::InvalidBody, errors)
}
