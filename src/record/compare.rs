//! Comparing statements (xAPI 1.0.3, Data 2.3.1).
//!
//! If a client sends a statement again, Rollbook answers as for the first time. If it sends a different statement with
//! the same id, the answer is a conflict. The comparison ignores the members that the server sets and the members that
//! the specification calls mutable. It compares everything else.
//!
//! The code compares two JSON trees, not the typed fields of [`Statement`]. So a member can't be forgotten.

use std::collections::HashMap;

use super::actor::Actor;
use super::duration::Duration;
use super::statement::Statement;
use crate::base::fault::Place;
use crate::base::json::{self, Member, Node};
use crate::base::timestamp;

/// How a value is compared.
#[derive(Clone, Copy, PartialEq)]
enum Comparison {
    /// Scalars by value, arrays in order, objects without order.
    Plain,
    /// The object of a statement or SubStatement; `objectType` decides which of the following it is.
    Object,
    /// A SubStatement.
    SubStatement,
    /// An agent or a group.
    Actor,
    /// A verb, without its `display`.
    Verb,
    /// An activity, without its `definition`.
    Activity,
    /// A result.
    Result,
    /// A context.
    Context,
    /// The object `contextActivities`.
    ContextActivities,
    /// A list of activities.
    Activities,
    /// A list of `contextAgents` or `contextGroups`.
    Related,
    /// A reference to a statement.
    Reference,
    /// Not compared.
    Ignored,
    /// The members of a group, in any order.
    Members,
    /// A text, ignoring upper and lower case: a UUID, a hash, a language tag, an e-mail address.
    Caseless,
    /// A duration, to the hundredth of a second.
    Duration,
    /// The timestamp of a SubStatement, as a moment, to the millisecond.
    Timestamp,
}

impl Statement {
    /// Whether this received statement is the same as `stored`, which has the same id.
    ///
    /// The comparison ignores:
    ///
    /// - `id`, `stored`, `authority`, `version` and `attachments`;
    /// - `timestamp`, if one statement has none or the server set the timestamp of `stored`;
    /// - the display of verbs and the definitions of activities;
    /// - the order of the members of objects and of groups;
    /// - the spelling of numbers, escapes, UUIDs and moments;
    /// - digits of a moment that are finer than a millisecond (xAPI 1.0.3, Data 4.5);
    /// - digits of a duration that are finer than a hundredth of a second.
    pub fn same_as(&self, stored: &Self) -> bool {
        self.has_same_timestamp(stored) && self.has_same_members(stored)
    }

    fn has_same_timestamp(&self, stored: &Self) -> bool {
        // If `timestamp` and `stored` are equal, the client sent no timestamp and the server set it.
        stored.timestamp == stored.stored
            || match (self.timestamp, stored.timestamp) {
                (Some(sent), Some(stored)) => sent.is_within_a_millisecond_of(stored),
                (sent, _) => sent.is_none(),
            }
    }

    fn has_same_members(&self, other: &Self) -> bool {
        [
            ("actor", Comparison::Actor),
            ("verb", Comparison::Verb),
            ("object", Comparison::Object),
            ("result", Comparison::Result),
            ("context", Comparison::Context),
        ]
        .into_iter()
        .all(
            |(key, comparison)| match (self.member_text(key), other.member_text(key)) {
                (None, None) => true,
                (Some(one), Some(other)) => one == other || is_same_text(comparison, one, other),
                _ => false,
            },
        )
    }

    fn member_text(&self, key: &str) -> Option<&str> {
        self.parts
            .iter()
            .find(|(own, _)| *own == key)
            .map(|(_, value)| value.as_str())
    }
}

fn is_same_text(comparison: Comparison, one: &str, other: &str) -> bool {
    // Both texts come from parsed trees, so parsing them again can't fail.
    match (json::parse_stored(one), json::parse_stored(other)) {
        (Ok(one), Ok(other)) => is_same(comparison, &one, &other),
        _ => false,
    }
}

