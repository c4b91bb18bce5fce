//! What records say of the people and contents that they name: a name, a title and a type.
//!
//! What counts is what the *latest* record says, by time of happening and statement id, whatever the order of
//! arrival. To know that without touching a shared row at every record, a thing that everybody names alike keeps
//! no stamp; the first record that says something else makes it *tracked*: the exact stamp of what was said so
//! far is read from the log, and kept from then on.

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
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::persons::{digest_of_person, stamp_columns};
use crate::store::ingest::stored_statement::{Platform, Stamp, StoredStatement};

/// Rows read at a time when a thing becomes tracked.
const SCAN: i64 = 64;

/// What the latest record says of something.
#[derive(Debug, Clone)]
pub(crate) struct LatestName<T> {
    pub(crate) value: Option<T>,
    pub(crate) at: Option<Stamp>,
    pub(crate) tracked: bool,
}

enum Heard {
    /// Nothing to write.
    Same,
    /// The stamp or the value moved.
    Moved { value_changed: bool },
    /// The stamp of what was said so far must be known exactly first.
    Unsure,
}

impl<T> LatestName<T> {
    /// Nothing yet.
    pub(crate) const NOTHING: Self = Self {
        value: None,
        at: None,
        tracked: false,
    };
}

impl<T: PartialEq> LatestName<T> {
    /// Whether this differs from what counts so far, so that the stamps decide. Another replica may have
    /// moved the stamp since (never the value: that makes everybody forget), so it is read again first.
    fn disputes(&self, value: &T) -> bool {
        self.tracked && self.value.as_ref().is_some_and(|current| current != value)
    }

    fn observe(&mut self, value: &T, stamp: Stamp) -> Heard
    where
        T: Clone,
    {
        if self.value.is_none() {
            self.value = Some(value.clone());
            self.at = Some(stamp);
            return Heard::Moved { value_changed: true };
        }
        let same = self.value.as_ref() == Some(value);
        if !self.tracked {
            return if same { Heard::Same } else { Heard::Unsure };
        }
        if self.at.is_some_and(|at| at >= stamp) {
            return Heard::Same;
        }
        self.at = Some(stamp);
        if !same {
            self.value = Some(value.clone());
        }
        Heard::Moved { value_changed: !same }
    }
}

/// The title and type that an Activity's definition gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) title: Option<String>,
    pub(crate) learning_type: Option<LearningType>,
    pub(crate) content_type: Option<ContentFormat>,
}

impl Definition {
    fn of(activity: &Activity) -> Option<Self> {
        let definition = activity.definition.as_ref()?;
        let title = definition.name.pick_english_first().map(str::to_owned);
        let (kind, content_type) = match &definition.type_ {
            Some(iri) => from_activity_type(iri.as_str()),
            None => (None, None),
        };
        (title.is_some() || kind.is_some()).then_some(Self {
            title,
            learning_type: kind,
            content_type,
        })
    }
}

/// A person as the writer needs to know them.
#[derive(Debug, Clone)]
pub(crate) struct CachedPerson {
    pub(crate) key: i64,
    pub(crate) owned: bool,
    pub(crate) name: LatestName<String>,
}

/// A content as the writer needs to know it.
#[derive(Debug, Clone)]
pub(crate) struct CachedContent {
    pub(crate) key: i64,
    pub(crate) registered: bool,
    pub(crate) listed: bool,
    pub(crate) definition: LatestName<Definition>,
    pub(crate) learning_type: Option<LearningType>,
    pub(crate) content_type: Option<ContentFormat>,
    pub(crate) demands: Arc<DemandHistory>,
}

