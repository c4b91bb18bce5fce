//! Reads records as the statements they are (xAPI 1.0.3, Communication 2.1.3).
//!
//! A question is bound to whose statements the caller may read ([`StatementReach`]); there is no other way.
//! How a question finds its statements: `find`.

use uuid::Uuid;

use crate::access::StatementReach;
use crate::base::clock::Timestamp;
use crate::base::ids::{OrgId, StatementId};
use crate::record::{Envelope, Identifier};
use crate::store::ingest::stored_statement::read_envelope;

mod find;

use find::push_statement_reach;

use crate::store::db::database::{Row, Sql};
use crate::store::db::{Store, StoreError};

/// A statement as it is given back.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRecord {
    /// Its id.
    pub id: StatementId,
    /// The order of recording.
    pub seq: i64,
    /// When it was stored.
    pub stored: Timestamp,
    /// What Rollbook knows of it besides.
    pub envelope: Envelope,
    /// Its text.
    pub text: String,
}

/// Which statements are asked for (xAPI 1.0.3, Communication 2.1.3).
#[derive(Debug, Clone, Default)]
pub struct StatementQuery {
    /// Statements of this actor.
    pub agent: Option<Identifier>,
    /// Statements with this verb.
    pub verb: Option<String>,
    /// Statements whose object is the Activity with this IRI.
    pub activity: Option<String>,
    /// Statements that name the agent anywhere, not only as actor or object.
    pub related_agents: bool,
    /// Statements that name the activity anywhere, not only as object.
    pub related_activities: bool,
    /// Statements of this registration.
    pub registration: Option<Uuid>,
    /// Stored after this moment.
    pub since: Option<Timestamp>,
    /// Stored at this moment or before.
    pub until: Option<Timestamp>,
    /// Oldest first.
    pub ascending: bool,
    /// After the statement with this place in the order of recording.
    pub after: Option<i64>,
    /// How many at most.
    pub limit: u32,
}

/// Whether a statement asked for by id is to be voided or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voidedness {
    /// `statementId`: one that is not voided.
    NotVoided,
    /// `voidedStatementId`: one that is.
    Voided,
}

const SELECT: &str = "SELECT s.id, s.seq, s.stored, s.envelope, s.body FROM statements s WHERE s.org = $1";

fn read(row: &Row) -> Result<StoredRecord, StoreError> {
    let body: Vec<u8> = row.get(4)?;
    Ok(StoredRecord {
        id: StatementId(row.get(0)?),
        seq: row.get(1)?,
        stored: Timestamp::from_micros(row.get(2)?),
        envelope: read_envelope(&row.get::<String>(3)?)?,
        text: String::from_utf8(body).map_err(|error| StoreError::corrupt("statement", error))?,
    })
}

/// The page whose places are `found`.
fn page(found: Sql, query: &StatementQuery) -> Sql {
    const SELECT: &str = "SELECT s.id, s.seq, s.stored, s.envelope, s.body FROM ";
    let mut sql = found.preceded_by(SELECT);
    sql.push(" JOIN statements s ON s.org = $1 AND s.seq = found.seq ORDER BY s.seq");
    sql.push(if query.ascending { " ASC" } else { " DESC" });
    sql
}

impl Store {
    /// The statement with that id, if the caller may read it.
    pub async fn statement(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        id: StatementId,
        voidedness: Voidedness,
    ) -> Result<Option<StoredRecord>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut sql = Sql::new(SELECT).with(org);
        sql.push(" AND s.id = ").bind(id.0);
        sql.push(match voidedness {
            Voidedness::NotVoided => " AND NOT s.voided",
            Voidedness::Voided => " AND s.voided",
        });
        push_statement_reach(&mut sql, "s", reach);
        self.db()
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// The statements that match, in the order of recording; voided ones are left out.
    pub async fn statements(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        query: &StatementQuery,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let Some(found) = self.found(org, reach, query).await? else {
            return Ok(Vec::new());
        };
        let rows = self.db().fetch_all(page(found, query)).await?;
        rows.iter().map(read).collect()
    }

    /// The record behind an activity: its statement and envelope, voided or not.
    pub async fn find_record(
        &self,
        organisation: &OrgId,
        id: StatementId,
    ) -> Result<Option<StoredRecord>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut sql = Sql::new(SELECT).with(org);
        sql.push(" AND s.id = ").bind(id.0);
        self.db()
            .fetch_optional(sql)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }
}
