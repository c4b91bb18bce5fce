//! Importing a course structure.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};

use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId};
use crate::base::naming::to_name;
use crate::catalogue::content::MAX_TITLE;
use crate::catalogue::content::is_web_address;
use crate::catalogue::{
    Content, ContentDraft, ContentFormat, DemandFields, Demands, LearningType, from_activity_type,
};
use crate::cmi5::{CourseStructure, Element, ElementKind};
use crate::record::LanguageMap;

use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::table_row;
use crate::store::db::conversions::Json;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError, digest};
use crate::store::directory::contents::Contents;
use crate::store::directory::keyed::{Collection as _, Existing, WriteError, load, write_drafts};

use super::{StoredKind, StoredObjective, Texts};

/// The number of contents that are written at once.
const CHUNK: usize = 500;

/// An imported course.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedCourse {
    /// The content's id.
    pub id: ContentId,
    /// Whether it is imported for the first time.
    pub is_new: bool,
}

table_row! {
    struct CourseRow in "courses" {
        org: i64 = "org",
        content: i64 = "content",
        objectives: Json<Vec<StoredObjective>> = "objectives",
        imported_at: Timestamp = "imported_at",
        updated_at: Timestamp = "updated_at",
    }
}

table_row! {
    struct ElementRow in "course_elements" {
        org: i64 = "org",
        content: i64 = "content",
        course: i64 = "course",
        parent: Option<i64> = "parent",
        place: i64 = "place",
        kind: StoredKind = "kind",
        publisher_id: String = "publisher_id",
        title: Json<Texts> = "title",
        description: Json<Texts> = "description",
        objectives: Json<Vec<String>> = "objectives",
        url: Option<String> = "url",
        move_on: Option<crate::cmi5::MoveOn> = "move_on",
        mastery_score: Option<f64> = "mastery_score",
        launch_method: Option<crate::cmi5::LaunchMethod> = "launch_method",
        launch_parameters: Option<String> = "launch_parameters",
        entitlement_key: Option<String> = "entitlement_key",
        activity_type: Option<String> = "activity_type",
    }
}

impl Store {
    /// Imports a course: its course, blocks and units become contents, or update those of an earlier import. Contents of
    /// elements that the course does not have any more are archived.
    ///
    /// # Errors
    ///
    /// A conflict if a content of the catalogue has an IRI of the course.
    pub async fn import_course(
        &self,
        organisation: &OrgId,
        structure: &CourseStructure,
    ) -> Result<ImportedCourse, WriteError> {
        self.repeat(async || {
            let mut tx = self.write(organisation).await?;
            tx.allow_long_statements().await?;
            let imported = import(&mut tx, structure).await?;
            Ok((imported, tx.commit().await))
        })
        .await
    }
}

async fn import(tx: &mut OrgTx, structure: &CourseStructure) -> Result<ImportedCourse, WriteError> {
    let now = tx.store().clock().now().whole_millisecond();
    let ids = element_ids(structure);
    let Some(id) = ids.first().cloned() else {
        return Err(StoreError::Invariant("a course structure has no course").into());
    };
    let mut keys = Vec::with_capacity(ids.len());
    let earlier = find_earlier_elements(tx, id.as_str()).await?;
    for (elements, ids) in structure.elements.chunks(CHUNK).zip(ids.chunks(CHUNK)) {
        keys.extend(write_contents(tx, elements, ids, &earlier, now).await?);
    }
    let Some(course) = keys.first().copied() else {
        return Err(StoreError::Invariant("a written course has no key").into());
    };
    let kept: HashSet<i64> = keys.iter().copied().collect();
    let gone: Vec<i64> = earlier
        .iter()
        .copied()
        .filter(|key| !kept.contains(key))
        .collect();
    archive(tx, gone, now).await?;
    let delete = Sql::new("DELETE FROM course_elements WHERE org = $1 AND course = $2");
    tx.execute(delete.with(tx.org).with(course)).await?;
    let rows = structure.elements.iter().enumerate().map(|(place, element)| {
        let parent = element.parent.and_then(|parent| keys.get(parent).copied());
        let key = keys.get(place).copied().unwrap_or(course);
        element_row((tx.org, course), element, (key, parent, place))
    });
    let rows: Vec<ElementRow> = rows.collect();
    tx.insert_rows(rows).await?;
    let is_new = write_course(tx, course, structure, now).await?;
    Ok(ImportedCourse { id, is_new })
}

