//! How contents are written: what is there, what shall be, and the difference as rows.

use std::collections::{HashMap, HashSet};

use crate::base::clock::Timestamp;
use crate::base::fault::Fault;
use crate::base::fold;
use crate::catalogue::timeline::{Snapshots, history, set_from};
use crate::catalogue::{Content, ContentDraft};
use crate::directory::{Keyed as _, Refusal};

use super::{CPD_LABEL, Kept, SELECT, TAG, load, show_demands};
use crate::store::db::database::Sql;
use crate::store::db::dialect::Value;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{StoreError, digest};
use crate::store::directory::write::{Change, WriteError};
use crate::store::ingest::persons::stamp_columns;

const COLUMNS: [&str; 22] = [
    "org",
    "key",
    "id_digest",
    "id",
    "registered",
    "listed",
    "title",
    "title_folded",
    "type",
    "content_type",
    "tags",
    "cpd_labels",
    "source",
    "url",
    "archived_at",
    "demands",
    "digest",
    "iri",
    "defined_at",
    "defined_by",
    "tracked",
    "reprojecting",
];

/// One content as it will be.
struct Planned {
    key: i64,
    /// As it is now; `None` for a new one.
    before: Option<Kept>,
    after: Content,
    snapshots: Snapshots,
    change: Change,
}

/// Makes or replaces the contents and says what became of each.
pub(super) async fn apply(tx: &mut OrgTx, drafts: &[ContentDraft]) -> Result<Vec<Change>, WriteError> {
    let now = tx.store().clock().now().whole_millisecond();
    let planned = plan(tx, drafts, now).await?;
    write_contents(tx, &planned, now).await?;
    write_terms(tx, &planned).await?;
    write_demands(tx, &planned).await?;
    for content in planned.iter().filter(|content| content.reads_differently()) {
        tx.reproject(content.key).await?;
    }
    if planned.iter().any(|content| content.change != Change::Unchanged) {
        tx.invalidate_caches();
    }
    Ok(planned.into_iter().map(|content| content.change).collect())
}

/// Finds for each draft the content that it is about: by its id, else by its IRI, which a content that
/// nobody has registered gives up to it.
async fn plan(tx: &mut OrgTx, drafts: &[ContentDraft], now: Timestamp) -> Result<Vec<Planned>, WriteError> {
    let home_page = tx.organisation().await?.account_home_page;
    let iris: Vec<String> = drafts
        .iter()
        .map(|draft| match &draft.iri {
            Some(iri) => iri.to_string(),
            None => ContentDraft::default_iri(&draft.id, &home_page),
        })
        .collect();
    let named: HashSet<Vec<u8>> = drafts
        .iter()
        .map(|draft| digest(draft.id_text()))
        .chain(iris.iter().map(|iri| digest(iri)))
        .collect();
    let mut select = Sql::new(&format!(
        "{SELECT} AND (c.id_digest IN LIST($2) OR c.digest IN LIST($2))"
    ));
    let org = tx.org;
    select = select.with(org).with(named.into_iter().collect::<Vec<_>>());
    let kept = load(tx, org, now, select).await?;
    let mut by_id: HashMap<String, usize> = HashMap::new();
    let mut by_iri: HashMap<String, usize> = HashMap::new();
    let mut owners: Vec<(String, bool)> = Vec::new();
    let mut slots: Vec<Option<Kept>> = Vec::new();
    for content in kept {
        by_id.insert(content.content.id.clone(), slots.len());
        by_iri.insert(content.content.iri.clone(), slots.len());
        owners.push((content.content.id.clone(), content.content.registered));
        slots.push(Some(content));
    }

    let mut planned = Vec::with_capacity(drafts.len());
    let mut conflicts = Vec::new();
    for (index, (draft, iri)) in drafts.iter().zip(iris).enumerate() {
        let conflict = |detail: String| Fault {
            pointer: format!("/{index}/iri"),
            detail,
        };
        let (slot, iri) = match by_id.get(draft.id_text()) {
            Some(slot) => {
                let own = slots
                    .get(*slot)
                    .and_then(Option::as_ref)
                    .map(|kept| kept.content.iri.clone());
                match own {
                    Some(own) if draft.iri.as_ref().is_some_and(|iri| iri.as_str() != own) => {
                        conflicts.push(conflict(format!(
                            "the IRI of a content can't change; this one's is {own}"
                        )));
                        continue;
                    }
                    Some(own) => (Some(*slot), own),
                    // It had its IRI as id until another draft of the batch took it over.
                    None => (by_iri.get(&iri).copied(), iri),
                }
            }
            None => (by_iri.get(&iri).copied(), iri),
        };
        let taken = slot
            .and_then(|slot| owners.get(slot))
            .filter(|(id, registered)| *registered && id != draft.id_text());
        if let Some((owner, _)) = taken {
            conflicts.push(conflict(format!(
                "the content `{owner}` has the IRI {iri} already"
            )));
            continue;
        }
        let before = slot.and_then(|slot| slots.get_mut(slot)).and_then(Option::take);
        if let (Some(slot), None) = (slot, &before) {
            let owner = owners.get(slot).map(|(id, _)| id.clone()).unwrap_or_default();
            conflicts.push(conflict(format!(
                "the content `{owner}` of this batch has the IRI {iri}"
            )));
            continue;
        }
        let key = match &before {
            Some(before) => before.key,
            None => tx.next_key(),
        };
        let slot = slot.unwrap_or_else(|| {
            slots.push(None);
            owners.push((String::new(), false));
            slots.len() - 1
        });
        if let Some(owner) = owners.get_mut(slot) {
            *owner = (draft.id.to_string(), true);
        }
        by_iri.insert(iri.clone(), slot);
        planned.push(Planned::new(key, before, draft, iri, now));
    }
    if conflicts.is_empty() {
        Ok(planned)
    } else {
        Err(Refusal::Conflicts(conflicts).into())
    }
}

