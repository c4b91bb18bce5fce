//! The names of persons, and the titles and types of contents that are not registered.
//!
//! The record that happened last decides, whatever the order of arrival. Of two records at the same time, the greater
//! statement id decides.
//!
//! Most things are named alike by all their records. Such a thing has no exact stamp, so a record that repeats the name
//! writes nothing. The first record with another name makes the thing *tracked*: the stamp of the current name is read
//! from the log once, and is exact from then on.

use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::base::ids::StatementId;
use crate::catalogue::from_activity_type;
use crate::catalogue::{ContentFormat, DemandHistory, LearningType};
use crate::log::person_of;
use crate::record::Activity;

use crate::store::db::StoreError;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::persons::{digest_of_person, stamp_columns};
use crate::store::ingest::stored_statement::{Platform, Stamp, StoredStatement};

/// The number of rows of the log that are read at a time when a thing becomes tracked.
const SCANNED_ROWS: i64 = 64;

/// The name that the latest record gives to a thing.
#[derive(Debug, Clone)]
pub(crate) struct LatestName<T> {
    pub(crate) value: Option<T>,
    /// The stamp of the record. Exact only if the thing is tracked.
    pub(crate) at: Option<Stamp>,
    pub(crate) tracked: bool,
}

/// What a record changes in a [`LatestName`].
enum Observed {
    /// Nothing.
    Unchanged,
    /// The stamp, and perhaps the value.
    Changed { value_changed: bool },
    /// The exact stamp of the current value must be found first.
    StampNeeded,
}

impl<T> LatestName<T> {
    /// No record has given a name yet.
    pub(crate) const NOTHING: Self = Self {
        value: None,
        at: None,
        tracked: false,
    };
}

impl<T: PartialEq> LatestName<T> {
    /// Whether the name differs from the current one, so that the stamps decide. Another replica may have moved the
    /// stamp, which does not invalidate caches, so the stamp must be read again.
    fn needs_stored_stamp(&self, value: &T) -> bool {
        self.tracked && self.value.as_ref().is_some_and(|current| current != value)
    }

    fn observe(&mut self, value: &T, stamp: Stamp) -> Observed
    where
        T: Clone,
    {
        if self.value.is_none() {
            self.value = Some(value.clone());
            self.at = Some(stamp);
            return Observed::Changed { value_changed: true };
        }
        let is_same = self.value.as_ref() == Some(value);
        if !self.tracked {
            return if is_same {
                Observed::Unchanged
            } else {
                Observed::StampNeeded
            };
        }
        if self.at.is_some_and(|at| at >= stamp) {
            return Observed::Unchanged;
        }
        self.at = Some(stamp);
        if !is_same {
            self.value = Some(value.clone());
        }
        Observed::Changed {
            value_changed: !is_same,
        }
    }
}

/// The title and the type in the definition of an Activity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) title: Option<String>,
    pub(crate) learning_type: Option<LearningType>,
    pub(crate) content_type: Option<ContentFormat>,
}

impl Definition {
    fn from_activity(activity: &Activity) -> Option<Self> {
        let definition = activity.definition.as_ref()?;
        let title = definition.name.pick_english_first().map(str::to_owned);
        let (learning_type, content_type) = match &definition.type_ {
            Some(iri) => from_activity_type(iri.as_str()),
            None => (None, None),
        };
        (title.is_some() || learning_type.is_some()).then_some(Self {
            title,
            learning_type,
            content_type,
        })
    }
}

/// A person in the cache.
#[derive(Debug, Clone)]
pub(crate) struct CachedPerson {
    pub(crate) key: i64,
    /// Whether a user owns the person. The directory decides the name of a user.
    pub(crate) owned: bool,
    pub(crate) name: LatestName<String>,
}

/// A content in the cache.
#[derive(Debug, Clone)]
pub(crate) struct CachedContent {
    pub(crate) key: i64,
    /// Whether the content is registered. The catalogue decides the title of a registered content.
    pub(crate) registered: bool,
    pub(crate) listed: bool,
    pub(crate) definition: LatestName<Definition>,
    pub(crate) learning_type: Option<LearningType>,
    pub(crate) content_type: Option<ContentFormat>,
    pub(crate) demands: Arc<DemandHistory>,
}

