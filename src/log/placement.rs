//! Where a record is placed: its content, and the part of the content that it is about
//! (docs/specification.md#content).
//!
//! A *part* is a question or another piece of a content. An *attempt* is one try at a content. A record about one of them
//! belongs to the content above it, if the statement names one. A part never completes this content, an attempt does.

use std::borrow::Cow;

use crate::base::naming::to_name;
use crate::catalogue::content::MAX_TITLE;
use crate::catalogue::{ContentFormat, LearningType, from_activity_type};
use crate::record::object::INTERACTION_TYPE;
use crate::record::{Activity, Context, Definition, Object, Statement};
use crate::texts::Language;

use super::action::{Action, VerbTable};

/// The activity types of parts, and the words for a part without a title.
const PARTS: &[(&str, &str)] = &[
    (INTERACTION_TYPE, QUESTION),
    ("http://adlnet.gov/expapi/activities/question", QUESTION),
    ("http://activitystrea.ms/schema/1.0/question", QUESTION),
    ("http://activitystrea.ms/question", QUESTION),
    ("http://adlnet.gov/expapi/activities/objective", "an objective"),
    ("http://id.tincanapi.com/activitytype/step", "a step"),
    ("http://id.tincanapi.com/activitytype/solution", "a solution"),
    (
        "https://w3id.org/xapi/acrossx/extensions/supplemental-info",
        "a hint",
    ),
    ("http://activitystrea.ms/schema/1.0/review", "a review"),
    ("http://activitystrea.ms/schema/1.0/review#slot", "a review"),
];

/// The words for a question without a title.
const QUESTION: &str = "a question";

/// The words for a part without a title of which no type is known.
const UNKNOWN_PART: &str = "a part";

/// The key of the extension by which H5P marks a part of a content.
const H5P_PART: &str = "\"http://h5p.org/x-api/h5p-subContentId\"";

/// The activity types of attempts, besides those that end with `attempt`.
const ATTEMPTS: &[&str] = &[
    "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/lesson-session",
    "https://xapi.edlm/profiles/edlm-lms/concepts/activity-types/submission",
];

/// The greatest number of characters of a part's title in a sentence.
const MAX_PART_TITLE: usize = 120;

/// The greatest number of characters of a prompt that is the title of a content.
const MAX_PROMPT_TITLE: usize = 255;

/// What an Activity is by its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A part, with the words for it if it has no title.
    Part(&'static str),
    Attempt,
    Content,
}

/// How well the catalogue knows an Activity. Of several Activities in `grouping`, the best known one is the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Familiarity {
    /// Only the contexts of records name it, like the publisher's id of cmi5.
    Mentioned,
    /// It is the object of a record, like the activity that cmi5 launches.
    Recorded,
    /// It is registered in the catalogue.
    Registered,
}

/// The Activities of which one is the content of a record: the one with the highest [`Familiarity`], of several the first.
/// The list is empty if the record has no content.
///
/// `platform` is the organisation's `account_home_page`. Sessions, records about the platform itself, and records about
/// other objects than Activities have no content.
///
/// The content of a part or an attempt is above it: among the parents in the context, the first with the type of a quiz
/// or survey, else the first parent. Without a parent, it is one of `grouping`. Parts, attempts and the platform are
/// skipped in both. A part or an attempt without a content above it is its own content.
pub fn find_content_candidates<'s>(
    verbs: &VerbTable,
    statement: &'s Statement,
    platform: &str,
) -> Vec<&'s Activity> {
    let action = verbs.action(statement.verb.id.as_str());
    let Object::Activity(object) = &statement.object else {
        return Vec::new();
    };
    if action.is_session() || is_platform(object, platform) {
        return Vec::new();
    }
    let context = statement.context.as_ref();
    let Some(context) = context.filter(|context| is_below_content(object, action, context)) else {
        return vec![object];
    };
    let is_other = |activity: &&Activity| activity.id != object.id && !is_platform(activity, platform);
    let contents = |activities: &'s [Activity]| {
        let contents = activities.iter().filter(is_other);
        contents.filter(|activity| kind_of(activity) == Kind::Content)
    };
    let parents = || contents(&context.parent);
    if let Some(parent) = parents()
        .find(|parent| is_quiz_or_survey(parent))
        .or_else(|| parents().next())
    {
        return vec![parent];
    }
    let (mut candidates, others): (Vec<_>, Vec<_>) =
        contents(&context.grouping).partition(|activity| is_quiz_or_survey(activity));
    candidates.extend(others);
    if candidates.is_empty() && !is_attempt(object, context) {
        let mut above = context.parent.iter().chain(&context.grouping).filter(is_other);
        candidates.extend(above.find(|activity| kind_of(activity) == Kind::Attempt));
    }
    if candidates.is_empty() {
        candidates.push(object);
    }
    candidates
}