impl Planned {
    fn new(key: i64, before: Option<Kept>, draft: &ContentDraft, iri: String, now: Timestamp) -> Self {
        let old = before
            .as_ref()
            .map(|before| before.snapshots.clone())
            .unwrap_or_default();
        let from = draft.effective_from.unwrap_or(now);
        let snapshots = if history(&old).at(from) == draft.demands {
            old
        } else {
            set_from(old, from, draft.demands.clone())
        };
        let mut after = Content {
            id: draft.id.to_string(),
            iri,
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
            reprojecting: before.as_ref().is_some_and(|before| before.content.reprojecting),
        };
        show_demands(&mut after, history(&snapshots).at(now));
        let change = match &before {
            Some(before) if before.listed && before.content.id == after.id => {
                let same = before.content == after && before.snapshots == snapshots;
                if same { Change::Unchanged } else { Change::Updated }
            }
            // A content that had another id, or that only the LRS knew, is new at this address.
            _ => Change::Created,
        };
        Self {
            key,
            before,
            after,
            snapshots,
            change,
        }
    }

    /// Whether rows that are there already must be read anew.
    fn reads_differently(&self) -> bool {
        self.before.as_ref().is_some_and(|before| {
            let (old, new) = (&before.content, &self.after);
            (old.learning_type, old.content_type) != (new.learning_type, new.content_type)
                || before.snapshots != self.snapshots
        })
    }

    /// The values of the first columns, those that a later write changes.
    fn changing_values(&self, org: i64, now: Timestamp) -> Vec<Value> {
        let content = &self.after;
        // Lists of texts always have a JSON form.
        let list = |terms: &[String]| serde_json::to_string(terms).unwrap_or_else(|_| "[]".to_owned());
        vec![
            org.into(),
            self.key.into(),
            digest(&content.id).into(),
            content.id.as_str().into(),
            true.into(),
            true.into(),
            content.title.clone().into(),
            fold(content.title.as_deref().unwrap_or_default()).into(),
            content.learning_type.map(|kind| kind.code()).into(),
            content.content_type.map(|kind| kind.code()).into(),
            list(&content.tags).into(),
            list(&content.cpd_labels).into(),
            content.source.clone().into(),
            content.url.clone().into(),
            content.archived_at.map(|at| at.micros()).into(),
            history(&self.snapshots).at(now).to_json().into(),
        ]
    }

