//! The progress of an import, which is written in the transaction of its records.
//!
//! A submission of an import has an [`ImportStep`]. The writer stores the records, the rejected rows and the new place of
//! the import together or not at all. So a worker that ends in the middle loses no row, and the next one repeats none.

use crate::store::db::StoreError;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::submission::{ImportStep, Outcome, Recorded, Submission};

columns! {
    struct Progress {
        rows_read: i64 = "rows_read",
        rejected: i64 = "rejected",
    }
}

table_row! {
    struct ErrorRow in "import_errors" {
        org: i64 = "org",
        import: i64 = "import",
        number: i64 = "number",
        line: i64 = "line",
        place: String = "place",
        reason: String = "reason",
        content: Vec<u8> = "content",
    }
}

impl OrgTx {
    /// Whether the submission belongs to an import that was cancelled, or that another worker has. Locks the import.
    pub(crate) async fn has_lost_import(&mut self, submission: &Submission) -> Result<bool, StoreError> {
        let Some(step) = &submission.import else {
            return Ok(false);
        };
        let stored = self.find_progress(step).await?;
        let is_expected = |stored: &Progress| {
            // The second one: an earlier attempt has stored the step, but the database did not confirm the commit.
            [step.rows_before, step.rows_before + step.rows].contains(&stored.rows_read)
        };
        Ok(!stored.as_ref().is_some_and(is_expected))
    }

    /// Stores the steps of the submissions whose records are accepted. Returns whether there are any.
    pub(crate) async fn store_import_steps(
        &mut self,
        submissions: &[Submission],
        outcomes: &[Outcome],
    ) -> Result<bool, StoreError> {
        let mut has_steps = false;
        for (submission, outcome) in submissions.iter().zip(outcomes) {
            if let (Some(step), Ok(recorded)) = (&submission.import, outcome) {
                self.store_import_step(step, recorded).await?;
                has_steps = true;
            }
        }
        Ok(has_steps)
    }

    /// Stores a step with the outcomes of its records, unless an earlier attempt has stored it.
    async fn store_import_step(
        &mut self,
        step: &ImportStep,
        recorded: &[Recorded],
    ) -> Result<(), StoreError> {
        let stored = self.find_progress(step).await?;
        let stored = stored.ok_or(StoreError::Invariant(
            "an import disappeared within a transaction",
        ))?;
        if stored.rows_read != step.rows_before {
            return Ok(());
        }
        let rejected_bytes = self.insert_rejections(step, stored.rejected).await?;
        let created = recorded
            .iter()
            .filter(|record| matches!(record, Recorded::New(_)))
            .count();
        let update = Sql::new(
            "UPDATE imports SET rows_read = rows_read + $3, created = created + $4, duplicates = duplicates + $5, \
             rejected = rejected + $6, rejected_bytes = rejected_bytes + $7, place = $8 \
             WHERE org = $1 AND key = $2",
        );
        let update = update.with(self.org).with(step.import).with(step.rows);
        let update = update
            .with(to_i64(created))
            .with(to_i64(recorded.len() - created));
        let update = update
            .with(to_i64(step.rejections.len()))
            .with(to_i64(rejected_bytes));
        self.execute(update.with(step.place.clone())).await?;
        Ok(())
    }

    /// Stores the rejected rows of a step after `earlier` ones, and returns their bytes.
    async fn insert_rejections(&mut self, step: &ImportStep, earlier: i64) -> Result<usize, StoreError> {
        let mut bytes = 0;
        let mut rows = Vec::with_capacity(step.rejections.len());
        for (rejection, number) in step.rejections.iter().zip(earlier + 1..) {
            bytes += rejection.content.len() + rejection.reason.len();
            rows.push(ErrorRow {
                org: self.org,
                import: step.import,
                number,
                line: rejection.line,
                place: rejection.place.clone(),
                reason: rejection.reason.clone(),
                content: rejection.content.clone(),
            });
        }
        self.insert_rows(rows).await?;
        Ok(bytes)
    }

    /// The progress of the import, if the worker of the step still has it.
    async fn find_progress(&mut self, step: &ImportStep) -> Result<Option<Progress>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM imports WHERE org = $1 AND key = $2 AND lease_token = $3 AND due IS NOT NULL FOR UPDATE",
            Progress::COLUMNS
        ));
        self.fetch_row(select.with(self.org).with(step.import).with(step.lease))
            .await
    }
}

fn to_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
