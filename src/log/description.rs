//! The description of an activity: a sentence, whole and in parts for links (docs/specification.md#description).
//!
//! The words come from the texts of a language. A phrase such as `completed` is before the object, after it, or on both
//! sides of it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::base::fold;
use crate::base::ids::{ContentId, UserId};
use crate::texts::{Language, Phrase, Piece};

use super::action::{Action, SATISFIED, WAIVED, has_own_words};
use super::placement::translate_part;
use super::projection::Projected;
use super::row::{ContentDetails, PersonDetails, Recorder, VerbDetails};

/// A sentence in parts. The parts in order are the whole sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description(Vec<DescriptionPart>);

/// A part of a sentence: the verb phrase, or the name of a user or content, or other text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct DescriptionPart {
    /// The text.
    pub text: String,
    /// The key of the verb phrase, if the part is one: the key of the action, `passed`, or the key of a public verb. It is
    /// the same in all languages. Some languages have a part of the phrase on each side of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, example = "completed")]
    pub key: Option<&'static str>,
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
        language: Language,
    ) -> Self {
        let mut sentence = Self(Vec::with_capacity(4));
        let key = phrase_key(activity, verb);
        match content {
            Some(content) => sentence.push_phrase(activity, verb, key, content, language),
            None => sentence.push_verb(&phrase_alone(key, verb, language), key),
        }
        if let Some(percent) = activity.score.percent {
            let percent = language.percent(&percent.to_string());
            sentence = sentence.within(language, "with-score", DescriptionPart::plain(percent));
        }
        if let Some(seconds) = activity.seconds.filter(|seconds| *seconds > 0) {
            let time = language.duration(seconds);
            sentence = sentence.within(language, "with-time", DescriptionPart::plain(time));
        }
        if let Some(recorder) =
            recorder.filter(|recorder| activity.completed && !is_user(person, &recorder.id))
        {
            let part = DescriptionPart {
                text: recorder.name_or_id().to_owned(),
                user: Some(recorder.id.clone()),
                ..DescriptionPart::default()
            };
            sentence = sentence.within(language, "with-recorder", part);
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

    /// Adds the verb phrase with the content as its object.
    fn push_phrase(
        &mut self,
        activity: &Projected,
        verb: &VerbDetails,
        key: &'static str,
        content: &ContentDetails,
        language: Language,
    ) {
        let title = display_title(content, language);
        let key = match activity.action {
            Action::ReceivedCertificateFor if is_certificate(&title, language) => RECEIVED,
            _ => key,
        };
        for piece in language.phrase(key).with_object.pieces() {
            match piece {
                Piece::Text(text) => self.push_verb(text, key),
                Piece::Place(name) if name == "object" => {
                    self.push_object(activity.part.as_deref(), content, &title, language);
                }
                Piece::Place(_) => self.push_verb(&verb_words(verb, language), key),
            }
        }
    }

    /// Adds the title of the content, and the words for its part before or after it.
    fn push_object(&mut self, part: Option<&str>, content: &ContentDetails, title: &str, language: Language) {
        let title = DescriptionPart {
            text: title.to_owned(),
            content: Some(content.id.clone()),
            ..DescriptionPart::default()
        };
        let Some(part) = part else {
            self.0.push(title);
            return;
        };
        for piece in language.template("part-in-content").pieces() {
            match piece {
                Piece::Text(text) => self.push(DescriptionPart::plain(text.clone())),
                Piece::Place(name) if name == "content" => self.push(title.clone()),
                Piece::Place(_) => {
                    self.push(DescriptionPart::plain(
                        translate_part(part, language).into_owned(),
                    ));
                }
            }
        }
    }

    /// Adds words of the verb phrase, to the last part if that has such words too.
    fn push_verb(&mut self, text: &str, key: &'static str) {
        match self.0.last_mut() {
            Some(last) if last.key == Some(key) => last.text.push_str(text),
            _ => self.0.push(DescriptionPart {
                text: text.to_owned(),
                key: Some(key),
                ..DescriptionPart::default()
            }),
        }
    }

    /// Adds a part. Plain text is added to the last part if that is plain text too.
    fn push(&mut self, part: DescriptionPart) {
        match self.0.last_mut() {
            Some(last) if last.is_plain() && part.is_plain() => last.text.push_str(&part.text),
            _ => self.0.push(part),
        }
    }

    /// The sentence inside a longer one, which has a place for the sentence and another one for `addition`.
    fn within(self, language: Language, template: &str, addition: DescriptionPart) -> Self {
        let mut longer = Self(Vec::with_capacity(self.0.len() + 2));
        for piece in language.template(template).pieces() {
            match piece {
                Piece::Text(text) => longer.push(DescriptionPart::plain(text.clone())),
                Piece::Place(name) if name == "sentence" => {
                    self.0.iter().for_each(|part| longer.push(part.clone()));
                }
                Piece::Place(_) => longer.push(addition.clone()),
            }
        }
        longer
    }
}

impl DescriptionPart {
    fn plain(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    fn is_plain(&self) -> bool {
        self.key.is_none() && self.user.is_none() && self.content.is_none()
    }
}

/// The whole sentence.
impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|part| f.write_str(&part.text))
    }
}

