//! Which statements match a question (xAPI 1.0.3, Communication 2.1.3), found by indexes alone.
//!
//! A question with filters becomes several *branches*, each of which walks one index in the order of
//! recording and stops when the page is full: by the actor, by a mention, through a face (see
//! [`super::super::faces`]) and so on. The page is what comes first of all of them. Whatever a branch does not
//! walk by, it checks.

use uuid::Uuid;

use crate::access::{StatementReach, caller_of_key, caller_of_user};
use crate::record::Identifier;

use super::StatementQuery;
use crate::base::ids::OrgId;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError, digest};
use crate::store::ingest::persons::digest_of;

/// A verb that was displayed in more ways than this, or a reader with more identifiers, is checked rather than
/// walked by.
const WALKED: usize = 8;

/// What a question names, as keys.
struct Sought {
    /// The reader as persons, where only their own statements may be read.
    readers: Option<Vec<i64>>,
    /// The agent's key as a person, where anybody named it.
    person: Option<i64>,
    /// The agent as a sender, where it vouches for what somebody sent and that is asked for.
    senders: Vec<String>,
    verbs: Vec<i64>,
    activity: Option<i64>,
    /// Beyond this place, and up to that one, in the order of recording.
    beyond: Option<i64>,
    up_to: Option<i64>,
}

/// By what a branch walks.
#[derive(Debug, Clone, PartialEq)]
enum By {
    Actor(i64),
    Mention { thing: i64, related: bool },
    Sender(String),
    Object(i64),
    Verb(i64),
    Registration(Uuid),
    Order,
}

/// Through what a branch looks at statements: what they say, or what they refer to says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Through {
    Itself,
    Face,
}

impl Store {
    /// The text that finds the places of the statements that match, the first `limit` in order, as the table
    /// `found(seq)`; none where nothing can match. Its `$1` is the organisation.
    pub(super) async fn found(
        &self,
        org: i64,
        reach: &StatementReach,
        query: &StatementQuery,
    ) -> Result<Option<Sql>, StoreError> {
        let Some(sought) = self.sought(org, reach, query).await? else {
            return Ok(None);
        };
        let mut sql = Sql::new("(").with(org);
        for (number, (by, through)) in branches(query, &sought).into_iter().enumerate() {
            sql.push(if number == 0 {
                "SELECT seq FROM ("
            } else {
                " UNION SELECT seq FROM ("
            });
            push_branch(&mut sql, &by, through, query, &sought, reach);
            sql.push(") b").push(&number.to_string());
        }
        push_page(&mut sql, "seq", query);
        sql.push(") found");
        Ok(Some(sql))
    }

    async fn sought(
        &self,
        org: i64,
        reach: &StatementReach,
        query: &StatementQuery,
    ) -> Result<Option<Sought>, StoreError> {
        let mut sought = Sought {
            readers: None,
            person: None,
            senders: Vec::new(),
            verbs: Vec::new(),
            activity: None,
            beyond: None,
            up_to: None,
        };
        if let StatementReach::ActorIs(user) = reach {
            let select = Sql::new(
                "SELECT p.key FROM users u JOIN persons p ON p.org = u.org AND p.user_key = u.key \
                 WHERE u.org = $1 AND u.id = $2",
            );
            let rows = self.db().fetch_all(select.with(org).with(user.as_str())).await?;
            let readers = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<_>, _>>()?;
            if readers.is_empty() {
                return Ok(None);
            }
            sought.readers = Some(readers);
        }
        if let Some(agent) = &query.agent {
            let select = Sql::new("SELECT key FROM persons WHERE org = $1 AND digest = $2");
            sought.person = self.key_of(select.with(org).with(digest_of(agent))).await?;
            if query.related_agents {
                sought.senders = self.senders(org, agent).await?;
            }
            if sought.person.is_none() && sought.senders.is_empty() {
                return Ok(None);
            }
        }
        if let Some(verb) = &query.verb {
            let select = Sql::new("SELECT key FROM verbs WHERE org = $1 AND iri = $2");
            let rows = self.db().fetch_all(select.with(org).with(verb.as_str())).await?;
            sought.verbs = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
            if sought.verbs.is_empty() {
                return Ok(None);
            }
        }
        if let Some(activity) = &query.activity {
            let select = Sql::new("SELECT key FROM contents WHERE org = $1 AND digest = $2");
            sought.activity = self.key_of(select.with(org).with(digest(activity))).await?;
            if sought.activity.is_none() {
                return Ok(None);
            }
        }
        if let Some(since) = query.since {
            sought.beyond = Some(self.stored_through(org, since.micros()).await?);
        }
        if let Some(until) = query.until {
            sought.up_to = Some(self.stored_through(org, until.micros()).await?);
        }
        Ok(Some(sought))
    }

