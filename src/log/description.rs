//! The sentence of an activity in plain English, whole and in parts for links (product text, section 6).

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::ids::{ContentId, UserId};

use super::action::Action;
use super::projection::Projected;
use super::row::{ContentDetails, PersonDetails, Recorder, VerbDetails};
use super::time_text::time_text;

/// A sentence in its parts, in order: put together they are the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(Vec<DescriptionPart>);

/// A stretch of a sentence, and whom or what it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DescriptionPart {
    /// The text.
    pub text: String,
    /// The id of the user whom it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub user: Option<UserId>,
    /// The id of the content which it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub content: Option<ContentId>,
}

impl Description {
    /// The sentence of an activity: `Failed Forklift Quiz scoring 45% in 5 minutes`.
    ///
    /// `recorder` is who recorded it; they are named where it is a completion of somebody else's.
    pub fn new(
        activity: &Projected,
        person: &PersonDetails,
        content: Option<&ContentDetails>,
        verb: &VerbDetails,
        recorder: Option<&Recorder>,
    ) -> Self {
        let mut sentence = Self(Vec::with_capacity(4));
        let said = verb_phrase(activity, verb);
        match content {
            Some(content) => {
                sentence.text(&format!("{said} "));
                sentence.0.push(DescriptionPart {
                    text: titled(content),
                    user: None,
                    content: Some(content.id.clone()),
                });
            }
            None => sentence.text(alone(activity.action, verb, &said)),
        }
        if let Some(percent) = activity.score.percent {
            sentence.text(&format!(" scoring {percent}%"));
        }
        if let Some(seconds) = activity.seconds.filter(|seconds| *seconds > 0) {
            sentence.text(&format!(" in {}", time_text(seconds)));
        }
        if let Some(recorder) = recorder.filter(|recorder| activity.completed && !is(person, &recorder.id)) {
            sentence.text(", marked complete by ");
            let text = recorder.shown_name().to_owned();
            sentence.0.push(DescriptionPart {
                text,
                user: Some(recorder.id.clone()),
                content: None,
            });
        }
        sentence
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[DescriptionPart] {
        &self.0
    }

    /// The parts, in order, owned.
    pub fn into_parts(self) -> Vec<DescriptionPart> {
        self.0
    }

    /// Adds plain text, to the part before where that is plain text too.
    fn text(&mut self, text: &str) {
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

/// The content's title as sentences show it: `Fire Safety`, archived `Fire Safety (Archived)`.
pub fn titled(content: &ContentDetails) -> String {
    let archived = if content.archived_at.is_some() {
        " (Archived)"
    } else {
        ""
    };
    format!("{}{archived}", content.shown_title())
}

/// How the sentence begins: the action's label, `Passed` for a completion with success, and for any
/// other verb what that calls itself.
fn verb_phrase(activity: &Projected, verb: &VerbDetails) -> String {
    match activity.action {
        Action::Completed if activity.success == Some(true) => "Passed".to_owned(),
        action => label(action, verb),
    }
}

/// How public verbs that mean no action are told where no statement said how: their IRIs end in a bare verb (`join`),
/// and a sentence tells what was done. The sources are those of the product text's table of verbs.
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
    let found = DISPLAYS.iter().find(|(known, _)| *known == iri);
    found.map(|(_, display)| *display)
}

/// How an action is called in a row with this verb: its label, and for [`Action::Other`] the verb's own
/// display, else that of a public verb, else the last part of its IRI; the first letter a capital.
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

/// `Enrolled for`, with nothing to follow, is `Enrolled`.
fn alone<'a>(action: Action, verb: &VerbDetails, said: &'a str) -> &'a str {
    match action {
        // Of a display that a statement gave nothing falls off: it may be in any language.
        Action::Other if known_display(&verb.iri) == Some(said) => said.strip_suffix(" on").unwrap_or(said),
        Action::EnrolledFor | Action::ReceivedCertificateFor => said.strip_suffix(" for").unwrap_or(said),
        Action::ListenedTo => said.strip_suffix(" to").unwrap_or(said),
        _ => said,
    }
}