impl CachedPerson {
    /// Takes the actor's name from a record. `earlier` are the earlier records of its batch.
    pub(crate) async fn observe(
        &mut self,
        tx: &mut OrgTx,
        record: &StoredStatement,
        earlier: &[StoredStatement],
    ) -> Result<(), StoreError> {
        if self.owned {
            return Ok(());
        }
        let actor = |record: &StoredStatement| digest_of_person(&person_of(&record.statement));
        let earlier = || {
            let of_same_actor = earlier.iter().filter(|other| actor(other) == actor(record));
            of_same_actor.collect::<Vec<_>>()
        };
        if record.voided && !self.name.tracked {
            self.track(tx, &earlier()).await?;
        }
        let Some(name) = &record.statement.actor.name else {
            return Ok(());
        };
        if self.name.needs_stored_stamp(name) {
            self.name.at = fetch_stamp(tx, "SELECT named_at, named_by FROM persons", self.key).await?;
        }
        let mut observed = self.name.observe(name, record.stamp());
        if matches!(observed, Observed::StampNeeded) {
            self.track(tx, &earlier()).await?;
            observed = self.name.observe(name, record.stamp());
        }
        let Observed::Changed { value_changed } = observed else {
            return Ok(());
        };
        if value_changed && self.name.tracked {
            tx.invalidate_caches();
        }
        self.write(tx).await
    }

    /// Finds the exact stamp of the current name in the log, and tracks it from now on.
    pub(crate) async fn track(
        &mut self,
        tx: &mut OrgTx,
        earlier: &[&StoredStatement],
    ) -> Result<(), StoreError> {
        if let Some(current) = self.name.value.clone() {
            let has_name = |record: &StoredStatement| record.statement.actor.name.as_ref() == Some(&current);
            let logged = find_latest_stamp(tx, "person", self.key, has_name).await?;
            self.name.at = logged.max(latest_stamp(earlier, has_name)).max(self.name.at);
        }
        self.name.tracked = true;
        tx.invalidate_caches();
        self.write(tx).await
    }

    async fn write(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let (at, by) = stamp_columns(self.name.at);
        let update = Sql::new(
            "UPDATE persons SET name = $3, named_at = $4, named_by = $5, tracked = $6 \
             WHERE org = $1 AND key = $2 AND (named_at, named_by) <= ($4, $5)",
        );
        let update = update.with(tx.org).with(self.key).with(self.name.value.clone());
        tx.execute(update.with(at).with(by).with(self.name.tracked))
            .await?;
        Ok(())
    }
}

impl CachedContent {
    /// Takes the title and the type from the definition in a record. `earlier` are the earlier records of its batch.
    /// Returns whether the type changed, so that the content's rows must be projected again.
    pub(crate) async fn observe(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        activity: &Activity,
        record: &StoredStatement,
        earlier: &[StoredStatement],
    ) -> Result<bool, StoreError> {
        if self.registered {
            return Ok(false);
        }
        let has_content = |other: &&StoredStatement| {
            let content = platform.content_of(&other.statement);
            content.is_some_and(|content| content.id == activity.id)
        };
        let earlier = || earlier.iter().filter(has_content).collect::<Vec<_>>();
        if record.voided && !self.definition.tracked {
            self.track(tx, platform, &earlier()).await?;
        }
        let definition = Definition::from_activity(activity).filter(|_| record.envelope.defines);
        let Some(definition) = definition else {
            return Ok(false);
        };
        if self.definition.needs_stored_stamp(&definition) {
            let select = "SELECT defined_at, defined_by FROM contents";
            self.definition.at = fetch_stamp(tx, select, self.key).await?;
        }
        let mut observed = self.definition.observe(&definition, record.stamp());
        if matches!(observed, Observed::StampNeeded) {
            self.track(tx, platform, &earlier()).await?;
            observed = self.definition.observe(&definition, record.stamp());
        }
        let Observed::Changed { value_changed } = observed else {
            return Ok(false);
        };
        self.write(tx).await?;
        if value_changed && self.definition.tracked {
            tx.invalidate_caches();
        }
        let types = (definition.learning_type, definition.content_type);
        let type_changed = value_changed && types != (self.learning_type, self.content_type);
        if type_changed {
            (self.learning_type, self.content_type) = types;
        }
        Ok(type_changed)
    }

