//! Web pages of the binary, which the demo serves as content.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

/// A web page with its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticPage {
    /// The path.
    pub path: &'static str,
    /// The page.
    pub html: &'static str,
}

/// Adds the pages. They are not part of the API and not in the OpenAPI document.
pub fn routes(config: &mut web::ServiceConfig, pages: &'static [StaticPage]) {
    for page in pages {
        let respond = move || async move {
            HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
                // The address of a page can contain the token of a launch.
                .insert_header((header::REFERRER_POLICY, "no-referrer"))
                .insert_header((header::CACHE_CONTROL, "no-cache"))
                .body(page.html)
        };
        config.service(web::resource(page.path).route(web::get().to(respond)));
    }
}
