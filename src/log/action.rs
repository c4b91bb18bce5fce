//! Actions: [`Action`], the kind of an activity, and [`VerbTable`], which maps the verbs of statements to actions
//! (docs/specification.md#actions-and-verbs).
//!
//! The built-in verbs are in the table below. The first verb of an action is the verb of a short-form activity with this
//! action. An operator adds verbs with [`VerbTable::extend`].

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, FromRepr, IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use crate::record::iri::IriError;
use crate::record::{Iri, LanguageMap, Verb};
use crate::texts::Language;

/// The beginning of the verbs that Rollbook defines, such as `urn:rollbook:verb:visited`.
pub const OWN_VERB_PREFIX: &str = "urn:rollbook:verb:";

/// The verb that means success by itself (docs/specification.md#success).
pub const PASSED: &str = "http://adlnet.gov/expapi/verbs/passed";

/// The verb of cmi5 for content that a person need not complete. It says nothing about success.
pub const WAIVED: &str = "https://w3id.org/xapi/adl/verbs/waived";

/// The verb of cmi5 for a block or course of which all demands are met.
pub const SATISFIED: &str = "https://w3id.org/xapi/adl/verbs/satisfied";

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $colour:literal / $dark:literal, [$($verb:expr),*];)+) => {
        /// The action of an activity. Its key is the variant's name in snake case. The codes are stored: a code never
        /// changes its meaning.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
            Display, EnumString, FromRepr, IntoStaticStr, VariantArray,
        )]
        #[repr(i16)]
        #[serde(rename_all = "snake_case")]
        #[strum(serialize_all = "snake_case")]
        pub enum Action {
            $($(#[$doc])* $variant = $code,)+
        }

        impl Action {
            /// The colour of the label on a white page, as `#rrggbb`. It is dark enough for white text on it.
            pub const fn colour(self) -> &'static str {
                match self { $(Self::$variant => $colour,)+ }
            }

            /// The colour of the label on a dark page, as `#rrggbb`. It is light enough for black text on it.
            pub const fn colour_on_dark(self) -> &'static str {
                match self { $(Self::$variant => $dark,)+ }
            }

            /// The public verbs of the action; a written statement has the first one. Every action also has the verb
            /// `urn:rollbook:verb:<key>`, which is written if the action has no public verb.
            pub const fn verbs(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($verb),*],)+ }
            }
        }
    };
}