    async fn key_of(&self, select: Sql) -> Result<Option<i64>, StoreError> {
        let row = self.db().fetch_optional(select).await?;
        row.map(|row| row.get(0)).transpose()
    }

    /// The senders whose authority is this account: the organisation's own accounts, of people and credentials.
    async fn senders(&self, org: i64, agent: &Identifier) -> Result<Vec<String>, StoreError> {
        let Identifier::Account { home_page, name } = agent else {
            return Ok(Vec::new());
        };
        let select = Sql::new("SELECT key FROM organisations WHERE key = $1 AND account_home_page = $2");
        let ours = self
            .key_of(select.with(org).with(home_page.as_str()))
            .await?
            .is_some();
        Ok(if ours {
            vec![caller_of_user(name), caller_of_key(name)]
        } else {
            Vec::new()
        })
    }

    /// The last place in the order of recording that was stored at that moment or before. Times of storing
    /// never fall along the order, so it is looked for by halves: about forty steps by the primary key.
    async fn stored_through(&self, org: i64, moment: i64) -> Result<i64, StoreError> {
        const MIDDLE: &str = "(p.low + p.high) / 2";
        let later = format!(
            "(SELECT s.stored FROM statements s WHERE s.org = p.org AND s.seq >= {MIDDLE} ORDER BY s.seq LIMIT 1) <= $2"
        );
        let select = Sql::new(&format!(
            "WITH RECURSIVE p(org, low, high) AS (\
             SELECT l.org, CAST(0 AS BIGINT), l.seq + 1 FROM ledgers l WHERE l.org = $1 UNION ALL \
             SELECT p.org, CASE WHEN {later} THEN {MIDDLE} ELSE p.low END, CASE WHEN {later} THEN p.high ELSE {MIDDLE} END \
             FROM p WHERE p.high - p.low > 1) SELECT max(low) FROM p"
        ));
        let place = self.key_of(select.with(org).with(moment)).await?;
        Ok(place.unwrap_or(0))
    }

    /// What the database says it will do for a page of statements, a line each; see
    /// [`Store::explain`](super::super::Store::explain).
    pub async fn explain_statements(
        &self,
        organisation: &OrgId,
        reach: &StatementReach,
        query: &StatementQuery,
    ) -> Result<Vec<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Vec::new());
        };
        let Some(found) = self.found(org, reach, query).await? else {
            return Ok(Vec::new());
        };
        self.db().explain(super::page(found, query)).await
    }
}

