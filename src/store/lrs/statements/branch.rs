//! Builds the SQL that finds the statements of a query (xAPI 1.0.3, Communication 2.1.3), by indexes only.
//!
//! A query with filters becomes several branches. Each branch walks one index in the order of recording and stops when
//! the page is full: by the actor, by a mention, by a reference (see `store::ingest::references`), and so on. The page
//! consists of the first positions of all branches. A branch checks every filter that its index does not cover.

use uuid::Uuid;

use crate::access::{StatementReach, caller_of_key};
use crate::base::ids::UserId;
use crate::store::db::database::Sql;

use super::StatementQuery;
use super::keys::QueryKeys;

/// The most keys of one kind that get a branch each. With more keys, for example of a verb with many displays, the
/// branches walk another index and check these keys.
const MAX_BRANCHES: usize = 32;

/// One branch of a query.
#[derive(Debug, Clone, PartialEq)]
struct Branch {
    index: Index,
    target: Target,
}

/// The index that a branch walks, with the key that it looks up.
#[derive(Debug, Clone, PartialEq)]
enum Index {
    Actor(i64),
    Mention { thing: i64, related: bool },
    Sender(String),
    Object(i64),
    Verb(i64),
    Registration(Uuid),
    Position,
}

/// The statement that the filters are compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// The statement itself.
    Itself,
    /// A statement that it refers to, directly or along a chain.
    Referenced,
}

/// The names in the SQL of a branch. `s` is always the statement that is found.
#[derive(Debug, Clone, Copy)]
struct Aliases {
    /// The table with the index that is walked.
    walked: &'static str,
    /// The table that has the actor, verb, object and registration of the target.
    filtered: &'static str,
    /// The row of the target in `statements`.
    target: &'static str,
    /// The column with the position of the target.
    target_seq: &'static str,
}

/// Appends the query for the positions of the statements that match: the first ones, as many as the page has.
pub(super) fn push_positions(
    sql: &mut Sql,
    query: &StatementQuery,
    keys: &QueryKeys,
    reach: &StatementReach,
) {
    for (number, branch) in branches(query, keys, reach).iter().enumerate() {
        sql.push(if number == 0 {
            "SELECT seq FROM ("
        } else {
            " UNION SELECT seq FROM ("
        });
        push_branch(sql, branch, query, keys, reach);
        sql.push(") b").push(&number.to_string());
    }
    push_order_and_limit(sql, "seq", query);
}

/// Returns the branches that together find all matches.
fn branches(query: &StatementQuery, keys: &QueryKeys, reach: &StatementReach) -> Vec<Branch> {
    let indexes = indexes(query, keys, reach);
    let has_filter = query.agent.is_some()
        || query.activity.is_some()
        || query.registration.is_some()
        || query.verb.is_some();
    // The sender of a referenced statement is among its mentions, so it needs no branch.
    let referenced = indexes
        .iter()
        .filter(|index| has_filter && !matches!(index, Index::Sender(_)))
        .cloned()
        .map(|index| Branch {
            index,
            target: Target::Referenced,
        })
        .collect::<Vec<_>>();
    let itself = indexes.into_iter().map(|index| Branch {
        index,
        target: Target::Itself,
    });
    itself.chain(referenced).collect()
}

/// Returns the indexes to walk: by the registration or the persons of the caller if only their statements may be read, else
/// by the first filter that has an index.
fn indexes(query: &StatementQuery, keys: &QueryKeys, reach: &StatementReach) -> Vec<Index> {
    if let Some(registration) = keys.attempt {
        return vec![Index::Registration(registration)];
    }
    if let Some(readers) = keys
        .readers
        .as_ref()
        .filter(|readers| readers.len() <= MAX_BRANCHES)
    {
        return readers.iter().copied().map(Index::Actor).collect();
    }
    if query.agent.is_some() && keys.persons.len() <= MAX_BRANCHES {
        let by_actor = keys.persons.iter().copied().map(Index::Actor);
        let by_mention = keys.persons.first().map(|first| Index::Mention {
            thing: *first,
            related: query.related_agents,
        });
        let by_sender = keys.senders.iter().cloned().map(Index::Sender);
        return by_actor.chain(by_mention).chain(by_sender).collect();
    }
    if let Some(activity) = keys.activity {
        let mention = query.related_activities.then_some(Index::Mention {
            thing: activity,
            related: true,
        });
        return [Index::Object(activity)].into_iter().chain(mention).collect();
    }
    if let Some(registration) = query.registration {
        return vec![Index::Registration(registration)];
    }
    if !keys.verbs.is_empty() && keys.verbs.len() <= MAX_BRANCHES {
        return keys.verbs.iter().copied().map(Index::Verb).collect();
    }
    // With a filter, statements are found by the ones they refer to as well, and those have other senders.
    if let StatementReach::SentBy(key) = reach
        && query.agent.is_none()
        && query.verb.is_none()
    {
        return vec![Index::Sender(caller_of_key(key))];
    }
    vec![Index::Position]
}

