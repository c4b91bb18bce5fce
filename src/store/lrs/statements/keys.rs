//! Looks up the keys of what a query names: persons, senders, verbs, Activities, positions.

use uuid::Uuid;

use crate::access::{StatementReach, caller_of_key, caller_of_user};
use crate::base::clock::Timestamp;
use crate::base::ids::UserId;
use crate::record::Identifier;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError, digest};
use crate::store::ingest::persons::digest_of;

use super::StatementQuery;

/// What a query names, as keys of the database.
#[derive(Debug, Default)]
pub(super) struct QueryKeys {
    /// The persons of the user, if the caller may only read statements of which one user is the actor.
    pub(super) readers: Option<Vec<i64>>,
    /// The registration of the statements that the caller may read, if it may only read those of one.
    pub(super) attempt: Option<Uuid>,
    /// The persons of the agent of the query, if a record names it: one for each period of ownership. Mentions name the
    /// first one.
    pub(super) persons: Vec<i64>,
    /// The senders that have the agent of the query as their authority. Only `related_agents` matches them.
    pub(super) senders: Vec<String>,
    /// The verb of the query. A verb has one key for each way in which it is displayed.
    pub(super) verbs: Vec<i64>,
    /// The Activity of the query.
    pub(super) activity: Option<i64>,
    /// The position that `since` names; later ones match.
    pub(super) after: Option<i64>,
    /// The position that `until` names; it and earlier ones match.
    pub(super) up_to: Option<i64>,
}

impl Store {
    /// Looks up what a query names. Returns `None` if something that it names does not exist, so that nothing can
    /// match.
    pub(super) async fn find_query_keys(
        &self,
        org: i64,
        reach: &StatementReach,
        query: &StatementQuery,
    ) -> Result<Option<QueryKeys>, StoreError> {
        let mut keys = QueryKeys::default();
        if let StatementReach::ActorIs(user) | StatementReach::Attempt { user, .. } = reach {
            let readers = self.find_persons_of(org, user).await?;
            if readers.is_empty() {
                return Ok(None);
            }
            keys.readers = Some(readers);
        }
        if let StatementReach::Attempt { registration, .. } = reach {
            if query.registration.is_some_and(|asked| asked != *registration) {
                return Ok(None);
            }
            keys.attempt = Some(*registration);
        }
        if let Some(agent) = &query.agent {
            let select =
                Sql::new("SELECT key FROM persons WHERE org = $1 AND digest = $2 ORDER BY valid_from");
            keys.persons = self.fetch_keys(select.with(org).with(digest_of(agent))).await?;
            if query.related_agents {
                keys.senders = self.find_senders(org, agent).await?;
            }
            if keys.persons.is_empty() && keys.senders.is_empty() {
                return Ok(None);
            }
        }
        if let Some(verb) = &query.verb {
            let select = Sql::new("SELECT key FROM verbs WHERE org = $1 AND iri = $2");
            keys.verbs = self.fetch_keys(select.with(org).with(verb.as_str())).await?;
            if keys.verbs.is_empty() {
                return Ok(None);
            }
        }
        if let Some(activity) = &query.activity {
            let select = Sql::new("SELECT key FROM contents WHERE org = $1 AND digest = $2");
            keys.activity = self.fetch_key(select.with(org).with(digest(activity))).await?;
            if keys.activity.is_none() {
                return Ok(None);
            }
        }
        if let Some(since) = query.since {
            keys.after = Some(self.last_position_at(org, since).await?);
        }
        if let Some(until) = query.until {
            keys.up_to = Some(self.last_position_at(org, until).await?);
        }
        Ok(Some(keys))
    }

    /// Finds the keys of the persons that a user owns.
    async fn find_persons_of(&self, org: i64, user: &UserId) -> Result<Vec<i64>, StoreError> {
        let select = Sql::new(
            "SELECT p.key FROM users u JOIN persons p ON p.org = u.org AND p.user_key = u.key \
             WHERE u.org = $1 AND u.id = $2",
        );
        self.fetch_keys(select.with(org).with(user.as_str())).await
    }

    /// Finds the senders that have this account as their authority. Only the accounts of the organisation's users,
    /// credentials and launches are authorities.
    async fn find_senders(&self, org: i64, agent: &Identifier) -> Result<Vec<String>, StoreError> {
        let Identifier::Account { home_page, name } = agent else {
            return Ok(Vec::new());
        };
        let select = Sql::new("SELECT key FROM organisations WHERE key = $1 AND account_home_page = $2");
        let own_account = self
            .fetch_key(select.with(org).with(home_page.as_str()))
            .await?
            .is_some();
        Ok(if own_account {
            // The account of a launch has its caller id as the name.
            vec![caller_of_user(name), caller_of_key(name), name.clone()]
        } else {
            Vec::new()
        })
    }

    /// Finds the last position in the order of recording that was stored at this moment or before. The times of storing
    /// never decrease along this order, so a binary search finds it, in about forty steps by the primary key.
    pub(crate) async fn last_position_at(&self, org: i64, moment: Timestamp) -> Result<i64, StoreError> {
        const MIDDLE: &str = "(p.low + p.high) / 2";
        let in_time = format!(
            "(SELECT s.stored FROM statements s WHERE s.org = $1 AND s.seq >= {MIDDLE} ORDER BY s.seq LIMIT 1) <= $2"
        );
        let select = Sql::new(&format!(
            "WITH RECURSIVE p(low, high) AS (\
             SELECT CAST(0 AS BIGINT), l.seq + 1 FROM ledgers l WHERE l.org = $1 UNION ALL \
             SELECT CASE WHEN {in_time} THEN {MIDDLE} ELSE p.low END, CASE WHEN {in_time} THEN p.high ELSE {MIDDLE} END \
             FROM p WHERE p.high - p.low > 1) SELECT max(low) FROM p"
        ));
        let row: Option<(Option<i64>,)> = self
            .db()
            .fetch_row(select.with(org).with(moment.micros()))
            .await?;
        Ok(row.and_then(|(position,)| position).unwrap_or(0))
    }

    async fn fetch_key(&self, select: Sql) -> Result<Option<i64>, StoreError> {
        let row: Option<(i64,)> = self.db().fetch_row(select).await?;
        Ok(row.map(|(key,)| key))
    }

    async fn fetch_keys(&self, select: Sql) -> Result<Vec<i64>, StoreError> {
        let rows: Vec<(i64,)> = self.db().fetch_rows(select).await?;
        Ok(rows.into_iter().map(|(key,)| key).collect())
    }
}
