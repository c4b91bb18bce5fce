//! The names of persons, and the titles and types of contents that are not registered.
//!
//! The latest record decides, whatever the order of arrival. A record counts from the time at which it happened, but not
//! before it was stored: one that is dated in the future does not pin a name. Of two records at the same time, the greater
//! statement id decides.
//!
//! Most things are named alike by all their records. Such a thing has no exact stamp, so a record that repeats the name
//! writes nothing. The first record with another name makes the name *tracked*: the stamp of the current name is read from
//! the log once, and is exact from then on.

use std::sync::Arc;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::fold;
use crate::base::ids::StatementId;
use crate::catalogue::from_activity_type;
use crate::catalogue::{ContentFormat, DemandHistory, LearningType};
use crate::log::placement::title_of;
use crate::record::Activity;
use crate::record::language::is_blank;

use crate::store::db::StoreError;
use crate::store::db::changes::ResourceKind;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::unreadable::{name_of, skip_unreadable};
use crate::store::ingest::persons::stamp_columns;
use crate::store::ingest::stored_statement::{Platform, Stamp, StoredStatement};

/// The number of rows of the log that are read at a time when a name becomes tracked.
const SCANNED_ROWS: i64 = 64;

/// The name that the latest record gives to a thing.
#[derive(Debug, Clone)]
pub(crate) struct LatestName<T> {
    pub(crate) value: Option<T>,
    /// The stamp of the record. Exact only if the name is tracked.
    pub(crate) at: Option<Stamp>,
    pub(crate) tracked: bool,
}

/// What a record changes in a [`LatestName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Observed {
    Unchanged,
    /// The stamp, or whether the name is tracked.
    Stamp,
    Value,
}

/// The earlier records of a batch that are about a thing.
pub(crate) type Earlier<'e, 'r> = &'e (dyn Fn() -> Vec<&'r StoredStatement> + Sync);

/// Where the names of a thing come from.
struct NameSource<'s, 'r, T> {
    /// The key of the thing.
    key: i64,
    /// The column of `activities` with the key.
    column: &'static str,
    /// The query for the stored stamp, without its condition.
    select_stamp: &'static str,
    /// The name that a record about the thing gives to it.
    name_in: &'s (dyn Fn(&StoredStatement) -> Option<T> + Sync),
    earlier: Earlier<'s, 'r>,
}

impl<T> LatestName<T> {
    /// No record has given a name yet.
    pub(crate) const NOTHING: Self = Self {
        value: None,
        at: None,
        tracked: false,
    };
}

impl<T: Clone + PartialEq> LatestName<T> {
    /// Takes the name from a record in a rebuild, which replays every record, so that the stamp is always exact.
    pub(crate) fn take_replayed(&mut self, name: Option<T>, record: &StoredStatement) {
        // The log will not show when a voided record gave its name.
        self.tracked |= record.voided;
        let Some(name) = name else {
            return;
        };
        self.tracked |= self.value.as_ref().is_some_and(|current| *current != name);
        if self.value.is_none() || self.at.is_none_or(|at| at < record.stamp()) {
            (self.value, self.at) = (Some(name), Some(record.stamp()));
        }
    }

    /// Whether this stored name needs no correction: `exact` is what all records say. The stamp counts only if the name is
    /// tracked.
    pub(crate) fn is_as_good_as(&self, exact: &Self) -> bool {
        let same_stamp = self.at == exact.at || !exact.tracked && self.at.is_some() == exact.at.is_some();
        self.value == exact.value && self.tracked == exact.tracked && same_stamp
    }

    /// Takes the name from a record. The caller writes what changed.
    async fn observe(
        &mut self,
        tx: &mut OrgTx,
        source: &NameSource<'_, '_, T>,
        record: &StoredStatement,
    ) -> Result<Observed, StoreError> {
        let mut observed = Observed::Unchanged;
        // The log will not show when a voided record gave its name.
        if record.voided && !self.tracked {
            self.track(tx, source, None).await?;
            observed = Observed::Stamp;
        }
        let Some(value) = (source.name_in)(record) else {
            return Ok(observed);
        };
        let differs = self.value.as_ref().is_some_and(|current| *current != value);
        if differs && self.tracked {
            // Another replica may have moved the stamp, which does not invalidate caches.
            self.at = fetch_stamp(tx, source.select_stamp, source.key).await?;
        } else if differs {
            self.track(tx, source, Some(record.stamp())).await?;
            observed = Observed::Stamp;
        }
        let observed = observed.max(self.take(value, record.stamp()));
        if observed == Observed::Value && self.tracked {
            tx.invalidate_caches();
        }
        Ok(observed)
    }

