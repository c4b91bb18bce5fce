//! Activities of persons that get another user (`docs/specification.md#change-feed`).
//!
//! Such a claim changes rows of `persons` and none of `activities`. But an activity shows its user, so each activity of
//! the persons gets the number of a change: at once if they are few, otherwise in the background.

use std::time::Duration;

use crate::base::ids::OrgId;

use crate::store::db::columns::table_row;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::marked_work::{MarkedKeys, MarkedWork};
use crate::store::ingest::periods::MAX_AT_ONCE;

/// The number of activities in a transaction of the background, so that writers wait for a short time only.
const CHUNK_ROWS: usize = 500;

/// The position of an activity in the order of its person's index: `happened_at` and `seq`.
type Position = (i64, i64);

/// Before the first activity.
const START: Position = (i64::MIN, i64::MIN);

table_row! {
    /// A person whose activities the background announces.
    struct TransferredPerson in "transferred_persons" {
        org: i64 = "org",
        person: i64 = "person",
        happened_at: i64 = "happened_at",
        seq: i64 = "seq",
    }
}

impl OrgTx {
    /// Gives the activities of persons with another user the numbers of a change, at once or in the background.
    pub(crate) async fn announce_transfer(&mut self, persons: Vec<i64>) -> Result<(), StoreError> {
        if persons.is_empty() {
            return Ok(());
        }
        let select = select_some_activities(self.org, persons.clone());
        let rows: Vec<(i64,)> = self.fetch_rows(select).await?;
        if rows.len() <= MAX_AT_ONCE {
            self.note_changed_activities(rows.into_iter().map(|(seq,)| seq));
            return Ok(());
        }
        let delete = Sql::new("DELETE FROM transferred_persons WHERE org = $1 AND person IN LIST($2)");
        self.execute(delete.with(self.org).with(persons.clone())).await?;
        let (org, (happened_at, seq)) = (self.org, START);
        let rows = persons.into_iter().map(|person| TransferredPerson {
            org,
            person,
            happened_at,
            seq,
        });
        self.insert_rows(rows.collect()).await?;
        self.wake_background();
        Ok(())
    }

    /// Announces the next activities of a transferred person. Returns whether more are left.
    async fn announce_chunk(&mut self, person: i64) -> Result<bool, StoreError> {
        let select =
            Sql::new("SELECT happened_at, seq FROM transferred_persons WHERE org = $1 AND person = $2");
        let stored: Option<Position> = self.fetch_row(select.with(self.org).with(person)).await?;
        let Some(after) = stored else {
            return Ok(false);
        };
        let rows: Vec<Position> = self
            .fetch_rows(select_next_activities(self.org, person, after))
            .await?;
        self.note_changed_activities(rows.iter().map(|(_, seq)| *seq));
        match rows.last().filter(|_| rows.len() == CHUNK_ROWS) {
            Some((happened_at, seq)) => {
                let update = Sql::new(
                    "UPDATE transferred_persons SET happened_at = $3, seq = $4 WHERE org = $1 AND person = $2",
                );
                let update = update.with(self.org).with(person).with(*happened_at).with(*seq);
                self.execute(update).await?;
                Ok(true)
            }
            None => {
                let delete = Sql::new("DELETE FROM transferred_persons WHERE org = $1 AND person = $2");
                self.execute(delete.with(self.org).with(person)).await?;
                Ok(false)
            }
        }
    }
}

/// The query for activities of the persons: one more than are announced at once.
fn select_some_activities(org: i64, persons: Vec<i64>) -> Sql {
    let select = Sql::new(
        "SELECT seq FROM activities INDEXED BY activities_person WHERE org = $1 AND person IN LIST($2) LIMIT $3",
    );
    select.with(org).with(persons).with(MAX_AT_ONCE as i64 + 1)
}

/// The query for the next activities of a person in the background.
fn select_next_activities(org: i64, person: i64, after: Position) -> Sql {
    let select = Sql::new(
        "SELECT happened_at, seq FROM activities WHERE org = $1 AND person = $2 AND (happened_at, seq) > ($3, $4) \
         ORDER BY happened_at, seq LIMIT $5",
    );
    let select = select.with(org).with(person).with(after.0).with(after.1);
    select.with(CHUNK_ROWS as i64)
}

impl Store {
    /// The database's plans for finding the activities of a transferred person.
    pub async fn explain_transfer(&self, org: i64, person: i64) -> Result<Vec<Vec<String>>, StoreError> {
        Ok(vec![
            self.db()
                .explain(select_some_activities(org, vec![person]))
                .await?,
            self.db()
                .explain(select_next_activities(org, person, START))
                .await?,
        ])
    }
}

/// The persons of an organisation whose activities are to be announced.
pub(super) struct TransferredPersons(MarkedKeys);

impl MarkedWork for TransferredPersons {
    const NAME: &'static str = "announcing moved activities";
    const MARKED: &'static str =
        "o.id, t.person FROM transferred_persons t JOIN organisations o ON o.key = t.org WHERE TRUE";

    fn new(marked: MarkedKeys) -> Self {
        Self(marked)
    }

    fn organisation(&self) -> &OrgId {
        &self.0.organisation
    }

    async fn do_next(&mut self, store: &Store, wait: Duration) -> Result<bool, StoreError> {
        let Some((mut tx, person)) = self.0.begin(store, wait).await? else {
            return Ok(false);
        };
        let more = tx.announce_chunk(person).await?;
        self.0.commit(tx, more).await
    }
}
