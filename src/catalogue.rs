//! The catalogue: what is learned. Contents of every type, and what they demand.
//!
//! What a content *is* (type, title, tags) counts as it is now; what it *demanded* (pass mark, time
//! limit, expiry, certificate) counts as it stood when the activity happened (product text,
//! section 6, rule 10). Start reading at [`kind`] for the first and [`demands`] for the second;
//! [`content`] is what clients write and read of one, [`timeline`] how its demands are set.

pub mod activity_types;
pub mod content;
pub mod demands;
pub mod timeline;
pub mod types;

pub use activity_types::{from_activity_type, to_activity_type};
pub use content::{Content, ContentDraft, ContentFilter, ContentInput};
pub use demands::{CertificateRule, DemandHistory, Demands};
pub use types::{ContentFormat, LearningType};
