//! Files of the binary that the demo serves: pages of launched content, and the example of a frontend.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::docs::add_page_headers;

/// A file with its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticPage {
    /// The path.
    pub path: &'static str,
    /// The media type.
    pub content_type: &'static str,
    /// The content.
    pub text: &'static str,
    /// Whether the file belongs to an application with files of its own. A browser then runs no script inside the page, and
    /// shows the page in no frame.
    pub is_application: bool,
}

impl StaticPage {
    /// A page of content that is launched. It may have scripts inside, and may be shown in a frame.
    pub const fn content(path: &'static str, text: &'static str) -> Self {
        Self {
            path,
            content_type: "text/html; charset=utf-8",
            text,
            is_application: false,
        }
    }

    /// A file of an application.
    pub const fn application(path: &'static str, content_type: &'static str, text: &'static str) -> Self {
        Self {
            path,
            content_type,
            text,
            is_application: true,
        }
    }
}

/// Adds the files. They are not part of the API and not in the OpenAPI document.
pub fn routes(config: &mut web::ServiceConfig, pages: &'static [StaticPage]) {
    for page in pages {
        let respond = move || async move { respond(page) };
        config.service(web::resource(page.path).route(web::get().to(respond)));
    }
}

fn respond(page: &StaticPage) -> HttpResponse {
    let mut answer = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, page.content_type))
        // The address of a page can contain the token of a launch.
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(page.text);
    if page.is_application {
        add_page_headers(&mut answer);
    }
    answer
}
