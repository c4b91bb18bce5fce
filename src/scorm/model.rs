//! The data models of SCORM 1.2 and SCORM 2004 (Run-Time Environment): their elements and the values that these take.
//!
//! One table for each version names the elements. A number in the name of an element is written `n` in the table.

use serde::{Deserialize, Serialize};

use crate::base::timestamp;
use crate::record::Duration;

/// A version of SCORM.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
pub enum Version {
    /// SCORM 1.2.
    #[serde(rename = "1.2")]
    #[strum(serialize = "1.2")]
    V12,
    /// SCORM 2004, every edition.
    #[serde(rename = "2004")]
    #[strum(serialize = "2004")]
    V2004,
}

/// The names of the elements that have another name in each version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub(super) session_time: &'static str,
    pub(super) total_time: &'static str,
    pub(super) entry: &'static str,
    pub(super) exit: &'static str,
    pub(super) learner_id: &'static str,
    pub(super) learner_name: &'static str,
    pub(super) mode: &'static str,
    pub(super) credit: &'static str,
    /// The beginning of the names of the score.
    pub(super) score: &'static str,
    /// The member of an interaction with the learner's response.
    pub(super) response: &'static str,
}

impl Version {
    /// The names of elements in this version.
    pub(super) fn names(self) -> Names {
        match self {
            Self::V12 => Names {
                session_time: "cmi.core.session_time",
                total_time: "cmi.core.total_time",
                entry: "cmi.core.entry",
                exit: "cmi.core.exit",
                learner_id: "cmi.core.student_id",
                learner_name: "cmi.core.student_name",
                mode: "cmi.core.lesson_mode",
                credit: "cmi.core.credit",
                score: "cmi.core.score",
                response: "student_response",
            },
            Self::V2004 => Names {
                session_time: "cmi.session_time",
                total_time: "cmi.total_time",
                entry: "cmi.entry",
                exit: "cmi.exit",
                learner_id: "cmi.learner_id",
                learner_name: "cmi.learner_name",
                mode: "cmi.mode",
                credit: "cmi.credit",
                score: "cmi.score",
                response: "learner_response",
            },
        }
    }
}

/// The values that an element takes. Every element may be empty.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A text of at most this many characters.
    Text(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number within a range.
    Number(f64, f64),
    /// `HHHH:MM:SS.SS` in SCORM 1.2, an ISO 8601 duration in SCORM 2004.
    Duration,
    /// `HH:MM:SS.SS`.
    Time,
    /// A time of ISO 8601, with or without an offset.
    Moment,
    /// Whatever the player or the platform writes.
    Any,
}

use Kind::{Any, Moment, Number, Text, Time, Word};

const ANY_NUMBER: Kind = Number(f64::MIN, f64::MAX);
const STATUS_12: Kind = Word(&[
    "passed",
    "completed",
    "failed",
    "incomplete",
    "browsed",
    "not attempted",
]);
const COMPLETION: Kind = Word(&["completed", "incomplete", "not attempted", "unknown"]);
const SUCCESS: Kind = Word(&["passed", "failed", "unknown"]);
const MODE: Kind = Word(&["normal", "browse", "review"]);
const CREDIT: Kind = Word(&["credit", "no-credit"]);
const ENTRY: Kind = Word(&["ab-initio", "resume"]);
const LIMIT_ACTION: Kind = Word(&[
    "exit,message",
    "exit,no message",
    "continue,message",
    "continue,no message",
]);

