//! Contents of the catalogue, and what they demanded over time.
//!
//! A content that only statements have named so far has its IRI as its id. Writing it registers it under that id, or
//! under another id if the body names the IRI. It keeps its key, and with it its rows of the log.

mod adoption;

use std::collections::HashSet;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::base::sort::{ORDERED_ID_CHARS, SortValue, ordering_text};
use crate::base::{distinct_folded, fold, fold_if_different};
use crate::catalogue::timeline::{Snapshots, history, set_demands};
use crate::catalogue::{
    Content, ContentDraft, ContentFilter, ContentFormat, ContentSortField, Demands, LearningType,
};

use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::{IntoValue as _, columns, table_row};
use crate::store::db::conversions::Json;
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{Reads, push_words};
use crate::store::db::{Store, StoreError, digest, folded_digest, folded_digests};
use crate::store::ingest::demands::snapshots;
use crate::store::ingest::persons::stamp_columns;

use super::changes::{Resource, ResourceEffect};
use super::keyed::{Change, Collection, Existing, ListPart, Matched, Planned, WriteError, replace_details};

/// `content_terms.kind` of a tag.
pub(crate) const TAG: i16 = 1;
/// `content_terms.kind` of a CPD label.
pub(crate) const CPD_LABEL: i16 = 2;

/// The collection of contents.
pub(crate) struct Contents;

/// A content as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredContent {
    content: Content,
    /// Whether it is in the catalogue. Otherwise only the LRS knows it.
    listed: bool,
    /// What it demanded over time.
    snapshots: Snapshots,
}

columns! {
    /// A content as it is read.
    pub(crate) struct SelectedContent {
        key: i64 = "c.key",
        id: String = "c.id",
        iri: String = "c.iri",
        title: Option<String> = "c.title",
        learning_type: Option<LearningType> = "c.type",
        content_type: Option<ContentFormat> = "c.content_type",
        tags: Json<Vec<String>> = "c.tags",
        cpd_labels: Json<Vec<String>> = "c.cpd_labels",
        source: Option<String> = "c.source",
        url: Option<String> = "c.url",
        archived_at: Option<Timestamp> = "c.archived_at",
        registered: bool = "c.registered",
        reprojecting: bool = "c.reprojecting",
        listed: bool = "c.listed",
    }
}

table_row! {
    /// A content as it is written.
    pub(crate) struct WrittenContent in "contents" {
        org: i64 = "org",
        key: i64 = "key",
        id_digest: Vec<u8> = "id_digest",
        id: String = "id",
        registered: bool = "registered",
        listed: bool = "listed",
        title: Option<String> = "title",
        title_folded: String = "title_folded",
        learning_type: Option<LearningType> = "type",
        content_type: Option<ContentFormat> = "content_type",
        tags: Json<Vec<String>> = "tags",
        cpd_labels: Json<Vec<String>> = "cpd_labels",
        source: Option<String> = "source",
        source_folded: Option<String> = "source_folded",
        url: Option<String> = "url",
        archived_at: Option<Timestamp> = "archived_at",
        demands: String = "demands",
    }
}

table_row! {
    struct Term in "content_terms" {
        org: i64 = "org",
        kind: i16 = "kind",
        folded: Vec<u8> = "folded",
        content: i64 = "content",
    }
}

table_row! {
    struct Snapshot in "content_demands" {
        org: i64 = "org",
        content: i64 = "content",
        effective_from: Timestamp = "effective_from",
        demands: String = "demands",
    }
}

/// The organisation's account home page: IRIs of contents begin with it by default.
pub(crate) struct AccountHomePage(String);

impl Collection for Contents {
    type Entity = Content;
    type Draft = ContentDraft;
    type Stored = StoredContent;
    type Filter = ContentFilter;
    type SortField = ContentSortField;
    type Visible = ();
    type SelectedRow = SelectedContent;
    type WrittenRow = WrittenContent;
    type References = AccountHomePage;

    const KIND: ResourceKind = ResourceKind::Content;
    const KEY_COLUMN: &'static str = "c.key";
    const ID_COLUMN: &'static str = "c.id";

