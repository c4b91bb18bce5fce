//! The description of an activity: an English sentence, whole and in parts for links
//! (docs/specification.md#description).

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fold;
use crate::base::ids::{ContentId, UserId};

use super::action::{Action, SATISFIED, WAIVED, has_own_words};
use super::projection::Projected;
use super::row::{ContentDetails, PersonDetails, Recorder, VerbDetails};
use super::time_text::time_text;

/// A sentence in parts. The parts in order are the whole sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(Vec<DescriptionPart>);

/// A part of a sentence, with the id of the user or content that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DescriptionPart {
    /// The text.
    pub text: String,
    /// The id of the named user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub user: Option<UserId>,
    /// The id of the named content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub content: Option<ContentId>,
}

impl Description {
    /// The sentence of an activity, for example `Failed Forklift Quiz scoring 45% in 5 minutes`.
    ///
    /// A record about a part of a content names the part, for example `Answered question 3 in Forklift Quiz`. A completion
    /// that `recorder` marked for another person names the recorder.
    pub fn new(
        activity: &Projected,
        person: &PersonDetails,
        content: Option<&ContentDetails>,
        verb: &VerbDetails,
        recorder: Option<&Recorder>,
    ) -> Self {
        let mut sentence = Self(Vec::with_capacity(4));
        let verb_phrase = verb_phrase(activity, verb);
        match content {
            Some(content) => {
                let title = display_title(content);
                sentence.push_text(&format!(
                    "{} ",
                    with_object(activity.action, &verb_phrase, &title)
                ));
                if let Some(part) = &activity.part {
                    sentence.push_text(&format!("{part} in "));
                }
                sentence.0.push(DescriptionPart {
                    text: title,
                    user: None,
                    content: Some(content.id.clone()),
                });
            }
            None => sentence.push_text(without_preposition(activity.action, verb, &verb_phrase)),
        }
        if let Some(percent) = activity.score.percent {
            sentence.push_text(&format!(" scoring {percent}%"));
        }
        if let Some(seconds) = activity.seconds.filter(|seconds| *seconds > 0) {
            sentence.push_text(&format!(" in {}", time_text(seconds)));
        }
        if let Some(recorder) =
            recorder.filter(|recorder| activity.completed && !is_user(person, &recorder.id))
        {
            sentence.push_text(", marked complete by ");
            let text = recorder.name_or_id().to_owned();
            sentence.0.push(DescriptionPart {
                text,
                user: Some(recorder.id.clone()),
                content: None,
            });
        }
        sentence
    }

    /// The parts in order.
    pub fn parts(&self) -> &[DescriptionPart] {
        &self.0
    }

    /// The parts in order, without a copy.
    pub fn into_parts(self) -> Vec<DescriptionPart> {
        self.0
    }

    /// Adds plain text, to the last part if that is plain text too.
    fn push_text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(last) if last.user.is_none() && last.content.is_none() => last.text.push_str(text),
            _ => self.0.push(DescriptionPart {
                text: text.to_owned(),
                user: None,
                content: None,
            }),
        }
    }
}

/// The whole sentence.
impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|part| f.write_str(&part.text))
    }
}

/// The title of a content in sentences: `Fire Safety`, or `Fire Safety (Archived)` if it is archived.
pub fn display_title(content: &ContentDetails) -> String {
    let archived = if content.archived_at.is_some() {
        " (Archived)"
    } else {
        ""
    };
    format!("{}{archived}", content.title_or_id())
}

/// The beginning of the sentence: `Passed` for a completion with success, else the label.
fn verb_phrase(activity: &Projected, verb: &VerbDetails) -> String {
    match activity.action {
        Action::Completed if activity.success == Some(true) && !has_own_words(&verb.iri) => {
            "Passed".to_owned()
        }
        action => label(action, verb),
    }
}