/// The elements of SCORM 1.2.
const MODEL_12: &[(&str, Kind)] = &[
    ("cmi.comments", Text(4_096)),
    ("cmi.comments_from_lms", Text(4_096)),
    ("cmi.core.credit", CREDIT),
    ("cmi.core.entry", ENTRY),
    ("cmi.core.exit", Word(&["time-out", "suspend", "logout"])),
    ("cmi.core.lesson_location", Text(255)),
    ("cmi.core.lesson_mode", MODE),
    ("cmi.core.lesson_status", STATUS_12),
    ("cmi.core.score.max", Number(0.0, 100.0)),
    ("cmi.core.score.min", Number(0.0, 100.0)),
    ("cmi.core.score.raw", Number(0.0, 100.0)),
    ("cmi.core.session_time", Kind::Duration),
    ("cmi.core.student_id", Text(255)),
    ("cmi.core.student_name", Text(255)),
    ("cmi.core.total_time", Kind::Duration),
    ("cmi.interactions.n.correct_responses.n.pattern", Text(255)),
    ("cmi.interactions.n.id", Text(255)),
    ("cmi.interactions.n.latency", Kind::Duration),
    ("cmi.interactions.n.objectives.n.id", Text(255)),
    // Numbers are results too; `find_fault` accepts them.
    (
        "cmi.interactions.n.result",
        Word(&["correct", "wrong", "unanticipated", "neutral"]),
    ),
    ("cmi.interactions.n.student_response", Text(255)),
    ("cmi.interactions.n.time", Time),
    (
        "cmi.interactions.n.type",
        Word(&[
            "true-false",
            "choice",
            "fill-in",
            "matching",
            "performance",
            "sequencing",
            "likert",
            "numeric",
        ]),
    ),
    ("cmi.interactions.n.weighting", ANY_NUMBER),
    ("cmi.launch_data", Text(4_096)),
    ("cmi.objectives.n.id", Text(255)),
    ("cmi.objectives.n.score.max", Number(0.0, 100.0)),
    ("cmi.objectives.n.score.min", Number(0.0, 100.0)),
    ("cmi.objectives.n.score.raw", Number(0.0, 100.0)),
    ("cmi.objectives.n.status", STATUS_12),
    ("cmi.student_data.mastery_score", Number(0.0, 100.0)),
    ("cmi.student_data.max_time_allowed", Kind::Duration),
    ("cmi.student_data.time_limit_action", LIMIT_ACTION),
    ("cmi.student_preference.audio", Number(-1.0, 100.0)),
    ("cmi.student_preference.language", Text(255)),
    ("cmi.student_preference.speed", Number(-100.0, 100.0)),
    ("cmi.student_preference.text", Number(-1.0, 1.0)),
    ("cmi.suspend_data", Text(4_096)),
];

/// The elements of SCORM 2004, 4th edition.
const MODEL_2004: &[(&str, Kind)] = &[
    ("cmi.comments_from_learner.n.comment", Text(4_000)),
    ("cmi.comments_from_learner.n.location", Text(250)),
    ("cmi.comments_from_learner.n.timestamp", Moment),
    ("cmi.comments_from_lms.n.comment", Text(4_000)),
    ("cmi.comments_from_lms.n.location", Text(250)),
    ("cmi.comments_from_lms.n.timestamp", Moment),
    ("cmi.completion_status", COMPLETION),
    ("cmi.completion_threshold", Number(0.0, 1.0)),
    ("cmi.credit", CREDIT),
    ("cmi.entry", ENTRY),
    ("cmi.exit", Word(&["time-out", "suspend", "logout", "normal"])),
    ("cmi.interactions.n.correct_responses.n.pattern", Text(10_000)),
    ("cmi.interactions.n.description", Text(250)),
    ("cmi.interactions.n.id", Text(4_000)),
    ("cmi.interactions.n.latency", Kind::Duration),
    ("cmi.interactions.n.learner_response", Text(10_000)),
    ("cmi.interactions.n.objectives.n.id", Text(4_000)),
    (
        "cmi.interactions.n.result",
        Word(&["correct", "incorrect", "unanticipated", "neutral"]),
    ),
    ("cmi.interactions.n.timestamp", Moment),
    (
        "cmi.interactions.n.type",
        Word(&[
            "true-false",
            "choice",
            "fill-in",
            "long-fill-in",
            "matching",
            "performance",
            "sequencing",
            "likert",
            "numeric",
            "other",
        ]),
    ),
    ("cmi.interactions.n.weighting", ANY_NUMBER),
    ("cmi.launch_data", Text(4_000)),
    ("cmi.learner_id", Text(4_000)),
    ("cmi.learner_name", Text(250)),
    ("cmi.learner_preference.audio_captioning", Number(-1.0, 1.0)),
    ("cmi.learner_preference.audio_level", Number(0.0, f64::MAX)),
    ("cmi.learner_preference.delivery_speed", Number(0.0, f64::MAX)),
    ("cmi.learner_preference.language", Text(250)),
    ("cmi.location", Text(1_000)),
    ("cmi.max_time_allowed", Kind::Duration),
    ("cmi.mode", MODE),
    ("cmi.objectives.n.completion_status", COMPLETION),
    ("cmi.objectives.n.description", Text(250)),
    ("cmi.objectives.n.id", Text(4_000)),
    ("cmi.objectives.n.progress_measure", Number(0.0, 1.0)),
    ("cmi.objectives.n.score.max", ANY_NUMBER),
    ("cmi.objectives.n.score.min", ANY_NUMBER),
    ("cmi.objectives.n.score.raw", ANY_NUMBER),
    ("cmi.objectives.n.score.scaled", Number(-1.0, 1.0)),
    ("cmi.objectives.n.success_status", SUCCESS),
    ("cmi.progress_measure", Number(0.0, 1.0)),
    ("cmi.scaled_passing_score", Number(-1.0, 1.0)),
    ("cmi.score.max", ANY_NUMBER),
    ("cmi.score.min", ANY_NUMBER),
    ("cmi.score.raw", ANY_NUMBER),
    ("cmi.score.scaled", Number(-1.0, 1.0)),
    ("cmi.session_time", Kind::Duration),
    ("cmi.success_status", SUCCESS),
    ("cmi.suspend_data", Text(64_000)),
    ("cmi.time_limit_action", LIMIT_ACTION),
    ("cmi.total_time", Kind::Duration),
    ("adl.data.n.id", Any),
    ("adl.data.n.store", Any),
];

