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
//! user, so another owner of a person changes no row.

use crate::store::db::StoreError;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

impl OrgTx {
    /// Removes the mark from completions that are older than one of these rows, and from those of these rows that are
    /// older than another completion. Of each person and content, at most one of these rows is marked.
    pub(crate) async fn unmark_older_completions(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        // Before these rows were inserted, one other row was marked at most. A correlated value instead of a join fixes
        // the order in which PostgreSQL reads: without statistics it would compare all rows of the content.
        let select = Sql::new(
            "SELECT (SELECT CASE WHEN o.happened_at > n.happened_at OR (o.happened_at = n.happened_at AND o.seq > n.seq) \
                     THEN n.seq ELSE o.seq END \
                 FROM activities o INDEXED BY activities_latest_person \
                 WHERE o.org = $1 AND o.person = n.person AND o.content = n.content AND o.latest AND o.seq <> n.seq \
                 LIMIT 1) \
             FROM activities n WHERE n.org = $1 AND n.seq IN LIST($2) AND n.latest",
        );
        let older = self.fetch_rows(select.with(self.org).with(seqs)).await?;
        self.set_latest(older, false).await
    }

    /// Marks the completions that are the newest without these rows. The rows themselves stay as they are: the caller
    /// deletes them, or gives them another person or content.
    pub(crate) async fn mark_next_completions(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let select = Sql::new(
            "SELECT (SELECT b.seq FROM activities b INDEXED BY activities_completions \
                 WHERE b.org = $1 AND b.person = o.person AND b.content = o.content AND b.completed \
                   AND NOT (b.seq IN LIST($2)) \
                 ORDER BY b.happened_at DESC, b.seq DESC LIMIT 1) \
             FROM activities o WHERE o.org = $1 AND o.seq IN LIST($2) AND o.latest",
        );
        let next = self.fetch_rows(select.with(self.org).with(seqs)).await?;
        self.set_latest(next, true).await
    }

    async fn set_latest(&mut self, rows: Vec<(Option<i64>,)>, latest: bool) -> Result<(), StoreError> {
        let seqs: Vec<i64> = rows.into_iter().filter_map(|(seq,)| seq).collect();
        if seqs.is_empty() {
            return Ok(());
        }
        let update = Sql::new("UPDATE activities SET latest = $3 WHERE org = $1 AND seq IN LIST($2)");
        // An activity does not show the mark.
        self.update_hidden_columns(update.with(self.org).with(seqs).with(latest))
            .await
    }
}