impl CachedPerson {
    /// Lets a record say the actor's name; `earlier` are the records of its batch before it. What an owned
    /// person is called is the directory's.
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
            earlier
                .iter()
                .filter(|other| actor(other) == actor(record))
                .collect::<Vec<_>>()
        };
        if record.voided && !self.name.tracked {
            self.track(tx, &earlier()).await?;
        }
        let Some(name) = &record.statement.actor.name else {
            return Ok(());
        };
        if self.name.disputes(name) {
            self.name.at = kept_stamp(tx, "SELECT named_at, named_by FROM persons", self.key).await?;
        }
        let mut heard = self.name.observe(name, record.stamp());
        if matches!(heard, Heard::Unsure) {
            self.track(tx, &earlier()).await?;
            heard = self.name.observe(name, record.stamp());
        }
        let Heard::Moved { value_changed } = heard else {
            return Ok(());
        };
        if value_changed && self.name.tracked {
            tx.invalidate_caches();
        }
        self.write(tx).await
    }

    /// From now on the stamp is kept exactly; what the log says so far is read from it.
    pub(crate) async fn track(
        &mut self,
        tx: &mut OrgTx,
        earlier: &[&StoredStatement],
    ) -> Result<(), StoreError> {
        if let Some(current) = self.name.value.clone() {
            let says = |record: &StoredStatement| record.statement.actor.name.as_ref() == Some(&current);
            let kept = latest(tx, "person", self.key, says).await?;
            self.name.at = kept.max(latest_of(earlier, says)).max(self.name.at);
        }
        self.name.tracked = true;
        tx.invalidate_caches();
        self.write(tx).await
    }

    async fn write(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let (at, by) = stamp_columns(self.name.at);
        let update = Sql::new(
            "UPDATE persons SET name = $3, named_at = $4, named_by = $5, contested = $6 \
             WHERE org = $1 AND key = $2 AND (named_at, named_by) <= ($4, $5)",
        );
        let update = update.with(tx.org).with(self.key).with(self.name.value.clone());
        tx.execute(update.with(at).with(by).with(self.name.tracked))
            .await?;
        Ok(())
    }
}

impl CachedContent {
    /// Lets a record say the title and type in its definition; `earlier` are the records of its batch before
    /// it. What a registered content is called is the catalogue's.
    pub(crate) async fn observe(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        activity: &Activity,
        record: &StoredStatement,
        earlier: &[StoredStatement],
    ) -> Result<(), StoreError> {
        if self.registered {
            return Ok(());
        }
        let same = |other: &StoredStatement| {
            platform
                .content_of(&other.statement)
                .is_some_and(|content| content.id == activity.id)
        };
        let earlier = || earlier.iter().filter(|other| same(other)).collect::<Vec<_>>();
        if record.voided && !self.definition.tracked {
            self.track(tx, platform, &earlier()).await?;
        }
        let said = Definition::of(activity).filter(|_| record.envelope.defines);
        let Some(said) = said else { return Ok(()) };
        if self.definition.disputes(&said) {
            self.definition.at =
                kept_stamp(tx, "SELECT defined_at, defined_by FROM contents", self.key).await?;
        }
        let mut heard = self.definition.observe(&said, record.stamp());
        if matches!(heard, Heard::Unsure) {
            self.track(tx, platform, &earlier()).await?;
            heard = self.definition.observe(&said, record.stamp());
        }
        let Heard::Moved { value_changed } = heard else {
            return Ok(());
        };
        self.write(tx).await?;
        if value_changed && self.definition.tracked {
            tx.invalidate_caches();
        }
        let before = (self.learning_type, self.content_type);
        if value_changed && before != (said.learning_type, said.content_type) {
            (self.learning_type, self.content_type) = (said.learning_type, said.content_type);
            tx.reproject(self.key).await?;
        }
        Ok(())
    }

    /// From now on the stamp is kept exactly; what the log says so far is read from it.
    pub(crate) async fn track(
        &mut self,
        tx: &mut OrgTx,
        platform: &Platform<'_>,
        earlier: &[&StoredStatement],
    ) -> Result<(), StoreError> {
        if let Some(current) = self.definition.value.clone() {
            let says = |record: &StoredStatement| {
                let content = platform.content_of(&record.statement);
                record.envelope.defines && content.and_then(Definition::of).as_ref() == Some(&current)
            };
            let kept = latest(tx, "content", self.key, says).await?;
            self.definition.at = kept.max(latest_of(earlier, says)).max(self.definition.at);
        }
        self.definition.tracked = true;
        tx.invalidate_caches();
        self.write(tx).await
    }