/// The last part of an IRI as words: `…/verbs/logged-in` is `logged in`, `…#dragAndDrop` is `drag and drop`.
fn words_of_iri(iri: &str) -> String {
    let last = iri
        .rsplit(['/', '#', ':', '?'])
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    let mut words = String::with_capacity(last.len());
    let mut after_small = false;
    for character in last.chars() {
        let separates = matches!(character, '-' | '_' | '.' | '+') || character.is_whitespace();
        let begins = after_small && character.is_uppercase();
        if (separates || begins) && !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
        if !separates {
            // A capital amid a word only begins the next; one of several, as in `PDF`, stands.
            words.extend(character.to_lowercase().filter(|_| begins));
            words.extend((!begins).then_some(character));
        }
        after_small = character.is_lowercase();
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

fn is(person: &PersonDetails, user: &UserId) -> bool {
    person.user.as_ref().is_some_and(|card| card.id == *user)
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
    fn the_sentences_of_the_product_text() {
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
    fn a_completion_that_somebody_else_marked_names_them() {
        let ada_obi = Recorder {
            id: UserId::new("ada.obi").unwrap(),
            name: Some("Ada Obi".to_owned()),
        };
        let tell = |activity: &Projected, person: &PersonDetails, recorder: &Recorder| {
            let verb = testing::verb("urn:x:verb", None);
            Description::new(activity, person, Some(&fire_safety()), &verb, Some(recorder))
        };
        let completed = done(Action::Completed);
        let told = tell(&completed, &testing::person("bob"), &ada_obi);
        assert_eq!(
            told.to_string(),
            "Completed Fire Safety, marked complete by Ada Obi"
        );
        let parts = serde_json::to_value(told.parts()).unwrap();
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
            tell(&completed, &actor, &unknown)
                .to_string()
                .ends_with("marked complete by ada.obi")
        );

        let herself = PersonDetails {
            user: Some(UserDetails::new(ada_obi.id.clone())),
            ..testing::person("bob")
        };
        assert_eq!(
            tell(&completed, &herself, &ada_obi).to_string(),
            "Completed Fire Safety"
        );
        let assigned = done(Action::Assigned);
        assert_eq!(
            tell(&assigned, &testing::person("bob"), &ada_obi).to_string(),
            "Assigned Fire Safety"
        );
    }

    #[test]
    fn a_sentence_without_content_ends_well() {
        assert_eq!(sentence(&done(Action::EnrolledFor), None), "Enrolled");
        assert_eq!(
            sentence(&done(Action::ReceivedCertificateFor), None),
            "Received certificate"
        );
        assert_eq!(sentence(&done(Action::ListenedTo), None), "Listened");
        assert_eq!(sentence(&done(Action::LoggedOut), None), "Logged out");
    }

    #[test]
    fn a_content_without_title_is_named_by_its_id() {
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
    fn another_verb_says_itself() {
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
        let told = Description::new(
            &done(Action::Other),
            &testing::person("ada"),
            Some(&quiz()),
            &verb,
            None,
        );
        assert_eq!(told.to_string(), "Hat gespielt Forklift Quiz");
        assert_eq!(label(Action::Completed, &verb), "Completed");
    }

    #[test]
    fn public_verbs_without_a_display_are_told_as_done() {
        for (iri, display) in DISPLAYS {
            let table = crate::log::VerbTable::standard();
            assert_eq!(table.action(iri), Action::Other, "{iri} has a label already");
            assert_eq!(label(Action::Other, &testing::verb(iri, None)), *display);
            assert_eq!(
                label(Action::Other, &testing::verb(iri, Some("tat es"))),
                "Tat es",
                "what a statement says counts"
            );
        }
        let commented = "http://adlnet.gov/expapi/verbs/commented";
        let told = |display, content: Option<&ContentDetails>| {
            let (person, verb) = (testing::person("ada"), testing::verb(commented, display));
            Description::new(&done(Action::Other), &person, content, &verb, None).to_string()
        };
        assert_eq!(told(None, Some(&quiz())), "Commented on Forklift Quiz");
        assert_eq!(told(None, None), "Commented");
        assert_eq!(told(Some("carried on"), None), "Carried on");
    }

    #[test]
    fn no_time_at_all_is_not_told() {
        let quick = Projected {
            seconds: Some(0),
            ..done(Action::Viewed)
        };
        assert_eq!(sentence(&quick, Some(&quiz())), "Viewed Forklift Quiz");
    }
}
