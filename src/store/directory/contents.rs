//! Contents of the catalogue, and the history of what they demanded.
//!
//! A content that only statements have named so far has its IRI as id; writing it registers it, under that id or
//! (where the body names the IRI) under another one. Its key stays, and with it its rows of the log.

mod plan;

use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::catalogue::timeline::{Snapshots, history};
use crate::catalogue::{Content, ContentDraft, ContentFilter, Demands};
use crate::directory::{BatchOutcome, Refusal};

use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::rows::{Reads, one_more, push_words};
use crate::store::db::{Store, StoreError, digest};
use crate::store::directory::write::{Change, WriteError};
use crate::store::ingest::demands::{kind_from, snapshots, type_from};

/// `content_terms.kind` of a tag.
pub(crate) const TAG: i16 = 1;
/// `content_terms.kind` of a CPD label.
pub(crate) const CPD_LABEL: i16 = 2;

const SELECT: &str = "SELECT c.key, c.id, c.iri, c.title, c.type, c.content_type, c.tags, c.cpd_labels, \
     c.source, c.url, c.archived_at, c.registered, c.reprojecting, c.listed FROM contents c WHERE c.org = $1";

/// A content as it is kept.
struct Kept {
    key: i64,
    /// Whether it is in the catalogue; else only the LRS knows it.
    listed: bool,
    content: Content,
    snapshots: Snapshots,
}

fn read(row: &Row) -> Result<Kept, StoreError> {
    let terms = |column| -> Result<Vec<String>, StoreError> {
        let text: String = row.get(column)?;
        serde_json::from_str(&text).map_err(|error| StoreError::corrupt("list of terms", error))
    };
    let content = Content {
        id: row.get(1)?,
        iri: row.get(2)?,
        title: row.get(3)?,
        learning_type: type_from(row.get(4)?),
        content_type: kind_from(row.get(5)?),
        tags: terms(6)?,
        cpd_labels: terms(7)?,
        source: row.get(8)?,
        url: row.get(9)?,
        archived_at: row.get::<Option<i64>>(10)?.map(Timestamp::from_micros),
        pass_mark: None,
        time_limit: None,
        expires_after: None,
        certificate: None,
        registered: row.get(11)?,
        reprojecting: row.get(12)?,
    };
    Ok(Kept {
        key: row.get(0)?,
        listed: row.get(13)?,
        content,
        snapshots: Vec::new(),
    })
}

/// The contents that `sql` (of [`SELECT`]) finds, in its order, with what they demand now.
async fn load(reads: &mut impl Reads, org: i64, now: Timestamp, sql: Sql) -> Result<Vec<Kept>, StoreError> {
    let mut contents: Vec<Kept> = reads
        .rows(sql)
        .await?
        .iter()
        .map(read)
        .collect::<Result<_, _>>()?;
    if contents.is_empty() {
        return Ok(contents);
    }
    let keys = contents.iter().map(|kept| kept.key).collect();
    let mut snapshots = snapshots(reads, org, keys).await?;
    for kept in &mut contents {
        kept.snapshots = snapshots.remove(&kept.key).unwrap_or_default();
    }
    for kept in &mut contents {
        show_demands(&mut kept.content, history(&kept.snapshots).at(now));
    }
    Ok(contents)
}

fn show_demands(content: &mut Content, demands: Demands) {
    content.pass_mark = demands.pass_mark;
    content.time_limit = demands.time_limit;
    content.expires_after = demands.expires_after;
    content.certificate = demands.certificate.map(Into::into);
}

/// The listed content with that id.
fn by_id(org: i64, id: &str) -> Sql {
    Sql::new(&format!("{SELECT} AND c.id_digest = $2 AND c.listed"))
        .with(org)
        .with(digest(id))
}

