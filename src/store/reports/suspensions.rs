//! Suspended schedules: why schedules do not run until a client resumes them. See `docs/specification.md#suspended-schedules`.
//!
//! The sender suspends a schedule if nothing may be sent in its maker's name. A change of a report suspends schedules if they
//! would send more, or in another user's name, than their makers agreed to.

use std::collections::HashSet;

use uuid::Uuid;

use crate::access::ReportAccess;
use crate::base::ids::UserId;

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::{Store, StoreError};
use crate::store::reports::runs::{RecipientStatus, RunStatus};
use crate::store::reports::saved_reports::Widening;
use crate::store::reports::schedules::{RecipientList, push_visible};

columns! {
    /// A suspended schedule of a report.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SuspendedSchedule {
        /// The id of the report.
        pub report: Uuid = "r.id",
        /// The schedule's id.
        pub id: Uuid = "s.id",
        /// The user that made it.
        pub maker: UserId = "s.maker",
        /// Why it was suspended.
        pub reason: String = "s.suspended",
    }
}

columns! {
    /// A schedule that another user made.
    struct OtherSchedule {
        key: i64 = "s.key",
        active: bool = "s.active",
        recipients: RecipientList = "s.recipients",
    }
}

impl Store {
    /// The suspended schedules of these reports that exist for the caller together with the report, the oldest first.
    pub async fn find_suspended(
        &self,
        access: &ReportAccess,
        reports: &[Uuid],
    ) -> Result<Vec<SuspendedSchedule>, StoreError> {
        let Some(org) = self
            .organisation_key(access.org())
            .await?
            .filter(|_| !reports.is_empty())
        else {
            return Ok(Vec::new());
        };
        let mut sql = Sql::new("SELECT ");
        sql.push(SuspendedSchedule::COLUMNS)
            .push(" FROM schedules s JOIN reports r ON r.org = s.org AND r.key = s.report WHERE s.org = ")
            .bind(org);
        sql.push(" AND s.suspended IS NOT NULL AND r.id")
            .any_of(reports.to_vec());
        push_visible(&mut sql, access);
        sql.push(" ORDER BY s.key");
        self.db().fetch_rows(sql).await
    }

    /// The recipients of the schedules of a report that other users than the caller made, each once.
    pub async fn find_recipients_of_others(
        &self,
        access: &ReportAccess,
        report: i64,
    ) -> Result<HashSet<String>, StoreError> {
        let Some(org) = self.organisation_key(access.org()).await? else {
            return Ok(HashSet::new());
        };
        let rows: Vec<OtherSchedule> = self
            .db()
            .fetch_rows(select_others(org, report, access.user()))
            .await?;
        Ok(rows
            .into_iter()
            .flat_map(|schedule| schedule.recipients.0)
            .collect())
    }
}

impl OrgTx {
    /// Suspends schedules: they do not run until a client resumes them.
    pub(crate) async fn suspend_schedules(
        &mut self,
        schedules: &[i64],
        reason: &str,
    ) -> Result<(), StoreError> {
        let now = self.store().clock().now().whole_millisecond();
        let mut update = Sql::new("UPDATE schedules SET active = ");
        update.bind(false).push(", suspended = ").bind(reason);
        update.push(", next_run_at = NULL, version = version + 1, updated_at = ");
        update.bind(now.micros()).push(" WHERE org = ").bind(self.org);
        update.push(" AND key").any_of(schedules.to_vec());
        self.execute(update).await.map(|_| ())
    }

    /// Ends the pending runs of schedules, because what they would send has changed. A worker that has one of them loses its
    /// lease, and starts no further message.
    pub(crate) async fn end_pending_runs(
        &mut self,
        schedules: &[i64],
        reason: &str,
    ) -> Result<(), StoreError> {
        let now = self.store().clock().now();
        let mut fail = Sql::new("UPDATE delivery_recipients SET status = ");
        fail.bind(RecipientStatus::Failed as i16)
            .push(", reason = ")
            .bind(reason);
        fail.push(" WHERE org = ").bind(self.org);
        fail.push(" AND status = ").bind(RecipientStatus::Waiting as i16);
        fail.push(" AND delivery IN (SELECT d.key FROM deliveries d WHERE d.org = ")
            .bind(self.org);
        fail.push(" AND d.next_attempt_at IS NOT NULL AND d.schedule")
            .any_of(schedules.to_vec())
            .push(")");
        self.execute(fail).await?;
        let mut end = Sql::new("UPDATE deliveries SET status = ");
        end.bind(RunStatus::Suspended as i16)
            .push(", reason = ")
            .bind(reason);
        end.push(", next_attempt_at = NULL, lease_token = NULL, lease_until = NULL, finished_at = ")
            .bind(now.micros());
        end.push(" WHERE org = ").bind(self.org);
        end.push(" AND next_attempt_at IS NOT NULL AND schedule")
            .any_of(schedules.to_vec());
        self.execute(end).await.map(|_| ())
    }

    /// Suspends the schedules of a report that can show more than before: those that other users than `user` made and that
    /// have a recipient outside the directory. Their pending runs end, also those of paused schedules.
    pub(crate) async fn suspend_widened_schedules(
        &mut self,
        report: i64,
        user: Option<&UserId>,
        widening: &Widening,
    ) -> Result<(), StoreError> {
        let others: Vec<OtherSchedule> = self.fetch_rows(select_others(self.org, report, user)).await?;
        let is_outside = |recipient: &String| recipient.contains('@') && !widening.users.contains(recipient);
        let outside = others
            .iter()
            .filter(|schedule| schedule.recipients.0.iter().any(is_outside));
        let (mut affected, mut active) = (Vec::new(), Vec::new());
        for schedule in outside {
            affected.push(schedule.key);
            active.extend(schedule.active.then_some(schedule.key));
        }
        self.suspend_schedules(&active, &widening.reason).await?;
        self.end_pending_runs(&affected, &widening.reason).await
    }
}

/// The schedules of a report that other users than `user` made.
fn select_others(org: i64, report: i64, user: Option<&UserId>) -> Sql {
    let mut sql = Sql::new("SELECT ");
    sql.push(OtherSchedule::COLUMNS)
        .push(" FROM schedules s WHERE s.org = ")
        .bind(org);
    sql.push(" AND s.report = ").bind(report);
    if let Some(user) = user {
        sql.push(" AND s.maker <> ").bind(user.as_str());
    }
    sql
}
