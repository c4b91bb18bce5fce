//! Which completion is the newest one of its person and content (`docs/specification.md#the-newest-completion`).
//!
//! The column `latest` of `activities` marks it. Of the completions that a person has of a content, exactly the newest is
//! marked: the last by time, and by order of recording among equal times. Every change of `activities` keeps this true:
//!
//! - A new row of a completion is inserted as marked. [`OrgTx::unmark_older_completions`] then removes the mark from all
//!   but the newest.
//! - Before rows are deleted or get another person or content, [`OrgTx::mark_next_completions`] marks the rows that
//!   become the newest.
//!
//! The mark depends on the person of the row and not on the user. Reading compares the marked rows of the persons of one
//! user, so a claimed or moved identifier changes no row.

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

impl OrgTx {
    /// Removes the mark from completions that are older than one of these rows, and from those of these rows that are
    /// older than another completion.
    pub(crate) async fn unmark_older_completions(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let update = Sql::new(
            "UPDATE activities SET latest = FALSE WHERE org = $1 AND seq IN ( \
                 SELECT o.seq FROM activities n CROSS JOIN activities o INDEXED BY activities_latest_person \
                 WHERE n.org = $1 AND n.seq IN LIST($2) AND n.latest \
                   AND o.org = n.org AND o.person = n.person AND o.content = n.content AND o.latest \
                   AND EXISTS (SELECT 1 FROM activities b INDEXED BY activities_latest_person \
                       WHERE b.org = o.org AND b.person = o.person AND b.content = o.content AND b.latest \
                         AND (b.happened_at, b.seq) > (o.happened_at, o.seq)))",
        );
        self.execute(update.with(self.org).with(seqs)).await?;
        Ok(())
    }

    /// Marks the completions that are the newest without these rows. The rows themselves stay as they are: the caller
    /// deletes them, or gives them another person or content.
    pub(crate) async fn mark_next_completions(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let update = Sql::new(
            "UPDATE activities SET latest = TRUE WHERE org = $1 AND seq IN ( \
                 SELECT (SELECT b.seq FROM activities b INDEXED BY activities_completions \
                     WHERE b.org = o.org AND b.person = o.person AND b.content = o.content AND b.completed \
                       AND NOT (b.seq IN LIST($2)) \
                     ORDER BY b.happened_at DESC, b.seq DESC LIMIT 1) \
                 FROM activities o WHERE o.org = $1 AND o.seq IN LIST($2) AND o.latest)",
        );
        self.execute(update.with(self.org).with(seqs)).await?;
        Ok(())
    }
}
