//! Reads records as xAPI statements (xAPI 1.0.3, Communication 2.1.3).
//!
//! Every query of a client takes a [`StatementReach`], which limits it to the statements that the caller may read. The
//! module `keys` looks up what a query names, the module `branch` builds its SQL.

use std::collections::HashMap;

use uuid::Uuid;

use crate::access::StatementReach;
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::record::{Envelope, Identifier};
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::unreadable::skip_unreadable;
use crate::store::db::{Store, StoreError};
use crate::store::ingest::stored_statement::read_envelope;

mod branch;
pub(crate) mod forwarding;
mod keys;

use branch::push_statement_reach;

/// A stored record: a statement with its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// The statement's id.
    pub id: StatementId,
    /// The position in the order of recording.
    pub seq: i64,
    /// The time of recording.
    pub stored: Timestamp,
    /// The facts that are not in the statement.
    pub envelope: Envelope,
    /// The statement as JSON.
    pub text: String,
}

/// The parameters of a query for statements (xAPI 1.0.3, Communication 2.1.3).
#[derive(Debug, Clone, Default)]
pub struct StatementQuery {
    /// The actor or object.
    pub agent: Option<Identifier>,
    /// The IRI of the verb.
    pub verb: Option<String>,
    /// The IRI of the Activity that is the object.
    pub activity: Option<String>,
    /// `agent` may occur anywhere in the statement.
    pub related_agents: bool,
    /// `activity` may occur anywhere in the statement.
    pub related_activities: bool,
    /// The registration.
    pub registration: Option<Uuid>,
    /// Statements that were stored after this moment.
    pub since: Option<Timestamp>,
    /// Statements that were stored at this moment or before.
    pub until: Option<Timestamp>,
    /// The oldest statement first.
    pub ascending: bool,
    /// Statements after the one with this position in the order of recording.
    pub after: Option<i64>,
    /// The most statements to return.
    pub limit: u32,
}

/// Whether a statement that is requested by id must be voided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voidedness {
    /// `statementId`: the statement must not be voided.
    NotVoided,
    /// `voidedStatementId`: the statement must be voided.
    Voided,
}

columns! {
    /// A row of `statements`.
    struct StatementRow {
        id: StatementId = "s.id",
        seq: i64 = "s.seq",
        stored: Timestamp = "s.stored",
        envelope: String = "s.envelope",
        body: Vec<u8> = "s.body",
    }
}

columns! {
    /// A row of a page. A large statement is read when the page is known to have it, so that a page of large statements
    /// needs no more memory than its budget. A page of small statements is one query.
    struct PageRow {
        id: StatementId = "s.id",
        seq: i64 = "s.seq",
        stored: Timestamp = "s.stored",
        envelope: String = "s.envelope",
        length: i64 = "CAST(octet_length(s.body) AS BIGINT)",
        body: Option<Vec<u8>> = "CASE WHEN octet_length(s.body) <= 8192 THEN s.body END",
    }
}

columns! {
    /// A large statement of a page.
    struct LargeBody {
        seq: i64 = "s.seq",
        body: Vec<u8> = "s.body",
    }
}

impl PageRow {
    fn bytes(&self) -> usize {
        self.envelope.len() + usize::try_from(self.length).unwrap_or(0) // a length is never negative
    }
}

impl StatementRow {
    fn into_record(self) -> Result<StoredRecord, StoreError> {
        Ok(StoredRecord {
            id: self.id,
            seq: self.seq,
            stored: self.stored,
            envelope: read_envelope(&self.envelope)?,
            text: String::from_utf8(self.body).map_err(|error| StoreError::corrupt("statement", error))?,
        })
    }
}

/// Returns the query for the statement with this id.
fn select_by_id(org: i64, id: StatementId) -> Sql {
    let mut sql = Sql::new(&format!(
        "SELECT {} FROM statements s WHERE s.org = $1",
        StatementRow::COLUMNS
    ));
    sql = sql.with(org);
    sql.push(" AND s.id = ").bind(id.0);
    sql
}