fn push_branch(
    sql: &mut Sql,
    branch: &Branch,
    query: &StatementQuery,
    keys: &QueryKeys,
    reach: &StatementReach,
) {
    let restricted = *reach != StatementReach::Organisation;
    let aliases = push_tables(sql, branch, restricted || needs_agent_filter(query, keys));
    sql.push(" WHERE ").push(aliases.walked).push(".org = $1");
    push_index_condition(sql, &branch.index, aliases.filtered);
    let seq = format!("{}.seq", aliases.walked);
    let bounds = [
        (" > ", keys.after),
        (" <= ", keys.up_to),
        (if query.ascending { " > " } else { " < " }, query.after),
    ];
    for (operator, bound) in bounds {
        if let Some(bound) = bound {
            sql.push(" AND ").push(&seq).push(operator).bind(bound);
        }
    }
    // No database looks into a CASE when it chooses an index, so it walks the index of the branch.
    sql.push(" AND CASE WHEN NOT s.voided");
    push_other_filters(sql, &branch.index, aliases, query, keys);
    push_readable(sql, "s", reach, keys);
    if branch.target == Target::Referenced {
        // The caller must be allowed to read the target too. Otherwise a match would reveal its content.
        push_readable(sql, "t", reach, keys);
    }
    sql.push(" THEN TRUE END");
    push_order_and_limit(sql, &seq, query);
}

/// Whether the indexes do not cover the agent: they are those of the caller's persons, or the agent has too many persons.
fn needs_agent_filter(query: &StatementQuery, keys: &QueryKeys) -> bool {
    query.agent.is_some() && (keys.readers.is_some() || keys.persons.len() > MAX_BRANCHES)
}

/// Appends `SELECT … FROM …` of a branch. `needs_target` is whether a condition is about the row of the target.
fn push_tables(sql: &mut Sql, branch: &Branch, needs_target: bool) -> Aliases {
    let is_mention = matches!(branch.index, Index::Mention { .. });
    match (branch.target, is_mention) {
        (Target::Itself, true) => {
            sql.push("SELECT m.seq FROM mentions m JOIN statements s ON s.org = m.org AND s.seq = m.seq");
            Aliases {
                walked: "m",
                filtered: "s",
                target: "s",
                target_seq: "s.seq",
            }
        }
        (Target::Itself, false) => {
            sql.push("SELECT s.seq FROM statements s");
            Aliases {
                walked: "s",
                filtered: "s",
                target: "s",
                target_seq: "s.seq",
            }
        }
        (Target::Referenced, true) => {
            sql.push(
                "SELECT DISTINCT m.seq FROM reference_mentions m JOIN statements t ON t.org = m.org AND t.seq = m.target \
                 JOIN statements s ON s.org = m.org AND s.seq = m.seq",
            );
            Aliases {
                walked: "m",
                filtered: "t",
                target: "t",
                target_seq: "m.target",
            }
        }
        (Target::Referenced, false) => {
            sql.push(
                "SELECT DISTINCT f.seq FROM statement_references f JOIN statements s ON s.org = f.org AND s.seq = f.seq",
            );
            if needs_target {
                sql.push(" JOIN statements t ON t.org = f.org AND t.seq = f.target");
            }
            Aliases {
                walked: "f",
                filtered: "f",
                target: "t",
                target_seq: "f.target",
            }
        }
    }
}

/// Appends the condition that makes the branch walk its index.
fn push_index_condition(sql: &mut Sql, index: &Index, filtered: &str) {
    match index {
        Index::Actor(person) => sql.push(" AND ").push(filtered).push(".actor = ").bind(*person),
        Index::Mention { thing, related } => {
            sql.push(" AND m.thing = ").bind(*thing);
            sql.push(if *related { "" } else { " AND m.direct" })
        }
        Index::Sender(sender) => sql.push(" AND s.sender = ").bind(sender.as_str()),
        Index::Object(activity) => sql
            .push(" AND ")
            .push(filtered)
            .push(".object = ")
            .bind(*activity),
        Index::Verb(verb) => sql.push(" AND ").push(filtered).push(".verb = ").bind(*verb),
        Index::Registration(registration) => sql
            .push(" AND ")
            .push(filtered)
            .push(".registration = ")
            .bind(*registration),
        Index::Position => sql,
    };
}

