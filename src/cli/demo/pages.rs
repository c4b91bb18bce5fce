//! The web pages of the demo: the contents that can be started, and the example of a frontend.

use std::net::SocketAddr;

use serde_json::json;

use crate::base::ids::OrgId;
use crate::base::keyed::{KeyedDraft as _, KeyedEntity as _, parse_one};
use crate::catalogue::ContentDraft;
use crate::cmi5::CourseStructure;
use crate::http::static_pages::StaticPage;
use crate::store::{Contents, Store, WriteError};

/// A file of the example of a frontend, under `/example`.
macro_rules! frontend_file {
    ($path:literal, $content_type:literal, $file:literal) => {
        StaticPage::application(
            $path,
            $content_type,
            include_str!(concat!("../../../examples/frontend/", $file)),
        )
    };
}

/// The pages of launched content, and the example of a frontend.
pub const PAGES: &[StaticPage] = &[
    StaticPage::content(
        "/demo/xapi.html",
        include_str!("../../../examples/launch/xapi.html"),
    ),
    StaticPage::content(
        "/demo/scorm.html",
        include_str!("../../../examples/launch/scorm.html"),
    ),
    StaticPage::content(
        "/demo/unit.html",
        include_str!("../../../examples/cmi5/unit.html"),
    ),
    frontend_file!("/example", "text/html; charset=utf-8", "index.html"),
    frontend_file!("/example/", "text/html; charset=utf-8", "index.html"),
    frontend_file!("/example/style.css", "text/css; charset=utf-8", "style.css"),
    frontend_file!("/example/app.js", "text/javascript; charset=utf-8", "app.js"),
    frontend_file!("/example/api.js", "text/javascript; charset=utf-8", "api.js"),
    frontend_file!("/example/page.js", "text/javascript; charset=utf-8", "page.js"),
    frontend_file!(
        "/example/filters.js",
        "text/javascript; charset=utf-8",
        "filters.js"
    ),
    frontend_file!("/example/log.js", "text/javascript; charset=utf-8", "log.js"),
    frontend_file!(
        "/example/progress.js",
        "text/javascript; charset=utf-8",
        "progress.js"
    ),
];

/// The course structure of cmi5 with the units of `unit.html`.
const COURSE: &[u8] = include_bytes!("../../../examples/cmi5/cmi5.xml");

/// The id of the content of its first unit, which follows from the ids in the structure.
pub const UNIT: &str = "au-0190f057da11651eb360b86a";

/// The contents of these pages.
const CONTENTS: [(&str, &str); 2] = [
    ("incident-drill", "/demo/xapi.html"),
    ("fire-safety", "/demo/scorm.html"),
];

/// The levels of a content's JSON.
const DEPTH: usize = 16;

/// Writes the addresses of the pages into the catalogue, and imports the course of cmi5. The addresses depend on that of the
/// server, which can differ at each start.
///
/// # Errors
///
/// The catalogue cannot be written.
pub async fn write_addresses(store: &Store, org: &OrgId, address: SocketAddr) -> Result<(), WriteError> {
    for (content, path) in CONTENTS {
        let patch = json!({"url": format!("http://{address}{path}")});
        let change = |element: &_| {
            let element: &crate::catalogue::Content = element;
            let mut draft: ContentDraft = parse_one(&element.patched(&patch).to_string(), DEPTH, content)?;
            draft.note_patch(&patch);
            Ok(draft)
        };
        store.patch::<Contents>(org, content, change).await?;
    }
    let course = CourseStructure::parse(COURSE).and_then(|mut course| {
        course.resolve_urls(Some(&format!("http://{address}/demo/")))?;
        Ok(course)
    });
    // A test imports the course, so it has no faults.
    if let Ok(course) = course {
        store.import_course(org, &course).await?;
    }
    Ok(())
}