fn is_same(comparison: Comparison, one: &Node<'_>, other: &Node<'_>) -> bool {
    match (one, other) {
        _ if comparison == Comparison::Ignored => true,
        (Node::Object(one_members), Node::Object(other_members)) => {
            let comparison = if comparison == Comparison::Object {
                object_comparison(one)
            } else {
                comparison
            };
            is_same_object(comparison, one_members, other_members)
        }
        (Node::Array(one), Node::Array(other)) if comparison == Comparison::Members => {
            is_same_group(one, other)
        }
        (Node::Array(one), Node::Array(other)) => {
            let comparison = match comparison {
                Comparison::Activities => Comparison::Activity,
                comparison => comparison,
            };
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(comparison, one, other))
        }
        (Node::String(one), Node::String(other)) => is_same_string(comparison, one.value(), other.value()),
        (Node::Number(one), Node::Number(other)) => one == other || is_same_number(one, other),
        (one, other) => one == other,
    }
}

/// How the object of a statement is compared, by its `objectType`.
fn object_comparison(object: &Node<'_>) -> Comparison {
    match object.get("objectType").and_then(Node::as_str) {
        None | Some("Activity") => Comparison::Activity,
        Some("Agent" | "Group") => Comparison::Actor,
        Some("SubStatement") => Comparison::SubStatement,
        _ => Comparison::Reference,
    }
}

/// How the member `key` of a value with this comparison is compared.
fn member_comparison(comparison: Comparison, key: &str) -> Comparison {
    match (comparison, key) {
        (Comparison::Activity, "definition") | (Comparison::Verb, "display") => Comparison::Ignored,
        (Comparison::Actor, "member") => Comparison::Members,
        (Comparison::Actor, "mbox" | "mbox_sha1sum") => Comparison::Caseless,
        (Comparison::Result, "duration") => Comparison::Duration,
        (Comparison::Context, "registration" | "language") | (Comparison::Reference, "id") => {
            Comparison::Caseless
        }
        (Comparison::Context, "statement") => Comparison::Reference,
        (Comparison::Context, "instructor" | "team") | (Comparison::Related, "agent" | "group") => {
            Comparison::Actor
        }
        (Comparison::Context, "contextActivities") => Comparison::ContextActivities,
        (Comparison::Context, "contextAgents" | "contextGroups") => Comparison::Related,
        (Comparison::ContextActivities, _) => Comparison::Activities,
        (Comparison::SubStatement, "actor") => Comparison::Actor,
        (Comparison::SubStatement, "verb") => Comparison::Verb,
        (Comparison::SubStatement, "object") => Comparison::Object,
        (Comparison::SubStatement, "result") => Comparison::Result,
        (Comparison::SubStatement, "context") => Comparison::Context,
        (Comparison::SubStatement, "timestamp") => Comparison::Timestamp,
        (Comparison::SubStatement, "attachments") => Comparison::Ignored,
        _ => Comparison::Plain,
    }
}

fn is_same_object(comparison: Comparison, one: &[Member<'_>], other: &[Member<'_>]) -> bool {
    let is_compared =
        |member: &&Member<'_>| member_comparison(comparison, member.key.value()) != Comparison::Ignored;
    if one.iter().filter(is_compared).count() != other.iter().filter(is_compared).count() {
        return false;
    }
    let others: HashMap<&str, &Node<'_>> = other
        .iter()
        .map(|member| (member.key.value(), &member.value))
        .collect();
    one.iter().filter(is_compared).all(|member| {
        let key = member.key.value();
        others
            .get(key)
            .is_some_and(|other| is_same(member_comparison(comparison, key), &member.value, other))
    })
}

/// Whether two lists contain the same agents, in any order.
fn is_same_group(one: &[Node<'_>], other: &[Node<'_>]) -> bool {
    // Sorting takes n log n steps. A search of every member in the other list would take n².
    let sorted = |members: &[Node<'_>]| {
        let mut agents: Vec<_> = members.iter().map(agent_sort_key).collect();
        agents.sort_unstable();
        agents
    };
    one.len() == other.len() && sorted(one) == sorted(other)
}