impl Store {
    /// Finds the statement with this id, if the caller may read it.
    pub async fn find_statement(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        id: StatementId,
        voidedness: Voidedness,
    ) -> Result<Option<StoredRecord>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut sql = select_by_id(org, id);
        sql.push(match voidedness {
            Voidedness::NotVoided => " AND NOT s.voided",
            Voidedness::Voided => " AND s.voided",
        });
        push_statement_reach(&mut sql, "s", reach);
        self.fetch_record(sql).await
    }

    /// Whether the record with this id is a voiding statement. `None` if it does not exist. The record need not be readable.
    pub async fn is_voiding(
        &self,
        organisation: &OrgId,
        id: StatementId,
    ) -> Result<Option<bool>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = Sql::new("SELECT voids FROM statements WHERE org = $1 AND id = $2");
        let row: Option<(bool,)> = self.db().fetch_row(select.with(org).with(id)).await?;
        Ok(row.map(|(voids,)| voids))
    }

    /// Finds the record of an activity, voided or not.
    pub async fn find_record(
        &self,
        organisation: &OrgId,
        id: StatementId,
    ) -> Result<Option<StoredRecord>, StoreError> {
        match self.organisation_key(organisation).await? {
            Some(org) => self.fetch_record(select_by_id(org, id)).await,
            None => Ok(None),
        }
    }

    /// Finds a page of the statements that match a query, in the order of recording, without the voided ones. The
    /// statements have at most `bytes` bytes together.
    pub async fn find_statements(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        query: &StatementQuery,
        bytes: usize,
    ) -> Result<Page<StoredRecord>, StoreError> {
        let mut limits = PageLimits {
            rows: query.limit as usize,
            bytes,
        };
        loop {
            let one_more = StatementQuery {
                limit: u32::try_from(limits.rows).unwrap_or(u32::MAX).saturating_add(1),
                ..query.clone()
            };
            let Some(sql) = self.statement_page(organisation, reach, &one_more).await? else {
                return Ok(Page::empty());
            };
            let page: Page<PageRow> = self.db().fetch_first(sql, limits).await?;
            let page = page.within(limits.bytes, PageRow::bytes);
            let page = self.read_page(organisation, page).await?;
            match limits.after_unreadable(&page) {
                Some(larger) => limits = larger,
                None => return Ok(page.first(query.limit as usize)),
            }
        }
    }

    /// The records of the rows, without those that cannot be read.
    async fn read_page(
        &self,
        organisation: &OrgId,
        page: Page<PageRow>,
    ) -> Result<Page<StoredRecord>, StoreError> {
        let mut large = self.find_large_bodies(organisation, &page.items).await?;
        let records = page.items.into_iter().filter_map(|row| {
            let id = row.id;
            let row = StatementRow {
                body: row.body.or_else(|| large.remove(&row.seq))?,
                id,
                seq: row.seq,
                stored: row.stored,
                envelope: row.envelope,
            };
            skip_unreadable("statement", || id, row.into_record()).transpose()
        });
        Ok(Page {
            items: records.collect::<Result<_, _>>()?,
            more: page.more,
        })
    }

    /// The statements of the rows that have none.
    async fn find_large_bodies(
        &self,
        organisation: &OrgId,
        rows: &[PageRow],
    ) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
        let large = rows.iter().filter(|row| row.body.is_none());
        let large: Vec<i64> = large.map(|row| row.seq).collect();
        let org = match self.organisation_key(organisation).await? {
            Some(org) if !large.is_empty() => org,
            _ => return Ok(HashMap::new()),
        };
        let mut sql = Sql::new(&format!("SELECT {} FROM statements s", LargeBody::COLUMNS)).with(org);
        sql.push(" WHERE s.org = $1 AND s.seq").any_of(large);
        let found: Vec<LargeBody> = self.db().fetch_rows(sql).await?;
        Ok(found.into_iter().map(|row| (row.seq, row.body)).collect())
    }

    /// Returns the database's plan for a query, one line per step; see
    /// [`Store::explain_rows`].
    pub async fn explain_statements(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        query: &StatementQuery,
    ) -> Result<Vec<String>, StoreError> {
        match self.statement_page(organisation, reach, query).await? {
            Some(sql) => self.db().explain(sql).await,
            None => Ok(Vec::new()),
        }
    }

    /// Returns the SQL of a query, or `None` if nothing can match.
    async fn statement_page(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        query: &StatementQuery,
    ) -> Result<Option<Sql>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let Some(keys) = self.find_query_keys(org, reach, query).await? else {
            return Ok(None);
        };
        let mut sql = Sql::new(&format!("SELECT {} FROM (", PageRow::COLUMNS)).with(org);
        branch::push_positions(&mut sql, query, &keys, reach);
        sql.push(") found JOIN statements s ON s.org = $1 AND s.seq = found.seq ORDER BY s.seq");
        sql.push(if query.ascending { " ASC" } else { " DESC" });
        Ok(Some(sql))
    }

    async fn fetch_record(&self, sql: Sql) -> Result<Option<StoredRecord>, StoreError> {
        let row: Option<StatementRow> = self.db().fetch_row(sql).await?;
        row.map(StatementRow::into_record).transpose()
    }
}