/// The title of a content in sentences: `Fire Safety`, or `Fire Safety (Archived)` if it is archived.
pub fn display_title(content: &ContentDetails, language: Language) -> String {
    let title = content.title_or_id();
    match content.archived_at {
        Some(_) => language.template("archived-title").fill(&[("title", title)]),
        None => title.to_owned(),
    }
}

/// The phrase for a certificate that names itself: no certificate is received for a certificate.
const RECEIVED: &str = "received";

/// Whether the title begins with a word for a certificate, in this language or in English.
fn is_certificate(title: &str, language: Language) -> bool {
    let title = fold(title);
    let words = [language, Language::ENGLISH].map(|language| language.label("sentence", "certificate"));
    words
        .iter()
        .any(|word| !word.is_empty() && title.starts_with(word))
}

/// The phrases of public verbs that differ from the phrase of their action. A sentence needs the past tense and a
/// preposition; the displays of statements and the last parts of the IRIs often have neither (`join`, `commented`).
const VERBS: &[(&str, &str)] = &[
    (WAIVED, "waived"),
    (SATISFIED, "satisfied"),
    ("http://activitystrea.ms/schema/1.0/follow", "followed"),
    ("http://activitystrea.ms/schema/1.0/join", "joined"),
    ("http://activitystrea.ms/schema/1.0/leave", "left"),
    ("http://activitystrea.ms/schema/1.0/like", "liked"),
    ("http://activitystrea.ms/schema/1.0/receive", "received"),
    ("http://activitystrea.ms/schema/1.0/remove", "removed"),
    ("http://adlnet.gov/expapi/verbs/asked", "asked_about"),
    ("http://adlnet.gov/expapi/verbs/commented", "commented_on"),
    ("http://adlnet.gov/expapi/verbs/progressed", "progressed_in"),
    ("http://adlnet.gov/expapi/verbs/responded", "responded_to"),
    ("http://adlnet.gov/expapi/verbs/resumed", "resumed"),
    ("http://adlnet.gov/expapi/verbs/shared", "shared"),
    ("http://adlnet.gov/expapi/verbs/suspended", "suspended"),
    ("http://adlnet.gov/expapi/verbs/terminated", "terminated"),
    ("http://id.tincanapi.com/verb/bookmarked", "bookmarked"),
    ("http://id.tincanapi.com/verb/earned", "earned"),
    ("http://id.tincanapi.com/verb/live", "was_live_in"),
    ("http://id.tincanapi.com/verb/replied", "replied_to"),
    ("https://w3id.org/xapi/adl/verbs/abandoned", "abandoned"),
    ("https://w3id.org/xapi/dod-isd/verbs/navigated", "navigated_to"),
    ("https://w3id.org/xapi/openedx/verb/voted", "voted_for"),
    ("https://w3id.org/xapi/tla/verbs/achieved", "achieved"),
    ("https://w3id.org/xapi/video/verbs/paused", "paused"),
    ("https://w3id.org/xapi/video/verbs/played", "played"),
    ("https://w3id.org/xapi/video/verbs/seeked", "skipped_within"),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/exceeded",
        "exceeded_time_limit_of",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/subscribed",
        "subscribed_to",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/uncompleted",
        "undid_completion_of",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/unlocked",
        "unlocked",
    ),
    (
        "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/unsubscribed",
        "unsubscribed_from",
    ),
];

/// The key of the phrase of a public verb.
fn known_key(iri: &str) -> Option<&'static str> {
    let known = VERBS.iter().find(|(known, _)| *known == iri);
    known.map(|(_, key)| *key)
}

/// The key of the phrase of the sentence: `passed` for a completion with success, else that of the label.
fn phrase_key(activity: &Projected, verb: &VerbDetails) -> &'static str {
    match activity.action {
        Action::Completed if activity.success == Some(true) && !has_own_words(&verb.iri) => "passed",
        action => label_key(action, verb),
    }
}

/// The key of the phrase whose label a row with this verb has: that of the action, or of a known public verb.
fn label_key(action: Action, verb: &VerbDetails) -> &'static str {
    let has_own_key = action == Action::Other || (action == Action::Completed && has_own_words(&verb.iri));
    let known = known_key(&verb.iri).filter(|_| has_own_key);
    known.unwrap_or_else(|| action.key())
}

/// The label of an action in a row with this verb.
///
/// For [`Action::Other`], it is the label of a known public verb, else the display of the verb, else the last part of the
/// IRI; with a capital first letter.
pub fn label(action: Action, verb: &VerbDetails, language: Language) -> String {
    let key = label_key(action, verb);
    if key == Action::Other.key() {
        return verb_words(verb, language);
    }
    language.phrase(key).label.clone()
}

/// The phrase without an object.
fn phrase_alone(key: &'static str, verb: &VerbDetails, language: Language) -> String {
    if key == Action::Other.key() {
        return verb_words(verb, language);
    }
    let Phrase { alone, .. } = language.phrase(key);
    alone.clone()
}

/// The words of a verb that no language has: its display, else the last part of the IRI.
fn verb_words(verb: &VerbDetails, language: Language) -> String {
    let display = verb.display.as_deref().map(str::trim);
    let words = match display.filter(|display| !display.is_empty()) {
        Some(display) => display.to_owned(),
        None => words_of_iri(&verb.iri),
    };
    if words.is_empty() {
        Action::Other.label_in(language).to_owned()
    } else {
        capitalised(&words)
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
mod tests;