    fn select() -> String {
        format!(
            "SELECT {} FROM contents c WHERE c.org = $1",
            SelectedContent::COLUMNS
        )
    }

    async fn push_filter(
        _store: &Store,
        _org: i64,
        sql: &mut Sql,
        filter: &ContentFilter,
    ) -> Result<(), StoreError> {
        sql.push(" AND c.listed");
        push_words(sql, "c.title_folded", &filter.words);
        if !filter.ids.is_empty() {
            Self::push_ids(sql, filter.ids.clone());
        }
        if !filter.types.is_empty() {
            let codes: Vec<i16> = filter.types.iter().map(|value| value.code()).collect();
            sql.push(" AND c.type").any_of(codes);
        }
        if !filter.content_types.is_empty() {
            let codes: Vec<i16> = filter.content_types.iter().map(|value| value.code()).collect();
            sql.push(" AND c.content_type").any_of(codes);
        }
        if !filter.tags.is_empty() {
            sql.push(" AND c.key IN (SELECT f.content FROM content_terms f WHERE f.org = $1 AND f.kind = ");
            sql.bind(TAG)
                .push(" AND f.folded")
                .any_of(folded_digests(&filter.tags))
                .push(")");
        }
        match filter.archived {
            Some(true) => {
                sql.push(" AND c.archived_at IS NOT NULL");
            }
            Some(false) => {
                sql.push(" AND c.archived_at IS NULL");
            }
            None => {}
        }
        Ok(())
    }

