//! Locking the ledger of an organisation, which begins each writing transaction.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::base::ids::OrgId;

use crate::store::db::changes::PendingChanges;
use crate::store::db::database::{Engine, Row, Sql};
use crate::store::db::organisations;
use crate::store::db::sqlite_begin::Refusals;
use crate::store::db::transaction::{Tx, lock_timeout_text};
use crate::store::db::writing_gate::WritingPermit;
use crate::store::db::{Store, StoreError};

use super::{Ledger, OrgTx};

/// The first pause before the lock of a locked ledger is tried again. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause before the lock of a locked ledger is tried again.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The pause of a task that writes in one transaction after another, so that writers of other processes get the lock
/// between two of them. A writer that does not wait within the database looks for the lock after [`LONGEST_PAUSE`] at the
/// latest, so it always finds it free once in this time.
const PAUSE_FOR_OTHERS: Duration = Duration::from_millis(110);

/// A locked ledger with the organisation's key.
struct LockedLedger {
    org: i64,
    ledger: Ledger,
    server: i64,
}

impl LockedLedger {
    fn read(org: i64, row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            org,
            ledger: Ledger::read(row)?,
            server: row.get(Ledger::COUNT)?,
        })
    }
}

/// What to do when another transaction holds the ledger's lock.
#[derive(Clone, Copy)]
enum WhenLocked {
    Fail,
    /// Wait with the connection until this moment.
    WaitUntil(Instant),
}

impl Store {
    /// Begins to write in the organisation's name. A new organisation exists from the commit on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if the organisation stays locked for longer than the setting for waiting.
    pub(crate) async fn write(&self, organisation: &OrgId) -> Result<OrgTx, StoreError> {
        self.write_within(organisation, self.wait()).await
    }

    /// [`Store::write`] with another limit on the time to wait.
    pub(crate) async fn write_within(
        &self,
        organisation: &OrgId,
        wait: Duration,
    ) -> Result<OrgTx, StoreError> {
        let deadline = Instant::now() + wait;
        let permit = self.gates().enter(organisation, deadline).await?;
        let (store, organisation) = (self.clone(), organisation.clone());
        // A task is not cancelled with its caller. So the permit is given back after the connection: callers that go
        // away while the ledger is locked never leave more than one connection waiting.
        let begin = self
            .runtime()
            .spawn(async move { store.begin_writing(organisation, permit, deadline).await });
        begin.await.map_err(|_| StoreError::Closed)?
    }

    /// Pauses after a transaction of a task that will begin another one at once.
    pub(crate) async fn let_writers_in(&self) {
        sleep(PAUSE_FOR_OTHERS).await;
    }

    /// Begins the transaction when the lock is free. Notes if the database refuses the lock for the whole time.
    async fn begin_writing(
        self,
        organisation: OrgId,
        permit: WritingPermit,
        deadline: Instant,
    ) -> Result<OrgTx, StoreError> {
        let (begin, refusals) = (Instant::now(), Refusals::default());
        let locked = self.wait_for_ledger(&organisation, deadline, &refusals).await;
        // Other writers of this process may have taken a part of the time, or all of it. That says nothing about the
        // database.
        let has_waited = refusals.has_any() && begin.elapsed() >= self.wait() / 4 * 3;
        if matches!(locked, Err(StoreError::Busy)) && has_waited {
            let org = self.remembered_key(&organisation);
            self.db().write_health().note_locked(begin, org);
        }
        let (tx, LockedLedger { org, ledger, server }) = locked?;
        Ok(OrgTx {
            tx,
            writing: self.writers().begin(org),
            store: self,
            id: organisation,
            org,
            initial: ledger.clone(),
            ledger,
            server,
            wakes_background: false,
            changes: PendingChanges::default(),
            _permit: permit,
        })
    }

