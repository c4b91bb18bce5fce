//! Leases: one worker at a time claims a run, and notes the outcome under its lease.

use std::time::Duration;

use uuid::Uuid;

use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::store::db::columns::{FromRow, columns};
use crate::store::db::database::{Row, Sql};
use crate::store::db::ledger::OrgTx;
use crate::store::db::unreadable::report_unreadable;
use crate::store::db::{Store, StoreError};
use crate::store::reports::schedules::{RecipientList, StoredTiming};

use super::{RecipientStatus, RunStatus, RunTerms};

/// Due runs that are read when one is to be claimed: other workers claim some of them at the same time.
const CANDIDATES: i64 = 16;

/// A run that one worker has claimed, as it was at that time.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The organisation.
    pub org: OrgId,
    /// The delivery's id.
    pub delivery: Uuid,
    /// What the run was created with.
    pub terms: RunTerms,
    /// When the schedule runs now.
    pub timing: StoredTiming,
    /// The attempts that began before this one, ended or not.
    pub attempts: u32,
    /// The recipients, in the order of the schedule.
    pub recipients: Vec<ClaimedRecipient>,
    org_key: i64,
    key: i64,
    schedule_key: i64,
    token: Uuid,
}

impl Claim {
    /// The organisation's key, for the `passed_over` of [`Store::claim_run`].
    pub fn org_key(&self) -> i64 {
        self.org_key
    }
}

/// One recipient of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRecipient {
    /// The position in the schedule's list, from 0.
    pub place: u16,
    /// A user's id or an address, as the schedule had it.
    pub recipient: String,
    /// Whether the schedule still has this recipient.
    pub is_recipient: bool,
    /// Whether an earlier attempt tried to send the message and failed.
    pub tried: bool,
    /// The state of the message.
    pub state: RecipientState,
}

/// The state of a recipient's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientState {
    /// The message is to be sent.
    Waiting,
    /// The message was sent.
    Sent,
    /// The message will not be sent.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A message that the mail server accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentMessage {
    /// The recipient's position.
    pub place: u16,
    /// The number of rows of the CSV.
    pub rows: u64,
    /// The size of the CSV, in bytes.
    pub bytes: u64,
    /// Whether the message has a link instead of the file.
    pub linked: bool,
    /// When it was sent.
    pub at: Timestamp,
}