/// Appends the filters that the index of the branch does not cover.
fn push_other_filters(
    sql: &mut Sql,
    index: &Index,
    aliases: Aliases,
    query: &StatementQuery,
    keys: &QueryKeys,
) {
    let filtered = aliases.filtered;
    if !keys.verbs.is_empty() && !matches!(index, Index::Verb(_)) {
        sql.push(" AND ")
            .push(filtered)
            .push(".verb")
            .any_of(keys.verbs.clone());
    }
    if let Some(registration) = query
        .registration
        .filter(|_| !matches!(index, Index::Registration(_)))
    {
        sql.push(" AND ")
            .push(filtered)
            .push(".registration = ")
            .bind(registration);
    }
    // The index covers the agent, or else the Activity, unless it is the one of the caller's persons.
    let by_reader = keys.readers.is_some();
    if needs_agent_filter(query, keys) {
        push_agent_filter(sql, aliases, query, keys);
    }
    if let Some(activity) = keys.activity.filter(|_| query.agent.is_some() || by_reader) {
        sql.push(" AND (")
            .push(filtered)
            .push(".object = ")
            .bind(activity);
        if query.related_activities {
            sql.push(" OR ");
            push_mention_exists(sql, aliases.target_seq, activity);
            sql.push(")");
        }
        sql.push(")");
    }
}

fn push_agent_filter(sql: &mut Sql, aliases: Aliases, query: &StatementQuery, keys: &QueryKeys) {
    sql.push(" AND (");
    if let Some(first) = keys.persons.first() {
        sql.push(aliases.filtered)
            .push(".actor")
            .any_of(keys.persons.clone());
        sql.push(" OR ");
        push_mention_exists(sql, aliases.target_seq, *first);
        sql.push(if query.related_agents { "" } else { " AND o.direct" });
        sql.push(") OR ");
    }
    sql.push(aliases.target)
        .push(".sender")
        .any_of(keys.senders.clone());
    sql.push(")");
}

/// Appends the condition that the statement at this position mentions the thing. The caller appends the closing
/// parenthesis, so that it can add to the condition.
fn push_mention_exists(sql: &mut Sql, seq: &str, thing: i64) {
    sql.push("EXISTS (SELECT 1 FROM mentions o WHERE o.org = $1 AND o.seq = ")
        .push(seq);
    sql.push(" AND o.thing = ").bind(thing);
}

/// Appends the condition that the caller may read the statement `alias`.
fn push_readable(sql: &mut Sql, alias: &str, reach: &StatementReach, keys: &QueryKeys) {
    match &keys.readers {
        Some(readers) => {
            sql.push(" AND ")
                .push(alias)
                .push(".actor")
                .any_of(readers.clone());
        }
        None => return push_statement_reach(sql, alias, reach),
    }
    if let Some(registration) = keys.attempt {
        sql.push(" AND ")
            .push(alias)
            .push(".registration = ")
            .bind(registration);
    }
}

fn push_order_and_limit(sql: &mut Sql, seq: &str, query: &StatementQuery) {
    let order = if query.ascending { " ASC" } else { " DESC" };
    sql.push(" ORDER BY ").push(seq).push(order).push(" LIMIT ");
    sql.bind(i64::from(query.limit));
}

/// Appends the condition that the caller may read the statement `alias`, without looking up keys first.
pub(super) fn push_statement_reach(sql: &mut Sql, alias: &str, reach: &StatementReach) {
    match reach {
        StatementReach::Organisation => {}
        StatementReach::ActorIs(user) => push_actor_is(sql, alias, user),
        StatementReach::Attempt { user, registration } => {
            push_actor_is(sql, alias, user);
            sql.push(" AND ")
                .push(alias)
                .push(".registration = ")
                .bind(*registration);
        }
        StatementReach::SentBy(key) => {
            sql.push(" AND ").push(alias).push(".sender = ");
            sql.bind(caller_of_key(key));
        }
    }
}

/// Appends the condition that the actor of the statement `alias` is a person of the user.
fn push_actor_is(sql: &mut Sql, alias: &str, user: &UserId) {
    sql.push(" AND ").push(alias).push(
        ".actor IN (SELECT p.key FROM persons p JOIN users u ON u.org = p.org AND u.key = p.user_key \
         WHERE p.org = $1 AND u.id = ",
    );
    sql.bind(user.as_str()).push(")");
}