actions! {
    /// Added content to a list or a plan.
    Added = 1, "#4c51bf" / "#a5b4fc", ["http://activitystrea.ms/schema/1.0/add"];
    /// Arranged an event.
    Arranged = 2, "#4c51bf" / "#a5b4fc", ["http://id.tincanapi.com/verb/arranged"];
    /// Attended an event, which completes it.
    Attended = 3, "#1a7f37" / "#4ade80",
        ["http://activitystrea.ms/schema/1.0/attend", "http://adlnet.gov/expapi/verbs/attended"];
    /// Clicked, or otherwise interacted with.
    Clicked = 4, "#57606a" / "#b1bac4", ["http://adlnet.gov/expapi/verbs/interacted"];
    /// Completed content.
    Completed = 5, "#1a7f37" / "#4ade80",
        ["http://adlnet.gov/expapi/verbs/completed", PASSED, "http://adlnet.gov/expapi/verbs/mastered",
         SATISFIED, WAIVED];
    /// Enrolled for an event or a course.
    EnrolledFor = 6, "#0969da" / "#79c0ff",
        ["http://adlnet.gov/expapi/verbs/registered",
         "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/enrolled"];
    /// Cancelled an enrolment.
    Unenrolled = 7, "#9a6700" / "#e3b341", ["http://id.tincanapi.com/verb/unregistered"];
    /// Ended an attempt without success.
    Failed = 8, "#cf222e" / "#ff9492", ["http://adlnet.gov/expapi/verbs/failed"];
    /// Received a certificate. Its public verbs also mean other awards, see [`Action::may_mean_another_award`].
    ReceivedCertificateFor = 9, "#116329" / "#2dd4bf",
        ["http://activitystrea.ms/schema/1.0/receive", "http://id.tincanapi.com/verb/earned",
         "https://w3id.org/xapi/tla/verbs/achieved"];
    /// Started content.
    Started = 10, "#0969da" / "#79c0ff",
        ["http://activitystrea.ms/schema/1.0/start", "http://adlnet.gov/expapi/verbs/initialized",
         "http://adlnet.gov/expapi/verbs/launched", "http://adlnet.gov/expapi/verbs/attempted",
         "http://activitystrea.ms/start"];
    /// Changed content.
    Updated = 11, "#4c51bf" / "#a5b4fc", ["http://activitystrea.ms/schema/1.0/update", "http://activitystrea.ms/update"];
    /// Viewed content.
    Viewed = 12, "#57606a" / "#b1bac4",
        ["http://id.tincanapi.com/verb/viewed", "http://adlnet.gov/expapi/verbs/experienced"];
    /// Began a session.
    LoggedIn = 13, "#6e7781" / "#c9d1d9",
        ["https://brindlewaye.com/xAPITerms/verbs/loggedin/", "https://w3id.org/xapi/adl/verbs/logged-in",
         "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/login"];
    /// Ended a session.
    LoggedOut = 14, "#6e7781" / "#c9d1d9",
        ["https://brindlewaye.com/xAPITerms/verbs/loggedout/", "https://w3id.org/xapi/adl/verbs/logged-out",
         "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/logout"];
    /// Read an article, a book or a document to the end, which completes it.
    Read = 15, "#1a7f37" / "#4ade80", ["http://activitystrea.ms/schema/1.0/read"];
    /// Watched a video to the end, which completes it.
    Watched = 16, "#1a7f37" / "#4ade80", ["http://activitystrea.ms/schema/1.0/watch"];
    /// Listened to audio to the end, which completes it.
    ListenedTo = 17, "#1a7f37" / "#4ade80", ["http://activitystrea.ms/schema/1.0/listen"];
    /// Accepted an invitation, terms or a task.
    Accepted = 18, "#0969da" / "#79c0ff", ["http://activitystrea.ms/schema/1.0/accept"];
    /// Was assigned content to learn.
    Assigned = 19, "#8250df" / "#d2a8ff", ["http://activitystrea.ms/schema/1.0/assign"];
    /// Lost an assignment.
    Unassigned = 20, "#9a6700" / "#e3b341", [];
    /// Downloaded content.
    Downloaded = 21, "#57606a" / "#b1bac4", ["http://id.tincanapi.com/verb/downloaded"];
    /// Submitted an exercise.
    Submitted = 22, "#0969da" / "#79c0ff", ["http://activitystrea.ms/schema/1.0/submit", "http://activitystrea.ms/submit"];
    /// Answered a question.
    Answered = 23, "#57606a" / "#b1bac4", ["http://adlnet.gov/expapi/verbs/answered"];
    /// Received a grade.
    Graded = 24, "#8250df" / "#d2a8ff", ["https://w3id.org/xapi/tla/verbs/scored"];
    /// Began a session before the last one ended. Lists hide it unless the filter names it.
    Visited = 25, "#6e7781" / "#c9d1d9", [];
    /// Any other verb. The label is the verb's display.
    Other = 0, "#57606a" / "#b1bac4", [];
}

