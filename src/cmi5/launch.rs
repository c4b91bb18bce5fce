//! What Rollbook writes as the LMS: the launch data (cmi5, section 10) and its statements (sections 9.3 to 9.6).

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::access::LaunchMode;
use crate::base::clock::Timestamp;
use crate::base::ids::StatementId;
use crate::record::duration::DurationError;
use crate::record::iri::IriError;
use crate::record::object::{Activity, Definition};
use crate::record::{
    Actor, Context, Duration, Identifier, Iri, LanguageMap, Outcome, Statement, StatementBuilder, Verb,
};

use super::course::MoveOn;
use super::vocabulary::{
    BLOCK_TYPE, CMI5_CATEGORY, COURSE_TYPE, Cmi5Verb, MOVE_ON_CATEGORY, extension, launch_mode_key,
};

/// What a launch of a unit is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct LaunchTerms {
    /// The session.
    pub session: Uuid,
    /// The IRI of the unit that Rollbook gave it.
    pub activity: String,
    /// The id of the unit that its publisher gave it.
    pub publisher_id: String,
    /// The mode.
    pub mode: LaunchMode,
    /// The address of the unit, without the parameters of the launch.
    pub url: String,
    /// When the unit is satisfied.
    pub move_on: MoveOn,
    /// The lowest scaled score that passes.
    pub mastery_score: Option<f64>,
    /// The parameters of the course's designer.
    pub launch_parameters: Option<String>,
    /// The key by which the unit recognises the platform.
    pub entitlement_key: Option<String>,
    /// Where the learner goes after the unit.
    pub return_url: Option<String>,
}

impl LaunchTerms {
    /// The document `LMS.LaunchData` (section 10.2).
    ///
    /// The context template also has the unit itself, so that the log shows answers and pages as parts of the unit.
    pub fn to_launch_data(&self) -> Value {
        let activity = |id: &str| json!({"objectType": "Activity", "id": id});
        let mut data = Map::new();
        data.insert(
            "contextTemplate".to_owned(),
            json!({
                "contextActivities": {"grouping": [activity(&self.publisher_id), activity(&self.activity)]},
                "extensions": {extension::SESSION_ID: self.session.hyphenated().to_string()},
            }),
        );
        data.insert("launchMode".to_owned(), json!(launch_mode_key(self.mode)));
        data.insert("moveOn".to_owned(), json!(self.move_on.key()));
        let optional = [
            (
                "launchParameters",
                self.launch_parameters.as_ref().map(|text| json!(text)),
            ),
            ("masteryScore", self.mastery_score.map(|score| json!(score))),
            ("returnURL", self.return_url.as_ref().map(|url| json!(url))),
            (
                "entitlementKey",
                self.entitlement_key
                    .as_ref()
                    .map(|key| json!({"courseStructure": key})),
            ),
        ];
        for (key, value) in optional {
            data.extend(value.map(|value| (key.to_owned(), value)));
        }
        Value::Object(data)
    }
}

/// The values that all statements of Rollbook about one registration have.
#[derive(Debug, Clone, PartialEq)]
pub struct LmsStatement {
    /// The id of the statement.
    pub id: StatementId,
    /// The learner.
    pub actor: Identifier,
    /// The registration.
    pub registration: Uuid,
    /// The session.
    pub session: Uuid,
    /// The IRI of the unit, block or course that Rollbook gave it.
    pub activity: String,
    /// The id of it that its publisher gave it.
    pub publisher_id: String,
    /// When it happened.
    pub at: Timestamp,
}

