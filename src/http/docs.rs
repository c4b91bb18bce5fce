//! `/openapi.json` and its viewer at `/docs`: Swagger UI. Its files are part of the binary, so it works without a
//! network. `/docs/problems` lists the problem codes; the `type` of a problem document links to it.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::openapi;
use super::problem::{Answer, Code, Problem};
use super::routes::routes;

routes! {
    "/openapi.json" => { get: read_openapi },
}

/// Adds the viewer. It is not part of the API and not in the OpenAPI document.
pub fn viewer(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/docs").route(web::get().to(redirect_to_viewer)))
        .service(web::resource("/docs/problems").route(web::get().to(read_problems)))
        .service(web::resource("/docs/{file:.*}").route(web::get().to(read_viewer_file)));
}

/// Read the OpenAPI document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    operation_id = "read_openapi",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json"))
)]
async fn read_openapi() -> Answer {
    // The document never changes while the process runs.
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = match TEXT.get() {
        Some(text) => text,
        None => {
            let text = openapi::document_text().map_err(Problem::internal)?;
            TEXT.get_or_init(|| text)
        }
    };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(text.as_str()))
}

/// Redirects to `/docs/`: the viewer's files have relative links to each other.
async fn redirect_to_viewer() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}

async fn read_viewer_file(file: web::Path<String>) -> Answer {
    let config = Arc::new(Config::new(["/openapi.json"]));
    let viewer_file = utoipa_swagger_ui::serve(&file, config)
        .map_err(|error| Problem::internal(error.to_string()))?
        .ok_or_else(Problem::not_found)?;
    let mut response = HttpResponse::Ok();
    if viewer_file.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response
        .content_type(viewer_file.content_type)
        .body(viewer_file.bytes.into_owned()))
}

/// Read the problem codes as a web page.
async fn read_problems() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(problems_page())
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
    use super::*;

    #[test]
    fn problems_page_lists_every_code_without_markup() {
        let page = problems_page();
        for code in Code::ALL {
            assert!(page.contains(&format!("id=\"{}\"", code.slug())));
            assert!(!code.title().contains(['<', '>', '&']));
        }
    }

    #[actix_web::test]
    async fn viewer_is_served_and_shows_the_openapi_document() {
        let page = read_viewer_file(web::Path::from(String::new()))
            .await
            .expect("the page");
        assert_eq!(
            page.headers().get(header::CONTENT_TYPE).expect("a type"),
            "text/html"
        );
        let start = read_viewer_file(web::Path::from("swagger-initializer.js".to_owned()))
            .await
            .expect("the script");
        let body = actix_web::body::to_bytes(start.into_body()).await.expect("bytes");
        assert!(String::from_utf8_lossy(&body).contains("/openapi.json"));
        assert_eq!(
            read_viewer_file(web::Path::from("nothing".to_owned()))
                .await
                .expect_err("404")
                .code(),
            Code::NotFound
        );
    }
}