impl Action {
    /// All actions, in the order of the specification.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The key in JSON and in parameters.
    pub fn key(self) -> &'static str {
        self.into()
    }

    /// The English label.
    pub fn label(self) -> &'static str {
        self.label_in(Language::ENGLISH)
    }

    /// The label for people. A row with [`Action::Other`] shows its verb's display instead.
    pub fn label_in(self, language: Language) -> &'static str {
        /// The labels in each language by the codes of their actions. Almost every row of an export has one.
        static LABELS: LazyLock<Vec<Vec<&str>>> = LazyLock::new(|| {
            let most = Action::ALL.iter().map(|action| action.code()).max();
            let label = |language: Language, code: i16| match Action::from_code(code) {
                Some(action) => language.phrase(action.key()).label.as_str(),
                None => "",
            };
            let codes = 0..=most.unwrap_or(0);
            let labels = |language| codes.clone().map(|code| label(language, code)).collect();
            Language::all().map(labels).collect()
        });
        let code = usize::try_from(self.code()).unwrap_or(0);
        LABELS[language.index()].get(code).copied().unwrap_or_default()
    }

    /// The stored code.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The action with this code.
    pub const fn from_code(code: i16) -> Option<Self> {
        Self::from_repr(code)
    }

    /// The action with this key.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::from_str(key).ok()
    }

    /// Whether the action completes content by itself (docs/specification.md#completion).
    pub const fn completes(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Read | Self::Watched | Self::ListenedTo | Self::Attended
        )
    }

    /// Whether the action means that the person has started to learn (docs/specification.md#progress). Assignments,
    /// enrolments, changes of content, acceptances and sessions do not.
    pub const fn starts_learning(self) -> bool {
        !matches!(
            self,
            Self::Added
                | Self::Arranged
                | Self::EnrolledFor
                | Self::Unenrolled
                | Self::Updated
                | Self::Accepted
                | Self::Assigned
                | Self::Unassigned
        ) && !self.is_session()
    }

    /// Whether the action is about a session. Such an activity has no content.
    pub const fn is_session(self) -> bool {
        matches!(self, Self::LoggedIn | Self::LoggedOut | Self::Visited)
    }

    /// Whether the verb has this action only if a certificate is meant (docs/specification.md#certificates).
    pub fn may_mean_another_award(self, verb: &str) -> bool {
        self == Self::ReceivedCertificateFor && self.verbs().contains(&verb)
    }

    /// The IRI of the verb of a statement written for this action.
    pub fn written_verb(self) -> String {
        match self.verbs().first() {
            Some(iri) => (*iri).to_owned(),
            None => format!("{OWN_VERB_PREFIX}{}", self.key()),
        }
    }

    /// The verb of a statement written for this action. The display is the label; `other` has none.
    ///
    /// # Errors
    ///
    /// A verb of the built-in table is not an IRI. A test excludes this.
    pub fn to_verb(self) -> Result<Verb, IriError> {
        let display = match self {
            Self::Other => LanguageMap::default(),
            action => LanguageMap::english(action.label()),
        };
        Ok(Verb {
            id: Iri::parse(&self.written_verb())?,
            display,
        })
    }
}

/// Whether a sentence names a completion with this verb by the verb, for example `Waived Geology`. Neither success nor the
/// format of the content changes these words.
pub fn has_own_words(verb: &str) -> bool {
    matches!(verb, WAIVED | SATISFIED)
}

/// The reason for which a verb can't be added to the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// The text is not an IRI, so no statement can have this verb.
    #[error("`{0}` is not an absolute IRI")]
    NotAnIri(String),
    /// The built-in table has another action for the verb.
    #[error("the verb `{iri}` always means `{action}`; only verbs that mean `other` can be given an action")]
    Fixed {
        /// The verb.
        iri: String,
        /// Its action.
        action: Action,
    },
}

/// The action of each verb: the built-in table and the operator's additions.
#[derive(Debug, Clone)]
pub struct VerbTable {
    by_iri: HashMap<String, Action>,
}

impl Default for VerbTable {
    fn default() -> Self {
        Self::standard()
    }
}

impl VerbTable {
    /// The built-in table.
    pub fn standard() -> Self {
        let mut by_iri = HashMap::new();
        for action in Action::ALL {
            for iri in action.verbs() {
                by_iri.insert((*iri).to_owned(), *action);
            }
            by_iri.insert(format!("{OWN_VERB_PREFIX}{action}"), *action);
        }
        Self { by_iri }
    }

    /// Adds the verb `iri` for `action`. A later addition of the same verb replaces an earlier one.
    ///
    /// # Errors
    ///
    /// [`VerbError::NotAnIri`], and [`VerbError::Fixed`] for a verb of the built-in table: all installations read
    /// standard verbs in the same way.
    pub fn extend(&mut self, iri: &str, action: Action) -> Result<(), VerbError> {
        if oxiri::Iri::parse(iri).is_err() {
            return Err(VerbError::NotAnIri(iri.to_owned()));
        }
        if let Some(fixed) = Self::built_in_action(iri).filter(|fixed| *fixed != action) {
            return Err(VerbError::Fixed {
                iri: iri.to_owned(),
                action: fixed,
            });
        }
        self.by_iri.insert(iri.to_owned(), action);
        Ok(())
    }

    /// The action of the verb; [`Action::Other`] for a verb that is not in the table.
    pub fn action(&self, iri: &str) -> Action {
        self.by_iri.get(iri).copied().unwrap_or(Action::Other)
    }

    /// All verbs of the action: first the built-in public verbs, then the others in alphabetical order.
    pub fn verbs(&self, action: Action) -> Vec<&str> {
        let public = action.verbs();
        let mut added: Vec<&str> = self
            .by_iri
            .iter()
            .filter(|(_, a)| **a == action)
            .map(|(iri, _)| iri.as_str())
            .collect();
        added.retain(|iri| !public.contains(iri));
        added.sort_unstable();
        public.iter().copied().chain(added).collect()
    }

