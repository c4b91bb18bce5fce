//! The IRIs of cmi5.

use crate::access::LaunchMode;

/// The category of the statements that cmi5 defines (section 9.6.2.1).
pub const CMI5_CATEGORY: &str = "https://w3id.org/xapi/cmi5/context/categories/cmi5";
/// The category of the statements with a success or completion (section 9.6.2.2).
pub const MOVE_ON_CATEGORY: &str = "https://w3id.org/xapi/cmi5/context/categories/moveon";

/// The activity type of a course (section 9.4).
pub const COURSE_TYPE: &str = "https://w3id.org/xapi/cmi5/activitytype/course";
/// The activity type of a block (section 9.4).
pub const BLOCK_TYPE: &str = "https://w3id.org/xapi/cmi5/activitytype/block";

/// The extensions of contexts (section 9.6.3) and results (section 9.5.5).
pub mod extension {
    /// The session.
    pub const SESSION_ID: &str = "https://w3id.org/xapi/cmi5/context/extensions/sessionid";
    /// The lowest scaled score that passes.
    pub const MASTERY_SCORE: &str = "https://w3id.org/xapi/cmi5/context/extensions/masteryscore";
    /// The mode of the launch.
    pub const LAUNCH_MODE: &str = "https://w3id.org/xapi/cmi5/context/extensions/launchmode";
    /// The address that was launched, without the parameters of the launch.
    pub const LAUNCH_URL: &str = "https://w3id.org/xapi/cmi5/context/extensions/launchurl";
    /// When the unit is satisfied.
    pub const MOVE_ON: &str = "https://w3id.org/xapi/cmi5/context/extensions/moveon";
    /// The parameters of the course's designer.
    pub const LAUNCH_PARAMETERS: &str = "https://w3id.org/xapi/cmi5/context/extensions/launchparameters";
    /// How much of a unit is completed, in percent.
    pub const PROGRESS: &str = "https://w3id.org/xapi/cmi5/result/extensions/progress";
    /// Why a unit was waived.
    pub const REASON: &str = "https://w3id.org/xapi/cmi5/result/extensions/reason";
}

/// The id of the state document with the launch data (section 10).
pub const LAUNCH_DATA: &str = "LMS.LaunchData";
/// The id of the agent profile with the learner's preferences (section 11).
pub const LEARNER_PREFERENCES: &str = "cmi5LearnerPreferences";

/// The mode of a launch in launch data and statements (section 10.2.2).
pub const fn launch_mode_key(mode: LaunchMode) -> &'static str {
    match mode {
        LaunchMode::Normal => "Normal",
        LaunchMode::Browse => "Browse",
        LaunchMode::Review => "Review",
    }
}

/// The verbs of cmi5 (section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cmi5Verb {
    /// Rollbook launched the unit.
    Launched,
    /// The unit is ready.
    Initialized,
    /// The learner has seen everything.
    Completed,
    /// The learner has passed.
    Passed,
    /// The learner has failed.
    Failed,
    /// The session ended without *terminated*.
    Abandoned,
    /// Rollbook lets the learner skip the unit.
    Waived,
    /// The session has ended.
    Terminated,
    /// A block or course is satisfied.
    Satisfied,
}

impl Cmi5Verb {
    /// Every verb.
    pub const ALL: [Self; 9] = [
        Self::Launched,
        Self::Initialized,
        Self::Completed,
        Self::Passed,
        Self::Failed,
        Self::Abandoned,
        Self::Waived,
        Self::Terminated,
        Self::Satisfied,
    ];

    /// The IRI.
    pub const fn iri(self) -> &'static str {
        match self {
            Self::Launched => "http://adlnet.gov/expapi/verbs/launched",
            Self::Initialized => "http://adlnet.gov/expapi/verbs/initialized",
            Self::Completed => "http://adlnet.gov/expapi/verbs/completed",
            Self::Passed => "http://adlnet.gov/expapi/verbs/passed",
            Self::Failed => "http://adlnet.gov/expapi/verbs/failed",
            Self::Abandoned => "https://w3id.org/xapi/adl/verbs/abandoned",
            Self::Waived => "https://w3id.org/xapi/adl/verbs/waived",
            Self::Terminated => "http://adlnet.gov/expapi/verbs/terminated",
            Self::Satisfied => "https://w3id.org/xapi/adl/verbs/satisfied",
        }
    }

    /// The verb in words.
    pub const fn display(self) -> &'static str {
        match self {
            Self::Launched => "launched",
            Self::Initialized => "initialized",
            Self::Completed => "completed",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Waived => "waived",
            Self::Terminated => "terminated",
            Self::Satisfied => "satisfied",
        }
    }

    /// The verb with this IRI.
    pub fn from_iri(iri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.iri() == iri)
    }

    /// Whether the verb is a result of a unit.
    pub const fn is_result(self) -> bool {
        matches!(self, Self::Completed | Self::Passed | Self::Failed)
    }

    /// Whether only the LMS, which is Rollbook, writes statements with the verb.
    pub const fn is_of_lms(self) -> bool {
        matches!(
            self,
            Self::Launched | Self::Abandoned | Self::Waived | Self::Satisfied
        )
    }
}
