//! Work in the background on marked rows, in short transactions: one of each organisation in turn, so that a long work of
//! one organisation does not delay the others.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::ids::OrgId;

use crate::store::db::database::Sql;
use crate::store::db::ledger::{BACKGROUND_LOCK_WAIT, OrgTx};
use crate::store::db::{Store, StoreError};

/// What is left to do on the marked rows of one organisation.
pub(super) trait MarkedWork: Send + Sized {
    /// The work in words, for the server's log.
    const NAME: &'static str;
    /// What follows `SELECT` in the query for the marked rows: the id `o.id` of the organisation and the key of the row. It
    /// ends within its condition.
    const MARKED: &'static str;

    fn new(marked: MarkedKeys) -> Self;

    fn organisation(&self) -> &OrgId;

    /// Does the next part in a transaction. Returns whether more is left.
    fn do_next(
        &mut self,
        store: &Store,
        wait: Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The keys of an organisation's marked rows. The last one is in progress.
pub(super) struct MarkedKeys {
    pub(super) organisation: OrgId,
    keys: Vec<i64>,
}

impl MarkedKeys {
    /// Begins a transaction for the row in progress. `None` if no row is left.
    pub(super) async fn begin(
        &self,
        store: &Store,
        wait: Duration,
    ) -> Result<Option<(OrgTx, i64)>, StoreError> {
        match self.keys.last() {
            Some(key) => Ok(Some((store.write_within(&self.organisation, wait).await?, *key))),
            None => Ok(None),
        }
    }

    /// Commits. The next row is in progress if the present one has nothing `more` to do. Returns whether a row is left.
    pub(super) async fn commit(&mut self, tx: OrgTx, more: bool) -> Result<bool, StoreError> {
        tx.commit().await?;
        if !more {
            self.keys.pop();
        }
        Ok(!self.keys.is_empty())
    }
}

impl Store {
    /// Works on the marked rows of all organisations. Returns whether an organisation was skipped.
    pub(super) async fn work_in_turns<W: MarkedWork>(&self) -> Result<bool, StoreError> {
        let select = Sql::new(&format!("SELECT {}", W::MARKED));
        let rows: Vec<(OrgId, i64)> = self.db().fetch_rows(select).await?;
        let mut by_organisation: BTreeMap<OrgId, Vec<i64>> = BTreeMap::new();
        for (organisation, key) in rows {
            by_organisation.entry(organisation).or_default().push(key);
        }
        let mut queue: VecDeque<W> = by_organisation
            .into_iter()
            .map(|(organisation, keys)| W::new(MarkedKeys { organisation, keys }))
            .collect();
        let mut skipped = false;
        while let Some(mut work) = queue.pop_front() {
            match work.do_next(self, BACKGROUND_LOCK_WAIT).await {
                Ok(true) => {
                    queue.push_back(work);
                    self.let_writers_in().await;
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(organisation = %work.organisation(), %error, "{} is postponed", W::NAME);
                    skipped = true;
                }
            }
        }
        Ok(skipped)
    }

    /// Works on the marked rows of an organisation to their end.
    pub(super) async fn finish_work<W: MarkedWork>(&self, organisation: &OrgId) -> Result<(), StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(());
        };
        let select = Sql::new(&format!("SELECT {} AND o.key = $1", W::MARKED));
        let rows: Vec<(OrgId, i64)> = self.db().fetch_rows(select.with(org)).await?;
        let mut work = W::new(MarkedKeys {
            organisation: organisation.clone(),
            keys: rows.into_iter().map(|(_, key)| key).collect(),
        });
        while work.do_next(self, self.wait()).await? {
            self.let_writers_in().await;
        }
        Ok(())
    }
}