    /// An index has the beginning of an id, which can be a long IRI.
    fn sort_columns(field: ContentSortField) -> &'static [&'static str] {
        match field {
            ContentSortField::Id => &["c.id_order", "c.id"],
            ContentSortField::Title => &["c.title_order", "c.id_order", "c.id"],
            ContentSortField::Type => &["c.type_order", "c.id_order", "c.id"],
        }
    }

    fn sort_values(field: ContentSortField, content: &Content) -> Vec<SortValue> {
        let first = match field {
            ContentSortField::Id => None,
            ContentSortField::Title => Some(SortValue::Text(ordering_text(content.title.as_deref()))),
            ContentSortField::Type => {
                let code = content.learning_type.map_or(i16::MAX, LearningType::code);
                Some(SortValue::Number(code.into()))
            }
        };
        let start: String = content.id.chars().take(ORDERED_ID_CHARS).collect();
        let id = [SortValue::Text(start), content.id.as_str().into()];
        first.into_iter().chain(id).collect()
    }

    fn push_ids(sql: &mut Sql, ids: Vec<String>) {
        let digests: Vec<Vec<u8>> = ids.iter().map(|id| digest(id)).collect();
        sql.push(" AND c.id_digest").any_of(digests).push(" AND c.listed");
    }

    fn stored(row: SelectedContent) -> Existing<Self> {
        let content = Content {
            id: row.id,
            iri: row.iri,
            title: row.title,
            learning_type: row.learning_type,
            content_type: row.content_type,
            tags: row.tags.0,
            cpd_labels: row.cpd_labels.0,
            source: row.source,
            url: row.url,
            archived_at: row.archived_at,
            pass_mark: None,
            time_limit: None,
            expires_after: None,
            certificate: None,
            registered: row.registered,
            reprojecting: row.reprojecting,
        };
        Existing {
            key: row.key,
            stored: StoredContent {
                content,
                listed: row.listed,
                snapshots: Vec::new(),
            },
        }
    }

    fn stored_id(stored: &StoredContent) -> &str {
        &stored.content.id
    }

    async fn load_details(
        reads: &mut impl Reads,
        org: i64,
        now: Timestamp,
        contents: &mut [Existing<Self>],
    ) -> Result<(), StoreError> {
        let keys = contents.iter().map(|content| content.key).collect();
        let mut snapshots = snapshots(reads, org, keys).await?;
        for Existing { key, stored } in contents {
            stored.snapshots = snapshots.remove(key).unwrap_or_default();
            show_demands(&mut stored.content, history(&stored.snapshots).at(now));
        }
        Ok(())
    }

    async fn match_drafts<'d>(
        tx: &mut OrgTx,
        drafts: &'d [ContentDraft],
        _refused_ids: &HashSet<String>,
        now: Timestamp,
    ) -> Result<(Vec<Matched<'d, Self>>, AccountHomePage), WriteError> {
        let home_page = AccountHomePage(tx.organisation().await?.account_home_page);
        let matched = adoption::match_drafts(tx, drafts, &home_page, now).await?;
        Ok((matched, home_page))
    }

    fn after(
        draft: &ContentDraft,
        before: Option<&StoredContent>,
        home_page: &AccountHomePage,
        now: Timestamp,
    ) -> StoredContent {
        let old_snapshots = before.map(|before| before.snapshots.clone()).unwrap_or_default();
        let stored = history(&old_snapshots).at(draft.effective_from.unwrap_or(now));
        let demands = draft.demands.limited_to(draft.demand_fields, stored);
        let snapshots = set_demands(old_snapshots, draft.effective_from, now, &demands);
        let mut content = Content {
            id: draft.id.to_string(),
            iri: before.map_or_else(|| home_page.iri(draft), |before| before.content.iri.clone()),
            title: Some(draft.title.clone()),
            learning_type: Some(draft.learning_type),
            content_type: draft.content_type,
            tags: draft.tags.clone(),
            cpd_labels: draft.cpd_labels.clone(),
            source: draft.source.clone(),
            url: draft.url.clone(),
            archived_at: draft.archived_at,
            pass_mark: None,
            time_limit: None,
            expires_after: None,
            certificate: None,
            registered: true,
            reprojecting: before.is_some_and(|before| before.content.reprojecting),
        };
        show_demands(&mut content, history(&snapshots).at(now));
        StoredContent {
            content,
            listed: true,
            snapshots,
        }
    }

    /// A content that had another id, or that only the LRS knew, is new at its address.
    fn change(before: Option<&StoredContent>, after: &StoredContent) -> Change {
        match before {
            Some(before) if before == after => Change::Unchanged,
            Some(before) if before.listed && before.content.id == after.content.id => Change::Updated,
            _ => Change::Created,
        }
    }

    fn row(
        org: i64,
        element: &Planned<'_, Self>,
        _home_page: &AccountHomePage,
        now: Timestamp,
    ) -> WrittenContent {
        let StoredContent {
            content,
            listed,
            snapshots,
        } = element.after.clone();
        WrittenContent {
            org,
            key: element.key,
            id_digest: digest(&content.id),
            id: content.id,
            registered: content.registered,
            listed,
            title_folded: fold(content.title.as_deref().unwrap_or_default()),
            title: content.title,
            learning_type: content.learning_type,
            content_type: content.content_type,
            tags: Json(content.tags),
            cpd_labels: Json(content.cpd_labels),
            source_folded: fold_if_different(content.source.as_deref()),
            source: content.source,
            url: content.url,
            archived_at: content.archived_at,
            demands: history(&snapshots).at(now).to_json(),
        }
    }

    /// The IRI never changes. The other columns are written by the recorder.
    fn initial_columns(element: &Planned<'_, Self>) -> Vec<(&'static str, Value)> {
        let iri = &element.after.content.iri;
        let (defined_at, defined_by) = stamp_columns(None);
        vec![
            ("digest", digest(iri).into_value()),
            ("iri", iri.clone().into_value()),
            ("defined_at", defined_at.into_value()),
            ("defined_by", defined_by.into_value()),
            ("tracked", false.into_value()),
            ("typed_at", defined_at.into_value()),
            ("typed_by", defined_by.into_value()),
            ("type_tracked", false.into_value()),
            ("recorded", false.into_value()),
            ("reprojecting", false.into_value()),
        ]
    }

    async fn write_details(
        tx: &mut OrgTx,
        planned: &mut [Planned<'_, Self>],
        _home_page: &AccountHomePage,
    ) -> Result<(), WriteError> {
        for content in planned.iter() {
            if let Some(id) = content.former_id() {
                tx.note_former_content(id.to_owned());
            }
        }
        replace_terms(tx, planned).await?;
        replace_snapshots(tx, planned).await?;
        for content in planned.iter().filter(|content| content.needs_projection()) {
            tx.reproject(content.key).await?;
        }
        let registered = planned.iter().filter(|content| content.is_newly_registered());
        let registered: Vec<i64> = registered.map(|content| content.key).collect();
        tx.place_again(&registered).await?;
        if planned.iter().any(|content| content.change != Change::Unchanged) {
            tx.invalidate_caches();
        }
        Ok(())
    }
}

