//! The numbers of changes, by which the change feeds are read (`docs/specification.md#change-feed`).
//!
//! Numbers of changes and numbers of records come from one counter, the ledger's `seq`. A transaction gives them while it
//! holds the ledger's lock, so a reader that has everything up to a number never misses a smaller one.
//!
//! A new record needs no entry: its own `seq` is its number. Every later change of its row passes through this module:
//! [`OrgTx::execute`] refuses a statement that changes `activities`. The functions here collect what changed. The commit
//! gives each row one number and writes one entry, however often the transaction changed it.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::db::StoreError;
use crate::store::db::columns::table_row;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;

/// A page of changes.
#[derive(Debug)]
pub struct ChangePage<T> {
    /// The changes in the order of their numbers.
    pub changes: Vec<T>,
    /// The place at which the next page begins. It is never before the place of this page.
    pub place: i64,
    /// Whether there are more changes now.
    pub more: bool,
}

impl<T> ChangePage<T> {
    /// A page without changes.
    pub(crate) fn empty(place: i64) -> Self {
        Self {
            changes: Vec::new(),
            place,
            more: false,
        }
    }
}

/// What a transaction changes, until its commit.
#[derive(Default)]
pub(crate) struct PendingChanges {
    /// The rows of the log that are different, and whether each has left the log.
    activities: BTreeMap<i64, RowChange>,
    resources: BTreeSet<(ResourceKind, i64)>,
    former_contents: Vec<String>,
}

/// What happened to a row of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RowChange {
    Changed,
    Deleted,
}

/// A kind of resource in the feed of the directory and the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ResourceKind {
    User,
    Team,
    Group,
    Content,
    /// The id that a content had before it was registered under another one.
    FormerContent,
}

impl ResourceKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 5] = [
        Self::User,
        Self::Team,
        Self::Group,
        Self::Content,
        Self::FormerContent,
    ];

    /// The value of the column `kind`.
    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::User => 1,
            Self::Team => 2,
            Self::Group => 3,
            Self::Content => 4,
            Self::FormerContent => 5,
        }
    }

    /// The kind with this code.
    pub(crate) fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

table_row! {
    /// A changed row of the log.
    struct ActivityChange in "activity_changes" {
        org: i64 = "org",
        seq: i64 = "seq",
        change: i64 = "change",
        deleted: bool = "deleted",
    }
}

table_row! {
    /// A new or changed resource.
    struct DirectoryChange in "directory_changes" {
        org: i64 = "org",
        kind: i16 = "kind",
        key: i64 = "key",
        change: i64 = "change",
        former_id: Option<String> = "former_id",
    }
}

/// Whether the statement changes or deletes rows of the log.
pub(super) fn changes_log(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let table = match words.next() {
        Some("UPDATE") => words.next(),
        Some("DELETE") => words.nth(1),
        _ => None,
    };
    table == Some("activities")
}

impl OrgTx {
    /// Runs an `UPDATE activities` without `RETURNING`. Each row that it changes gets the number of a change.
    pub(crate) async fn update_activities(&mut self, mut update: Sql) -> Result<(), StoreError> {
        update.push(" RETURNING activities.seq");
        let changed: Vec<(i64,)> = self.tx().change_rows(update).await?;
        self.note_changed_activities(changed.into_iter().map(|(seq,)| seq));
        Ok(())
    }

    /// Runs an `UPDATE activities` of columns that no activity shows, such as `latest`. No row gets the number of a change.
    pub(crate) async fn update_hidden_columns(&mut self, update: Sql) -> Result<(), StoreError> {
        self.tx().execute(update).await?;
        Ok(())
    }

    /// Deletes rows of the log. Each of them gets the number of a change.
    pub(crate) async fn delete_activity_rows(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        let delete = Sql::new("DELETE FROM activities WHERE org = $1 AND seq IN LIST($2) RETURNING seq");
        let delete = delete.with(self.org).with(seqs);
        let deleted: Vec<(i64,)> = self.tx().change_rows(delete).await?;
        self.note_deleted_activities(deleted.into_iter().map(|(seq,)| seq));
        Ok(())
    }

    /// Deletes rows of the log that the caller inserts again. The caller notes those that are different afterwards.
    pub(crate) async fn take_activity_rows(&mut self, seqs: Vec<i64>) -> Result<(), StoreError> {
        let delete = Sql::new("DELETE FROM activities WHERE org = $1 AND seq IN LIST($2)");
        let delete = delete.with(self.org).with(seqs);
        self.tx().execute(delete).await?;
        Ok(())
    }

