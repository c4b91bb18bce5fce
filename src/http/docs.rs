//! `/openapi.json` and its viewer at `/docs`: Swagger UI. Its files are part of the binary, so it works without a
//! network. `/docs/problems` lists the problem codes; the `type` of a problem document links to it.
//!
//! Nothing here changes while the process runs. So each file is made and compressed once, and has an `ETag`.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::{self, Read as _, Write as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use actix_web::http::header::{
    self, AcceptEncoding, ContentEncoding, EntityTag, Header as _, HeaderValue, IfNoneMatch,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use utoipa_swagger_ui::Config;

use super::AppState;
use super::openapi;
use super::problem::{Answer, Code, Problem};
use super::routes::routes;

routes! {
    "/openapi.json" => { get: read_openapi },
    "/openapi-3.0.json" => { get: read_openapi_3_0 },
}

/// Adds the viewer. It is not part of the API and not in the OpenAPI document.
pub fn viewer(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/docs").route(web::get().to(redirect_to_viewer)))
        .service(web::resource("/docs/problems").route(web::get().to(read_problems)))
        .service(web::resource("/docs/{file:.*}").route(web::get().to(read_viewer_file)));
}

/// Read the OpenAPI document.
///
/// The answer has an ETag. It changes only with the version of the server.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    operation_id = "read_openapi",
    security(()),
    responses(
        (status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json"),
        (status = 304, description = "The client has this version.")
    )
)]
async fn read_openapi(request: HttpRequest, state: web::Data<AppState>) -> Answer {
    respond_with_document(&request, state.base_path(), OPENAPI, openapi::document_text).await
}

/// Read the OpenAPI document in version 3.0.3.
///
/// It has the same operations, for generators that do not read 3.1. Each body has one media type in it.
#[utoipa::path(
    get,
    path = "/openapi-3.0.json",
    tag = "operation",
    operation_id = "read_openapi_3_0",
    security(()),
    responses(
        (status = 200, description = "OpenAPI 3.0.3.", body = Object, content_type = "application/json"),
        (status = 304, description = "The client has this version.")
    )
)]
async fn read_openapi_3_0(request: HttpRequest, state: web::Data<AppState>) -> Answer {
    respond_with_document(
        &request,
        state.base_path(),
        OPENAPI_3_0,
        openapi::document_text_3_0,
    )
    .await
}

/// Answers with a document, which has the path of the public address.
async fn respond_with_document(
    request: &HttpRequest,
    base_path: &str,
    name: &str,
    write: fn(&str) -> Result<String, serde_json::Error>,
) -> Answer {
    let name = format!("{name} {base_path}");
    let base_path = base_path.to_owned();
    let file = find_file(&name, move || {
        let text = write(&base_path).map_err(Problem::internal)?;
        Ok(Some(File::new(text.into_bytes(), "application/json")?))
    });
    Ok(respond(request, &*file.await?))
}

/// Redirects to `/docs/`: the viewer's files have relative links to each other.
async fn redirect_to_viewer() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}

async fn read_viewer_file(request: HttpRequest, name: web::Path<String>) -> Answer {
    let name = name.into_inner();
    let wanted = name.clone();
    let file = find_file(&name, move || make_viewer_file(&wanted)).await?;
    let mut answer = respond(&request, &file);
    add_page_headers(&mut answer);
    Ok(answer)
}

/// Read the problem codes as a web page.
async fn read_problems(request: HttpRequest) -> Answer {
    let file = find_file(PROBLEMS, || {
        File::new(problems_page().into_bytes(), "text/html; charset=utf-8").map(Some)
    });
    let mut answer = respond(&request, &*file.await?);
    add_page_headers(&mut answer);
    Ok(answer)
}

/// What a page here may do: load its own scripts, styles and images and send requests to this server. It cannot be shown
/// in a frame of another page. Swagger UI sets styles in elements.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Adds what a page with files of its own may do.
pub(super) fn add_page_headers(answer: &mut HttpResponse) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