/// Why a statement could not be built. The values of stored rows are valid, so it is a fault of the server.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A stored IRI is not one.
    #[error(transparent)]
    Iri(#[from] IriError),
    /// A duration is not one.
    #[error(transparent)]
    Duration(#[from] DurationError),
}

impl LmsStatement {
    /// *launched* (section 9.3.1), with the terms in the extensions of the context (section 9.6.3).
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn launched(&self, terms: &LaunchTerms) -> Result<Statement, BuildError> {
        let mut extensions = Map::new();
        extensions.insert(
            extension::LAUNCH_MODE.to_owned(),
            json!(launch_mode_key(terms.mode)),
        );
        extensions.insert(extension::LAUNCH_URL.to_owned(), json!(terms.url));
        extensions.insert(extension::MOVE_ON.to_owned(), json!(terms.move_on.key()));
        if let Some(score) = terms.mastery_score {
            extensions.insert(extension::MASTERY_SCORE.to_owned(), json!(score));
        }
        if let Some(parameters) = &terms.launch_parameters {
            extensions.insert(extension::LAUNCH_PARAMETERS.to_owned(), json!(parameters));
        }
        self.build(Cmi5Verb::Launched, None, Outcome::default(), extensions)
    }

    /// *abandoned* (section 9.3.6), with the time of the session (section 9.5.4.2).
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn abandoned(&self, session_micros: i64) -> Result<Statement, BuildError> {
        let millis = session_micros.max(0) / 1_000;
        let duration = match millis % 1_000 {
            0 => format!("PT{}S", millis / 1_000),
            rest => format!("PT{}.{rest:03}S", millis / 1_000),
        };
        let result = Outcome {
            duration: Some(Duration::parse(&duration)?),
            ..Outcome::default()
        };
        self.build(Cmi5Verb::Abandoned, None, result, Map::new())
    }

    /// *waived* (section 9.3.7), with its reason (section 9.5.5.2).
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn waived(&self, reason: &str) -> Result<Statement, BuildError> {
        let result = Outcome {
            success: Some(true),
            completion: Some(true),
            extensions: Some(json!({extension::REASON: reason}).to_string()),
            ..Outcome::default()
        };
        self.build(Cmi5Verb::Waived, None, result, Map::new())
    }

    /// *satisfied* for a block or the course (sections 9.3.9 and 9.4).
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn satisfied(&self, is_course: bool, title: &LanguageMap) -> Result<Statement, BuildError> {
        let type_ = match is_course {
            true => COURSE_TYPE,
            false => BLOCK_TYPE,
        };
        let definition = Definition {
            name: title.clone(),
            type_: Some(Iri::from_constant(type_)),
            ..Definition::default()
        };
        self.build(
            Cmi5Verb::Satisfied,
            Some(definition),
            Outcome::default(),
            Map::new(),
        )
    }

    fn build(
        &self,
        verb: Cmi5Verb,
        definition: Option<Definition>,
        result: Outcome,
        mut extensions: Map<String, Value>,
    ) -> Result<Statement, BuildError> {
        extensions.insert(
            extension::SESSION_ID.to_owned(),
            json!(self.session.hyphenated().to_string()),
        );
        let mut category = vec![Activity::new(Iri::from_constant(CMI5_CATEGORY))];
        if result.success.is_some() || result.completion.is_some() {
            category.push(Activity::new(Iri::from_constant(MOVE_ON_CATEGORY)));
        }
        let activity = Activity {
            id: Iri::parse(&self.activity)?,
            definition,
        };
        let verb = Verb {
            id: Iri::from_constant(verb.iri()),
            display: LanguageMap::english(verb.display()),
        };
        let context = Context {
            registration: Some(self.registration),
            grouping: vec![Activity::new(Iri::parse(&self.publisher_id)?)],
            category,
            extensions: Some(Value::Object(extensions).to_string()),
            ..Context::default()
        };
        let builder = StatementBuilder::new(Actor::agent(self.actor.clone(), None), verb, activity)
            .id(self.id)
            .result(result)
            .context(context)
            .timestamp(self.at);
        Ok(builder.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Limits, Version, parse_statement};

    fn statement() -> LmsStatement {
        LmsStatement {
            id: StatementId(Uuid::from_u128(1)),
            actor: Identifier::Account {
                home_page: "https://lms.example.org".to_owned(),
                name: "bo".to_owned(),
            },
            registration: Uuid::from_u128(2),
            session: Uuid::from_u128(3),
            activity: "https://lms.example.org/contents/au-1".to_owned(),
            publisher_id: "https://publisher.example.org/au".to_owned(),
            at: Timestamp::from_micros(1_767_225_600_123_000),
        }
    }

    fn terms() -> LaunchTerms {
        LaunchTerms {
            session: Uuid::from_u128(3),
            activity: "https://lms.example.org/contents/au-1".to_owned(),
            publisher_id: "https://publisher.example.org/au".to_owned(),
            mode: LaunchMode::Normal,
            url: "https://publisher.example.org/start.html?lang=en".to_owned(),
            move_on: MoveOn::CompletedAndPassed,
            mastery_score: Some(0.85),
            launch_parameters: Some("{\"a\":1}".to_owned()),
            entitlement_key: Some("xyz".to_owned()),
            return_url: Some("https://lms.example.org/back".to_owned()),
        }
    }

    #[test]
    fn launch_data_has_its_required_members() {
        let expected = json!({
            "contextTemplate": {
                "contextActivities": {"grouping": [
                    {"objectType": "Activity", "id": "https://publisher.example.org/au"},
                    {"objectType": "Activity", "id": "https://lms.example.org/contents/au-1"}
                ]},
                "extensions": {
                    "https://w3id.org/xapi/cmi5/context/extensions/sessionid":
                        "00000000-0000-0000-0000-000000000003"
                },
            },
            "launchMode": "Normal",
            "moveOn": "CompletedAndPassed",
            "launchParameters": "{\"a\":1}",
            "masteryScore": 0.85,
            "returnURL": "https://lms.example.org/back",
            "entitlementKey": {"courseStructure": "xyz"},
        });
        assert_eq!(terms().to_launch_data(), expected);
        let minimal = LaunchTerms {
            mastery_score: None,
            launch_parameters: None,
            entitlement_key: None,
            return_url: None,
            ..terms()
        };
        let data = minimal.to_launch_data();
        let mut keys: Vec<&String> = data.as_object().expect("an object").keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["contextTemplate", "launchMode", "moveOn"]);
    }

    #[test]
    fn statements_of_rollbook_are_valid() {
        let title = LanguageMap::english("A course");
        let built = [
            statement().launched(&terms()).expect("built"),
            statement().abandoned(61_500_000).expect("built"),
            statement().waived("Administrative").expect("built"),
            statement().satisfied(true, &title).expect("built"),
        ];
        for built in built {
            let text = built.to_json();
            let parsed = parse_statement(text.as_bytes(), Version::V1, &Limits::default()).expect("valid");
            assert_eq!(built, parsed, "{text}");
        }
    }

    #[test]
    fn abandoned_has_the_time_of_the_session() {
        for (micros, expected) in [
            (61_500_000, "PT61.500S"),
            (0, "PT0S"),
            (-5, "PT0S"),
            (2_000_000, "PT2S"),
        ] {
            let result = statement()
                .abandoned(micros)
                .expect("built")
                .result
                .expect("a result");
            assert_eq!(result.duration.expect("a duration").as_str(), expected);
        }
    }
}