/// The title of a content by its definition, as the catalogue accepts titles. The title of a question is its prompt. A blank
/// text is no title.
pub fn title_of(activity: &Activity) -> Option<String> {
    let definition = activity.definition.as_ref()?;
    if kind_of(activity) == Kind::Part(QUESTION) {
        let prompt = prompt_of(definition, MAX_PROMPT_TITLE)?;
        return to_name(&prompt, MAX_TITLE);
    }
    to_name(definition.name.pick_english_first()?, MAX_TITLE)
}

/// The prompt of a question as one line: its description, else its name. A name that ends with a question mark is the
/// prompt too, if the description does not.
pub(super) fn prompt_of(definition: &Definition, limit: usize) -> Option<String> {
    let line = |text: Option<&str>| to_line(text?, limit);
    let name = line(definition.name.pick_english_first());
    let description = line(definition.description.pick_english_first());
    let asks = |text: &Option<String>| {
        let text = text.as_deref();
        text.is_some_and(|text| text.ends_with(['?', '\u{37e}', '\u{61f}', '\u{ff1f}']))
    };
    if asks(&name) && !asks(&description) {
        return name;
    }
    description.or(name)
}

/// The words for the part of a content that a statement is about, such as `"What is a hazard?"`, `question 3` or `a
/// question`. The statement must be placed at another Activity than its object. `None` for an attempt, which stands for
/// the content itself.
pub fn name_part(statement: &Statement) -> Option<String> {
    let Object::Activity(object) = &statement.object else {
        return None;
    };
    let context = statement.context.as_ref();
    if context.is_some_and(|context| is_attempt(object, context)) {
        return None;
    }
    let words = match kind_of(object) {
        Kind::Part(words) => words,
        // Only the verb `answered` makes a part of it.
        Kind::Attempt | Kind::Content => QUESTION,
    };
    let Some(definition) = &object.definition else {
        return Some(words.to_owned());
    };
    let line = |text: &str| to_line(text, MAX_PART_TITLE);
    let title = match words {
        QUESTION => prompt_of(definition, MAX_PART_TITLE),
        _ => {
            let name = definition.name.pick_english_first().and_then(line);
            name.or_else(|| definition.description.pick_english_first().and_then(line))
        }
    };
    Some(match title {
        Some(title) => {
            to_numbered_question(&title).unwrap_or_else(|| format!("\"{}\"", title.replace('"', "'")))
        }
        None => words.to_owned(),
    })
}

/// The words for parts without a title.
#[cfg(test)]
pub(super) fn part_words() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|(_, words)| *words).chain([UNKNOWN_PART])
}

/// The words for a part, as [`name_part`] gives them, in a language.
pub(super) fn translate_part(words: &str, language: Language) -> Cow<'_, str> {
    if language == Language::ENGLISH {
        return Cow::Borrowed(words);
    }
    if let Some(title) = words.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Cow::Owned(language.template("part-with-title").fill(&[("title", title)]));
    }
    if let Some(number) = words.strip_prefix("question ") {
        return Cow::Owned(language.template("part-with-number").fill(&[("number", number)]));
    }
    // A part without a title is named by an article and the key of its label.
    let key = words.split_once(' ').map(|(_, key)| key);
    let label = key.and_then(|key| language.find_label("part", key));
    Cow::Borrowed(label.unwrap_or(words))
}

/// Whether a record about the object belongs to the content above it.
fn is_below_content(object: &Activity, action: Action, context: &Context) -> bool {
    match kind_of(object) {
        Kind::Part(_) | Kind::Attempt => true,
        Kind::Content => {
            // Only questions are answered. The definition of one is often missing.
            action == Action::Answered && !has_known_type(object) || is_attempt(object, context)
        }
    }
}

/// What the Activity is by its type and definition.
fn kind_of(activity: &Activity) -> Kind {
    let Some(definition) = &activity.definition else {
        return Kind::Content;
    };
    let iri = definition
        .type_
        .as_ref()
        .map(|iri| iri.as_str().trim_end_matches('/'));
    if definition.interaction_type.is_some() {
        return Kind::Part(QUESTION);
    }
    if let Some((_, words)) = PARTS.iter().find(|(part, _)| iri == Some(part)) {
        return Kind::Part(words);
    }
    if iri.is_some_and(|iri| ATTEMPTS.contains(&iri) || ends_with_attempt(iri)) {
        return Kind::Attempt;
    }
    match &definition.extensions {
        Some(extensions) if extensions.contains(H5P_PART) => Kind::Part(UNKNOWN_PART),
        _ => Kind::Content,
    }
}