    /// Takes a name with its stamp. A name that differs from the current one needs the exact stamp of that.
    fn take(&mut self, value: T, stamp: Stamp) -> Observed {
        let is_same = self.value.as_ref() == Some(&value);
        let is_later = self.value.is_none() || self.tracked && self.at.is_none_or(|at| at < stamp);
        if !is_later {
            return Observed::Unchanged;
        }
        self.at = Some(stamp);
        self.value = Some(value);
        if is_same { Observed::Stamp } else { Observed::Value }
    }

    /// Finds the exact stamp of the current name in the log. The caller writes it.
    ///
    /// With the stamp of another name, a stamp that is before it need not be exact: the other name replaces it. So the
    /// records that happened before it are not read. Usually that is all of them.
    async fn track(
        &mut self,
        tx: &mut OrgTx,
        source: &NameSource<'_, '_, T>,
        other: Option<Stamp>,
    ) -> Result<(), StoreError> {
        if let Some(current) = self.value.clone() {
            let has_name = |record: &StoredStatement| (source.name_in)(record).as_ref() == Some(&current);
            let scanned = ScannedTime {
                from: other.map(|(at, _)| at),
                until: None,
            };
            let logged = find_latest_stamp(tx, source.column, source.key, scanned, has_name).await?;
            let in_batch = latest_stamp(&(source.earlier)(), has_name);
            self.at = logged.max(in_batch).max(self.at);
        }
        self.tracked = true;
        tx.invalidate_caches();
        Ok(())
    }
}

/// What a content is by the type of its definition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ContentKind {
    pub(crate) learning_type: Option<LearningType>,
    pub(crate) content_type: Option<ContentFormat>,
}

impl ContentKind {
    pub(crate) fn of_activity(activity: &Activity) -> Option<Self> {
        let iri = activity.definition.as_ref()?.type_.as_ref()?;
        let (learning_type, content_type) = from_activity_type(iri.as_str());
        Some(Self {
            learning_type,
            content_type,
        })
    }
}

/// A person in the cache.
#[derive(Debug, Clone)]
pub(crate) struct CachedPerson {
    pub(crate) key: i64,
    /// The end of the period of ownership, if another period follows.
    pub(crate) valid_until: Option<Timestamp>,
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
    /// Whether the content is the object of a record.
    pub(crate) recorded: bool,
    /// Whether a definition, a title or a type is there. Another replica may have added them since.
    pub(crate) defined: bool,
    /// The title by the records.
    pub(crate) title: LatestName<String>,
    /// The type by the records.
    pub(crate) kind: LatestName<ContentKind>,
    pub(crate) learning_type: Option<LearningType>,
    pub(crate) content_type: Option<ContentFormat>,
    pub(crate) demands: Arc<DemandHistory>,
}

impl CachedPerson {
    /// The name that a record gives to this person, its actor.
    pub(crate) fn name_in(&self, record: &StoredStatement) -> Option<String> {
        name_of_actor(record, self.valid_until)
    }

    /// Takes the actor's name from a record. `earlier` are the earlier records of its batch with the same actor.
    pub(crate) async fn observe(
        &mut self,
        tx: &mut OrgTx,
        record: &StoredStatement,
        earlier: Earlier<'_, '_>,
    ) -> Result<(), StoreError> {
        if self.owned {
            return Ok(());
        }
        let end = self.valid_until;
        let name_in = |record: &StoredStatement| name_of_actor(record, end);
        let source = self.source(&name_in, earlier);
        match self.name.observe(tx, &source, record).await? {
            Observed::Unchanged => Ok(()),
            Observed::Stamp | Observed::Value => self.write(tx).await,
        }
    }

    /// Tracks the name before a record with it leaves the log.
    pub(crate) async fn track(&mut self, tx: &mut OrgTx) -> Result<(), StoreError> {
        if self.owned || self.name.tracked {
            return Ok(());
        }
        let end = self.valid_until;
        let name_in = |record: &StoredStatement| name_of_actor(record, end);
        let source = self.source(&name_in, &Vec::new);
        self.name.track(tx, &source, None).await?;
        self.write(tx).await
    }