/// A sort key of an agent. Equal agents have equal keys, and different agents different keys.
fn agent_sort_key(node: &Node<'_>) -> (bool, Option<String>, Option<(i16, String)>) {
    // The node is a valid agent, because its statement was parsed before.
    let agent = Actor::agent_from_node(node, &Place::Root).ok();
    let identifier = agent.as_ref().and_then(|agent| agent.identifier.as_ref());
    let identifier = identifier.map(|identifier| (identifier.kind_code(), identifier.lookup_key()));
    (
        node.get("objectType").is_some(),
        agent.and_then(|agent| agent.name),
        identifier,
    )
}

fn is_same_string(comparison: Comparison, one: &str, other: &str) -> bool {
    one == other
        || match comparison {
            Comparison::Caseless => one.to_lowercase() == other.to_lowercase(),
            Comparison::Duration => match (Duration::parse(one), Duration::parse(other)) {
                (Ok(one), Ok(other)) => one.same_as(&other),
                _ => false,
            },
            Comparison::Timestamp => match (timestamp::parse(one), timestamp::parse(other)) {
                (Ok(one), Ok(other)) => one.is_within_a_millisecond_of(other),
                _ => false,
            },
            _ => false,
        }
}

/// Whether two numbers have the same value in all digits, for example `1.50` and `15e-1`.
fn is_same_number(one: &str, other: &str) -> bool {
    parse_decimal(one).is_some_and(|one| parse_decimal(other).is_some_and(|other| one == other))
}