    /// Locks the ledger. While another transaction holds it, this one waits with a connection only if that leaves
    /// enough for other organisations. Otherwise it gives the connection back and tries again after a pause.
    async fn wait_for_ledger(
        &self,
        organisation: &OrgId,
        deadline: Instant,
        refusals: &Refusals,
    ) -> Result<(Tx, LockedLedger), StoreError> {
        let (mut pause, mut was_read_only) = (FIRST_PAUSE, false);
        loop {
            let when_locked = WhenLocked::Fail;
            match self
                .lock_ledger(organisation, when_locked, deadline, refusals)
                .await
            {
                Ok(Some(locked)) => return Ok(locked),
                Ok(None) => {}
                // The connection led to a standby. A new one leads to the primary, if there is one.
                Err(error) if error.is_read_only() && !was_read_only => {
                    was_read_only = true;
                    continue;
                }
                // Nothing is written yet, so the transaction can begin again.
                Err(error) if error.is_worth_a_retry() && Instant::now() + pause < deadline => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(error) => return Err(error),
            }
            if let Some(_waiting) = self.db().try_wait_for_lock() {
                let wait = WhenLocked::WaitUntil(deadline);
                let locked = self.lock_ledger(organisation, wait, deadline, refusals).await?;
                return locked.ok_or(StoreError::Busy);
            }
            if Instant::now() + pause >= deadline {
                return Err(StoreError::Busy);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Begins a transaction and locks the ledger. Returns `None` if another transaction held the lock.
    async fn lock_ledger(
        &self,
        organisation: &OrgId,
        when_locked: WhenLocked,
        deadline: Instant,
        refusals: &Refusals,
    ) -> Result<Option<(Tx, LockedLedger)>, StoreError> {
        let begin = timeout_at(deadline, self.db().begin_noting(refusals));
        let late = |_| match self.db().engine() {
            // The lock is taken with the only connection that writes.
            Engine::Sqlite => StoreError::Busy,
            Engine::Postgres => StoreError::Unavailable("no connection was free in time".to_owned()),
        };
        let mut tx = begin.await.map_err(late)??;
        match self.lock_in(&mut tx, organisation, when_locked).await {
            Ok(locked) => Ok(Some((tx, locked))),
            Err(StoreError::Busy) => {
                refusals.note();
                tx.rollback().await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn lock_in(
        &self,
        tx: &mut Tx,
        organisation: &OrgId,
        when_locked: WhenLocked,
    ) -> Result<LockedLedger, StoreError> {
        if let WhenLocked::WaitUntil(deadline) = when_locked {
            let time_left = deadline.saturating_duration_since(Instant::now());
            tx.set_lock_timeout(time_left).await?;
        }
        if let Some(org) = self.remembered_key(organisation) {
            let select = self.select_ledger(org, organisation, when_locked);
            if let Some(row) = tx.fetch_optional(select).await? {
                return LockedLedger::read(org, &row);
            }
            // The commit that created the organisation was lost in a fail-over. The key may belong to another one.
            self.forget_key(organisation);
        }
        let org = organisations::ensure(tx, organisation, self.clock().now()).await?;
        let select = self.select_ledger(org, organisation, when_locked);
        let row = tx.fetch_optional(select).await?;
        LockedLedger::read(
            org,
            &row.ok_or(StoreError::Invariant("an organisation has no ledger"))?,
        )
    }

    /// The query that locks the ledger of the organisation that has both the key and the id.
    fn select_ledger(&self, org: i64, organisation: &OrgId, when_locked: WhenLocked) -> Sql {
        let columns = Ledger::COLUMNS;
        let server = match self.db().engine() {
            Engine::Sqlite => "0",
            Engine::Postgres => "(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint",
        };
        let ledger =
            "FROM ledgers WHERE org = $1 AND (SELECT o.id FROM organisations o WHERE o.key = $1) = $2";
        match when_locked {
            WhenLocked::Fail => {
                let text = format!("SELECT {columns}, {server} {ledger} FOR UPDATE NOWAIT");
                Sql::new(&text).with(org).with(organisation.as_str())
            }
            // The rest of the time is the limit for this lock only. The inner query sets it, since a node of a cluster does
            // not know the settings of the connection. The outer query is run when the inner one has the lock, and gives the
            // following statements the whole limit.
            WhenLocked::WaitUntil(deadline) => {
                let text = format!(
                    "SELECT {columns}, {server}, set_config('lock_timeout', $3, true) FROM \
                     (SELECT {columns} {ledger} AND set_config('lock_timeout', $4, true) IS NOT NULL FOR UPDATE) AS locked"
                );
                let time_left = deadline.saturating_duration_since(Instant::now());
                let select = Sql::new(&text).with(org).with(organisation.as_str());
                select
                    .with(lock_timeout_text(self.wait()))
                    .with(lock_timeout_text(time_left))
            }
        }
    }
}