/// The names of the files that are no files of the viewer. A path has no such name, since `/` begins none. The path of the
/// server's public address follows the names of the documents, since a process may have several servers.
const OPENAPI: &str = "/openapi.json";
const OPENAPI_3_0: &str = "/openapi-3.0.json";
const PROBLEMS: &str = "/problems";

/// A file in both forms in which it is sent.
struct File {
    content_type: String,
    etag: EntityTag,
    plain: Bytes,
    gzip: Bytes,
}

/// The files that were sent before. Only existing files are in it, so their number is bounded.
static FILES: LazyLock<Mutex<HashMap<String, Arc<File>>>> = LazyLock::new(Mutex::default);

impl File {
    /// A page is asked for again each time, so that it never belongs to another version than the server. What a page loads
    /// changes with the version of the server only.
    fn cache_control(&self) -> &'static str {
        if self.content_type.starts_with("text/html") {
            "no-cache"
        } else {
            "public, max-age=86400"
        }
    }

    fn new(bytes: Vec<u8>, content_type: &str) -> Result<Self, Problem> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes).map_err(Problem::internal)?;
        let gzip = encoder.finish().map_err(Problem::internal)?;
        let digest = Sha256::digest(&bytes);
        let tag = digest.iter().take(16).fold(String::new(), |mut tag, byte| {
            let _ = write!(tag, "{byte:02x}"); // writing to a `String` never fails
            tag
        });
        Ok(Self {
            content_type: content_type.to_owned(),
            // It is weak, since both forms have it.
            etag: EntityTag::new_weak(tag),
            plain: bytes.into(),
            gzip: gzip.into(),
        })
    }
}

/// Finds a file, or makes it on a thread for blocking work. `make` returns `None` if the file does not exist.
async fn find_file(
    name: &str,
    make: impl FnOnce() -> Result<Option<File>, Problem> + Send + 'static,
) -> Result<Arc<File>, Problem> {
    let files = || FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = files().get(name).cloned();
    if let Some(file) = known {
        return Ok(file);
    }
    let file = web::block(make).await.map_err(Problem::internal)??;
    let file = Arc::new(file.ok_or_else(Problem::not_found)?);
    files().insert(name.to_owned(), Arc::clone(&file));
    Ok(file)
}

fn make_viewer_file(name: &str) -> Result<Option<File>, Problem> {
    // Without this, the viewer would ask a server on the internet to check the document.
    let config = Arc::new(Config::new(["../openapi.json"]).validator_url("none"));
    let found =
        utoipa_swagger_ui::serve(name, config).map_err(|error| Problem::internal(error.to_string()))?;
    let Some(found) = found else { return Ok(None) };
    let mut bytes = found.bytes.into_owned();
    if found.gzpipped {
        bytes = unpack(&bytes).map_err(Problem::internal)?;
    }
    File::new(bytes, &found.content_type).map(Some)
}

fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// The answer with the file in the form that the client accepts, or 304 if the client has it.
fn respond(request: &HttpRequest, file: &File) -> HttpResponse {
    let is_current = match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&file.etag)),
        Err(_) => false,
    };
    let mut answer = if is_current {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((header::ETAG, file.etag.to_string()))
        .insert_header((header::CACHE_CONTROL, file.cache_control()))
        .insert_header((header::VARY, "accept-encoding"));
    if is_current {
        return answer.finish();
    }
    let supported = [header::Encoding::gzip(), header::Encoding::identity()];
    let accepted = AcceptEncoding::parse(request).ok();
    let chosen = accepted.and_then(|accepted| accepted.negotiate(supported.iter()));
    // With this header, the middleware does not compress the answer again.
    let (encoding, body) = match chosen {
        Some(header::Encoding::Known(ContentEncoding::Gzip)) => ("gzip", &file.gzip),
        _ => ("identity", &file.plain),
    };
    answer
        .insert_header((header::CONTENT_ENCODING, encoding))
        .content_type(file.content_type.as_str())
        .body(body.clone())
}

