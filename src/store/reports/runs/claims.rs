//! One worker at a time: runs are claimed by a lease, and what becomes of them is noted in its name.

use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, UserId};
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::{BACKGROUND_LOCK_WAIT, OrgTx};
use crate::store::db::rows::read_id;
use crate::store::db::{Store, StoreError};
use crate::store::reports::schedules::{KeptTiming, read_recipients, read_timing};

use super::{FAILED, SENT, SUSPENDED, TO_BE_SENT, UNDER_WAY};

/// Runs looked at when one is to be claimed: other workers take some of them at the same time.
const CANDIDATES: i64 = 16;

/// A run that one worker has to itself, as it stood when it was claimed.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The organisation.
    pub org: OrgId,
    /// The delivery's id.
    pub delivery: Uuid,
    /// The schedule's id.
    pub schedule: Uuid,
    /// The id of the report that is sent.
    pub report: Uuid,
    /// Under whose rights it runs.
    pub maker: UserId,
    /// When the schedule runs.
    pub timing: KeptTiming,
    /// The moment that the run is for: everything relative is resolved at it.
    pub run_at: Timestamp,
    /// Attempts that were begun before this one, whether they came to an end or not.
    pub attempts: u32,
    /// Who is to receive it, in the schedule's order.
    pub recipients: Vec<ClaimedRecipient>,
    org_key: i64,
    key: i64,
    schedule_key: i64,
    token: Uuid,
}

impl Claim {
    /// The organisation's key: what [`Store::claim_run`] passes over.
    pub fn org_key(&self) -> i64 {
        self.org_key
    }
}

/// One recipient of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRecipient {
    /// The place in the schedule's list, from 0.
    pub place: u16,
    /// A user's id or an address, as the schedule had it.
    pub recipient: String,
    /// Whether the schedule still names them.
    pub named: bool,
    /// Whether a message was tried in vain, in an attempt before.
    pub tried: bool,
    /// What became of them so far.
    pub state: RecipientState,
}

/// What became of one recipient of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientState {
    /// The message is to be sent.
    Waiting,
    /// The message was sent.
    Sent,
    /// There will be no message.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A message that the mail server has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentMessage {
    /// The recipient's place.
    pub place: u16,
    /// Rows of the CSV.
    pub rows: u64,
    /// Bytes of the CSV.
    pub bytes: u64,
    /// Whether the message has a link instead of the file.
    pub linked: bool,
    /// When it was sent.
    pub at: Timestamp,
}