/// Whether the last word of the IRI is `attempt`, as in `…/activities/attempt` and `…/types/quiz-attempt`.
fn ends_with_attempt(iri: &str) -> bool {
    let before = iri
        .strip_suffix("attempt")
        .and_then(|rest| rest.chars().next_back());
    before.is_some_and(|character| !character.is_alphanumeric())
}

/// Whether the object is an attempt by its type, or by its name below a content: `Attempt 2`, or the name of the parent
/// and `Attempt 2`.
fn is_attempt(object: &Activity, context: &Context) -> bool {
    if kind_of(object) == Kind::Attempt {
        return true;
    }
    if kind_of(object) != Kind::Content || has_known_type(object) || context.parent.is_empty() {
        return false;
    }
    let name = |activity: &Activity| {
        let name = activity.definition.as_ref()?.name.pick_english_first()?;
        Some(name.trim().to_lowercase())
    };
    let Some(rest) = name(object).as_deref().and_then(strip_attempt).map(str::to_owned) else {
        return false;
    };
    rest.is_empty()
        || context
            .parent
            .iter()
            .filter_map(name)
            .any(|parent| parent == rest)
}

/// The text without an attempt number at its end: `fire quiz - attempt #2` gives `fire quiz`. The text is in lower case.
/// `None` if it has no attempt number.
fn strip_attempt(text: &str) -> Option<&str> {
    let text = text.trim_end_matches([')', ']', '.']);
    let rest = text.trim_end_matches(|character: char| character.is_numeric());
    if rest.len() == text.len() {
        return None;
    }
    let rest = rest.trim_end_matches(|character: char| !character.is_alphabetic());
    let rest = rest.strip_suffix("attempt")?;
    if rest.ends_with(char::is_alphanumeric) {
        return None;
    }
    Some(rest.trim_end_matches(|character: char| !character.is_alphanumeric() && !"?!".contains(character)))
}

/// Whether the table of activity types has the type of the Activity.
fn has_known_type(activity: &Activity) -> bool {
    let types = type_of(activity);
    types.0.is_some() && types != (Some(LearningType::Item), Some(ContentFormat::Other))
}

fn is_quiz_or_survey(activity: &Activity) -> bool {
    matches!(
        type_of(activity).0,
        Some(LearningType::Quiz | LearningType::Survey)
    )
}

fn type_of(activity: &Activity) -> (Option<LearningType>, Option<ContentFormat>) {
    let iri = activity
        .definition
        .as_ref()
        .and_then(|definition| definition.type_.as_ref());
    iri.map_or((None, None), |iri| from_activity_type(iri.as_str()))
}

fn is_platform(activity: &Activity, platform: &str) -> bool {
    activity.id.as_str().trim_end_matches('/') == platform.trim_end_matches('/')
}

/// `question 3` for a title such as `Question 3` or `Question #3:`.
fn to_numbered_question(title: &str) -> Option<String> {
    let (word, number) = title.split_once(' ')?;
    let number = number.trim_matches(['#', '.', ':', ' ']);
    let is_number =
        !number.is_empty() && number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    (word.eq_ignore_ascii_case("question") && is_number).then(|| format!("question {number}"))
}

/// A prompt as one line of plain text with at most `limit` characters. Prompts are often HTML. `None` if nothing is left.
pub(super) fn to_line(text: &str, limit: usize) -> Option<String> {
    let text = without_markup(text);
    let mut line = String::with_capacity(text.len().min(4 * limit));
    let mut length = 0;
    for word in text.split_whitespace() {
        let word_length = word.chars().count() + usize::from(length > 0);
        if length + word_length > limit {
            if length == 0 {
                line.extend(word.chars().take(limit));
            }
            line.push('…');
            return Some(line);
        }
        if length > 0 {
            line.push(' ');
        }
        line.push_str(word);
        length += word_length;
    }
    (!line.is_empty()).then_some(line)
}

/// The text without tags of HTML, and with the most frequent entities replaced.
fn without_markup(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        plain.push_str(before);
        rest = after;
        if !after.starts_with(|first: char| first.is_ascii_alphabetic() || "/!".contains(first)) {
            plain.push('<');
            continue;
        }
        let Some((_, behind)) = after.split_once('>') else {
            // No further tag can end either.
            plain.push('<');
            break;
        };
        plain.push(' ');
        rest = behind;
    }
    plain.push_str(rest);
    // `&amp;` comes last, so that an entity that is written as text stays one.
    [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ]
    .into_iter()
    .fold(plain, |plain, (entity, character)| {
        plain.replace(entity, character)
    })
}

#[cfg(test)]
mod tests;