fn problems_page() -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Problems</title></head>\n\
         <body>\n<h1>Problems</h1>\n<p>Every error is a problem document (RFC 9457). These are the values \
         of its <code>code</code>.</p>\n<dl>\n",
    );
    for code in Code::ALL {
        // The texts of the table contain no markup (a test checks it). Writing to a `String` never fails.
        let _ = writeln!(
            page,
            "<dt id=\"{slug}\"><code>{slug}</code> ({status})</dt><dd>{title}.</dd>",
            slug = code.slug(),
            status = code.status(),
            title = code.title()
        );
    }
    page.push_str("</dl>\n</body>\n</html>\n");
    page
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn problems_page_lists_every_code_without_markup() {
        let page = problems_page();
        for code in Code::ALL {
            assert!(page.contains(&format!("id=\"{}\"", code.slug())));
            assert!(!code.title().contains(['<', '>', '&']));
        }
    }

    async fn read(name: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = TestRequest::get();
        for header in headers {
            request = request.insert_header(*header);
        }
        read_viewer_file(request.to_http_request(), web::Path::from(name.to_owned())).await
    }

    #[actix_web::test]
    async fn viewer_is_served_and_shows_the_openapi_document() {
        let page = read("", &[]).await.expect("the page");
        let text = |name| {
            page.headers()
                .get(name)
                .expect("a header")
                .to_str()
                .expect("text")
        };
        assert_eq!(text(header::CONTENT_TYPE), "text/html");
        assert!(text(header::CONTENT_SECURITY_POLICY).contains("frame-ancestors 'none'"));
        let start = read("swagger-initializer.js", &[]).await.expect("the script");
        let body = actix_web::body::to_bytes(start.into_body()).await.expect("bytes");
        assert!(String::from_utf8_lossy(&body).contains("/openapi.json"));
        assert_eq!(
            read("nothing", &[]).await.expect_err("404").code(),
            Code::NotFound
        );
    }

    /// The policy of pages allows no scripts inside them.
    #[actix_web::test]
    async fn page_of_the_viewer_has_no_inline_scripts() {
        let page = read("", &[]).await.expect("the page");
        let body = actix_web::body::to_bytes(page.into_body()).await.expect("bytes");
        let page = String::from_utf8_lossy(&body);
        assert!(page.contains("<script src="));
        assert_eq!(
            page.matches("<script").count(),
            page.matches("<script src=\"./").count()
        );
        assert!(!page.contains("<style") && !page.contains(" onload=") && !page.contains(" style="));
    }

    #[actix_web::test]
    async fn file_is_compressed_once_and_has_an_etag() {
        let name = "swagger-ui.css";
        let plain = read(name, &[]).await.expect("the file");
        let etag = plain
            .headers()
            .get(header::ETAG)
            .expect("an ETag")
            .to_str()
            .expect("text")
            .to_owned();
        let plain = actix_web::body::to_bytes(plain.into_body()).await.expect("bytes");
        let mut packed = Vec::new();
        for _ in 0..2 {
            let answer = read(name, &[("accept-encoding", "br, gzip;q=0.5")])
                .await
                .expect("the file");
            assert_eq!(
                answer.headers().get(header::CONTENT_ENCODING).expect("one"),
                "gzip"
            );
            packed.push(
                actix_web::body::to_bytes(answer.into_body())
                    .await
                    .expect("bytes"),
            );
        }
        assert_eq!(unpack(&packed[0]).expect("gzip"), plain);
        assert_eq!(packed[0], packed[1]);
        let caching = |answer: &HttpResponse| answer.headers().get(header::CACHE_CONTROL).cloned();
        let page = read("", &[]).await.expect("the page");
        assert_eq!(caching(&page).expect("a value"), "no-cache");
        for sent in [etag.as_str(), etag.trim_start_matches("W/"), "*"] {
            let answer = read(name, &[("if-none-match", sent)]).await.expect("an answer");
            assert_eq!(answer.status(), 304, "{sent}");
            assert_eq!(caching(&answer).expect("a value"), "public, max-age=86400");
        }
        assert_eq!(
            read(name, &[("if-none-match", "\"x\"")])
                .await
                .expect("an answer")
                .status(),
            200
        );
    }
}
