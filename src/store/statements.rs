//! Reads records as the statements they are (xAPI 1.0.3, Communication 2.1.3).
//!
//! A question is bound to whose statements the caller may read ([`StatementReach`]); there is no other way.

use uuid::Uuid;

use crate::access::StatementReach;
use crate::clock::Timestamp;
use crate::ids::{OrgId, StatementId};
use crate::record::{Envelope, Identifier, Statement};

use super::db::{Row, Sql};
use super::persons::digest_of;
use super::{Store, StoreError, digest};

/// A statement as it is given back.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptStatement {
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
    Standing,
    /// `voidedStatementId`: one that is.
    Voided,
}

pub(super) fn read_statement(body: &[u8]) -> Result<Statement, StoreError> {
    let text = std::str::from_utf8(body).map_err(|error| StoreError::corrupt("statement", error))?;
    Statement::parse_kept(text).map_err(|fault| StoreError::corrupt("statement", fault))
}

pub(super) fn read_envelope(text: &str) -> Result<Envelope, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt("envelope", error))
}

const SELECT: &str = "SELECT s.id, s.seq, s.stored, s.envelope, s.body FROM statements s WHERE s.org = $1";

fn read(row: &Row) -> Result<KeptStatement, StoreError> {
    let body: Vec<u8> = row.get(4)?;
    Ok(KeptStatement {
        id: StatementId(row.get(0)?),
        seq: row.get(1)?,
        stored: Timestamp::from_micros(row.get(2)?),
        envelope: read_envelope(&row.get::<String>(3)?)?,
        text: String::from_utf8(body).map_err(|error| StoreError::corrupt("statement", error))?,
    })
}

fn push_statement_reach(sql: &mut Sql, reach: &StatementReach) {
    match reach {
        StatementReach::Organisation => {}
        StatementReach::ActorIs(user) => {
            sql.push(
                " AND s.actor IN (SELECT p.key FROM persons p JOIN users u ON u.org = p.org AND u.key = p.user_key \
                 WHERE p.org = $1 AND u.id = ",
            );
            sql.bind(user.as_str()).push(")");
        }
        StatementReach::SentBy(key) => {
            sql.push(" AND s.sender = ").bind(key.as_str());
        }
    }
}

impl Store {
    /// The statement with that id, if the caller may read it.
    pub async fn statement(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        id: StatementId,
        voidedness: Voidedness,
    ) -> Result<Option<KeptStatement>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let mut sql = Sql::new(SELECT).with(org);
        sql.push(" AND s.id = ").bind(id.0);
        sql.push(match voidedness {
            Voidedness::Standing => " AND NOT s.voided",
            Voidedness::Voided => " AND s.voided",
        });
        push_statement_reach(&mut sql, reach);
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
    ) -> Result<Vec<KeptStatement>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let mut sql = Sql::new(SELECT).with(org);
        sql.push(" AND NOT s.voided");
        push_statement_reach(&mut sql, reach);
        if let Some(agent) = &query.agent {
            sql.push(" AND s.actor = (SELECT p.key FROM persons p WHERE p.org = $1 AND p.digest = ");
            sql.bind(digest_of(agent)).push(")");
        }
        if let Some(verb) = &query.verb {
            sql.push(" AND s.verb IN (SELECT v.key FROM verbs v WHERE v.org = $1 AND v.iri = ");
            sql.bind(verb.as_str()).push(")");
        }
        if let Some(activity) = &query.activity {
            sql.push(" AND s.object = (SELECT c.key FROM contents c WHERE c.org = $1 AND c.digest = ");
            sql.bind(digest(activity)).push(")");
        }
        if let Some(registration) = query.registration {
            sql.push(" AND s.registration = ").bind(registration);
        }
        if let Some(since) = query.since {
            sql.push(" AND s.stored > ").bind(since.micros());
        }
        if let Some(until) = query.until {
            sql.push(" AND s.stored <= ").bind(until.micros());
        }
        let (beyond, order) = if query.ascending {
            (" > ", "ASC")
        } else {
            (" < ", "DESC")
        };
        if let Some(after) = query.after {
            sql.push(" AND s.seq").push(beyond).bind(after);
        }
        sql.push(" ORDER BY s.seq ")
            .push(order)
            .push(" LIMIT ")
            .bind(i64::from(query.limit));
        self.db().fetch_all(sql).await?.iter().map(read).collect()
    }

    /// The moment through which everything stored can be read: whoever writes next stores at this moment or
    /// later, so what is promised is the millisecond before it (xAPI 1.0.3, Communication 2.1.3).
    pub async fn consistent_through(&self, organisation: &OrgId) -> Result<Timestamp, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(self.clock().now());
        };
        let select = Sql::new("SELECT stored FROM ledgers WHERE org = $1").with(org);
        let stored: i64 = match self.db().fetch_optional(select).await? {
            Some(row) => row.get(0)?,
            None => 0,
        };
        Ok(Timestamp::from_micros(stored - 1_000))
    }

    /// The record behind an activity: its statement and envelope, voided or not.
    pub async fn record_of(
        &self,
        organisation: &OrgId,
        id: StatementId,
    ) -> Result<Option<KeptStatement>, StoreError> {
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
