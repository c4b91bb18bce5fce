//! What somebody did: the [`Action`] of an activity, and the [`VerbTable`] that reads it from the
//! verb of a statement (product text, section 6).
//!
//! The table is data, in [`Action::verbs`]. The first IRI of an action is the one that a short-form
//! activity is written with; an operator adds IRIs of their own with [`VerbTable::extend`].

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::record::iri::IriError;
use crate::record::{Iri, LanguageMap, Verb};

/// What every verb of Rollbook's own begins with: `urn:rollbook:verb:visited`.
pub const OWN_VERB_PREFIX: &str = "urn:rollbook:verb:";

/// The verb that says by itself that the attempt succeeded (product text, section 6, rule 1).
pub const PASSED: &str = "http://adlnet.gov/expapi/verbs/passed";

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $key:literal, $label:literal, $colour:literal, [$($verb:literal),*];)+) => {
        /// What an activity says that somebody did (product text, section 6).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Action {
            $($(#[$doc])* $variant,)+
        }

        impl Action {
            /// All actions, in the order of the product text.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in JSON and in parameters.
            pub const fn key(self) -> &'static str {
                match self { $(Self::$variant => $key,)+ }
            }

            /// The name that people read. Of [`Action::Other`] a row shows its verb's own display instead.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// A colour for the label, as `#rrggbb`, dark enough for white text on it.
            pub const fn colour(self) -> &'static str {
                match self { $(Self::$variant => $colour,)+ }
            }

            /// The number that storage keeps; it never changes its meaning.
            pub const fn code(self) -> i16 {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The action with that number, if there is one.
            pub const fn from_code(code: i16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)+ _ => None }
            }

            /// The action with that key, exactly as written.
            pub fn from_key(key: &str) -> Option<Self> {
                match key { $($key => Some(Self::$variant),)+ _ => None }
            }

            /// The public verbs that mean this action; the first is the one that is written. Beside
            /// them every action has the verb `urn:rollbook:verb:<key>`, which is the one that is
            /// written where there is no public one.
            pub const fn verbs(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($verb),*],)+ }
            }
        }
    };
}

actions! {
    /// Added content, to a list or a plan.
    Added = 1, "added", "Added", "#4c51bf", ["http://activitystrea.ms/schema/1.0/add"];
    /// Arranged an event.
    Arranged = 2, "arranged", "Arranged", "#4c51bf", ["http://id.tincanapi.com/verb/arranged"];
    /// Attended an event: this completes it.
    Attended = 3, "attended", "Attended", "#1a7f37",
        ["http://activitystrea.ms/schema/1.0/attend", "http://adlnet.gov/expapi/verbs/attended"];
    /// Clicked, or otherwise interacted with.
    Clicked = 4, "clicked", "Clicked", "#57606a", ["http://adlnet.gov/expapi/verbs/interacted"];
    /// Completed content.
    Completed = 5, "completed", "Completed", "#1a7f37",
        ["http://adlnet.gov/expapi/verbs/completed", "http://adlnet.gov/expapi/verbs/passed",
         "http://adlnet.gov/expapi/verbs/mastered", "https://w3id.org/xapi/adl/verbs/satisfied",
         "https://w3id.org/xapi/adl/verbs/waived"];
    /// Enrolled for an event or a course.
    EnrolledFor = 6, "enrolled_for", "Enrolled for", "#0969da",
        ["http://adlnet.gov/expapi/verbs/registered",
         "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/enrolled"];
    /// Took an enrolment back.
    Unenrolled = 7, "unenrolled", "Unenrolled", "#9a6700", ["http://id.tincanapi.com/verb/unregistered"];
    /// Failed: an attempt that ended without success.
    Failed = 8, "failed", "Failed", "#cf222e", ["http://adlnet.gov/expapi/verbs/failed"];
    /// Received a certificate.
    ReceivedCertificateFor = 9, "received_certificate_for", "Received certificate for", "#116329",
        ["http://activitystrea.ms/schema/1.0/receive", "http://id.tincanapi.com/verb/earned",
         "https://w3id.org/xapi/tla/verbs/achieved"];
    /// Started content.
    Started = 10, "started", "Started", "#0969da",
        ["http://activitystrea.ms/schema/1.0/start", "http://adlnet.gov/expapi/verbs/initialized",
         "http://adlnet.gov/expapi/verbs/launched", "http://adlnet.gov/expapi/verbs/attempted"];
    /// Changed content.
    Updated = 11, "updated", "Updated", "#4c51bf", ["http://activitystrea.ms/schema/1.0/update"];
    /// Looked at content.
    Viewed = 12, "viewed", "Viewed", "#57606a",
        ["http://id.tincanapi.com/verb/viewed", "http://adlnet.gov/expapi/verbs/experienced"];
    /// Began a session.
    LoggedIn = 13, "logged_in", "Logged in", "#6e7781",
        ["https://brindlewaye.com/xAPITerms/verbs/loggedin/", "https://w3id.org/xapi/adl/verbs/logged-in",
         "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/login"];
    /// Ended a session.
    LoggedOut = 14, "logged_out", "Logged out", "#6e7781",
        ["https://brindlewaye.com/xAPITerms/verbs/loggedout/", "https://w3id.org/xapi/adl/verbs/logged-out",
         "https://xapi.edlm/profiles/edlm-lms/concepts/verbs/logout"];
    /// Read an article, a book, a document to its end: this completes it.
    Read = 15, "read", "Read", "#1a7f37", ["http://activitystrea.ms/schema/1.0/read"];
    /// Watched a video to its end: this completes it.
    Watched = 16, "watched", "Watched", "#1a7f37", ["http://activitystrea.ms/schema/1.0/watch"];
    /// Listened to audio to its end: this completes it.
    ListenedTo = 17, "listened_to", "Listened to", "#1a7f37", ["http://activitystrea.ms/schema/1.0/listen"];
    /// Accepted an invitation, terms, a task.
    Accepted = 18, "accepted", "Accepted", "#0969da", ["http://activitystrea.ms/schema/1.0/accept"];
    /// Was given content to learn.
    Assigned = 19, "assigned", "Assigned", "#8250df", ["http://activitystrea.ms/schema/1.0/assign"];
    /// Had content taken away again.
    Unassigned = 20, "unassigned", "Unassigned", "#9a6700", [];
    /// Downloaded content.
    Downloaded = 21, "downloaded", "Downloaded", "#57606a", ["http://id.tincanapi.com/verb/downloaded"];
    /// Handed in an exercise.
    Submitted = 22, "submitted", "Submitted", "#0969da", ["http://activitystrea.ms/schema/1.0/submit"];
    /// Answered a question.
    Answered = 23, "answered", "Answered", "#57606a", ["http://adlnet.gov/expapi/verbs/answered"];
    /// Got a grade.
    Graded = 24, "graded", "Graded", "#8250df", ["https://w3id.org/xapi/tla/verbs/scored"];
    /// Began a session without having ended the one before: not shown unless asked for (rule 8).
    Visited = 25, "visited", "Visited", "#6e7781", [];
    /// Anything else: labelled with the verb's own display.
    Other = 0, "other", "Other", "#57606a", [];
}

