//! Are two statements the same (xAPI 1.0.3, Data 2.3.1)?
//!
//! A statement sent twice is one record, and another one under a known id is a conflict; so what a
//! store adds, and what the specification doesn't count as the statement's own, must not make a
//! difference, and anything else must. Compared are the two texts as trees: nothing that was sent
//! can be overlooked.

use std::collections::HashMap;

use super::actor::Actor;
use super::duration::Duration;
use super::statement::Statement;
use crate::base::fault::Place;
use crate::base::json::{self, Member, Node};
use crate::base::timestamp;

/// What a value is, as far as its comparison is concerned.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Compared as it is: scalars by value, lists in order, objects without order.
    Plain,
    /// A statement's or SubStatement's object, of any of its kinds.
    Object,
    SubStatement,
    /// An agent or a group.
    Actor,
    /// A verb: its `display` is not part of the statement.
    Verb,
    /// An activity: its `definition` is not part of the statement.
    Activity,
    Result,
    Context,
    /// The four lists of activities.
    ContextActivities,
    /// A list of activities.
    Activities,
    /// A list of `contextAgents` or `contextGroups`.
    Related,
    /// A reference to a statement.
    Reference,
    /// Not part of the statement.
    Ignored,
    /// The members of a group: a list without order.
    Members,
    /// A text in which case doesn't matter: UUIDs, hashes, language tags, mail addresses.
    Caseless,
    /// A duration: to the hundredth of a second.
    Duration,
    /// A timestamp of a SubStatement: as a moment.
    Timestamp,
}

impl Statement {
    /// Whether this statement, just received, says the same as `kept`, which has its id.
    ///
    /// Ignored are `id`, `stored`, `authority`, `version` and `attachments`; a `timestamp` that one
    /// of them lacks or that was filled in when `kept` was sealed; the display of verbs, the
    /// definitions of activities; the order of members of objects and of groups; the way in which
    /// numbers, escapes, UUIDs and moments are written; in durations what is finer than a hundredth
    /// of a second.
    pub fn same_as(&self, kept: &Self) -> bool {
        self.same_time_as(kept) && self.same_core_as(kept)
    }

    fn same_time_as(&self, kept: &Self) -> bool {
        // A sealed statement whose two times are the same was sent without one.
        kept.timestamp == kept.stored || self.timestamp.is_none() || self.timestamp == kept.timestamp
    }

    fn same_core_as(&self, other: &Self) -> bool {
        [
            ("actor", Part::Actor),
            ("verb", Part::Verb),
            ("object", Part::Object),
            ("result", Part::Result),
            ("context", Part::Context),
        ]
        .into_iter()
        .all(|(key, part)| match (self.value_of(key), other.value_of(key)) {
            (None, None) => true,
            (Some(one), Some(other)) => one == other || same_text(part, one, other),
            _ => false,
        })
    }

    fn value_of(&self, key: &str) -> Option<&str> {
        self.parts
            .iter()
            .find(|(own, _)| *own == key)
            .map(|(_, value)| value.as_str())
    }
}

fn same_text(part: Part, one: &str, other: &str) -> bool {
    // Both were cut from trees of this depth, so reading them has no way to fail.
    match (json::parse_stored(one), json::parse_stored(other)) {
        (Ok(one), Ok(other)) => same(part, &one, &other),
        _ => false,
    }
}

fn same(part: Part, one: &Node<'_>, other: &Node<'_>) -> bool {
    match (one, other) {
        _ if part == Part::Ignored => true,
        (Node::Object(one_members), Node::Object(other_members)) => {
            let part = if part == Part::Object {
                object_part(one)
            } else {
                part
            };
            same_members(part, one_members, other_members)
        }
        (Node::Array(one), Node::Array(other)) if part == Part::Members => same_group(one, other),
        (Node::Array(one), Node::Array(other)) => {
            let part = match part {
                Part::Activities => Part::Activity,
                part => part,
            };
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(part, one, other))
        }
        (Node::String(one), Node::String(other)) => same_string(part, one.value(), other.value()),
        (Node::Number(one), Node::Number(other)) => one == other || same_number(one, other),
        (one, other) => one == other,
    }
}

/// What the object of a statement is by its `objectType`.
fn object_part(object: &Node<'_>) -> Part {
    match object.get("objectType").and_then(Node::as_str) {
        None | Some("Activity") => Part::Activity,
        Some("Agent" | "Group") => Part::Actor,
        Some("SubStatement") => Part::SubStatement,
        _ => Part::Reference,
    }
}