/// How an attempt ended for the run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd<'a> {
    /// Everybody has it.
    Sent,
    /// Somebody will not get it, and so won't whoever has not got it: why.
    Failed(&'a str),
    /// As [`RunEnd::Failed`] without an attempt: it was begun as often as it may be, and never came to an end.
    Abandoned(&'a str),
    /// The schedule stands still from now on, and whoever has not got it will not: why.
    Suspended(&'a str),
    /// It is tried again.
    Retried {
        /// When, by the server's clock.
        at: Timestamp,
        /// Why it has to be.
        reason: &'a str,
    },
}

impl Store {
    /// Claims the run that has waited longest among those that are due at `now` and nobody works on, for as long as
    /// `lease`. Runs of the organisations in `passed_over` are left for later, and so is a run whose schedule has an
    /// older one that is due: a schedule's runs go out in their order.
    ///
    /// The attempt is counted here, so that one counts that ends its process; [`Store::release`] takes it back.
    pub async fn claim_run(
        &self,
        now: Timestamp,
        lease: Duration,
        passed_over: &[i64],
    ) -> Result<Option<Claim>, StoreError> {
        for row in self.db().fetch_all(candidates(now, passed_over)).await? {
            let (org, key): (i64, i64) = (row.get(0)?, row.get(1)?);
            let token = self.clock().new_uuid();
            let mut tx = self.db().begin().await?;
            tx.set_lock_timeout(BACKGROUND_LOCK_WAIT).await?;
            // Another replica that claims the run at the same time waits here, and then finds it claimed.
            let update = Sql::new(
                "UPDATE deliveries SET lease_token = $3, lease_until = NOW_MICROS() + $4, begun = begun + 1 \
                 WHERE org = $1 AND key = $2 AND next_attempt_at <= $5 \
                 AND (lease_until IS NULL OR lease_until <= NOW_MICROS())",
            );
            let update = update
                .with(org)
                .with(key)
                .with(token)
                .with(micros(lease))
                .with(now.micros());
            match tx.execute(update).await {
                // A locked run must not stop the sender for the other organisations.
                Ok(0) | Err(StoreError::Busy) => continue,
                Ok(_) => {}
                Err(error) => return Err(error),
            }
            let Some(run) = tx.fetch_optional(run(org, key)).await? else {
                continue; // its schedule is being deleted
            };
            let recipients = tx.fetch_all(recipients(org, key)).await?;
            tx.commit().await?;
            return claim(&run, &recipients, org, key, token).map(Some);
        }
        Ok(None)
    }

    /// Keeps the claim for as long as `lease` from now on; false where it is lost.
    pub async fn renew(&self, claim: &Claim, lease: Duration) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE deliveries SET lease_until = NOW_MICROS() + $4 \
             WHERE org = $1 AND key = $2 AND lease_token = $3",
        );
        self.change_lease(claim, update, lease).await
    }

    /// Gives the run back without having made an attempt, so that another worker may go on with it; `worked` is how
    /// long it was worked on. False where the claim is lost.
    pub async fn release(&self, claim: &Claim, worked: Duration) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE deliveries SET lease_token = NULL, lease_until = NULL, begun = begun - 1, \
             worked_micros = worked_micros + $4 WHERE org = $1 AND key = $2 AND lease_token = $3",
        );
        self.change_lease(claim, update, worked).await
    }

    async fn change_lease(&self, claim: &Claim, update: Sql, duration: Duration) -> Result<bool, StoreError> {
        let update = update.with(claim.org_key).with(claim.key).with(claim.token);
        let update = update.with(micros(duration));
        let mut tx = self.db().begin().await?;
        let held = tx.execute(update).await? > 0;
        tx.commit().await?;
        Ok(held)
    }

    /// Whether the run is still the worker's: its lease is neither over nor taken over.
    pub async fn holds(&self, claim: &Claim) -> Result<bool, StoreError> {
        let select = Sql::new(
            "SELECT 1 FROM deliveries WHERE org = $1 AND key = $2 AND lease_token = $3 \
             AND lease_until > NOW_MICROS()",
        );
        let select = select.with(claim.org_key).with(claim.key).with(claim.token);
        Ok(self.db().fetch_optional(select).await?.is_some())
    }

    /// Notes that a recipient has the message; false where the claim is lost.
    pub async fn note_sent(&self, claim: &Claim, message: SentMessage) -> Result<bool, StoreError> {
        let Some(mut tx) = self.fenced(claim).await? else {
            return Ok(false);
        };
        let update = Sql::new(
            "UPDATE delivery_recipients SET status = $4, row_count = $5, bytes = $6, linked = $7, sent_at = $8, \
             reason = NULL WHERE org = $1 AND delivery = $2 AND place = $3",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(small(message.place))
            .with(SENT)
            .with(count(message.rows))
            .with(count(message.bytes))
            .with(message.linked)
            .with(message.at.micros());
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes that there will be no message for a recipient, and why; false where the claim is lost.
    pub async fn note_failed(&self, claim: &Claim, place: u16, reason: &str) -> Result<bool, StoreError> {
        let Some(mut tx) = self.fenced(claim).await? else {
            return Ok(false);
        };
        let update = Sql::new(
            "UPDATE delivery_recipients SET status = $4, reason = $5 \
             WHERE org = $1 AND delivery = $2 AND place = $3",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(small(place))
            .with(FAILED)
            .with(reason);
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes that a message was tried in vain for a recipient, and why: it is still to be sent. False where the claim is
    /// lost.
    pub async fn note_tried(&self, claim: &Claim, place: u16, reason: &str) -> Result<bool, StoreError> {
        let Some(mut tx) = self.fenced(claim).await? else {
            return Ok(false);
        };
        let update = Sql::new(
            "UPDATE delivery_recipients SET reason = $4 \
             WHERE org = $1 AND delivery = $2 AND place = $3 AND status = $5",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(small(place))
            .with(reason)
            .with(TO_BE_SENT);
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes of a recipient what is noted of another one, who is the same; false where the claim is lost.
    pub async fn note_same(&self, claim: &Claim, place: u16, other: u16) -> Result<bool, StoreError> {
        let Some(mut tx) = self.fenced(claim).await? else {
            return Ok(false);
        };
        let update = Sql::new(
            "UPDATE delivery_recipients SET (status, row_count, bytes, linked, sent_at, reason) = \
             (SELECT o.status, o.row_count, o.bytes, o.linked, o.sent_at, o.reason FROM delivery_recipients o \
             WHERE o.org = $1 AND o.delivery = $2 AND o.place = $4) \
             WHERE org = $1 AND delivery = $2 AND place = $3",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(small(place))
            .with(small(other));
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the attempt and gives the run back; `worked` is how long it took. False where the claim is lost.
    pub async fn end_attempt(
        &self,
        claim: &Claim,
        end: RunEnd<'_>,
        worked: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(mut tx) = self.fenced(claim).await? else {
            return Ok(false);
        };
        let (status, reason, next) = match end {
            RunEnd::Sent => (SENT, None, None),
            RunEnd::Failed(reason) | RunEnd::Abandoned(reason) => (FAILED, Some(reason), None),
            RunEnd::Suspended(reason) => (SUSPENDED, Some(reason), None),
            RunEnd::Retried { at, reason } => (UNDER_WAY, Some(reason), Some(at.micros())),
        };
        let finished = next.is_none().then(|| now.micros());
        let attempts = match end {
            RunEnd::Abandoned(_) => claim.attempts,
            _ => claim.attempts.saturating_add(1),
        };
        let update = Sql::new(
            "UPDATE deliveries SET status = $3, reason = $4, next_attempt_at = $5, finished_at = $6, \
             worked_micros = worked_micros + $7, attempts = $8, begun = $8, lease_token = NULL, lease_until = NULL \
             WHERE org = $1 AND key = $2",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(status)
            .with(reason)
            .with(next)
            .with(finished)
            .with(micros(worked))
            .with(i64::from(attempts));
        tx.execute(update).await?;
        match end {
            RunEnd::Sent | RunEnd::Retried { .. } => {}
            RunEnd::Failed(reason) | RunEnd::Abandoned(reason) => tx.fail_waiting(claim.key, reason).await?,
            RunEnd::Suspended(reason) => {
                tx.fail_waiting(claim.key, reason).await?;
                tx.suspend_schedule(claim.schedule_key, reason).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// A transaction in the organisation's name in which the run can't be claimed by anybody else; `None` where
    /// somebody else has claimed it already, or it is gone.
    async fn fenced(&self, claim: &Claim) -> Result<Option<OrgTx>, StoreError> {
        let mut tx = self.write(&claim.org).await?;
        let select =
            Sql::new("SELECT 1 FROM deliveries WHERE org = $1 AND key = $2 AND lease_token = $3 FOR UPDATE");
        let select = select.with(claim.org_key).with(claim.key).with(claim.token);
        let held = tx.fetch_optional(select).await?.is_some();
        Ok(held.then_some(tx))
    }
}

/// What can be claimed, the longest due first.
fn candidates(now: Timestamp, passed_over: &[i64]) -> Sql {
    let mut sql = Sql::new("SELECT d.org, d.key FROM deliveries d WHERE d.next_attempt_at <= ");
    sql.bind(now.micros());
    sql.push(" AND (d.lease_until IS NULL OR d.lease_until <= NOW_MICROS())");
    if !passed_over.is_empty() {
        sql.push(" AND NOT d.org").any_of(passed_over.to_vec());
    }
    sql.push(
        " AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.org = d.org AND o.schedule = d.schedule \
         AND o.run_at < d.run_at AND o.next_attempt_at <= ",
    );
    sql.bind(now.micros());
    sql.push(") ORDER BY d.next_attempt_at, d.run_at, d.org, d.key LIMIT ")
        .bind(CANDIDATES);
    sql
}

fn run(org: i64, key: i64) -> Sql {
    let select = Sql::new(
        "SELECT o.id, d.id, s.id, r.id, s.maker, d.run_at, d.begun - 1, s.key, s.recipients, s.frequency, \
         s.at_minute, s.time_zone, s.weekday, s.day_of_month \
         FROM deliveries d JOIN organisations o ON o.key = d.org \
         JOIN schedules s ON s.org = d.org AND s.key = d.schedule \
         JOIN reports r ON r.org = d.org AND r.key = d.report WHERE d.org = $1 AND d.key = $2",
    );
    select.with(org).with(key)
}

fn recipients(org: i64, key: i64) -> Sql {
    let select = Sql::new(
        "SELECT place, recipient, status, reason FROM delivery_recipients \
         WHERE org = $1 AND delivery = $2 ORDER BY place",
    );
    select.with(org).with(key)
}

fn claim(run: &Row, recipients: &[Row], org_key: i64, key: i64, token: Uuid) -> Result<Claim, StoreError> {
    let named = read_recipients(&run.get::<String>(8)?)?;
    let recipients = recipients.iter().map(|row| {
        let (recipient, reason): (String, Option<String>) = (row.get(1)?, row.get(3)?);
        Ok(ClaimedRecipient {
            place: u16::try_from(row.get::<i16>(0)?)
                .map_err(|error| StoreError::corrupt("recipient's place", error))?,
            named: named.contains(&recipient),
            recipient,
            tried: reason.is_some(),
            state: match row.get::<i16>(2)? {
                TO_BE_SENT => RecipientState::Waiting,
                SENT => RecipientState::Sent,
                _ => RecipientState::Failed {
                    reason: reason.unwrap_or_default(),
                },
            },
        })
    });
    let recipients: Result<Vec<_>, StoreError> = recipients.collect();
    Ok(Claim {
        org: read_id(run, 0)?,
        delivery: run.get(1)?,
        schedule: run.get(2)?,
        report: run.get(3)?,
        maker: read_id(run, 4)?,
        timing: read_timing(run, 9)?,
        run_at: Timestamp::from_micros(run.get(5)?),
        attempts: u32::try_from(run.get::<i64>(6)?).unwrap_or(u32::MAX),
        recipients: recipients?,
        org_key,
        key,
        schedule_key: run.get(7)?,
        token,
    })
}

/// Microseconds; what is longer than 292,000 years is as long.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A schedule has at most 100 recipients.
fn small(place: u16) -> i16 {
    i16::try_from(place).unwrap_or(i16::MAX)
}