    /// Finds the exact stamp of the current title in the log, and tracks it from now on.
    pub(crate) async fn track(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        earlier: &[&StoredStatement],
    ) -> Result<(), StoreError> {
        if let Some(current) = self.definition.value.clone() {
            let has_definition = |record: &StoredStatement| {
                let content = platform.content_of(&record.statement);
                record.envelope.defines
                    && content.and_then(Definition::from_activity).as_ref() == Some(&current)
            };
            let logged = find_latest_stamp(tx, "content", self.key, has_definition).await?;
            let in_batch = latest_stamp(earlier, has_definition);
            self.definition.at = logged.max(in_batch).max(self.definition.at);
        }
        self.definition.tracked = true;
        tx.invalidate_caches();
        self.write(tx).await
    }

    async fn write(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let (at, by) = stamp_columns(self.definition.at);
        let definition = self.definition.value.as_ref();
        let title = definition.and_then(|definition| definition.title.clone());
        let update = Sql::new(
            "UPDATE contents SET title = $3, title_folded = $4, type = $5, content_type = $6, \
             defined_at = $7, defined_by = $8, tracked = $9 \
             WHERE org = $1 AND key = $2 AND (defined_at, defined_by) <= ($7, $8)",
        );
        let update = update
            .with(tx.org)
            .with(self.key)
            .with(title.clone())
            .with(fold(title.as_deref().unwrap_or_default()))
            .with(definition.and_then(|definition| definition.learning_type))
            .with(definition.and_then(|definition| definition.content_type))
            .with(at)
            .with(by)
            .with(self.definition.tracked);
        tx.execute(update).await?;
        Ok(())
    }
}

/// The stamp in two columns. `None` if no record has given a name.
pub(crate) fn to_stamp(at: Timestamp, by: Uuid) -> Option<Stamp> {
    (at.micros() != i64::MIN).then_some((at, StatementId(by)))
}

/// The latest stamp among records of the batch that are not in the log yet.
fn latest_stamp(records: &[&StoredStatement], matches: impl Fn(&StoredStatement) -> bool) -> Option<Stamp> {
    records
        .iter()
        .filter(|record| matches(record))
        .map(|record| record.stamp())
        .max()
}

columns! {
    struct ScannedRow {
        happened_at: i64 = "a.happened_at",
    }
}

/// The latest stamp among the records in the log that have this key in `column` and that match.
async fn find_latest_stamp(
    tx: &mut OrgTx,
    column: &str,
    key: i64,
    matches: impl Fn(&StoredStatement) -> bool,
) -> Result<Option<Stamp>, StoreError> {
    let mut before = (i64::MAX, i64::MAX);
    let mut latest: Option<Stamp> = None;
    loop {
        let select = Sql::new(&format!(
            "SELECT {}, {} FROM activities a \
             JOIN statements s ON s.org = a.org AND s.seq = a.seq \
             WHERE a.org = $1 AND a.{column} = $2 AND (a.happened_at, a.seq) < ($3, $4) \
             ORDER BY a.happened_at DESC, a.seq DESC LIMIT $5",
            StoredStatement::COLUMNS,
            ScannedRow::COLUMNS
        ));
        let select = select
            .with(tx.org)
            .with(key)
            .with(before.0)
            .with(before.1)
            .with(SCANNED_ROWS);
        let rows = tx.fetch_all(select).await?;
        if rows.is_empty() {
            return Ok(latest);
        }
        for row in &rows {
            let record = StoredStatement::read(row)?;
            let ScannedRow { happened_at } = ScannedRow::read_from(row, StoredStatement::COLUMN_COUNT)?;
            before = (happened_at, record.seq);
            // Among several records of one time the greatest id counts, so all of them are compared.
            if latest.is_some_and(|(at, _)| record.stamp().0 < at) {
                return Ok(latest);
            }
            if matches(&record) {
                latest = latest.max(Some(record.stamp()));
            }
        }
    }
}

/// The stored stamp, which another replica may have moved.
async fn fetch_stamp(tx: &mut OrgTx, select: &str, key: i64) -> Result<Option<Stamp>, StoreError> {
    let select = Sql::new(&format!("{select} WHERE org = $1 AND key = $2"));
    let row: Option<(Timestamp, Uuid)> = tx.fetch_row(select.with(tx.org).with(key)).await?;
    Ok(row.and_then(|(at, by)| to_stamp(at, by)))
}