/// The labels of public verbs that differ from the label of their action. A sentence needs the past tense and a preposition;
/// the displays of statements and the last parts of the IRIs often have neither (`join`, `commented`).
const LABELS: &[(&str, &str)] = &[
    (WAIVED, "Waived"),
    (SATISFIED, "Satisfied"),
    ("http://activitystrea.ms/schema/1.0/follow", "Followed"),
    ("http://activitystrea.ms/schema/1.0/join", "Joined"),
    ("http://activitystrea.ms/schema/1.0/leave", "Left"),
    ("http://activitystrea.ms/schema/1.0/like", "Liked"),
    ("http://activitystrea.ms/schema/1.0/receive", "Received"),
    ("http://activitystrea.ms/schema/1.0/remove", "Removed"),
    ("http://adlnet.gov/expapi/verbs/asked", "Asked about"),
    ("http://adlnet.gov/expapi/verbs/commented", "Commented on"),
    ("http://adlnet.gov/expapi/verbs/progressed", "Progressed in"),
    ("http://adlnet.gov/expapi/verbs/responded", "Responded to"),
    ("http://adlnet.gov/expapi/verbs/resumed", "Resumed"),
    ("http://adlnet.gov/expapi/verbs/shared", "Shared"),
    ("http://adlnet.gov/expapi/verbs/suspended", "Suspended"),
    ("http://adlnet.gov/expapi/verbs/terminated", "Terminated"),
    ("http://id.tincanapi.com/verb/bookmarked", "Bookmarked"),
    ("http://id.tincanapi.com/verb/earned", "Earned"),
    ("http://id.tincanapi.com/verb/live", "Was live in"),
    ("http://id.tincanapi.com/verb/replied", "Replied to"),
    ("https://w3id.org/xapi/adl/verbs/abandoned", "Abandoned"),
    ("https://w3id.org/xapi/dod-isd/verbs/navigated", "Navigated to"),
    ("https://w3id.org/xapi/openedx/verb/voted", "Voted for"),
    ("https://w3id.org/xapi/tla/verbs/achieved", "Achieved"),
    ("https://w3id.org/xapi/video/verbs/paused", "Paused"),
    ("https://w3id.org/xapi/video/verbs/played", "Played"),
    ("https://w3id.org/xapi/video/verbs/seeked", "Skipped within"),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/exceeded",
        "Exceeded the time limit of",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/subscribed",
        "Subscribed to",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/uncompleted",
        "Undid the completion of",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/unlocked",
        "Unlocked",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/unsubscribed",
        "Unsubscribed from",
    ),
];

fn known_label(iri: &str) -> Option<&'static str> {
    let known = LABELS.iter().find(|(known, _)| *known == iri);
    known.map(|(_, label)| *label)
}

/// The label of an action in a row with this verb.
///
/// For [`Action::Other`], it is the label of a known public verb, else the display of the verb, else the last part of the
/// IRI; with a capital first letter.
pub fn label(action: Action, verb: &VerbDetails) -> String {
    let known = known_label(&verb.iri);
    match (action, known) {
        (Action::Other, Some(known)) => return known.to_owned(),
        (Action::Completed, Some(known)) if has_own_words(&verb.iri) => return known.to_owned(),
        (Action::Other, None) => {}
        _ => return action.label().to_owned(),
    }
    let display = verb.display.as_deref().map(str::trim);
    let words = match display.filter(|display| !display.is_empty()) {
        Some(display) => display.to_owned(),
        None => words_of_iri(&verb.iri),
    };
    if words.is_empty() {
        action.label().to_owned()
    } else {
        capitalised(&words)
    }
}

/// The verb phrase in front of an object: `Unenrolled` becomes `Unenrolled from`, and no certificate is received for a
/// certificate.
fn with_object<'a>(action: Action, phrase: &'a str, title: &str) -> &'a str {
    let is_certificate = || fold(title).starts_with("certificate");
    match action {
        Action::Unenrolled => "Unenrolled from",
        Action::ReceivedCertificateFor if is_certificate() => "Received",
        _ => phrase,
    }
}