    fn terms(&self, org: i64) -> impl Iterator<Item = Vec<Value>> {
        let kinds = [(TAG, &self.after.tags), (CPD_LABEL, &self.after.cpd_labels)];
        kinds.into_iter().flat_map(move |(kind, terms)| {
            terms
                .iter()
                .map(move |term| vec![org.into(), kind.into(), term.as_str().into(), self.key.into()])
        })
    }

    fn terms_differ(&self) -> bool {
        self.before.as_ref().is_none_or(|before| {
            before.content.tags != self.after.tags || before.content.cpd_labels != self.after.cpd_labels
        })
    }
}

async fn write_contents(tx: &mut OrgTx, planned: &[Planned], now: Timestamp) -> Result<(), StoreError> {
    let org = tx.org;
    let (defined_at, defined_by) = stamp_columns(None);
    let made = planned
        .iter()
        .filter(|content| content.before.is_none())
        .map(|content| {
            let mut values = content.changing_values(org, now);
            values.extend([
                digest(&content.after.iri).into(),
                content.after.iri.as_str().into(),
                defined_at.into(),
                defined_by.into(),
                false.into(),
                false.into(),
            ]);
            values
        });
    let made = made.collect();
    tx.insert("contents", &COLUMNS, made).await?;
    let changed = |content: &&Planned| content.before.is_some() && content.change != Change::Unchanged;
    for content in planned.iter().filter(changed) {
        let mut update = Sql::new(
            "UPDATE contents SET id_digest = $3, id = $4, registered = $5, listed = $6, title = $7, \
             title_folded = $8, type = $9, content_type = $10, tags = $11, cpd_labels = $12, source = $13, \
             url = $14, archived_at = $15, demands = $16 WHERE org = $1 AND key = $2",
        );
        for value in content.changing_values(org, now) {
            update = update.with(value);
        }
        tx.execute(update).await?;
    }
    Ok(())
}

async fn write_terms(tx: &mut OrgTx, planned: &[Planned]) -> Result<(), StoreError> {
    let org = tx.org;
    let differing = || planned.iter().filter(|content| content.terms_differ());
    let left: Vec<i64> = differing()
        .filter(|content| content.before.is_some())
        .map(|content| content.key)
        .collect();
    if !left.is_empty() {
        let delete = Sql::new("DELETE FROM content_terms WHERE org = $1 AND content IN LIST($2)");
        tx.execute(delete.with(org).with(left)).await?;
    }
    let terms = differing().flat_map(|content| content.terms(org)).collect();
    tx.insert("content_terms", &["org", "kind", "value", "content"], terms)
        .await
}

/// Histories are short, so one that changed is written anew.
async fn write_demands(tx: &mut OrgTx, planned: &[Planned]) -> Result<(), StoreError> {
    let org = tx.org;
    let differs = |content: &&Planned| match &content.before {
        Some(before) => before.snapshots != content.snapshots,
        None => !content.snapshots.is_empty(),
    };
    let left: Vec<i64> = planned
        .iter()
        .filter(differs)
        .filter(|content| content.before.is_some())
        .map(|content| content.key)
        .collect();
    if !left.is_empty() {
        let delete = Sql::new("DELETE FROM content_demands WHERE org = $1 AND content IN LIST($2)");
        tx.execute(delete.with(org).with(left)).await?;
    }
    let mut rows = Vec::new();
    for content in planned.iter().filter(differs) {
        for (from, demands) in &content.snapshots {
            rows.push(vec![
                org.into(),
                content.key.into(),
                from.micros().into(),
                demands.to_json().into(),
            ]);
        }
    }
    tx.insert(
        "content_demands",
        &["org", "content", "effective_from", "demands"],
        rows,
    )
    .await
}