/// The parts of a number: whether it is negative, its digits without zeros at both ends, and the power of ten of the
/// last digit. `None` if the exponent does not fit in an `i64`.
fn parse_decimal(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let negative = whole.starts_with('-');
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let decimals = i64::try_from(fraction.len()).ok()?;
    let power = exponent
        .parse::<i64>()
        .ok()?
        .checked_sub(decimals)?
        .checked_add(dropped)?;
    match significant.trim_start_matches('0') {
        "" => Some((false, String::new(), 0)),
        significant => Some((negative, significant.to_owned(), power)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::base::ids::StatementId;
    use crate::record::ServerFields;
    use crate::record::statement::{Limits, Version, parse_statement};

    const FULL: &str = r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","timestamp":"2026-01-01T12:00:00+02:00",
        "actor":{"objectType":"Group","name":"We","member":[{"mbox":"mailto:a@x.org"},{"mbox":"mailto:b@x.org","name":"B"}]},
        "verb":{"id":"http://x.org/v","display":{"en":"did"}},
        "object":{"objectType":"SubStatement","actor":{"mbox":"mailto:a@x.org"},"verb":{"id":"http://x.org/w"},
            "object":{"id":"http://x.org/a","definition":{"name":{"en":"A"}}},"timestamp":"2026-01-01T12:00:00Z"},
        "result":{"duration":"PT1.234S","score":{"raw":1.50},"extensions":{"http://x.org/e":{"id":"Aa","n":[1,2]}}},
        "context":{"registration":"01890a5d-ac96-774b-bcce-b302099a8058","language":"en-US",
            "contextActivities":{"parent":{"id":"http://x.org/p"}},
            "statement":{"objectType":"StatementRef","id":"01890a5d-ac96-774b-bcce-b302099a805a"}}}"#;

    fn read(text: &str) -> Statement {
        parse_statement(text.as_bytes(), Version::V1, &Limits::default()).unwrap()
    }

    fn stored(text: &str) -> Statement {
        let server = ServerFields {
            id: StatementId(uuid::Uuid::nil()),
            stored: Timestamp::from_micros(1_767_268_800_000_000),
            authority: r#"{"mbox":"mailto:lrs@x.org"}"#,
            keep_authority: false,
            default_version: "1.0.0",
        };
        Statement::parse_stored(&read(text).canonicalise(&server)).unwrap()
    }

    #[test]
    fn ignored_differences_keep_statements_the_same() {
        let same = [
            ("did", "has done"),
            (r#","display":{"en":"did"}"#, ""),
            (r#""definition":{"name":{"en":"A"}}"#, r#""definition":{}"#),
            (
                r#"{"mbox":"mailto:a@x.org"},{"mbox":"mailto:b@x.org","name":"B"}"#,
                r#"{"name":"B","mbox":"mailto:b@x.org"},{"mbox":"mailto:a@X.org"}"#,
            ),
            (r#""timestamp":"2026-01-01T12:00:00+02:00","#, ""),
            ("12:00:00+02:00", "10:00:00.000Z"),
            ("2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00"),
            ("12:00:00+02:00", "12:00:00.000999+02:00"),
            ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00.0004Z"),
            ("PT1.234S", "PT1.23S"),
            ("1.50", "15e-1"),
            (r#""n":[1,2]"#, r#""n" : [1.0, 0.02E+2]"#),
            ("en-US", "EN-us"),
            (
                "01890a5d-ac96-774b-bcce-b302099a8058",
                "01890A5D-AC96-774B-BCCE-B302099A8058",
            ),
            ("b302099a805a", "B302099A805A"),
            (
                r#"{"id":"http://x.org/p"}"#,
                r#"[{"id":"http://x.org/p","definition":{"type":"http://x.org/t"}}]"#,
            ),
            ("We", r"\u0057e"),
            (
                r#""result""#,
                r#""version":"1.0.3","attachments":[],"authority":{"mbox":"mailto:c@x.org"},"result""#,
            ),
        ];
        for (from, to) in same {
            assert!(FULL.contains(from), "{from}");
            assert!(
                read(&FULL.replacen(from, to, 1)).same_as(&stored(FULL)),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn other_differences_make_statements_different() {
        let different = [
            ("We", "They"),
            ("mailto:b@x.org", "mailto:c@x.org"),
            (r#","name":"B""#, ""),
            ("http://x.org/v", "http://x.org/other"),
            ("http://x.org/w", "http://x.org/other"),
            (
                r#""object":{"id":"http://x.org/a""#,
                r#""object":{"id":"http://x.org/A""#,
            ),
            ("12:00:00+02:00", "12:00:00Z"),
            ("12:00:00+02:00", "12:00:00.001+02:00"),
            ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00.001Z"),
            ("2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z"),
            ("PT1.234S", "PT1.24S"),
            ("1.50", "1.51"),
            (r#""id":"Aa""#, r#""id":"aa""#),
            ("[1,2]", "[2,1]"),
            ("[1,2]", "[1,2,3]"),
            ("a8058", "a8059"),
            ("en-US", "en-GB"),
            ("http://x.org/p", "http://x.org/q"),
            ("parent", "grouping"),
            ("805a", "805b"),
            (r#","score":{"raw":1.50}"#, ""),
        ];
        for (from, to) in different {
            assert!(FULL.contains(from), "{from}");
            assert!(
                !read(&FULL.replacen(from, to, 1)).same_as(&stored(FULL)),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn timestamp_set_by_the_server_is_not_compared() {
        let without = FULL.replace(r#""timestamp":"2026-01-01T12:00:00+02:00","#, "");
        assert!(read(FULL).same_as(&stored(&without)));
        assert!(read(&without).same_as(&stored(&without)));
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other) in [
            ("0", "-0.0e7"),
            ("100", "1E2"),
            ("1e-2", "0.010"),
            ("12345678901234567890", "12345678901234567890.0"),
        ] {
            assert!(is_same_number(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1", "-1"),
            ("12345678901234567890", "12345678901234567891"),
            ("1e99999999999999999999", "2e99999999999999999999"),
            ("10", "1"),
        ] {
            assert!(!is_same_number(one, other), "{one} {other}");
        }
    }
}