/// The verb phrase for a sentence without content: `Enrolled for` becomes `Enrolled`.
fn without_preposition<'a>(action: Action, verb: &VerbDetails, phrase: &'a str) -> &'a str {
    const PREPOSITIONS: &[&str] = &[" for", " from", " in", " of", " on", " to", " within"];
    let ends_with_preposition = match action {
        // A display from a statement can be in any language, so it stays unchanged.
        Action::Other => known_label(&verb.iri) == Some(phrase),
        Action::EnrolledFor | Action::ReceivedCertificateFor | Action::ListenedTo => true,
        _ => false,
    };
    let mut prepositions = PREPOSITIONS.iter().filter(|_| ends_with_preposition);
    prepositions
        .find_map(|preposition| phrase.strip_suffix(preposition))
        .unwrap_or(phrase)
}

/// The last part of an IRI as words: `…/verbs/logged-in` gives `logged in`, `…#dragAndDrop` gives `drag and drop`.
fn words_of_iri(iri: &str) -> String {
    let last = iri
        .rsplit(['/', '#', ':', '?'])
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    let mut words = String::with_capacity(last.len());
    let mut after_lower_case = false;
    for character in last.chars() {
        let is_separator = matches!(character, '-' | '_' | '.' | '+') || character.is_whitespace();
        let starts_word = after_lower_case && character.is_uppercase();
        if (is_separator || starts_word) && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        if !is_separator {
            // A capital after a lower-case letter starts a word and becomes lower case. Others stay, as in `PDF`.
            words.extend(character.to_lowercase().filter(|_| starts_word));
            words.extend((!starts_word).then_some(character));
        }
        after_lower_case = character.is_lowercase();
    }
    words.truncate(words.trim_end().len());
    words
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

fn is_user(person: &PersonDetails, id: &UserId) -> bool {
    person.user.as_ref().is_some_and(|user| user.id == *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Timestamp;
    use crate::log::projection::Percent;
    use crate::log::row::UserDetails;
    use crate::log::testing;

    fn fire_safety() -> ContentDetails {
        testing::content("fire-safety", "Fire Safety")
    }

    fn quiz() -> ContentDetails {
        testing::content("forklift-quiz", "Forklift Quiz")
    }

    fn sentence(activity: &Projected, content: Option<&ContentDetails>) -> String {
        Description::new(
            activity,
            &testing::person("ada"),
            content,
            &testing::verb("urn:x:verb", None),
            None,
        )
        .to_string()
    }

    fn done(action: Action) -> Projected {
        Projected {
            action,
            completed: action.completes(),
            ..testing::projected()
        }
    }

    #[test]
    fn sentences_match_the_specification() {
        assert_eq!(
            sentence(&done(Action::Completed), Some(&fire_safety())),
            "Completed Fire Safety"
        );
        let mut failed = Projected {
            success: Some(false),
            seconds: Some(300),
            ..done(Action::Failed)
        };
        failed.score.percent = Some(Percent(4_500));
        assert_eq!(
            sentence(&failed, Some(&quiz())),
            "Failed Forklift Quiz scoring 45% in 5 minutes"
        );
        let mut passed = Projected {
            success: Some(true),
            ..done(Action::Completed)
        };
        passed.score.percent = Some(Percent(9_200));
        assert_eq!(
            sentence(&passed, Some(&quiz())),
            "Passed Forklift Quiz scoring 92%"
        );
        assert_eq!(sentence(&done(Action::LoggedIn), None), "Logged in");
        let first_aid = testing::content("first-aid", "First Aid");
        assert_eq!(
            sentence(&done(Action::EnrolledFor), Some(&first_aid)),
            "Enrolled for First Aid"
        );
        let received = done(Action::ReceivedCertificateFor);
        assert_eq!(
            sentence(&received, Some(&first_aid)),
            "Received certificate for First Aid"
        );
        let archived = ContentDetails {
            archived_at: Some(Timestamp::from_micros(0)),
            ..fire_safety()
        };
        assert_eq!(
            sentence(&done(Action::Completed), Some(&archived)),
            "Completed Fire Safety (Archived)"
        );
    }

    #[test]
    fn completion_marked_by_another_user_names_the_recorder() {
        let ada_obi = Recorder {
            id: UserId::new("ada.obi").unwrap(),
            name: Some("Ada Obi".to_owned()),
        };
        let description = |activity: &Projected, person: &PersonDetails, recorder: &Recorder| {
            let verb = testing::verb("urn:x:verb", None);
            Description::new(activity, person, Some(&fire_safety()), &verb, Some(recorder))
        };
        let completed = done(Action::Completed);
        let sentence = description(&completed, &testing::person("bob"), &ada_obi);
        assert_eq!(
            sentence.to_string(),
            "Completed Fire Safety, marked complete by Ada Obi"
        );
        let parts = serde_json::to_value(sentence.parts()).unwrap();
        let expected = serde_json::json!([
            {"text": "Completed "}, {"text": "Fire Safety", "content": "fire-safety"},
            {"text": ", marked complete by "}, {"text": "Ada Obi", "user": "ada.obi"},
        ]);
        assert_eq!(parts, expected);

        let unknown = Recorder {
            name: None,
            ..ada_obi.clone()
        };
        let actor = PersonDetails {
            user: None,
            ..testing::person("bob")
        };
        assert!(
            description(&completed, &actor, &unknown)
                .to_string()
                .ends_with("marked complete by ada.obi")
        );

        let recorder_herself = PersonDetails {
            user: Some(UserDetails::new(ada_obi.id.clone())),
            ..testing::person("bob")
        };
        assert_eq!(
            description(&completed, &recorder_herself, &ada_obi).to_string(),
            "Completed Fire Safety"
        );
        let assigned = done(Action::Assigned);
        assert_eq!(
            description(&assigned, &testing::person("bob"), &ada_obi).to_string(),
            "Assigned Fire Safety"
        );
    }

    #[test]
    fn sentence_without_content_has_no_preposition() {
        assert_eq!(sentence(&done(Action::EnrolledFor), None), "Enrolled");
        assert_eq!(
            sentence(&done(Action::ReceivedCertificateFor), None),
            "Received certificate"
        );
        assert_eq!(sentence(&done(Action::ListenedTo), None), "Listened");
        assert_eq!(sentence(&done(Action::LoggedOut), None), "Logged out");
    }

    #[test]
    fn content_without_title_is_named_by_its_id() {
        let untitled = ContentDetails {
            title: None,
            ..fire_safety()
        };
        assert_eq!(
            sentence(&done(Action::Viewed), Some(&untitled)),
            "Viewed fire-safety"
        );
    }

    #[test]
    fn label_of_other_verbs_comes_from_display_or_iri() {
        for (iri, display, expected) in [
            ("urn:x:played", Some("played"), "Played"),
            ("urn:x:played", Some("  "), "Played"),
            ("https://w3id.org/xapi/adl/verbs/logged-in", None, "Logged in"),
            (
                "https://brindlewaye.com/xAPITerms/verbs/signedup/",
                None,
                "Signedup",
            ),
            ("http://example.com/verbs#dragAndDrop", None, "Drag and drop"),
            (
                "http://example.com/verbs/exported_to-PDF",
                None,
                "Exported to PDF",
            ),
            ("urn:rollbook:verb:other", None, "Other"),
            ("urn:x:-", None, "Other"),
            ("https://example.com/ü", None, "Ü"),
        ] {
            assert_eq!(
                label(Action::Other, &testing::verb(iri, display)),
                expected,
                "{iri}"
            );
        }
        let verb = testing::verb("urn:x:played", Some("hat gespielt"));
        let sentence = Description::new(
            &done(Action::Other),
            &testing::person("ada"),
            Some(&quiz()),
            &verb,
            None,
        );
        assert_eq!(sentence.to_string(), "Hat gespielt Forklift Quiz");
        assert_eq!(label(Action::Completed, &verb), "Completed");
    }

    #[test]
    fn known_public_verbs_have_a_label_of_their_own() {
        let table = crate::log::VerbTable::standard();
        for (iri, known) in LABELS {
            let action = match table.action(iri) {
                // The verb means another award than a certificate.
                Action::ReceivedCertificateFor => Action::Other,
                action => action,
            };
            assert!(
                action == Action::Other || has_own_words(iri),
                "{iri} has a label already"
            );
            for display in [None, Some("tat es"), Some("commented")] {
                assert_eq!(label(action, &testing::verb(iri, display)), *known);
            }
        }
        let commented = "http://adlnet.gov/expapi/verbs/commented";
        let describe = |iri, display, content: Option<&ContentDetails>| {
            let (person, verb) = (testing::person("ada"), testing::verb(iri, display));
            Description::new(&done(Action::Other), &person, content, &verb, None).to_string()
        };
        assert_eq!(
            describe(commented, Some("commented"), Some(&quiz())),
            "Commented on Forklift Quiz"
        );
        assert_eq!(describe(commented, None, None), "Commented");
        assert_eq!(describe("urn:x:on", Some("carried on"), None), "Carried on");
        assert_eq!(
            describe("http://id.tincanapi.com/verb/earned", None, Some(&quiz())),
            "Earned Forklift Quiz"
        );
    }

    #[test]
    fn waived_and_satisfied_read_as_what_they_are() {
        for (iri, success, expected) in [
            (WAIVED, None, "Waived Fire Safety"),
            (SATISFIED, Some(true), "Satisfied Fire Safety"),
            (
                "http://adlnet.gov/expapi/verbs/mastered",
                Some(true),
                "Passed Fire Safety",
            ),
        ] {
            let activity = Projected {
                success,
                ..done(Action::Completed)
            };
            let (person, verb) = (testing::person("ada"), testing::verb(iri, Some("x")));
            let sentence = Description::new(&activity, &person, Some(&fire_safety()), &verb, None);
            assert_eq!(sentence.to_string(), expected);
        }
    }

    #[test]
    fn part_is_named_before_its_content() {
        let mut answered = Projected {
            part: Some("\"What is a hazard?\"".to_owned()),
            ..done(Action::Answered)
        };
        answered.score.percent = Some(Percent(0));
        let (person, verb) = (testing::person("ada"), testing::verb("urn:x:verb", None));
        let description = Description::new(&answered, &person, Some(&quiz()), &verb, None);
        assert_eq!(
            description.to_string(),
            "Answered \"What is a hazard?\" in Forklift Quiz scoring 0%"
        );
        let parts = serde_json::to_value(description.parts()).unwrap();
        let expected = serde_json::json!([
            {"text": "Answered \"What is a hazard?\" in "},
            {"text": "Forklift Quiz", "content": "forklift-quiz"}, {"text": " scoring 0%"},
        ]);
        assert_eq!(parts, expected);
    }

    #[test]
    fn verbs_fit_their_objects() {
        let received = done(Action::ReceivedCertificateFor);
        let certificate = testing::content("c", "Certificate 4711");
        assert_eq!(
            sentence(&received, Some(&certificate)),
            "Received Certificate 4711"
        );
        assert_eq!(
            sentence(&done(Action::Unenrolled), Some(&quiz())),
            "Unenrolled from Forklift Quiz"
        );
        assert_eq!(sentence(&done(Action::Unenrolled), None), "Unenrolled");
    }

    #[test]
    fn zero_duration_is_omitted() {
        let quick = Projected {
            seconds: Some(0),
            ..done(Action::Viewed)
        };
        assert_eq!(sentence(&quick, Some(&quiz())), "Viewed Forklift Quiz");
    }
}
