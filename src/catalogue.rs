//! The catalogue: contents, and what they demand.
//!
//! The log shows type, title and tags of a content as they are now. It evaluates an activity with the pass mark, time
//! limit, expiry and certificate of the time at which it happened (`docs/specification.md#demands-over-time`).
//!
//! [`content`] contains contents as clients write and read them, [`types`] their types, [`demands`] what they demand, and
//! [`timeline`] how demands change over time.

pub mod activity_types;
pub mod content;
pub mod demands;
pub mod timeline;
pub mod types;

pub use activity_types::{from_activity_type, is_award, to_activity_type};
pub use content::{Content, ContentDraft, ContentFilter, ContentInput, ContentSortField};
pub use demands::{CertificateRule, DemandFields, DemandHistory, Demands};
pub use types::{ContentFormat, LearningType};