    /// Notes that these rows of the log are different from before.
    pub(crate) fn note_changed_activities(&mut self, seqs: impl IntoIterator<Item = i64>) {
        for seq in seqs {
            self.note_activity(seq, RowChange::Changed);
        }
    }

    /// Notes that these rows have left the log.
    pub(crate) fn note_deleted_activities(&mut self, seqs: impl IntoIterator<Item = i64>) {
        for seq in seqs {
            self.note_activity(seq, RowChange::Deleted);
        }
    }

    fn note_activity(&mut self, seq: i64, change: RowChange) {
        // The number of a new record is its own.
        if self.is_earlier_record(seq) {
            self.changes.activities.insert(seq, change);
        }
    }

    /// Notes that a user, team, group or content is new or different. A content that is not listed any more counts as
    /// deleted.
    pub(crate) fn note_resource(&mut self, kind: ResourceKind, key: i64) {
        self.changes.resources.insert((kind, key));
    }

    /// Notes that a content has another id than before.
    pub(crate) fn note_former_content(&mut self, id: String) {
        self.changes.former_contents.push(id);
    }

    /// Gives every change its number and writes the entries.
    pub(super) async fn write_changes(&mut self) -> Result<(), StoreError> {
        let PendingChanges {
            activities,
            resources,
            former_contents,
        } = std::mem::take(&mut self.changes);
        if !activities.is_empty() {
            self.write_activity_changes(activities).await?;
        }
        let mut rows = Vec::with_capacity(resources.len() + former_contents.len());
        let org = self.org;
        // The former ids come first: another content can have got one of them.
        for id in former_contents {
            rows.push(DirectoryChange {
                org,
                kind: ResourceKind::FormerContent.code(),
                key: self.next_key(),
                change: self.next_seq(),
                former_id: Some(id),
            });
        }
        for kind in ResourceKind::ALL {
            let keys = resources.iter().filter(|(other, _)| *other == kind);
            let keys: Vec<i64> = keys.map(|(_, key)| *key).collect();
            if keys.is_empty() {
                continue;
            }
            let delete =
                Sql::new("DELETE FROM directory_changes WHERE org = $1 AND kind = $2 AND key IN LIST($3)");
            let delete = delete.with(org).with(kind.code()).with(keys.clone());
            self.execute(delete).await?;
            for key in keys {
                rows.push(DirectoryChange {
                    org,
                    kind: kind.code(),
                    key,
                    change: self.next_seq(),
                    former_id: None,
                });
            }
        }
        self.insert_rows(rows).await
    }

    async fn write_activity_changes(
        &mut self,
        activities: BTreeMap<i64, RowChange>,
    ) -> Result<(), StoreError> {
        let delete = Sql::new("DELETE FROM activity_changes WHERE org = $1 AND seq IN LIST($2)");
        let seqs: Vec<i64> = activities.keys().copied().collect();
        self.execute(delete.with(self.org).with(seqs)).await?;
        let mut rows = Vec::with_capacity(activities.len());
        for (seq, change) in activities {
            rows.push(ActivityChange {
                org: self.org,
                seq,
                change: self.next_seq(),
                deleted: change == RowChange::Deleted,
            });
        }
        self.insert_rows(rows).await
    }
}

#[cfg(test)]
mod tests {
    use super::{ResourceKind, changes_log};

    #[test]
    fn statements_that_change_rows_of_the_log_are_recognised() {
        for text in [
            "UPDATE activities SET action = $3 WHERE org = $1",
            "DELETE FROM activities WHERE org = $1 AND seq IN LIST($2)",
        ] {
            assert!(changes_log(text), "{text}");
        }
        for text in [
            "UPDATE activity_changes SET change = $2 WHERE org = $1",
            "DELETE FROM mentions WHERE org = $1",
            "SELECT seq FROM activities WHERE org = $1",
        ] {
            assert!(!changes_log(text), "{text}");
        }
    }

    #[test]
    fn every_kind_of_resource_has_a_code_of_its_own() {
        for kind in ResourceKind::ALL {
            assert_eq!(ResourceKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(ResourceKind::from_code(0), None);
    }
}