    fn source<'s, 'r>(
        &self,
        name_in: &'s (dyn Fn(&StoredStatement) -> Option<String> + Sync),
        earlier: Earlier<'s, 'r>,
    ) -> NameSource<'s, 'r, String> {
        NameSource {
            key: self.key,
            column: "person",
            select_stamp: "SELECT named_at, named_by FROM persons",
            name_in,
            earlier,
        }
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
    /// The title and the type that a record gives to its content, which it names as `activity`.
    pub(crate) fn named_in(
        platform: &Platform<'_>,
        record: &StoredStatement,
        activity: &Activity,
    ) -> (Option<String>, Option<ContentKind>) {
        (
            platform.definition_in(record, activity, title_of),
            platform.definition_in(record, activity, ContentKind::of_activity),
        )
    }

    /// Takes the title and the type from the definition of the content in a record. `earlier` are the earlier records of
    /// its batch with the same content. Returns whether the type changed, so that the content's rows must be projected
    /// again.
    pub(crate) async fn observe(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        activity: &Activity,
        record: &StoredStatement,
        earlier: Earlier<'_, '_>,
    ) -> Result<bool, StoreError> {
        if self.registered {
            return Ok(false);
        }
        let title_in = |record: &StoredStatement| platform.definition_in(record, activity, title_of);
        let source = self.title_source(&title_in, earlier);
        let observed = self.title.observe(tx, &source, record).await?;
        if observed != Observed::Unchanged {
            self.write_title(tx).await?;
        }
        if observed == Observed::Value {
            tx.note_resource(ResourceKind::Content, self.key);
        }
        let kind_in =
            |record: &StoredStatement| platform.definition_in(record, activity, ContentKind::of_activity);
        let source = self.kind_source(&kind_in, earlier);
        let observed = self.kind.observe(tx, &source, record).await?;
        if observed != Observed::Unchanged {
            self.write_kind(tx).await?;
        }
        let Some(kind) = self.kind.value.filter(|_| observed == Observed::Value) else {
            return Ok(false);
        };
        let types = (kind.learning_type, kind.content_type);
        let type_changed = types != (self.learning_type, self.content_type);
        if type_changed {
            tx.note_resource(ResourceKind::Content, self.key);
        }
        (self.learning_type, self.content_type) = types;
        Ok(type_changed)
    }

    /// Tracks title and type before a record with them leaves the log. `activity` is the content as a record names it.
    pub(crate) async fn track(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        activity: &Activity,
    ) -> Result<(), StoreError> {
        if self.registered {
            return Ok(());
        }
        if !self.title.tracked {
            let title_in = |record: &StoredStatement| platform.definition_in(record, activity, title_of);
            let source = self.title_source(&title_in, &Vec::new);
            self.title.track(tx, &source, None).await?;
            self.write_title(tx).await?;
        }
        if !self.kind.tracked {
            let kind_in =
                |record: &StoredStatement| platform.definition_in(record, activity, ContentKind::of_activity);
            let source = self.kind_source(&kind_in, &Vec::new);
            self.kind.track(tx, &source, None).await?;
            self.write_kind(tx).await?;
        }
        Ok(())
    }

    fn title_source<'s, 'r>(
        &self,
        name_in: &'s (dyn Fn(&StoredStatement) -> Option<String> + Sync),
        earlier: Earlier<'s, 'r>,
    ) -> NameSource<'s, 'r, String> {
        NameSource {
            key: self.key,
            column: "content",
            select_stamp: "SELECT defined_at, defined_by FROM contents",
            name_in,
            earlier,
        }
    }

    fn kind_source<'s, 'r>(
        &self,
        name_in: &'s (dyn Fn(&StoredStatement) -> Option<ContentKind> + Sync),
        earlier: Earlier<'s, 'r>,
    ) -> NameSource<'s, 'r, ContentKind> {
        NameSource {
            key: self.key,
            column: "content",
            select_stamp: "SELECT typed_at, typed_by FROM contents",
            name_in,
            earlier,
        }
    }

    async fn write_title(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let (at, by) = stamp_columns(self.title.at);
        let title = self.title.value.clone();
        let update = Sql::new(
            "UPDATE contents SET title = $3, title_folded = $4, defined_at = $5, defined_by = $6, tracked = $7 \
             WHERE org = $1 AND key = $2 AND (defined_at, defined_by) <= ($5, $6)",
        );
        let folded = fold(title.as_deref().unwrap_or_default());
        let update = update.with(tx.org).with(self.key).with(title).with(folded);
        tx.execute(update.with(at).with(by).with(self.title.tracked))
            .await?;
        Ok(())
    }

    async fn write_kind(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let (at, by) = stamp_columns(self.kind.at);
        let kind = self.kind.value;
        let update = Sql::new(
            "UPDATE contents SET type = $3, content_type = $4, typed_at = $5, typed_by = $6, type_tracked = $7 \
             WHERE org = $1 AND key = $2 AND (typed_at, typed_by) <= ($5, $6)",
        );
        let update = update
            .with(tx.org)
            .with(self.key)
            .with(kind.and_then(|kind| kind.learning_type))
            .with(kind.and_then(|kind| kind.content_type));
        tx.execute(update.with(at).with(by).with(self.kind.tracked))
            .await?;
        Ok(())
    }
}

/// The name that the record gives to its actor, if it happened before the end of a period. A blank name is none.
fn name_of_actor(record: &StoredStatement, end: Option<Timestamp>) -> Option<String> {
    let name = record.statement.actor.name.clone();
    name.filter(|name| !is_blank(name) && record.is_before(end))
}

impl OrgTx {
    /// Finds the latest name of a person that no user owns anew, because its period ends at `end` now.
    pub(crate) async fn rename_until(&mut self, person: i64, end: Timestamp) -> Result<(), StoreError> {
        let has_name = |record: &StoredStatement| name_of_actor(record, Some(end)).is_some();
        let scanned = ScannedTime {
            from: None,
            until: Some(end),
        };
        let logged = find_latest_stamp(self, "person", person, scanned, has_name).await?;
        // Names in voided records count, too.
        let voided = self.find_voided(person).await?;
        let voided = voided.iter().filter(|record| has_name(record));
        let latest = logged.max(voided.map(StoredStatement::stamp).max());
        let name = match latest {
            Some((_, id)) => self.find_actor_name(id).await?,
            None => None,
        };
        let (at, by) = stamp_columns(latest);
        let update = Sql::new(
            "UPDATE persons SET name = $3, named_at = $4, named_by = $5, tracked = $6 WHERE org = $1 AND key = $2",
        );
        let update = update.with(self.org).with(person).with(name);
        self.execute(update.with(at).with(by).with(latest.is_some()))
            .await?;
        Ok(())
    }

