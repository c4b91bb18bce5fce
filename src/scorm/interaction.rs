//! Interactions: the learner's answers to the questions of a package.
//!
//! A package writes the members of an interaction in any order and in several commits. An interaction is recorded when
//! it has a result, or a response and something follows it. If it changes later, it is recorded again.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::commit::{Commit, first_bytes};
use super::model::{Version, to_number};
use crate::base::clock::Timestamp;
use crate::base::timestamp;
use crate::record::{Duration, InteractionType, LanguageMap, LanguageTag};

/// The maximum number of answers that a commit records. The others are recorded with the next commit, or when the attempt
/// is due.
pub const MAX_INTERACTIONS: usize = 1_000;

/// An answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Interaction {
    /// The id of the question.
    pub id: String,
    /// The type, if it is known.
    pub kind: Option<InteractionType>,
    /// The text of the question.
    pub description: Option<LanguageMap>,
    /// The response in the format of xAPI.
    pub response: Option<String>,
    /// The patterns of correct responses in the format of xAPI.
    pub correct_responses: Vec<String>,
    /// The result: `correct`, `wrong`, a number and so on.
    pub result: Option<String>,
    /// The weight of the question.
    pub weighting: Option<f64>,
    /// The time that the learner took.
    pub latency: Option<Duration>,
    /// When it happened, if the package gives a date with an offset.
    pub happened_at: Option<Timestamp>,
    /// The ids of the objectives.
    pub objectives: Vec<String>,
    /// The place in the list.
    pub(super) number: u32,
    /// A digest of all members and of the place in the list.
    pub(super) digest: u64,
}

impl Interaction {
    /// Whether the answer is correct. `None` if the result does not say it.
    pub fn success(&self) -> Option<bool> {
        match self.result.as_deref()? {
            "correct" => Some(true),
            "wrong" | "incorrect" => Some(false),
            _ => None,
        }
    }

    /// The points, if the result is a number.
    pub fn points(&self) -> Option<f64> {
        to_number(self.result.as_deref()?)
    }
}

/// The members of an interaction with their values.
type Members<'c> = BTreeMap<&'c str, &'c str>;

impl Commit {
    /// The interactions that can be recorded and are not, in the order of their numbers. `is_final`: whether the session has
    /// ended, so that nothing follows. `recorded`: the digest of the recorded answer for each number.
    pub(super) fn new_interactions(
        &self,
        version: Version,
        is_final: bool,
        recorded: &BTreeMap<u32, u64>,
    ) -> Vec<Interaction> {
        let complete = self.complete_members(version, is_final).into_iter();
        complete
            .filter(|(number, members)| recorded.get(number) != Some(&digest(*number, members)))
            .take(MAX_INTERACTIONS)
            .filter_map(|(number, members)| to_interaction(number, &members, version))
            .collect()
    }

    /// Whether an answer is not recorded that is complete at the end of the session.
    pub(super) fn has_new_interactions(&self, version: Version, recorded: &BTreeMap<u32, u64>) -> bool {
        let mut complete = self.complete_members(version, true).into_iter();
        complete.any(|(number, members)| recorded.get(&number) != Some(&digest(number, &members)))
    }

    /// The numbers of all interactions.
    pub(super) fn interaction_numbers(&self) -> BTreeSet<u32> {
        self.interaction_members().into_keys().collect()
    }

    fn interaction_members(&self) -> BTreeMap<u32, Members<'_>> {
        let mut members: BTreeMap<u32, Members<'_>> = BTreeMap::new();
        for (element, value) in &self.elements {
            let place = element
                .strip_prefix("cmi.interactions.")
                .and_then(|rest| rest.split_once('.'))
                .and_then(|(number, member)| Some((number.parse().ok()?, member)));
            if let Some((number, member)) = place
                && !value.is_empty()
            {
                members.entry(number).or_default().insert(member, value);
            }
        }
        members
    }

    /// The members of the interactions that can be recorded.
    fn complete_members(&self, version: Version, is_final: bool) -> BTreeMap<u32, Members<'_>> {
        let mut members = self.interaction_members();
        let last = members.keys().next_back().copied();
        members.retain(|number, members| {
            let has = |member| members.contains_key(member);
            let is_followed = is_final || Some(*number) != last;
            has("id") && (has("result") || (has(version.names().response) && is_followed))
        });
        members
    }
}

fn to_interaction(number: u32, members: &Members<'_>, version: Version) -> Option<Interaction> {
    let text = |member: &str| members.get(member).map(|value| (*value).to_owned());
    let kind: Option<InteractionType> = members.get("type").and_then(|kind| kind.parse().ok());
    let to_xapi = |response: &str| to_xapi_response(version, kind, response);
    // The numbers of a list are compared as numbers: 10 comes after 9.
    let list = |prefix: &str, suffix: &str| -> Vec<String> {
        let values = members.iter().filter_map(|(member, value)| {
            let number = member.strip_prefix(prefix)?.strip_suffix(suffix)?;
            Some((number.parse::<u32>().ok()?, (*value).to_owned()))
        });
        let sorted: BTreeMap<u32, String> = values.collect();
        sorted.into_values().collect()
    };
    // A package mostly writes the learner's local time without an offset. Such a time is not known.
    let moment = members.get("timestamp");
    let latency = members
        .get("latency")
        .and_then(|time| Duration::parse_loose(time).ok());
    Some(Interaction {
        id: text("id")?,
        kind,
        description: members.get("description").and_then(|text| to_language_map(text)),
        response: members
            .get(version.names().response)
            .map(|response| to_xapi(response)),
        correct_responses: list("correct_responses.", ".pattern")
            .iter()
            .map(|pattern| to_xapi(pattern))
            .collect(),
        result: text("result"),
        weighting: members
            .get("weighting")
            .and_then(|weighting| to_number(weighting)),
        latency,
        happened_at: moment.and_then(|text| timestamp::parse_zoned(text).ok()),
        objectives: list("objectives.", ".id"),
        number,
        digest: digest(number, members),
    })
}