/// How an attempt ended for the run as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd<'a> {
    /// Each recipient has the message.
    Sent,
    /// A recipient will not get the message, for this reason. Recipients without a message will not get it either.
    Failed(&'a str),
    /// Like [`RunEnd::Failed`], without an attempt: the maximum number of attempts began, and the last did not end.
    Abandoned(&'a str),
    /// The schedule is suspended for this reason. Recipients without a message will not get it.
    Suspended(&'a str),
    /// The run is tried again.
    Retried {
        /// When, by the server's clock.
        at: Timestamp,
        /// Why.
        reason: &'a str,
    },
}

columns! {
    /// The columns of a claimed run, without its terms and the schedule's times.
    struct RunRow {
        org: OrgId = "o.id",
        delivery: Uuid = "d.id",
        begun: i64 = "d.begun",
        schedule_key: i64 = "s.key",
        recipients: RecipientList = "s.recipients",
    }
}

columns! {
    /// The columns of a claimed run's recipient.
    struct RecipientRow {
        place: i16 = "place",
        recipient: String = "recipient",
        status: RecipientStatus = "status",
        reason: Option<String> = "reason",
    }
}

impl Store {
    /// Claims the run that has been due for the longest time and that no worker has, for the duration of `lease`. Runs of
    /// the organisations in `passed_over` stay. So does a run if its schedule has an older due run: the runs of a schedule
    /// are sent in their order.
    ///
    /// The claim counts the attempt, so an attempt that ends the process counts too. [`Store::release_run`] takes it back.
    pub async fn claim_run(
        &self,
        now: Timestamp,
        lease: Duration,
        passed_over: &[i64],
    ) -> Result<Option<Claim>, StoreError> {
        let mut passed_over = passed_over.to_vec();
        loop {
            let candidates: Vec<(i64, i64)> = self.db().fetch_rows(candidates(now, &passed_over)).await?;
            let mut locked = Vec::new();
            for (org, key) in candidates {
                match self.claim_candidate(org, key, now, lease).await {
                    Ok(Some(claim)) => return Ok(Some(claim)),
                    Ok(None) => {}
                    // A transaction of this organisation holds the run. It must not delay others.
                    Err(StoreError::Busy) => locked.push(org),
                    // The lease is taken, so the run is tried again when the lease has ended.
                    Err(error) if error.is_unreadable() => report_unreadable("delivery", key, &error),
                    Err(error) => return Err(error),
                }
            }
            if locked.is_empty() {
                return Ok(None);
            }
            passed_over.append(&mut locked);
        }
    }

    /// Claims one run. `None` if another worker has claimed it, or it is being deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] if another transaction has locked the run.
    async fn claim_candidate(
        &self,
        org: i64,
        key: i64,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Claim>, StoreError> {
        let token = self.clock().new_uuid();
        let mut tx = self.db().begin().await?;
        let lock = Sql::new("SELECT 1 FROM deliveries WHERE org = $1 AND key = $2 FOR UPDATE NOWAIT");
        tx.fetch_optional(lock.with(org).with(key)).await?;
        let update = Sql::new(
            "UPDATE deliveries SET lease_token = $3, lease_until = NOW_MICROS() + $4, begun = begun + 1 \
             WHERE org = $1 AND key = $2 AND next_attempt_at <= $5 \
             AND (lease_until IS NULL OR lease_until <= NOW_MICROS())",
        );
        let update = update
            .with(org)
            .with(key)
            .with(token)
            .with(to_micros(lease))
            .with(now.micros());
        if tx.execute(update).await? == 0 {
            return Ok(None);
        }
        let Some(run) = tx.fetch_optional(run_query(org, key)).await? else {
            return Ok(None);
        };
        let recipients = tx.fetch_all(recipients_query(org, key)).await?;
        tx.commit().await?;
        // Read after the commit: a run that cannot be read must not stay the first candidate.
        let recipients: Vec<RecipientRow> = recipients
            .iter()
            .map(RecipientRow::from_row)
            .collect::<Result<_, _>>()?;
        to_claim(&run, recipients, org, key, token).map(Some)
    }

    /// Renews the lease of a claim from now on. False if the claim is lost.
    pub async fn renew_lease(&self, claim: &Claim, lease: Duration) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE deliveries SET lease_until = NOW_MICROS() + $4 \
             WHERE org = $1 AND key = $2 AND lease_token = $3",
        );
        self.change_lease(claim, update, lease).await
    }

    /// Gives the run back without an attempt, so that another worker can continue. `worked` is the duration of the work.
    /// False if the claim is lost.
    pub async fn release_run(&self, claim: &Claim, worked: Duration) -> Result<bool, StoreError> {
        let update = Sql::new(
            "UPDATE deliveries SET lease_token = NULL, lease_until = NULL, begun = begun - 1, \
             worked_micros = worked_micros + $4 WHERE org = $1 AND key = $2 AND lease_token = $3",
        );
        self.change_lease(claim, update, worked).await
    }

    async fn change_lease(&self, claim: &Claim, update: Sql, duration: Duration) -> Result<bool, StoreError> {
        let update = update.with(claim.org_key).with(claim.key).with(claim.token);
        let update = update.with(to_micros(duration));
        let mut tx = self.db().begin().await?;
        let held = tx.execute(update).await? > 0;
        tx.commit().await?;
        Ok(held)
    }

    /// Whether the claim is valid: the lease has not expired, and no other worker has claimed the run.
    pub async fn holds_lease(&self, claim: &Claim) -> Result<bool, StoreError> {
        let select = Sql::new(
            "SELECT 1 FROM deliveries WHERE org = $1 AND key = $2 AND lease_token = $3 \
             AND lease_until > NOW_MICROS()",
        );
        let select = select.with(claim.org_key).with(claim.key).with(claim.token);
        Ok(self.db().fetch_optional(select).await?.is_some())
    }

    /// Notes that a recipient has the message. False if the claim is lost.
    pub async fn note_sent(&self, claim: &Claim, message: SentMessage) -> Result<bool, StoreError> {
        let Some(mut tx) = self.begin_for(claim).await? else {
            return Ok(false);
        };
        let update = Sql::new(
            "UPDATE delivery_recipients SET status = $4, row_count = $5, bytes = $6, linked = $7, sent_at = $8, \
             reason = NULL WHERE org = $1 AND delivery = $2 AND place = $3",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(to_i16(message.place))
            .with(RecipientStatus::Sent as i16)
            .with(to_i64(message.rows))
            .with(to_i64(message.bytes))
            .with(message.linked)
            .with(message.at.micros());
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes that a recipient will not get the message, and why. False if the claim is lost.
    pub async fn note_failed(&self, claim: &Claim, place: u16, reason: &str) -> Result<bool, StoreError> {
        let Some(mut tx) = self.begin_for(claim).await? else {
            return Ok(false);
        };
        let update = Sql::new(
            "UPDATE delivery_recipients SET status = $4, reason = $5 \
             WHERE org = $1 AND delivery = $2 AND place = $3",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(to_i16(place))
            .with(RecipientStatus::Failed as i16)
            .with(reason);
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes why sending a recipient's message failed. The message is still to be sent. False if the claim is lost.
    pub async fn note_tried(&self, claim: &Claim, place: u16, reason: &str) -> Result<bool, StoreError> {
        let Some(mut tx) = self.begin_for(claim).await? else {
            return Ok(false);
        };
        let update = Sql::new(
            "UPDATE delivery_recipients SET reason = $4 \
             WHERE org = $1 AND delivery = $2 AND place = $3 AND status = $5",
        );
        let update = update
            .with(claim.org_key)
            .with(claim.key)
            .with(to_i16(place))
            .with(reason)
            .with(RecipientStatus::Waiting as i16);
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Copies the state of another recipient, which is the same user or address. False if the claim is lost.
    pub async fn copy_state(&self, claim: &Claim, place: u16, source: u16) -> Result<bool, StoreError> {
        let Some(mut tx) = self.begin_for(claim).await? else {
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
            .with(to_i16(place))
            .with(to_i16(source));
        tx.execute(update).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the attempt and gives the run back. `worked` is the duration of the attempt. False if the claim is lost.
    pub async fn end_attempt(
        &self,
        claim: &Claim,
        end: RunEnd<'_>,
        worked: Duration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(mut tx) = self.begin_for(claim).await? else {
            return Ok(false);
        };
        let (status, reason, next) = match end {
            RunEnd::Sent => (RunStatus::Sent, None, None),
            RunEnd::Failed(reason) | RunEnd::Abandoned(reason) => (RunStatus::Failed, Some(reason), None),
            RunEnd::Suspended(reason) => (RunStatus::Suspended, Some(reason), None),
            RunEnd::Retried { at, reason } => (RunStatus::UnderWay, Some(reason), Some(at.micros())),
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
            .with(status as i16)
            .with(reason)
            .with(next)
            .with(finished)
            .with(to_micros(worked))
            .with(i64::from(attempts));
        tx.execute(update).await?;
        match end {
            RunEnd::Sent | RunEnd::Retried { .. } => {}
            RunEnd::Failed(reason) | RunEnd::Abandoned(reason) => tx.fail_waiting(claim.key, reason).await?,
            RunEnd::Suspended(reason) => {
                tx.fail_waiting(claim.key, reason).await?;
                tx.suspend_schedules(&[claim.schedule_key], reason).await?;
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Begins a transaction in which no other worker can claim the run. `None` if the claim is lost or the run was deleted.
    async fn begin_for(&self, claim: &Claim) -> Result<Option<OrgTx>, StoreError> {
        let mut tx = self.write(&claim.org).await?;
        let select =
            Sql::new("SELECT 1 FROM deliveries WHERE org = $1 AND key = $2 AND lease_token = $3 FOR UPDATE");
        let select = select.with(claim.org_key).with(claim.key).with(claim.token);
        let held = tx.fetch_optional(select).await?.is_some();
        Ok(held.then_some(tx))
    }
}

/// The runs that can be claimed, the longest due first: the organisation's key and the run's.
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

fn run_query(org: i64, key: i64) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(RunRow::COLUMNS)
        .push(", ")
        .push(RunTerms::COLUMNS)
        .push(", ")
        .push(StoredTiming::COLUMNS)
        .push(
            " FROM deliveries d JOIN organisations o ON o.key = d.org \
         JOIN schedules s ON s.org = d.org AND s.key = d.schedule \
         JOIN reports r ON r.org = d.org AND r.key = d.report WHERE d.org = ",
        );
    sql.bind(org).push(" AND d.key = ").bind(key);
    sql
}

fn recipients_query(org: i64, key: i64) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(RecipientRow::COLUMNS)
        .push(" FROM delivery_recipients WHERE org = ")
        .bind(org);
    sql.push(" AND delivery = ").bind(key).push(" ORDER BY place");
    sql
}

fn to_claim(
    row: &Row,
    recipients: Vec<RecipientRow>,
    org_key: i64,
    key: i64,
    token: Uuid,
) -> Result<Claim, StoreError> {
    let run = RunRow::from_row(row)?;
    let recipients = recipients.into_iter().map(|recipient| {
        Ok(ClaimedRecipient {
            place: u16::try_from(recipient.place)
                .map_err(|error| StoreError::corrupt("recipient's place", error))?,
            is_recipient: run.recipients.0.contains(&recipient.recipient),
            tried: recipient.reason.is_some(),
            state: match recipient.status {
                RecipientStatus::Waiting => RecipientState::Waiting,
                RecipientStatus::Sent => RecipientState::Sent,
                RecipientStatus::Failed => RecipientState::Failed {
                    reason: recipient.reason.unwrap_or_default(),
                },
            },
            recipient: recipient.recipient,
        })
    });
    Ok(Claim {
        recipients: recipients.collect::<Result<_, StoreError>>()?,
        org: run.org,
        delivery: run.delivery,
        terms: RunTerms::read_from(row, RunRow::COUNT)?,
        timing: StoredTiming::read_from(row, RunRow::COUNT + RunTerms::COUNT)?,
        // The attempt of this claim is counted already.
        attempts: u32::try_from(run.begun - 1).unwrap_or(u32::MAX),
        org_key,
        key,
        schedule_key: run.schedule_key,
        token,
    })
}

/// Microseconds. The longest duration is about 292,000 years.
fn to_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A position in the list of recipients. A schedule has at most 100 recipients.
fn to_i16(place: u16) -> i16 {
    i16::try_from(place).unwrap_or(i16::MAX)
}
