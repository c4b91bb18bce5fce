//! The rows that the cache reads and inserts.

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::catalogue::{ContentFormat, LearningType};
use crate::store::db::columns::{columns, table_row};
use crate::store::db::conversions::Readable;

columns! {
    pub(super) struct PersonRow {
        pub(super) digest: Vec<u8> = "digest",
        pub(super) key: i64 = "key",
        pub(super) valid_until: Option<Timestamp> = "valid_until",
        pub(super) user_key: Option<i64> = "user_key",
        pub(super) name: Option<String> = "name",
        pub(super) named_at: Timestamp = "named_at",
        pub(super) named_by: Uuid = "named_by",
        pub(super) tracked: bool = "tracked",
    }
}

columns! {
    pub(super) struct ContentRow {
        pub(super) digest: Vec<u8> = "digest",
        pub(super) key: i64 = "key",
        pub(super) registered: bool = "registered",
        pub(super) listed: bool = "listed",
        pub(super) recorded: bool = "recorded",
        pub(super) has_definition: bool = "definition IS NOT NULL",
        pub(super) title: Option<String> = "title",
        pub(super) learning_type: Readable<LearningType> = "type",
        pub(super) content_type: Readable<ContentFormat> = "content_type",
        pub(super) defined_at: Timestamp = "defined_at",
        pub(super) defined_by: Uuid = "defined_by",
        pub(super) tracked: bool = "tracked",
        pub(super) typed_at: Timestamp = "typed_at",
        pub(super) typed_by: Uuid = "typed_by",
        pub(super) type_tracked: bool = "type_tracked",
    }
}

table_row! {
    pub(super) struct NewVerb in "verbs" {
        pub(super) org: i64 = "org",
        pub(super) key: i64 = "key",
        pub(super) digest: Vec<u8> = "digest",
        pub(super) iri: String = "iri",
        pub(super) display: Option<String> = "display",
    }
}

table_row! {
    /// A content that is not registered.
    pub(super) struct NewContent in "contents" {
        pub(super) org: i64 = "org",
        pub(super) key: i64 = "key",
        pub(super) digest: Vec<u8> = "digest",
        pub(super) iri: String = "iri",
        pub(super) id_digest: Vec<u8> = "id_digest",
        pub(super) id: String = "id",
        pub(super) registered: bool = "registered",
        pub(super) listed: bool = "listed",
        pub(super) recorded: bool = "recorded",
        pub(super) title_folded: String = "title_folded",
        pub(super) tags: String = "tags",
        pub(super) cpd_labels: String = "cpd_labels",
        pub(super) demands: String = "demands",
        pub(super) defined_at: i64 = "defined_at",
        pub(super) defined_by: Uuid = "defined_by",
        pub(super) tracked: bool = "tracked",
        pub(super) typed_at: i64 = "typed_at",
        pub(super) typed_by: Uuid = "typed_by",
        pub(super) type_tracked: bool = "type_tracked",
        pub(super) reprojecting: bool = "reprojecting",
    }
}
