//! The contents of the demo that can be started: web pages that the demo serves itself.

use std::net::SocketAddr;

use serde_json::json;

use crate::base::ids::OrgId;
use crate::base::keyed::{KeyedDraft as _, KeyedEntity as _, parse_one};
use crate::catalogue::ContentDraft;
use crate::http::static_pages::StaticPage;
use crate::store::{Contents, Store, WriteError};

/// The pages, from the example of launched content.
pub const PAGES: &[StaticPage] = &[
    StaticPage {
        path: "/demo/xapi.html",
        html: include_str!("../../../examples/launch/xapi.html"),
    },
    StaticPage {
        path: "/demo/scorm.html",
        html: include_str!("../../../examples/launch/scorm.html"),
    },
];

/// The contents of these pages.
const CONTENTS: [(&str, &str); 2] = [
    ("incident-drill", "/demo/xapi.html"),
    ("fire-safety", "/demo/scorm.html"),
];

/// The levels of a content's JSON.
const DEPTH: usize = 16;

/// Writes the addresses of the pages into the catalogue. They depend on the address of the server, which can differ at each
/// start.
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
    Ok(())
}