/// The branches of a question: by the reader where only their own may be read, else by the first of its filters
/// that has an index. Together they find all that matches.
fn branches(query: &StatementQuery, sought: &Sought) -> Vec<(By, Through)> {
    let mut by = Vec::new();
    if let Some(readers) = sought.readers.as_ref().filter(|readers| readers.len() <= WALKED) {
        by.extend(readers.iter().copied().map(By::Actor));
    } else if query.agent.is_some() {
        if let Some(person) = sought.person {
            let related = query.related_agents;
            by.push(By::Actor(person));
            by.push(By::Mention {
                thing: person,
                related,
            });
        }
        by.extend(sought.senders.iter().cloned().map(By::Sender));
    } else if let Some(activity) = sought.activity {
        by.push(By::Object(activity));
        if query.related_activities {
            let related = true;
            by.push(By::Mention {
                thing: activity,
                related,
            });
        }
    } else if let Some(registration) = query.registration {
        by.push(By::Registration(registration));
    } else if !sought.verbs.is_empty() && sought.verbs.len() <= WALKED {
        by.extend(sought.verbs.iter().copied().map(By::Verb));
    } else {
        by.push(By::Order);
    }
    let filtered = query.agent.is_some()
        || query.activity.is_some()
        || query.registration.is_some()
        || query.verb.is_some();
    // Whoever vouches for what a face shows is among its mentions.
    let faces = by.clone().into_iter();
    let faces = faces.filter(|by| filtered && !matches!(by, By::Sender(_)));
    let faces: Vec<_> = faces.map(|by| (by, Through::Face)).collect();
    let itself = by.into_iter().map(|by| (by, Through::Itself));
    itself.chain(faces).collect()
}

/// The statement that is asked: its table's name in the branch, where it is there, and its place.
#[derive(Debug, Clone, Copy)]
struct Itself {
    alias: &'static str,
    place: &'static str,
}

fn push_branch(
    sql: &mut Sql,
    by: &By,
    through: Through,
    query: &StatementQuery,
    sought: &Sought,
    reach: &StatementReach,
) {
    const OWN: Itself = Itself {
        alias: "s",
        place: "s.seq",
    };
    let restricted = *reach != StatementReach::Organisation;
    // `walked`: whose order it is. `says`: what has the columns that are asked.
    let (walked, says, itself) = match (through, by) {
        (Through::Itself, By::Mention { .. }) => {
            sql.push("SELECT m.seq FROM mentions m JOIN statements s ON s.org = m.org AND s.seq = m.seq");
            ("m", "s", OWN)
        }
        (Through::Itself, _) => {
            sql.push("SELECT s.seq FROM statements s");
            ("s", "s", OWN)
        }
        (Through::Face, By::Mention { .. }) => {
            sql.push(
                "SELECT DISTINCT m.seq FROM reference_mentions m JOIN statements t ON t.org = m.org AND t.seq = m.face \
                 JOIN statements s ON s.org = m.org AND s.seq = m.seq",
            );
            (
                "m",
                "t",
                Itself {
                    alias: "t",
                    place: "m.face",
                },
            )
        }
        (Through::Face, _) => {
            sql.push(
                "SELECT DISTINCT f.seq FROM statement_references f JOIN statements s ON s.org = f.org AND s.seq = f.seq",
            );
            if restricted {
                sql.push(" JOIN statements t ON t.org = f.org AND t.seq = f.face");
            }
            (
                "f",
                "f",
                Itself {
                    alias: "t",
                    place: "f.face",
                },
            )
        }
    };
    sql.push(" WHERE ").push(walked).push(".org = $1");
    match by {
        By::Actor(person) => sql.push(" AND ").push(says).push(".actor = ").bind(*person),
        By::Mention { thing, related } => {
            sql.push(" AND m.thing = ").bind(*thing);
            sql.push(if *related { "" } else { " AND m.direct" })
        }
        By::Sender(sender) => sql.push(" AND s.sender = ").bind(sender.as_str()),
        By::Object(activity) => sql.push(" AND ").push(says).push(".object = ").bind(*activity),
        By::Verb(verb) => sql.push(" AND ").push(says).push(".verb = ").bind(*verb),
        By::Registration(registration) => sql
            .push(" AND ")
            .push(says)
            .push(".registration = ")
            .bind(*registration),
        By::Order => sql,
    };
    push_checks(sql, by, (says, itself), query, sought);
    sql.push(" AND NOT s.voided");
    push_readable(sql, "s", reach, sought);
    if through == Through::Face {
        // What is behind the face the caller must be allowed to read as well: else a match would tell what it says.
        push_readable(sql, "t", reach, sought);
    }
    let place = format!("{walked}.seq");
    for (beyond, bound) in [(" > ", sought.beyond), (" <= ", sought.up_to)] {
        if let Some(bound) = bound {
            sql.push(" AND ").push(&place).push(beyond).bind(bound);
        }
    }
    if let Some(after) = query.after {
        let beyond = if query.ascending { " > " } else { " < " };
        sql.push(" AND ").push(&place).push(beyond).bind(after);
    }
    push_page(sql, &place, query);
}