fn digest(number: u32, members: &Members<'_>) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(number.to_be_bytes());
    for (member, value) in members {
        for text in [member, value] {
            hasher.update((text.len() as u64).to_be_bytes());
            hasher.update(text);
        }
    }
    first_bytes(&hasher.finalize())
}

/// A response or a pattern in the format of xAPI, which is that of SCORM 2004.
///
/// SCORM 1.2 separates the parts by commas, sometimes within braces, and the two sides of a pair by a point.
fn to_xapi_response(version: Version, kind: Option<InteractionType>, response: &str) -> String {
    if version == Version::V2004 {
        return response.to_owned();
    }
    let inner = response
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(response);
    let parts = || inner.split(',').map(str::trim);
    match kind {
        Some(InteractionType::TrueFalse) => match response.to_ascii_lowercase().as_str() {
            "t" | "true" | "1" => "true".to_owned(),
            "f" | "false" | "0" => "false".to_owned(),
            _ => response.to_owned(),
        },
        Some(InteractionType::Choice | InteractionType::Sequencing) => {
            parts().collect::<Vec<_>>().join("[,]")
        }
        Some(InteractionType::Matching) => {
            let pairs: Vec<String> = parts().map(|pair| pair.replacen('.', "[.]", 1)).collect();
            pairs.join("[,]")
        }
        _ => response.to_owned(),
    }
}

/// The text of a description, which SCORM 2004 writes as `{lang=en}text` or without the language.
fn to_language_map(text: &str) -> Option<LanguageMap> {
    let tagged = text.strip_prefix("{lang=").and_then(|rest| rest.split_once('}'));
    match tagged.and_then(|(tag, text)| Some((LanguageTag::parse(tag)?, text))) {
        Some((tag, text)) => (!text.is_empty()).then(|| LanguageMap::single(tag, text)),
        None => Some(LanguageMap::undetermined(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interactions(body: &str, is_final: bool) -> Vec<Interaction> {
        let commit = Commit::parse(body, 16).expect("a commit");
        commit.new_interactions(commit.version().expect("a version"), is_final, &BTreeMap::new())
    }

    #[test]
    fn interaction_of_scorm_2004_has_all_members() {
        let body = r#"{"cmi":{"location":"","interactions":{"0":{"id":"q1","type":"choice","learner_response":"a[,]b",
            "result":"incorrect","latency":"PT12S","weighting":"2.5","timestamp":"2026-03-18T10:17:23+01:00",
            "description":"{lang=de}Welche?","objectives":{"1":{"id":"o2"},"0":{"id":"o1"}},
            "correct_responses":{"0":{"pattern":"a[,]c"}}}}}}"#;
        let found = interactions(body, false);
        let [one] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((one.id.as_str(), one.kind), ("q1", Some(InteractionType::Choice)));
        assert_eq!(
            one.description.as_ref().and_then(|map| map.get("de")),
            Some("Welche?")
        );
        assert_eq!(one.response.as_deref(), Some("a[,]b"));
        assert_eq!(one.correct_responses, ["a[,]c"]);
        assert_eq!(
            (one.success(), one.points(), one.weighting),
            (Some(false), None, Some(2.5))
        );
        assert_eq!(one.latency.as_ref().map(Duration::whole_seconds), Some(12));
        assert_eq!(
            one.happened_at.map(|at| at.to_string()).as_deref(),
            Some("2026-03-18T09:17:23.000Z")
        );
        assert_eq!(one.objectives, ["o1", "o2"]);
    }

    #[test]
    fn responses_of_scorm_12_are_written_as_in_xapi() {
        for (kind, response, expected) in [
            ("true-false", "t", "true"),
            ("true-false", "0", "false"),
            ("choice", "a,b", "a[,]b"),
            ("choice", "{a,b}", "a[,]b"),
            ("matching", "1.c,2.b", "1[.]c[,]2[.]b"),
            ("sequencing", "c,a,b", "c[,]a[,]b"),
            ("fill-in", "red, green", "red, green"),
            ("numeric", "4.5", "4.5"),
        ] {
            let body = format!(
                "cmi.core.exit=&cmi.interactions.0.id=q&cmi.interactions.0.type={kind}\
                 &cmi.interactions.0.result=correct&cmi.interactions.0.student_response={response}"
            );
            let found = interactions(&body, false);
            assert_eq!(found[0].response.as_deref(), Some(expected), "{kind}");
        }
    }

    #[test]
    fn unfinished_interaction_is_not_recorded() {
        let id_only = "cmi.core.exit=&cmi.interactions.0.id=q";
        assert!(interactions(id_only, true).is_empty());
        let answered = format!("{id_only}&cmi.interactions.0.student_response=x");
        assert!(interactions(&answered, false).is_empty(), "the result may follow");
        assert_eq!(interactions(&answered, true).len(), 1);
        let followed = format!("{answered}&cmi.interactions.10.id=r");
        assert_eq!(interactions(&followed, false).len(), 1);
    }

    #[test]
    fn interactions_have_the_order_of_their_numbers() {
        let one = |number: u32| {
            format!("cmi.interactions.{number}.id=q{number}&cmi.interactions.{number}.result=0.5")
        };
        let body = format!("cmi.location=x&{}&{}&{}", one(10), one(2), one(0));
        let found = interactions(&body, false);
        let ids: Vec<&str> = found.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["q0", "q2", "q10"]);
        assert_eq!((found[0].success(), found[0].points()), (None, Some(0.5)));
    }
}