/// Whether a name is that of an element or of its tree: `cmi`, `cmi.core.exit`, `adl.nav.request`.
pub(super) fn is_element(name: &str) -> bool {
    let mut parts = name.split('.');
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    matches!(parts.next(), Some("cmi" | "adl")) && parts.all(is_part)
}

/// The longest name of an element, in bytes. The longest one of the data models has 50.
pub(super) const MAX_NAME_BYTES: usize = 255;

/// The maximum number of parts of the name of an element. The data models have at most 6.
pub(super) const MAX_NAME_PARTS: usize = 10;

/// Whether the name of an element is within the limits. A tree of elements is as deep as its names, and is read and
/// written recursively.
pub(super) fn is_short_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES && name.split('.').count() <= MAX_NAME_PARTS
}

/// Whether an element is a list.
pub(super) fn is_list(name: &str) -> bool {
    let last = name.rsplit('.').next();
    matches!(
        last,
        Some(
            "interactions"
                | "objectives"
                | "correct_responses"
                | "comments_from_learner"
                | "comments_from_lms"
                | "data"
        )
    )
}

/// The version that alone has one of the elements. SCORM 1.2 decides first: `cmi.core` exists nowhere else.
pub(super) fn find_version<'e>(elements: impl Iterator<Item = &'e str> + Clone) -> Option<Version> {
    let names: Vec<String> = elements.map(to_table_name).collect();
    let has = |model: &[(&'static str, Kind)], name: &String| find_kind(model, name).is_some();
    let alone = |own: &[(&'static str, Kind)], other: &[(&'static str, Kind)]| {
        names.iter().any(|name| has(own, name) && !has(other, name))
    };
    if alone(MODEL_12, MODEL_2004) {
        Some(Version::V12)
    } else if alone(MODEL_2004, MODEL_12) {
        Some(Version::V2004)
    } else {
        None
    }
}

/// The name with `n` for each number.
fn to_table_name(element: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = element
        .split('.')
        .map(|part| if is_number(part) { "n" } else { part })
        .collect();
    parts.join(".")
}

fn find_kind(model: &[(&'static str, Kind)], name: &str) -> Option<Kind> {
    model
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, kind)| *kind)
}

/// What is wrong with the value of an element. `None` if the data model allows it.
pub(super) fn find_fault(version: Version, element: &str, value: &str) -> Option<String> {
    let name = to_table_name(element);
    let model = match version {
        Version::V12 => MODEL_12,
        Version::V2004 => MODEL_2004,
    };
    let is_of_player = element.starts_with("adl.")
        || name
            .split('.')
            .next_back()
            .is_some_and(|last| last.starts_with('_'));
    let Some(kind) = find_kind(model, &name) else {
        return (!is_of_player).then(|| format!("SCORM {version} has no such element"));
    };
    if value.is_empty() {
        return None;
    }
    if name.ends_with(".result") && to_number(value).is_some() {
        return None;
    }
    match kind {
        Any => None,
        Text(longest) => {
            let characters = value.chars().count();
            (characters > longest)
                .then(|| format!("it has {characters} characters; SCORM {version} guarantees {longest}"))
        }
        Word(words) => (!words.contains(&value)).then(|| format!("it must be one of: {}", words.join("; "))),
        Number(from, to) => match to_number(value) {
            None => Some("it must be a number".to_owned()),
            Some(number) if number < from || number > to => Some(format!("it must be from {from} to {to}")),
            Some(_) => None,
        },
        Kind::Duration => (!is_duration(version, value)).then(|| match version {
            Version::V12 => "it must be a time such as 0000:05:30.00".to_owned(),
            Version::V2004 => "it must be an ISO 8601 duration such as PT5M30S".to_owned(),
        }),
        Time => (!is_time(value)).then(|| "it must be a time of day such as 14:05:30".to_owned()),
        Moment => (!is_moment(value)).then(|| "it must be a time such as 2026-03-18T10:17:23Z".to_owned()),
    }
}

/// The most suspend data that players load, in characters. It is more than SCORM 1.2 guarantees.
const LONGEST_SUSPEND_DATA: usize = 64_000;

/// Whether a player loads the value of an element.
pub(super) fn is_loadable(version: Version, element: &str, value: &str) -> bool {
    let is_suspend_data = element == "cmi.suspend_data" && value.chars().count() <= LONGEST_SUSPEND_DATA;
    !value.is_empty() && (is_suspend_data || find_fault(version, element, value).is_none())
}

/// The number that a text is. Infinity and NaN are no numbers.
pub(super) fn to_number(text: &str) -> Option<f64> {
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse()
        .ok()
        .filter(|number: &f64| is_decimal && number.is_finite())
}

fn is_duration(version: Version, value: &str) -> bool {
    match version {
        Version::V12 => value.contains(':') && Duration::parse_loose(value).is_ok(),
        Version::V2004 => Duration::parse(value).is_ok(),
    }
}

fn is_time(value: &str) -> bool {
    let mut parts = value.split(':');
    let (Some(hours), Some(minutes), Some(seconds), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let below = |text: &str, limit: f64| {
        text.starts_with(|first: char| first.is_ascii_digit())
            && to_number(text).is_some_and(|number| number < limit)
    };
    below(hours, 24.0) && below(minutes, 60.0) && below(seconds, 60.0)
}

fn is_moment(value: &str) -> bool {
    timestamp::parse(value).is_ok() || timestamp::parse(&format!("{value}Z")).is_ok() || {
        // Any part of a date and time is allowed from the end: `2026`, `2026-03`, `2026-03-18`, `2026-03-18T10`.
        let template = "2000-01-01T00:00:00Z";
        value.is_ascii()
            && template
                .get(value.len()..)
                .is_some_and(|rest| timestamp::parse(&format!("{value}{rest}")).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_have_each_element_once() {
        for model in [MODEL_12, &MODEL_2004[..MODEL_2004.len() - 2]] {
            assert!(model.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }

    #[test]
    fn elements_of_one_version_decide_it() {
        let version = |elements: &[&'static str]| find_version(elements.iter().copied());
        assert_eq!(
            version(&["cmi.suspend_data", "cmi.core.exit"]),
            Some(Version::V12)
        );
        assert_eq!(
            version(&["cmi.interactions.0.student_response"]),
            Some(Version::V12)
        );
        assert_eq!(
            version(&["cmi.suspend_data", "cmi.location"]),
            Some(Version::V2004)
        );
        assert_eq!(version(&["cmi.suspend_data", "cmi.nonsense"]), None);
    }

    #[test]
    fn values_are_checked_by_the_data_model() {
        use Version::{V12, V2004};
        for (version, element, good, bad) in [
            (V12, "cmi.core.score.raw", "80.5", "-5"),
            (V12, "cmi.core.score.raw", "", "abc"),
            (V12, "cmi.core.lesson_status", "browsed", "Completed"),
            (V12, "cmi.core.session_time", "0000:05:30.5", "PT5M"),
            (V12, "cmi.interactions.12.time", "23:59:59.99", "24:00:00"),
            (V12, "cmi.interactions.0.result", "-0.5", "right"),
            (V12, "cmi.core.lesson_location", "page 1", &"x".repeat(256)),
            (V2004, "cmi.score.scaled", "-1", "1.01"),
            (V2004, "cmi.session_time", "PT1H5M", "00:05:00"),
            (
                V2004,
                "cmi.interactions.0.timestamp",
                "2026-03-18T10:17:23",
                "yesterday",
            ),
            (V2004, "cmi.interactions.0.timestamp", "2026-03", "2026-13"),
            (
                V2004,
                "cmi.comments_from_learner.3.timestamp",
                "2026-03-18T10:17:23.5+01:00",
                "10:17",
            ),
            (V2004, "cmi.completion_status", "unknown", "passed"),
            (
                V2004,
                "cmi.suspend_data",
                &"é".repeat(64_000),
                &"é".repeat(64_001),
            ),
            (V2004, "cmi.interactions._count", "3", ""),
        ] {
            assert_eq!(find_fault(version, element, good), None, "{element}: {good}");
            if !bad.is_empty() {
                assert!(find_fault(version, element, bad).is_some(), "{element}: {bad}");
            }
        }
        assert!(find_fault(V2004, "cmi.core.exit", "").is_some());
        assert!(find_fault(V12, "cmi.interactions.x.id", "").is_some());
    }

    #[test]
    fn names_of_elements_begin_with_the_data_model() {
        for name in ["cmi", "cmi.core.exit", "cmi.interactions.0.id", "adl.nav.request"] {
            assert!(is_element(name), "{name}");
        }
        for name in ["", "cmix", "cmi.", "cmi..a", "cmi.a b", "x.cmi", "commitSequence"] {
            assert!(!is_element(name), "{name}");
        }
    }
}