/// The filters that the branch doesn't walk by.
fn push_checks(
    sql: &mut Sql,
    by: &By,
    (says, itself): (&str, Itself),
    query: &StatementQuery,
    sought: &Sought,
) {
    if !sought.verbs.is_empty() && !matches!(by, By::Verb(_)) {
        sql.push(" AND ")
            .push(says)
            .push(".verb")
            .any_of(sought.verbs.clone());
    }
    if let Some(registration) = query.registration.filter(|_| !matches!(by, By::Registration(_))) {
        sql.push(" AND ")
            .push(says)
            .push(".registration = ")
            .bind(registration);
    }
    // Only a reader is walked by where agent and activity are both to be checked.
    let reader = sought.readers.is_some();
    if query.agent.is_some() && reader {
        sql.push(" AND (");
        if let Some(person) = sought.person {
            sql.push(says).push(".actor = ").bind(person).push(" OR ");
            push_mentioned(sql, itself.place, person);
            sql.push(if query.related_agents { "" } else { " AND o.direct" })
                .push(") OR ");
        }
        sql.push(itself.alias)
            .push(".sender")
            .any_of(sought.senders.clone())
            .push(")");
    }
    if let Some(activity) = sought.activity.filter(|_| query.agent.is_some() || reader) {
        sql.push(" AND (").push(says).push(".object = ").bind(activity);
        if query.related_activities {
            sql.push(" OR ");
            push_mentioned(sql, itself.place, activity);
            sql.push(")");
        }
        sql.push(")");
    }
}

/// Whether the statement in that place mentions the thing; the parenthesis stays open.
fn push_mentioned(sql: &mut Sql, place: &str, thing: i64) {
    sql.push("EXISTS (SELECT 1 FROM mentions o WHERE o.org = $1 AND o.seq = ")
        .push(place);
    sql.push(" AND o.thing = ").bind(thing);
}

/// Narrows the statements called `alias` to those that the caller may read.
fn push_readable(sql: &mut Sql, alias: &str, reach: &StatementReach, sought: &Sought) {
    match &sought.readers {
        Some(readers) => {
            sql.push(" AND ")
                .push(alias)
                .push(".actor")
                .any_of(readers.clone());
        }
        None => push_statement_reach(sql, alias, reach),
    }
}

fn push_page(sql: &mut Sql, place: &str, query: &StatementQuery) {
    let order = if query.ascending { " ASC" } else { " DESC" };
    sql.push(" ORDER BY ").push(place).push(order).push(" LIMIT ");
    sql.bind(i64::from(query.limit));
}

/// The same without keys, for a statement that is asked for by its id.
pub(super) fn push_statement_reach(sql: &mut Sql, alias: &str, reach: &StatementReach) {
    match reach {
        StatementReach::Organisation => {}
        StatementReach::ActorIs(user) => {
            sql.push(" AND ").push(alias).push(
                ".actor IN (SELECT p.key FROM persons p JOIN users u ON u.org = p.org AND u.key = p.user_key \
                 WHERE p.org = $1 AND u.id = ",
            );
            sql.bind(user.as_str()).push(")");
        }
        StatementReach::SentBy(key) => {
            sql.push(" AND ").push(alias).push(".sender = ");
            sql.bind(caller_of_key(key));
        }
    }
}