impl Action {
    /// Whether the action completes content by itself (product text, section 6, rule 4).
    pub const fn completes(self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Read | Self::Watched | Self::ListenedTo | Self::Attended
        )
    }

    /// Whether whoever did it has begun to learn: all but what others do to them (assigned, enrolled), what they do
    /// to content (added, updated), a promise (accepted), and sessions.
    pub const fn begins(self) -> bool {
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

    /// Whether it is about a session and so has no content: logged in, logged out, visited.
    pub const fn is_session(self) -> bool {
        matches!(self, Self::LoggedIn | Self::LoggedOut | Self::Visited)
    }

    /// The verb that a short-form activity with this action is written with.
    pub fn written_verb(self) -> String {
        match self.verbs().first() {
            Some(iri) => (*iri).to_owned(),
            None => format!("{OWN_VERB_PREFIX}{}", self.key()),
        }
    }

    /// The verb of a statement that is written for this action. Every action but `other` has its label as display.
    ///
    /// # Errors
    ///
    /// The verb of the built-in table is not an IRI, which a test rules out.
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

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Why a verb can't be added to the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerbError {
    /// The text is not an IRI, so no statement can have it as its verb.
    #[error("`{0}` is not an absolute IRI")]
    NotAnIri(String),
    /// The product text already says what the verb means.
    #[error("the verb `{iri}` always means `{action}`; only verbs that mean `other` can be given an action")]
    Fixed {
        /// The verb.
        iri: String,
        /// What it means.
        action: Action,
    },
}

/// Which action each verb means: the product text's table, and what an operator added to it.
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
    /// The table of the product text, section 6.
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

    /// Lets the verb `iri` mean `action`, where the product text gives it no meaning. Added twice,
    /// the later one counts.
    ///
    /// # Errors
    /// [`VerbError::NotAnIri`], and [`VerbError::Fixed`] where it means another action already by the
    /// product text: two installations must never read the same standard verb in two ways.
    pub fn extend(&mut self, iri: &str, action: Action) -> Result<(), VerbError> {
        if oxiri::Iri::parse(iri).is_err() {
            return Err(VerbError::NotAnIri(iri.to_owned()));
        }
        if let Some(fixed) = Self::fixed(iri).filter(|fixed| *fixed != action) {
            return Err(VerbError::Fixed {
                iri: iri.to_owned(),
                action: fixed,
            });
        }
        self.by_iri.insert(iri.to_owned(), action);
        Ok(())
    }

    /// The action that the verb means; [`Action::Other`] where the table doesn't have it.
    pub fn action(&self, iri: &str) -> Action {
        self.by_iri.get(iri).copied().unwrap_or(Action::Other)
    }

    /// All verbs that mean the action: the written one first, then the rest of the product text's,
    /// then `urn:rollbook:verb:<key>` and an operator's own in the order of the alphabet.
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

    fn fixed(iri: &str) -> Option<Action> {
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
    fn keys_and_codes_lead_back() {
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

    #[test]
    fn every_verb_means_one_action_and_the_written_one_leads_back() {
        let table = VerbTable::standard();
        let listed: usize = Action::ALL.iter().map(|action| action.verbs().len()).sum();
        assert_eq!(
            table.by_iri.len(),
            listed + Action::ALL.len(),
            "an IRI stands at two actions"
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
    fn what_begins_and_what_completes() {
        let keys = |which: fn(Action) -> bool| -> Vec<&str> {
            let chosen = Action::ALL.iter().copied().filter(|action| which(*action));
            chosen.map(Action::key).collect()
        };
        assert_eq!(
            keys(Action::begins).join(" "),
            "attended clicked completed failed received_certificate_for started viewed read watched listened_to \
             downloaded submitted answered graded other"
        );
        assert_eq!(
            keys(Action::completes).join(" "),
            "attended completed read watched listened_to"
        );
    }

    #[test]
    fn an_operator_adds_verbs_but_changes_none() {
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