/// What the member `key` of a `part` is.
fn member_part(part: Part, key: &str) -> Part {
    match (part, key) {
        (Part::Activity, "definition") | (Part::Verb, "display") => Part::Ignored,
        (Part::Actor, "member") => Part::Members,
        (Part::Actor, "mbox" | "mbox_sha1sum") => Part::Caseless,
        (Part::Result, "duration") => Part::Duration,
        (Part::Context, "registration" | "language") | (Part::Reference, "id") => Part::Caseless,
        (Part::Context, "statement") => Part::Reference,
        (Part::Context, "instructor" | "team") | (Part::Related, "agent" | "group") => Part::Actor,
        (Part::Context, "contextActivities") => Part::ContextActivities,
        (Part::Context, "contextAgents" | "contextGroups") => Part::Related,
        (Part::ContextActivities, _) => Part::Activities,
        (Part::SubStatement, "actor") => Part::Actor,
        (Part::SubStatement, "verb") => Part::Verb,
        (Part::SubStatement, "object") => Part::Object,
        (Part::SubStatement, "result") => Part::Result,
        (Part::SubStatement, "context") => Part::Context,
        (Part::SubStatement, "timestamp") => Part::Timestamp,
        (Part::SubStatement, "attachments") => Part::Ignored,
        _ => Part::Plain,
    }
}

fn same_members(part: Part, one: &[Member<'_>], other: &[Member<'_>]) -> bool {
    let counted = |member: &&Member<'_>| member_part(part, member.key.value()) != Part::Ignored;
    if one.iter().filter(counted).count() != other.iter().filter(counted).count() {
        return false;
    }
    let twins: HashMap<&str, &Node<'_>> = other.iter().map(|twin| (twin.key.value(), &twin.value)).collect();
    one.iter().filter(counted).all(|member| {
        let key = member.key.value();
        twins
            .get(key)
            .is_some_and(|twin| same(member_part(part, key), &member.value, twin))
    })
}

/// Whether two lists have the same agents, in any order.
fn same_group(one: &[Node<'_>], other: &[Node<'_>]) -> bool {
    // Sorted rather than looked up one in the other: a group may have many members.
    let sorted = |members: &[Node<'_>]| {
        let mut agents: Vec<_> = members.iter().map(agent_key).collect();
        agents.sort_unstable();
        agents
    };
    one.len() == other.len() && sorted(one) == sorted(other)
}

/// All that an agent says, in a form that can be sorted.
fn agent_key(node: &Node<'_>) -> (bool, Option<String>, Option<(i16, String)>) {
    // It was read as an agent before, when its statement was.
    let agent = Actor::agent_from_node(node, &Place::Root).ok();
    let identifier = agent.as_ref().and_then(|agent| agent.identifier.as_ref());
    let identifier = identifier.map(|identifier| (identifier.kind_code(), identifier.lookup_key()));
    (
        node.get("objectType").is_some(),
        agent.and_then(|agent| agent.name),
        identifier,
    )
}

fn same_string(part: Part, one: &str, other: &str) -> bool {
    one == other
        || match part {
            Part::Caseless => one.to_lowercase() == other.to_lowercase(),
            Part::Duration => match (Duration::parse(one), Duration::parse(other)) {
                (Ok(one), Ok(other)) => one.same_as(&other),
                _ => false,
            },
            Part::Timestamp => match (timestamp::parse(one), timestamp::parse(other)) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            },
            _ => false,
        }
}

/// Whether two numbers are the same to the last digit, however they are written: `1.50` and
/// `15e-1`.
fn same_number(one: &str, other: &str) -> bool {
    decimal(one).is_some_and(|one| decimal(other).is_some_and(|other| one == other))
}

/// A number as sign, digits without zeros at either end, and the power of ten of the last digit.
/// None where the exponent is beyond all measure.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
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

    fn kept(text: &str) -> Statement {
        let seal = ServerFields {
            id: StatementId(uuid::Uuid::nil()),
            stored: Timestamp::from_micros(1_767_268_800_000_000),
            authority: r#"{"mbox":"mailto:lrs@x.org"}"#,
            keep_authority: false,
            default_version: "1.0.0",
        };
        Statement::parse_stored(&read(text).canonicalise(&seal)).unwrap()
    }

    #[test]
    fn what_makes_no_difference() {
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
                read(&FULL.replacen(from, to, 1)).same_as(&kept(FULL)),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn what_makes_one() {
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
                !read(&FULL.replacen(from, to, 1)).same_as(&kept(FULL)),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn a_time_that_was_filled_in_is_nobodys_word() {
        let without = FULL.replace(r#""timestamp":"2026-01-01T12:00:00+02:00","#, "");
        assert!(read(FULL).same_as(&kept(&without)));
        assert!(read(&without).same_as(&kept(&without)));
    }

    #[test]
    fn numbers_are_compared_by_value() {
        for (one, other) in [
            ("0", "-0.0e7"),
            ("100", "1E2"),
            ("1e-2", "0.010"),
            ("12345678901234567890", "12345678901234567890.0"),
        ] {
            assert!(same_number(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1", "-1"),
            ("12345678901234567890", "12345678901234567891"),
            ("1e99999999999999999999", "2e99999999999999999999"),
            ("10", "1"),
        ] {
            assert!(!same_number(one, other), "{one} {other}");
        }
    }
}