    fn built_in_action(iri: &str) -> Option<Action> {
        let own = iri.strip_prefix(OWN_VERB_PREFIX).and_then(Action::from_key);
        own.or_else(|| {
            Action::ALL
                .iter()
                .copied()
                .find(|action| action.verbs().contains(&iri))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_codes_identify_actions() {
        let mut codes: Vec<i16> = Action::ALL.iter().map(|action| action.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Action::ALL.len());
        for action in Action::ALL {
            assert_eq!(Action::from_code(action.code()), Some(*action));
            assert_eq!(Action::from_key(action.key()), Some(*action));
            assert_eq!(
                serde_json::to_string(action).unwrap(),
                format!("\"{}\"", action.key())
            );
            assert!(action.colour().len() == 7 && action.colour().starts_with('#'));
        }
        assert_eq!(Action::ALL.len(), 26);
    }

    /// The relative luminance of a colour (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let channel = |from: usize| {
            let value = u8::from_str_radix(&colour[from..from + 2], 16).expect("two digits");
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn labels_are_readable_on_light_and_on_dark_pages() {
        assert!((contrast("#ffffff", "#000000") - 21.0).abs() < 0.001);
        for action in Action::ALL {
            for (colour, page) in [
                (action.colour(), "#ffffff"),
                (action.colour_on_dark(), "#000000"),
                (action.colour_on_dark(), "#22272e"),
            ] {
                assert!(contrast(colour, page) >= 4.5, "{action}: {colour} on {page}");
            }
        }
    }

    #[test]
    fn every_verb_has_one_action_and_written_verbs_map_back() {
        let table = VerbTable::standard();
        let listed: usize = Action::ALL.iter().map(|action| action.verbs().len()).sum();
        assert_eq!(
            table.by_iri.len(),
            listed + Action::ALL.len(),
            "an IRI belongs to two actions"
        );
        for action in Action::ALL {
            assert_eq!(table.action(&action.written_verb()), *action);
            assert_eq!(table.action(&format!("urn:rollbook:verb:{action}")), *action);
            for verb in action.verbs() {
                assert!(oxiri::Iri::parse(*verb).is_ok());
            }
        }
        assert_eq!(
            table.action("http://adlnet.gov/expapi/verbs/passed"),
            Action::Completed
        );
        assert_eq!(
            table.action("https://w3id.org/xapi/video/verbs/played"),
            Action::Other
        );
        assert_eq!(Action::Visited.written_verb(), "urn:rollbook:verb:visited");
        assert_eq!(
            Action::Updated.written_verb(),
            "http://activitystrea.ms/schema/1.0/update"
        );
    }

    #[test]
    fn some_actions_start_learning_and_some_complete() {
        let keys = |which: fn(Action) -> bool| -> Vec<&str> {
            let chosen = Action::ALL.iter().copied().filter(|action| which(*action));
            chosen.map(Action::key).collect()
        };
        assert_eq!(
            keys(Action::starts_learning).join(" "),
            "attended clicked completed failed received_certificate_for started viewed read watched listened_to \
             downloaded submitted answered graded other"
        );
        assert_eq!(
            keys(Action::completes).join(" "),
            "attended completed read watched listened_to"
        );
    }

    #[test]
    fn operator_can_add_verbs_but_not_change_built_in_ones() {
        let mut table = VerbTable::standard();
        let played = "https://w3id.org/xapi/video/verbs/played";
        table.extend(played, Action::Started).unwrap();
        assert_eq!(table.action(played), Action::Started);
        assert_eq!(
            table.verbs(Action::Started).last(),
            Some(&"urn:rollbook:verb:started")
        );
        assert!(table.verbs(Action::Started).contains(&played));
        table.extend(played, Action::Watched).unwrap();
        assert_eq!(table.action(played), Action::Watched);

        assert!(matches!(
            table.extend("played", Action::Started),
            Err(VerbError::NotAnIri(_))
        ));
        let refused = table.extend(PASSED, Action::Failed).unwrap_err();
        assert_eq!(
            refused,
            VerbError::Fixed {
                iri: PASSED.to_owned(),
                action: Action::Completed
            }
        );
        assert!(
            table
                .extend("urn:rollbook:verb:visited", Action::LoggedIn)
                .is_err()
        );
        assert!(table.extend(PASSED, Action::Completed).is_ok());
    }
}