    async fn find_actor_name(&mut self, id: StatementId) -> Result<Option<String>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM statements s WHERE s.org = $1 AND s.id = $2",
            StoredStatement::COLUMNS
        ));
        let rows = self.fetch_all(select.with(self.org).with(id)).await?;
        let records = StoredStatement::read_all(&rows)?;
        Ok(records.iter().find_map(|record| name_of_actor(record, None)))
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

/// The times of happening of the records that are scanned for a name.
#[derive(Debug, Clone, Copy)]
struct ScannedTime {
    /// From this time on.
    from: Option<Timestamp>,
    /// Before this time.
    until: Option<Timestamp>,
}

/// The latest stamp among the records in the log that have this key in `column` and that match.
async fn find_latest_stamp(
    tx: &mut OrgTx,
    column: &str,
    key: i64,
    scanned: ScannedTime,
    matches: impl Fn(&StoredStatement) -> bool,
) -> Result<Option<Stamp>, StoreError> {
    let mut before = match scanned.until {
        Some(until) => (until.micros(), i64::MIN),
        None => (i64::MAX, i64::MAX),
    };
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
        let begin = before;
        for row in &rows {
            let read = ScannedRow::read_from(row, StoredStatement::COLUMN_COUNT);
            let Some(ScannedRow { happened_at }) = skip_unreadable("activity", || name_of(row), read)? else {
                continue;
            };
            before = (happened_at, row.get(StoredStatement::SEQ)?);
            // A stamp is not later than the time of happening. Among several records of one time the greatest id
            // counts, so all of them are compared.
            let earliest = latest.map(|(at, _)| at).max(scanned.from);
            if earliest.is_some_and(|at| happened_at < at.micros()) {
                return Ok(latest);
            }
            if let Some(record) = StoredStatement::read_or_skip(row)?.filter(&matches) {
                latest = latest.max(Some(record.stamp()));
            }
        }
        if before == begin {
            return Ok(latest); // no row of these can be read
        }
    }
}

/// The stored stamp, which another replica may have moved.
async fn fetch_stamp(tx: &mut OrgTx, select: &str, key: i64) -> Result<Option<Stamp>, StoreError> {
    let select = Sql::new(&format!("{select} WHERE org = $1 AND key = $2"));
    let row: Option<(Timestamp, Uuid)> = tx.fetch_row(select.with(tx.org).with(key)).await?;
    Ok(row.and_then(|(at, by)| to_stamp(at, by)))
}