/// The ids of the elements, in their order. They follow from the ids of the publisher.
fn element_ids(structure: &CourseStructure) -> Vec<ContentId> {
    let course = structure
        .elements
        .first()
        .map_or("", |course| course.publisher_id.as_str());
    let id_of = |element: &Element| {
        let kind = match element.kind {
            ElementKind::Course => "course",
            ElementKind::Block => "block",
            ElementKind::Unit(_) => "au",
        };
        let mut hash = Sha256::new();
        for part in [kind, course, element.publisher_id.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash = hash.finalize();
        let digits: String = hash.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        ContentId::from_stored(format!("{kind}-{digits}"))
    };
    structure.elements.iter().map(id_of).collect()
}

/// The keys of the elements of the last import.
async fn find_earlier_elements(tx: &mut OrgTx, course: &str) -> Result<HashSet<i64>, StoreError> {
    let select = Sql::new(
        "SELECT e.content FROM contents c JOIN course_elements e ON e.org = c.org AND e.course = c.key \
         WHERE c.org = $1 AND c.id_digest = $2",
    );
    let rows: Vec<(i64,)> = tx.fetch_rows(select.with(tx.org).with(digest(course))).await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

/// Writes the contents of some elements and returns their keys.
async fn write_contents(
    tx: &mut OrgTx,
    elements: &[Element],
    ids: &[ContentId],
    earlier: &HashSet<i64>,
    now: Timestamp,
) -> Result<Vec<i64>, WriteError> {
    let existing = find_contents(tx, ids, now).await?;
    let drafts: Vec<ContentDraft> = elements
        .iter()
        .zip(ids)
        .map(|(element, id)| {
            let before = existing.get(id.as_str());
            let was_in_course = before.is_some_and(|(key, _)| earlier.contains(key));
            to_draft(element, id, before.map(|(_, content)| content), was_in_course)
        })
        .collect();
    write_drafts::<Contents>(tx, &drafts, &HashSet::new()).await?;
    let written = find_contents(tx, ids, now).await?;
    let key_of = |id: &ContentId| written.get(id.as_str()).map(|(key, _)| *key);
    let keys: Option<Vec<i64>> = ids.iter().map(key_of).collect();
    Ok(keys.ok_or(StoreError::Invariant("a content that was written does not exist"))?)
}

async fn find_contents(
    tx: &mut OrgTx,
    ids: &[ContentId],
    now: Timestamp,
) -> Result<HashMap<String, (i64, Content)>, StoreError> {
    let org = tx.org;
    let mut sql = Sql::new(&Contents::select()).with(org);
    Contents::push_ids(&mut sql, ids.iter().map(ContentId::to_string).collect());
    let contents = load::<Contents>(tx, org, now, sql).await?;
    let entry = |Existing { key, stored }: Existing<Contents>| {
        let content = Content::from(stored);
        (content.id.clone(), (key, content))
    };
    Ok(contents.into_iter().map(entry).collect())
}

/// The content of an element. What only the catalogue knows, such as tags, stays.
fn to_draft(
    element: &Element,
    id: &ContentId,
    before: Option<&Content>,
    was_in_course: bool,
) -> ContentDraft {
    let title = element.title.pick_english_first();
    let title = title.and_then(|title| to_name(title, MAX_TITLE));
    let unit = element.unit();
    let activity_type = unit.and_then(|unit| unit.activity_type.as_deref());
    let (learning_type, content_type) = match (activity_type, before) {
        (Some(activity_type), _) => from_activity_type(activity_type),
        (None, Some(before)) => (before.learning_type, before.content_type),
        (None, None) if unit.is_some() => (Some(LearningType::Item), None),
        (None, None) => (Some(LearningType::Item), Some(ContentFormat::Course)),
    };
    let pass_mark = unit.and_then(|unit| unit.mastery_score).map(to_percent);
    ContentDraft {
        id: id.clone(),
        iri: None,
        title: title.unwrap_or_else(|| element.publisher_id.to_string()),
        learning_type: learning_type.unwrap_or(LearningType::Item),
        content_type,
        tags: before.map(|before| before.tags.clone()).unwrap_or_default(),
        cpd_labels: before.map(|before| before.cpd_labels.clone()).unwrap_or_default(),
        source: before.and_then(|before| before.source.clone()),
        url: unit
            .map(|unit| unit.url.clone())
            .filter(|url| is_web_address(url)),
        archived_at: before
            .filter(|_| was_in_course)
            .and_then(|before| before.archived_at),
        demands: Demands {
            pass_mark,
            ..Demands::default()
        },
        demand_fields: DemandFields {
            pass_mark: true,
            time_limit: false,
            expires_after: false,
            certificate: false,
        },
        effective_from: None,
    }
}

/// A scaled score with four decimal places in percent, without the error of binary fractions.
fn to_percent(scaled: f64) -> f64 {
    (scaled * 10_000.0).round() / 100.0
}

/// Archives the contents that a course does not have any more.
async fn archive(tx: &mut OrgTx, keys: Vec<i64>, now: Timestamp) -> Result<(), StoreError> {
    let select =
        Sql::new("SELECT key FROM contents WHERE org = $1 AND key IN LIST($2) AND archived_at IS NULL");
    let keys: Vec<(i64,)> = tx.fetch_rows(select.with(tx.org).with(keys)).await?;
    let keys: Vec<i64> = keys.into_iter().map(|(key,)| key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    for key in &keys {
        tx.note_resource(ResourceKind::Content, *key);
    }
    let update = Sql::new("UPDATE contents SET archived_at = $3 WHERE org = $1 AND key IN LIST($2)");
    tx.execute(update.with(tx.org).with(keys).with(now.micros()))
        .await?;
    tx.invalidate_caches();
    Ok(())
}

fn element_row(
    (org, course): (i64, i64),
    element: &Element,
    (content, parent, place): (i64, Option<i64>, usize),
) -> ElementRow {
    let unit = element.unit();
    ElementRow {
        org,
        content,
        course,
        parent,
        place: i64::try_from(place).unwrap_or(i64::MAX),
        kind: match element.kind {
            ElementKind::Course => StoredKind::Course,
            ElementKind::Block => StoredKind::Block,
            ElementKind::Unit(_) => StoredKind::Unit,
        },
        publisher_id: element.publisher_id.to_string(),
        title: Json(to_texts(&element.title)),
        description: Json(to_texts(&element.description)),
        objectives: Json(element.objectives.iter().map(ToString::to_string).collect()),
        url: unit.map(|unit| unit.url.clone()),
        move_on: unit.map(|unit| unit.move_on),
        mastery_score: unit.and_then(|unit| unit.mastery_score),
        launch_method: unit.map(|unit| unit.launch_method),
        launch_parameters: unit.and_then(|unit| unit.launch_parameters.clone()),
        entitlement_key: unit.and_then(|unit| unit.entitlement_key.clone()),
        activity_type: unit.and_then(|unit| unit.activity_type.as_ref().map(ToString::to_string)),
    }
}

fn to_texts(map: &LanguageMap) -> Texts {
    map.iter()
        .map(|(tag, text)| (tag.to_owned(), text.to_owned()))
        .collect()
}

/// Writes the row of the course. Returns whether it is new.
async fn write_course(
    tx: &mut OrgTx,
    course: i64,
    structure: &CourseStructure,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let objectives: Vec<StoredObjective> = structure
        .objectives
        .iter()
        .map(|objective| StoredObjective {
            publisher_id: objective.publisher_id.to_string(),
            title: to_texts(&objective.title),
            description: to_texts(&objective.description),
        })
        .collect();
    let text = serde_json::to_string(&objectives).unwrap_or_default();
    let update =
        Sql::new("UPDATE courses SET objectives = $3, updated_at = $4 WHERE org = $1 AND content = $2");
    let update = update.with(tx.org).with(course).with(text).with(now.micros());
    if tx.execute(update).await? > 0 {
        return Ok(false);
    }
    let row = CourseRow {
        org: tx.org,
        content: course,
        objectives: Json(objectives),
        imported_at: now,
        updated_at: now,
    };
    tx.insert_rows(vec![row]).await?;
    Ok(true)
}