fn push_filter(sql: &mut Sql, filter: &ContentFilter) {
    push_words(sql, "c.title_folded", &filter.words);
    if !filter.types.is_empty() {
        sql.push(" AND c.type")
            .any_of(filter.types.iter().map(|kind| kind.code()).collect::<Vec<i16>>());
    }
    if !filter.content_types.is_empty() {
        let codes: Vec<i16> = filter.content_types.iter().map(|kind| kind.code()).collect();
        sql.push(" AND c.content_type").any_of(codes);
    }
    if !filter.tags.is_empty() {
        sql.push(" AND c.key IN (SELECT f.content FROM content_terms f WHERE f.org = $1 AND f.kind = ");
        sql.bind(TAG)
            .push(" AND f.value")
            .any_of(filter.tags.clone())
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
}

impl Store {
    /// A page of the catalogue, by id, after the id `after`.
    pub async fn contents(
        &self,
        organisation: &OrgId,
        filter: &ContentFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Content>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let mut sql = Sql::new(&format!("{SELECT} AND c.listed")).with(org);
        push_filter(&mut sql, filter);
        if let Some(after) = after {
            sql.push(" AND c.id > ").bind(after);
        }
        sql.push(" ORDER BY c.id LIMIT ").bind(one_more(limit));
        let contents = load(&mut self.db(), org, self.clock().now(), sql).await?;
        Ok(Page::from_overfetch(
            contents.into_iter().map(|kept| kept.content).collect(),
            limit,
        ))
    }

    /// One content of the catalogue; `id` is its id, or its IRI while nobody has registered it.
    pub async fn content(&self, organisation: &OrgId, id: &str) -> Result<Option<Content>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut found = load(&mut self.db(), org, self.clock().now(), by_id(org, id)).await?;
        Ok(found.pop().map(|kept| kept.content))
    }

    /// Makes or replaces contents: all of them or none.
    ///
    /// # Errors
    ///
    /// Another content's IRI, and a new IRI for a content that has one; each with its place, which begins with
    /// the number of the draft.
    pub async fn put_contents(
        &self,
        organisation: &OrgId,
        drafts: &[ContentDraft],
    ) -> Result<BatchOutcome, WriteError> {
        let mut tx = self.write(organisation).await?;
        let changes = plan::apply(&mut tx, drafts).await?;
        tx.commit().await?;
        Ok(Change::count(changes))
    }

    /// Makes or replaces one content and answers it, and whether there was none with this id.
    ///
    /// # Errors
    ///
    /// As [`Store::put_contents`], with places within the draft.
    pub async fn put_content(
        &self,
        organisation: &OrgId,
        draft: ContentDraft,
    ) -> Result<(Content, bool), WriteError> {
        let mut tx = self.write(organisation).await?;
        let changes = plan::apply(&mut tx, std::slice::from_ref(&draft)).await;
        let changes = changes.map_err(WriteError::of_the_only_element)?;
        let content = written(&mut tx, draft.id.as_str()).await?;
        tx.commit().await?;
        Ok((content, changes.contains(&Change::Created)))
    }

    /// Changes a content that is there: `change` is given what it is now. `None` where it is not there. One
    /// that only statements have named so far is registered by it.
    ///
    /// # Errors
    ///
    /// What `change` says, and [`Store::put_content`].
    pub async fn patch_content(
        &self,
        organisation: &OrgId,
        id: &str,
        change: impl FnOnce(&Content) -> Result<ContentDraft, Refusal>,
    ) -> Result<Option<Content>, WriteError> {
        let mut tx = self.write(organisation).await?;
        let Some(content) = find(&mut tx, id).await? else {
            return Ok(None);
        };
        let draft = change(&content)?;
        let changes = plan::apply(&mut tx, std::slice::from_ref(&draft)).await;
        changes.map_err(WriteError::of_the_only_element)?;
        let content = written(&mut tx, draft.id.as_str()).await?;
        tx.commit().await?;
        Ok(Some(content))
    }
}

async fn find(tx: &mut OrgTx, id: &str) -> Result<Option<Content>, StoreError> {
    let (org, now) = (tx.org, tx.store().clock().now());
    let found = load(tx, org, now, by_id(org, id)).await?.pop();
    Ok(found.map(|kept| kept.content))
}

async fn written(tx: &mut OrgTx, id: &str) -> Result<Content, StoreError> {
    find(tx, id)
        .await?
        .ok_or(StoreError::Invariant("a content that was not written"))
}
