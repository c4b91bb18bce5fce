//! Statements that refer to statements (StatementRef). A filter finds them by their targets, too (xAPI 1.0.3,
//! Communication 2.1.3).
//!
//! A statement has a row in `statement_references` for each statement that it refers to, directly or through others. The
//! row is written when both statements are stored, whichever came first. So a filter follows no references: it reads an
//! index of this table as it reads an index of `statements`.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::store::db::StoreError;
use crate::store::db::columns::{columns, table_row};
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::ingest::identifier_cache::IdentifierCache;
use crate::store::ingest::stored_statement::{Platform, StoredStatement};

/// The maximum number of references that are followed one after the other. A longer chain, or a cycle, is followed so
/// far.
const MAX_STEPS: i64 = 100;

table_row! {
    /// A person or an Activity that a statement names, but not as its actor or object.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct NewMention in "mentions" {
        pub(crate) org: i64 = "org",
        /// The key of the person or content.
        pub(crate) thing: i64 = "thing",
        /// The statement.
        pub(crate) seq: i64 = "seq",
        /// Whether the plain `agent` filter finds the statement by it.
        pub(crate) direct: bool = "direct",
    }
}

table_row! {
    /// A mention in a target of a statement.
    struct NewReferenceMention in "reference_mentions" {
        org: i64 = "org",
        thing: i64 = "thing",
        seq: i64 = "seq",
        target: i64 = "target",
        direct: bool = "direct",
    }
}

table_row! {
    /// A target of a statement.
    struct NewReference in "statement_references" {
        org: i64 = "org",
        seq: i64 = "seq",
        target: i64 = "target",
        actor: i64 = "actor",
        verb: i64 = "verb",
        object: Option<i64> = "object",
        registration: Option<Uuid> = "registration",
    }
}

columns! {
    struct TargetRow {
        seq: i64 = "targets.referring",
        target: i64 = "t.seq",
        actor: i64 = "t.actor",
        verb: i64 = "t.verb",
        object: Option<i64> = "t.object",
        registration: Option<Uuid> = "t.registration",
    }
}

impl OrgTx {
    /// Writes the references that exist since these records are stored: from the records to their targets, and from all
    /// statements that refer to the records.
    pub(crate) async fn write_references(
        &mut self,
        cache: &mut IdentifierCache,
        platform: &Platform<'_>,
        records: Vec<i64>,
    ) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let referring = self.find_referring(records).await?;
        let references = self.find_new_references(referring).await?;
        if references.is_empty() {
            return Ok(());
        }
        let mentions = self.find_target_mentions(cache, platform, &references).await?;
        let mut new_mentions = Vec::new();
        for reference in &references {
            let of_target = mentions.get(&reference.target).into_iter().flatten();
            new_mentions.extend(of_target.map(|mention| NewReferenceMention {
                org: mention.org,
                thing: mention.thing,
                seq: reference.seq,
                target: reference.target,
                direct: mention.direct,
            }));
        }
        self.insert_rows(new_mentions).await?;
        self.insert_rows(references).await
    }

    /// The statements with a reference among these records and all statements that lead to them.
    async fn find_referring(&mut self, records: Vec<i64>) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "WITH RECURSIVE up(seq, id, reference, step) AS (\
             SELECT s.seq, s.id, s.reference, 0 FROM statements s WHERE s.org = $1 AND s.seq IN LIST($2) \
             UNION SELECT s.seq, s.id, s.reference, up.step + 1 FROM up \
             JOIN statements s ON s.org = $1 AND s.reference = up.id WHERE up.step < $3) \
             SELECT DISTINCT seq FROM up WHERE reference IS NOT NULL",
        );
        let select = select.with(self.org).with(records).with(MAX_STEPS);
        let rows: Vec<(i64,)> = self.fetch_rows(select).await?;
        Ok(rows.into_iter().map(|(seq,)| seq).collect())
    }

    /// The references of these statements that are not stored yet.
    async fn find_new_references(&mut self, referring: Vec<i64>) -> Result<Vec<NewReference>, StoreError> {
        if referring.is_empty() {
            return Ok(Vec::new());
        }
        let select =
            Sql::new("SELECT seq, target FROM statement_references WHERE org = $1 AND seq IN LIST($2)");
        let stored: Vec<(i64, i64)> = self
            .fetch_rows(select.with(self.org).with(referring.clone()))
            .await?;
        let mut known: HashSet<(i64, i64)> = stored.into_iter().collect();
        let select = Sql::new(&format!(
            "WITH RECURSIVE targets(referring, seq, reference, step) AS (\
             SELECT s.seq, t.seq, t.reference, 1 FROM statements s \
             JOIN statements t ON t.org = s.org AND t.id = s.reference WHERE s.org = $1 AND s.seq IN LIST($2) \
             UNION SELECT targets.referring, t.seq, t.reference, targets.step + 1 FROM targets \
             JOIN statements t ON t.org = $1 AND t.id = targets.reference WHERE targets.step < $3) \
             SELECT {} FROM targets JOIN statements t ON t.org = $1 AND t.seq = targets.seq \
             WHERE targets.referring <> targets.seq",
            TargetRow::COLUMNS
        ));
        let select = select.with(self.org).with(referring).with(MAX_STEPS);
        let targets: Vec<TargetRow> = self.fetch_rows(select).await?;
        let mut references = Vec::new();
        for target in targets {
            // A cycle leads to the same target several times.
            if known.insert((target.seq, target.target)) {
                references.push(NewReference {
                    org: self.org,
                    seq: target.seq,
                    target: target.target,
                    actor: target.actor,
                    verb: target.verb,
                    object: target.object,
                    registration: target.registration,
                });
            }
        }
        Ok(references)
    }

    /// The mentions of each target, and its authority, because a reference has no sender.
    async fn find_target_mentions(
        &mut self,
        cache: &mut IdentifierCache,
        platform: &Platform<'_>,
        references: &[NewReference],
    ) -> Result<HashMap<i64, Vec<NewMention>>, StoreError> {
        let targets: HashSet<i64> = references.iter().map(|reference| reference.target).collect();
        let select = Sql::new(&format!(
            "SELECT {} FROM statements s WHERE s.org = $1 AND s.seq IN LIST($2)",
            StoredStatement::COLUMNS
        ));
        let targets: Vec<i64> = targets.into_iter().collect();
        let rows = self.fetch_all(select.with(self.org).with(targets)).await?;
        let records = StoredStatement::read_all(&rows)?;
        let mut mentions: HashMap<i64, Vec<NewMention>> = HashMap::new();
        for mention in cache.find_mentions(self, platform, &records).await? {
            mentions.entry(mention.seq).or_default().push(mention);
        }
        for record in &records {
            let authority = record.statement.authority.as_ref();
            let Some(identifier) = authority.and_then(|authority| authority.identifier.as_ref()) else {
                continue;
            };
            let thing = cache.find_person(self, identifier).await?;
            let of_record = mentions.entry(record.seq).or_default();
            if of_record.iter().all(|mention| mention.thing != thing) {
                of_record.push(NewMention {
                    org: self.org,
                    thing,
                    seq: record.seq,
                    direct: false,
                });
            }
        }
        Ok(mentions)
    }
}