    async fn write(&self, tx: &mut OrgTx) -> Result<(), StoreError> {
        let (at, by) = stamp_columns(self.definition.at);
        let said = self.definition.value.as_ref();
        let title = said.and_then(|said| said.title.clone());
        let update = Sql::new(
            "UPDATE contents SET title = $3, title_folded = $4, type = $5, content_type = $6, \
             defined_at = $7, defined_by = $8, contested = $9 \
             WHERE org = $1 AND key = $2 AND (defined_at, defined_by) <= ($7, $8)",
        );
        let update = update
            .with(tx.org)
            .with(self.key)
            .with(title.clone())
            .with(fold(title.as_deref().unwrap_or_default()))
            .with(said.and_then(|said| said.learning_type).map(LearningType::code))
            .with(said.and_then(|said| said.content_type).map(ContentFormat::code))
            .with(at)
            .with(by)
            .with(self.definition.tracked);
        tx.execute(update).await?;
        Ok(())
    }
}

/// The stamp in that column and the next; none where nothing was said.
pub(crate) fn read_stamp(row: &Row, column: usize) -> Result<Option<Stamp>, StoreError> {
    let at: i64 = row.get(column)?;
    let by: Uuid = row.get(column + 1)?;
    Ok((at != i64::MIN).then_some((Timestamp::from_micros(at), StatementId(by))))
}

/// The latest of the batch's earlier records, which are not in the log yet.
fn latest_of(earlier: &[&StoredStatement], says: impl Fn(&StoredStatement) -> bool) -> Option<Stamp> {
    earlier
        .iter()
        .filter(|record| says(record))
        .map(|record| record.stamp())
        .max()
}

/// The latest row of the log, of that person or content, whose record says what is asked for.
async fn latest(
    tx: &mut OrgTx,
    column: &str,
    key: i64,
    says: impl Fn(&StoredStatement) -> bool,
) -> Result<Option<Stamp>, StoreError> {
    let mut before = (i64::MAX, i64::MAX);
    let mut found: Option<Stamp> = None;
    loop {
        let select = Sql::new(&format!(
            "SELECT {}, a.happened_at FROM activities a \
             JOIN statements s ON s.org = a.org AND s.seq = a.seq \
             WHERE a.org = $1 AND a.{column} = $2 AND (a.happened_at, a.seq) < ($3, $4) \
             ORDER BY a.happened_at DESC, a.seq DESC LIMIT $5",
            StoredStatement::COLUMNS
        ));
        let select = select
            .with(tx.org)
            .with(key)
            .with(before.0)
            .with(before.1)
            .with(SCAN);
        let rows = tx.fetch_all(select).await?;
        let Some(last) = rows.last() else { return Ok(found) };
        before = (last.get(6)?, last.get(0)?);
        for row in &rows {
            let record = StoredStatement::read(row)?;
            // Of several at one time the greatest id counts, so all of that time are looked at.
            if found.is_some_and(|(at, _)| record.stamp().0 < at) {
                return Ok(found);
            }
            if says(&record) {
                found = found.max(Some(record.stamp()));
            }
        }
    }
}

/// The stamp as it is kept now, which another replica may have moved.
async fn kept_stamp(tx: &mut OrgTx, columns: &str, key: i64) -> Result<Option<Stamp>, StoreError> {
    let select = Sql::new(&format!("{columns} WHERE org = $1 AND key = $2"))
        .with(tx.org)
        .with(key);
    match tx.fetch_optional(select).await? {
        Some(row) => read_stamp(&row, 0),
        None => Ok(None),
    }
}
