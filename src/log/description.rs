//! The description of an activity: an English sentence, whole and in parts for links
//! (docs/specification.md#description).

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::ids::{ContentId, UserId};

use super::action::Action;
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
    /// A completion that `recorder` marked for another person names the recorder.
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
                sentence.push_text(&format!("{verb_phrase} "));
                sentence.0.push(DescriptionPart {
                    text: display_title(content),
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
        Action::Completed if activity.success == Some(true) => "Passed".to_owned(),
        action => label(action, verb),
    }
}

/// The labels of public verbs without an action, if no statement has a display for them. A sentence needs the past tense,
/// and the last part of these IRIs is often the infinitive (`join`).
const DISPLAYS: &[(&str, &str)] = &[
    ("http://activitystrea.ms/schema/1.0/follow", "Followed"),
    ("http://activitystrea.ms/schema/1.0/join", "Joined"),
    ("http://activitystrea.ms/schema/1.0/leave", "Left"),
    ("http://activitystrea.ms/schema/1.0/like", "Liked"),
    ("http://activitystrea.ms/schema/1.0/remove", "Removed"),
    ("http://adlnet.gov/expapi/verbs/commented", "Commented on"),
    ("http://adlnet.gov/expapi/verbs/progressed", "Progressed"),
    ("http://adlnet.gov/expapi/verbs/resumed", "Resumed"),
    ("http://adlnet.gov/expapi/verbs/shared", "Shared"),
    ("http://adlnet.gov/expapi/verbs/suspended", "Suspended"),
    ("http://adlnet.gov/expapi/verbs/terminated", "Terminated"),
    ("http://id.tincanapi.com/verb/bookmarked", "Bookmarked"),
    ("https://w3id.org/xapi/video/verbs/paused", "Paused"),
    ("https://w3id.org/xapi/video/verbs/played", "Played"),
    ("https://w3id.org/xapi/video/verbs/seeked", "Sought"),
];

fn known_display(iri: &str) -> Option<&'static str> {
    let known = DISPLAYS.iter().find(|(known, _)| *known == iri);
    known.map(|(_, display)| *display)
}

/// The label of an action in a row with this verb.
///
/// For [`Action::Other`], it is the display of the verb, else the label of a known public verb, else the last part of the
/// IRI; with a capital first letter.
pub fn label(action: Action, verb: &VerbDetails) -> String {
    if action != Action::Other {
        return action.label().to_owned();
    }
    let display = verb
        .display
        .as_deref()
        .map(str::trim)
        .filter(|display| !display.is_empty());
    let words = display.map_or_else(
        || known_display(&verb.iri).map_or_else(|| words_of_iri(&verb.iri), str::to_owned),
        str::to_owned,
    );
    if words.is_empty() {
        action.label().to_owned()
    } else {
        capitalised(&words)
    }
}

/// The verb phrase for a sentence without content: `Enrolled for` becomes `Enrolled`.
fn without_preposition<'a>(action: Action, verb: &VerbDetails, phrase: &'a str) -> &'a str {
    match action {
        // A display from a statement can be in any language, so it stays unchanged.
        Action::Other if known_display(&verb.iri) == Some(phrase) => {
            phrase.strip_suffix(" on").unwrap_or(phrase)
        }
        Action::EnrolledFor | Action::ReceivedCertificateFor => phrase.strip_suffix(" for").unwrap_or(phrase),
        Action::ListenedTo => phrase.strip_suffix(" to").unwrap_or(phrase),
        _ => phrase,
    }
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
            (
                "https://w3id.org/xapi/video/verbs/played",
                Some("played"),
                "Played",
            ),
            ("https://w3id.org/xapi/video/verbs/played", Some("  "), "Played"),
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
    fn known_public_verbs_have_a_label_in_the_past_tense() {
        for (iri, display) in DISPLAYS {
            let table = crate::log::VerbTable::standard();
            assert_eq!(table.action(iri), Action::Other, "{iri} has a label already");
            assert_eq!(label(Action::Other, &testing::verb(iri, None)), *display);
            assert_eq!(
                label(Action::Other, &testing::verb(iri, Some("tat es"))),
                "Tat es",
                "the display of a statement counts"
            );
        }
        let commented = "http://adlnet.gov/expapi/verbs/commented";
        let describe = |display, content: Option<&ContentDetails>| {
            let (person, verb) = (testing::person("ada"), testing::verb(commented, display));
            Description::new(&done(Action::Other), &person, content, &verb, None).to_string()
        };
        assert_eq!(describe(None, Some(&quiz())), "Commented on Forklift Quiz");
        assert_eq!(describe(None, None), "Commented");
        assert_eq!(describe(Some("carried on"), None), "Carried on");
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