impl Store {
    /// The plan of a page of all contents.
    pub async fn explain_contents(
        &self,
        organisation: &OrgId,
        part: ListPart<'_, ContentSortField>,
    ) -> Result<Vec<String>, StoreError> {
        let filter = ContentFilter::default();
        self.explain_list::<Contents>(organisation, &(), &filter, part)
            .await
    }
}

impl StoredContent {
    /// What a change of the content did. A content that is not listed any more is deleted for clients.
    pub(super) fn into_effect(self) -> ResourceEffect {
        match self.listed {
            true => Resource::Content(Box::new(self.content)).into(),
            false => ResourceEffect::DeletedContent(self.content.id),
        }
    }
}

impl From<StoredContent> for Content {
    fn from(stored: StoredContent) -> Self {
        stored.content
    }
}

impl AccountHomePage {
    /// The IRI that a new content gets.
    fn iri(&self, draft: &ContentDraft) -> String {
        match &draft.iri {
            Some(iri) => iri.to_string(),
            None => ContentDraft::default_iri(&draft.id, &self.0),
        }
    }
}

impl Planned<'_, Contents> {
    /// Whether only records knew the content before. It may now be the content of further records.
    fn is_newly_registered(&self) -> bool {
        let before = self.before.as_ref();
        before.is_some_and(|before| !before.content.registered)
    }

    /// The id that the content had, if it gets another one.
    fn former_id(&self) -> Option<&str> {
        let before = self.before.as_ref().filter(|before| before.listed)?;
        let id = before.content.id.as_str();
        (id != self.after.content.id).then_some(id)
    }

    /// Whether rows of the log about the content have to be projected again.
    fn needs_projection(&self) -> bool {
        let after = &self.after;
        self.before.as_ref().is_some_and(|before| {
            before.content.learning_type != after.content.learning_type
                || before.content.content_type != after.content.content_type
                || before.snapshots != after.snapshots
        })
    }
}

fn show_demands(content: &mut Content, demands: Demands) {
    content.pass_mark = demands.pass_mark;
    content.time_limit = demands.time_limit;
    content.expires_after = demands.expires_after;
    content.certificate = demands.certificate.map(Into::into);
}

async fn replace_terms(tx: &mut OrgTx, planned: &[Planned<'_, Contents>]) -> Result<(), StoreError> {
    let org = tx.org;
    let differ = |before: &StoredContent, after: &StoredContent| {
        before.content.tags != after.content.tags || before.content.cpd_labels != after.content.cpd_labels
    };
    let terms = |element: &Planned<'_, Contents>| {
        let content = &element.after.content;
        let tags = distinct_folded(&content.tags).into_iter().map(|tag| (TAG, tag));
        let cpd_labels = distinct_folded(&content.cpd_labels).into_iter();
        let cpd_labels = cpd_labels.map(|label| (CPD_LABEL, label));
        let rows = tags.chain(cpd_labels).map(|(kind, value)| Term {
            org,
            kind,
            folded: folded_digest(value),
            content: element.key,
        });
        rows.collect()
    };
    replace_details(tx, planned, "content", differ, terms).await
}

/// A content has few snapshots, so all of them are written again.
async fn replace_snapshots(tx: &mut OrgTx, planned: &[Planned<'_, Contents>]) -> Result<(), StoreError> {
    let org = tx.org;
    let differ = |before: &StoredContent, after: &StoredContent| before.snapshots != after.snapshots;
    let snapshots = |element: &Planned<'_, Contents>| {
        let rows = element
            .after
            .snapshots
            .iter()
            .map(|(effective_from, demands)| Snapshot {
                org,
                content: element.key,
                effective_from: *effective_from,
                demands: demands.to_json(),
            });
        rows.collect()
    };
    replace_details(tx, planned, "content", differ, snapshots).await
}
