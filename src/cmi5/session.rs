//! The rules of a session: which statements of a unit may be recorded, and in which order (cmi5, sections 7.1, 9 and
//! 10.2.2).
//!
//! [`SessionTerms`] are fixed by the launch. [`SessionState`] is what happened so far in the session and, for the unit,
//! in the registration. [`SessionUpdate`] checks the statements of one request: either all of them may be recorded, and
//! the state changes, or the first wrong one is named.
//!
//! The order of statements is that of their timestamps (section 9.3). At the same time, *initialized* comes first and
//! *terminated* last. A statement before *initialized* is refused by its
//! time, and one after *terminated* by its time or because the session has ended for longer than the grace period.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::access::LaunchMode;
use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::ids::StatementId;
use crate::record::object::Activity;
use crate::record::{Context, Identifier, Object, Outcome, Statement};

use super::course::UnitResults;
use super::vocabulary::{CMI5_CATEGORY, Cmi5Verb, MOVE_ON_CATEGORY, extension, launch_mode_key};

/// What the launch fixed for a session.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionTerms {
    /// The learner.
    pub actor: Identifier,
    /// The session's id.
    pub session: Uuid,
    /// The learner's registration for the course.
    pub registration: Uuid,
    /// The IRI of the unit that Rollbook gave it.
    pub activity: String,
    /// The id of the unit that its publisher gave it.
    pub publisher_id: String,
    /// The lowest scaled score that passes.
    pub mastery_score: Option<f64>,
    /// The mode.
    pub mode: LaunchMode,
}

/// What happened in a session so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionState {
    /// The time of *initialized*.
    pub initialized_at: Option<Timestamp>,
    /// The time of *terminated*.
    pub terminated_at: Option<Timestamp>,
    /// When *terminated* was recorded, or the session was abandoned.
    pub ended_at: Option<Timestamp>,
    /// Whether the session was abandoned.
    pub abandoned: bool,
    /// The latest time of a statement of the unit.
    pub last_at: Option<Timestamp>,
    /// Whether *completed* was recorded in this session.
    pub completed: bool,
    /// Whether *passed* or *failed* was recorded in this session.
    pub judged: bool,
    /// What the learner has reached in the unit in this registration.
    pub results: UnitResults,
}

/// Why a statement may not be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleFault {
    /// The statement itself is wrong, at any time.
    Form(Fault),
    /// The statement is not allowed at this moment, or not for a unit.
    Order(Fault),
}

impl RuleFault {
    /// The fault.
    pub fn fault(self) -> Fault {
        match self {
            Self::Form(fault) | Self::Order(fault) => fault,
        }
    }
}

/// The check of the statements of one request.
#[derive(Debug, Clone)]
pub struct SessionUpdate<'t> {
    terms: &'t SessionTerms,
    state: SessionState,
    now: Timestamp,
    grace_micros: i64,
}

impl<'t> SessionUpdate<'t> {
    /// Begins with the state before the request. `grace_micros` is how long after *terminated* earlier statements are
    /// still taken (section 9.3.8).
    pub fn new(terms: &'t SessionTerms, state: SessionState, now: Timestamp, grace_micros: i64) -> Self {
        Self {
            terms,
            state,
            now,
            grace_micros,
        }
    }

    /// Checks the new statements of a request, in the order of their timestamps. Returns the state after them.
    ///
    /// # Errors
    ///
    /// The index of the first wrong statement, and why it is wrong.
    pub fn check(
        mut self,
        statements: &[(StatementId, bool, &Statement)],
    ) -> Result<SessionState, (usize, RuleFault)> {
        for (index, (_, has_id, statement)) in statements.iter().enumerate() {
            self.check_form(*has_id, statement)
                .map_err(|fault| (index, fault))?;
        }
        let mut order: Vec<usize> = (0..statements.len()).collect();
        let place_of = |index: &usize| {
            let statement = statements.get(*index).map(|(_, _, statement)| *statement);
            statement.map(|statement| (statement.timestamp, rank_at_one_time(statement)))
        };
        order.sort_by_key(place_of);
        for index in order {
            if let Some((_, _, statement)) = statements.get(index) {
                self.apply(statement).map_err(|fault| (index, fault))?;
            }
        }
        Ok(self.state)
    }

    /// Checks what does not depend on other statements.
    fn check_form(&self, has_id: bool, statement: &Statement) -> Result<(), RuleFault> {
        let form = |pointer: &[&str], detail: &str| Err(RuleFault::Form(fault_at(pointer, detail)));
        if !has_id {
            return form(
                &["id"],
                "a cmi5 unit must give each statement an id (cmi5, section 9.1)",
            );
        }
        self.check_lms_verb(statement)?;
        if statement.voids().is_some() {
            let detail = "a unit may not void statements (cmi5, section 6.3)";
            return Err(RuleFault::Order(fault_at(&["verb", "id"], detail)));
        }
        if statement.actor.identifier.as_ref() != Some(&self.terms.actor) {
            return form(
                &["actor"],
                "must be the actor of the launch (cmi5, section 8.1.3)",
            );
        }
        check_timestamp(statement)?;
        let context = statement.context.as_ref();
        let context = context.ok_or_else(|| {
            let detail = "is missing: use the contextTemplate of the launch data (cmi5, section 10.2.1)";
            RuleFault::Form(fault_at(&["context"], detail))
        })?;
        self.check_context(context)?;
        let progress = statement
            .result
            .as_ref()
            .and_then(|result| find_extension(result.extensions.as_deref(), extension::PROGRESS));
        if progress.is_some_and(|value| value.as_u64().is_none_or(|percent| percent > 100)) {
            return form(
                &["result", "extensions", extension::PROGRESS],
                "must be a whole number from 0 to 100 (cmi5, section 9.5.5.1)",
            );
        }
        match is_defined(context) {
            true => self.check_defined(statement, context),
            false => self.check_allowed(statement, context),
        }
    }

    /// Refuses the verbs of the LMS (section 9.3). A statement that cmi5 only allows may say that another Activity, such
    /// as a simulation, was launched or abandoned. The log counts *waived* and *satisfied* as completions of any Activity.
    fn check_lms_verb(&self, statement: &Statement) -> Result<(), RuleFault> {
        let Some(verb) = Cmi5Verb::from_iri(&statement.verb.id).filter(|verb| verb.is_of_lms()) else {
            return Ok(());
        };
        let completes = matches!(verb, Cmi5Verb::Waived | Cmi5Verb::Satisfied);
        let is_defined = statement.context.as_ref().is_some_and(is_defined);
        let is_about_unit =
            is_about(statement, &self.terms.activity) || is_about(statement, &self.terms.publisher_id);
        if !(completes || is_defined || is_about_unit) {
            return Ok(());
        }
        let detail = "only the LMS writes statements with this verb (cmi5, section 9.3)";
        Err(RuleFault::Order(fault_at(&["verb", "id"], detail)))
    }

    /// Checks the statements that cmi5 allows, but does not define (section 7.1.3).
    fn check_allowed(&self, statement: &Statement, context: &Context) -> Result<(), RuleFault> {
        if has_category(context, MOVE_ON_CATEGORY) {
            return Err(RuleFault::Form(fault_at(
                &["context", "contextActivities", "category"],
                "only statements with the category cmi5 may have the category moveon (cmi5, section 9.6.2.2)",
            )));
        }
        // The log would count a result of the unit that the rules of the session have not checked.
        let is_result = Cmi5Verb::from_iri(&statement.verb.id).is_some_and(Cmi5Verb::is_result);
        if is_result && is_about(statement, &self.terms.activity) {
            let detail = "with this verb about the activityId of the launch, a statement must have the category cmi5 \
                 (cmi5, section 9.6.2.1)";
            return Err(RuleFault::Order(fault_at(
                &["context", "contextActivities", "category"],
                detail,
            )));
        }
        Ok(())
    }

    /// Checks the parts of the context template (section 10.2.1).
    fn check_context(&self, context: &Context) -> Result<(), RuleFault> {
        let form = |pointer: &[&str], detail: &str| Err(RuleFault::Form(fault_at(pointer, detail)));
        if context.registration != Some(self.terms.registration) {
            return form(
                &["context", "registration"],
                "must be the registration of the launch (cmi5, section 9.6.1)",
            );
        }
        let session = find_extension(context.extensions.as_deref(), extension::SESSION_ID);
        let session_text = session.as_ref().and_then(Value::as_str);
        if session_text != Some(self.terms.session.hyphenated().to_string().as_str()) {
            return form(
                &["context", "extensions", extension::SESSION_ID],
                "must be the session id of the launch data (cmi5, section 9.6.3.1)",
            );
        }
        if !has_activity(&context.grouping, &self.terms.publisher_id) {
            return form(
                &["context", "contextActivities", "grouping"],
                "must contain the publisher's activity of the context template (cmi5, section 9.6.2.3)",
            );
        }
        Ok(())
    }

    /// Checks the statements that cmi5 defines.
    fn check_defined(&self, statement: &Statement, context: &Context) -> Result<(), RuleFault> {
        let form = |pointer: &[&str], detail: &str| Err(RuleFault::Form(fault_at(pointer, detail)));
        let Some(verb) = Cmi5Verb::from_iri(&statement.verb.id) else {
            return form(
                &["verb", "id"],
                "a statement with the category cmi5 has a verb of cmi5; leave the category out (cmi5, section 7.1.3)",
            );
        };
        if !is_about(statement, &self.terms.activity) {
            return form(
                &["object", "id"],
                "must be the activityId of the launch (cmi5, section 9.4)",
            );
        }
        let is_result = verb.is_result();
        if is_result && self.terms.mode != LaunchMode::Normal {
            let detail = format!(
                "the launch mode is {}, so no results are recorded (cmi5, section 10.2.2)",
                launch_mode_key(self.terms.mode)
            );
            return Err(RuleFault::Order(fault_at(&["verb", "id"], &detail)));
        }
        let nothing = Outcome::default();
        let result = statement.result.as_ref().unwrap_or(&nothing);
        check_flags(verb, result)?;
        if (is_result || verb == Cmi5Verb::Terminated) && result.duration.is_none() {
            return form(&["result", "duration"], "is missing (cmi5, section 9.5.4.1)");
        }
        let has_flag = result.success.is_some() || result.completion.is_some();
        if has_flag != has_category(context, MOVE_ON_CATEGORY) {
            let detail = match has_flag {
                true => {
                    "must contain the category moveon, since the result has success or completion (cmi5, section 9.6.2.2)"
                }
                false => {
                    "must not contain the category moveon, since the result has neither success nor completion (cmi5, section 9.6.2.2)"
                }
            };
            return form(&["context", "contextActivities", "category"], detail);
        }
        self.check_score(verb, result, context)
    }

    /// Checks the score (sections 9.3.4, 9.3.5, 9.5.1 and 9.6.3.2).
    fn check_score(&self, verb: Cmi5Verb, result: &Outcome, context: &Context) -> Result<(), RuleFault> {
        let form =
            |member: &str, detail: &str| Err(RuleFault::Form(fault_at(&["result", "score", member], detail)));
        let mastery_score = self.terms.mastery_score;
        let sent = find_extension(context.extensions.as_deref(), extension::MASTERY_SCORE);
        if sent.is_some_and(|sent| !is_same_number(sent.as_f64(), mastery_score)) {
            return Err(RuleFault::Form(fault_at(
                &["context", "extensions", extension::MASTERY_SCORE],
                "must be the masteryScore of the launch data (cmi5, section 9.6.3.2)",
            )));
        }
        let Some(score) = result.score else { return Ok(()) };
        if !matches!(verb, Cmi5Verb::Passed | Cmi5Verb::Failed) {
            return Err(RuleFault::Form(fault_at(
                &["result", "score"],
                "only passed and failed have a score (cmi5, section 9.5.1)",
            )));
        }
        if score.scaled.is_some_and(|scaled| scaled < 0.0) {
            return form("scaled", "must be between 0 and 1 (cmi5, section 9.5.1)");
        }
        if score.raw.is_some() && (score.min.is_none() || score.max.is_none()) {
            return form("raw", "needs min and max beside it (cmi5, section 9.5.1)");
        }
        for (member, value) in [("raw", score.raw), ("min", score.min), ("max", score.max)] {
            if value.is_some_and(|value| value.fract() != 0.0) {
                return form(member, "must be a whole number (cmi5, section 9.5.1)");
            }
        }
        let (Some(scaled), Some(mastery_score)) = (score.scaled, mastery_score) else {
            return Ok(());
        };
        match verb {
            Cmi5Verb::Passed if scaled < mastery_score => {
                let detail = format!(
                    "is below the masteryScore {mastery_score}, so the verb must not be passed (cmi5, section 9.3.4)"
                );
                form("scaled", &detail)
            }
            Cmi5Verb::Failed if scaled >= mastery_score => {
                let detail = format!(
                    "reaches the masteryScore {mastery_score}, so the verb must not be failed (cmi5, section 9.3.5)"
                );
                form("scaled", &detail)
            }
            _ => Ok(()),
        }
    }

    /// Checks the place of a statement in the session and changes the state.
    fn apply(&mut self, statement: &Statement) -> Result<(), RuleFault> {
        let refuse = |pointer: &[&str], detail: &str| Err(RuleFault::Order(fault_at(pointer, detail)));
        let at = statement.timestamp.unwrap_or(self.now);
        let verb = defined_verb(statement);
        if self.state.abandoned {
            return refuse(
                &[],
                "the session was abandoned; launch the unit again (cmi5, section 9.3.6)",
            );
        }
        if let (Some(terminated_at), Some(ended_at)) = (self.state.terminated_at, self.state.ended_at) {
            let is_late = self.now.micros().saturating_sub(ended_at.micros()) > self.grace_micros;
            // A statement may have the millisecond of *terminated* and arrive after it.
            if is_late || at > terminated_at {
                return refuse(
                    &[],
                    "the session is terminated; launch the unit again (cmi5, section 9.3.8)",
                );
            }
        }
        match (self.state.initialized_at, verb) {
            (None, Some(Cmi5Verb::Initialized)) => {}
            (None, _) => {
                return refuse(
                    &["verb", "id"],
                    "the first statement of a session is initialized (cmi5, section 7.1.1)",
                );
            }
            (Some(_), Some(Cmi5Verb::Initialized)) => {
                return refuse(
                    &["verb", "id"],
                    "the session is initialized already (cmi5, section 9.3.2)",
                );
            }
            (Some(initialized_at), _) if at < initialized_at => {
                return refuse(
                    &["timestamp"],
                    "is before that of initialized (cmi5, section 9.3)",
                );
            }
            (Some(_), _) => {}
        }
        if let Some(verb) = verb {
            self.apply_defined(verb, at)?;
        }
        self.state.last_at = self.state.last_at.max(Some(at));
        Ok(())
    }

    fn apply_defined(&mut self, verb: Cmi5Verb, at: Timestamp) -> Result<(), RuleFault> {
        let refuse = |detail: &str| Err(RuleFault::Order(fault_at(&["verb", "id"], detail)));
        let results = &mut self.state.results;
        match verb {
            Cmi5Verb::Initialized => self.state.initialized_at = Some(at),
            Cmi5Verb::Completed => {
                if self.state.completed || results.completed {
                    return refuse(
                        "the unit is completed already in this registration (cmi5, section 9.3.3)",
                    );
                }
                (self.state.completed, results.completed) = (true, true);
            }
            Cmi5Verb::Passed | Cmi5Verb::Failed => {
                if results.passed {
                    return refuse("the unit is passed already in this registration (cmi5, section 9.3)");
                }
                if self.state.judged {
                    return refuse("the session has a passed or failed already (cmi5, section 9.3)");
                }
                self.state.judged = true;
                results.passed = verb == Cmi5Verb::Passed;
            }
            Cmi5Verb::Terminated => {
                if self.state.terminated_at.is_some() {
                    return refuse("the session is terminated already (cmi5, section 9.3.8)");
                }
                if self.state.last_at.is_some_and(|last| last > at) {
                    let detail = "is before that of another statement of the session (cmi5, section 9.3)";
                    return Err(RuleFault::Order(fault_at(&["timestamp"], detail)));
                }
                self.state.terminated_at = Some(at);
                self.state.ended_at = Some(self.now);
            }
            // The form was checked before.
            Cmi5Verb::Launched | Cmi5Verb::Abandoned | Cmi5Verb::Waived | Cmi5Verb::Satisfied => {}
        }
        Ok(())
    }
}

/// Checks `success` and `completion` (sections 9.5.2 and 9.5.3).
fn check_flags(verb: Cmi5Verb, result: &Outcome) -> Result<(), RuleFault> {
    let success = match verb {
        Cmi5Verb::Passed => Some(true),
        Cmi5Verb::Failed => Some(false),
        _ => None,
    };
    let completion = (verb == Cmi5Verb::Completed).then_some(true);
    let flags = [
        ("success", result.success, success, "9.5.2"),
        ("completion", result.completion, completion, "9.5.3"),
    ];
    for (member, sent, expected, section) in flags {
        if sent == expected {
            continue;
        }
        let verb = verb.display();
        let detail = match expected {
            Some(value) => format!("must be {value} in a {verb} statement (cmi5, section {section})"),
            None => format!("must not be in a {verb} statement (cmi5, section {section})"),
        };
        return Err(RuleFault::Form(fault_at(&["result", member], &detail)));
    }
    Ok(())
}

/// Checks that the unit gave a time, in UTC (section 9.7).
fn check_timestamp(statement: &Statement) -> Result<(), RuleFault> {
    let is_utc = statement.timestamp_text().map(|text| {
        ["Z", "z", "+00:00", "+0000", "+00"]
            .iter()
            .any(|zone| text.ends_with(zone))
    });
    let detail = match is_utc {
        Some(true) => return Ok(()),
        Some(false) => "must be in UTC, for example 2026-06-30T23:30:00Z (cmi5, section 9.7)",
        None => "is missing (cmi5, section 9.7)",
    };
    Err(RuleFault::Form(fault_at(&["timestamp"], detail)))
}

/// The verb of a statement that cmi5 defines.
fn defined_verb(statement: &Statement) -> Option<Cmi5Verb> {
    let context = statement.context.as_ref();
    context
        .filter(|context| is_defined(context))
        .and_then(|_| Cmi5Verb::from_iri(&statement.verb.id))
}

/// The place of a statement among those with the same timestamp: *initialized* is the first one of a session and
/// *terminated* the last one (section 9.3).
fn rank_at_one_time(statement: &Statement) -> u8 {
    match defined_verb(statement) {
        Some(Cmi5Verb::Initialized) => 0,
        Some(Cmi5Verb::Terminated) => 2,
        _ => 1,
    }
}

/// Whether the object of a statement is this Activity.
fn is_about(statement: &Statement, iri: &str) -> bool {
    matches!(&statement.object, Object::Activity(activity) if activity.id.as_str() == iri)
}

/// Whether cmi5 defines the statement: it has the category cmi5 (section 7.1.3).
fn is_defined(context: &Context) -> bool {
    has_category(context, CMI5_CATEGORY)
}

fn has_category(context: &Context, iri: &str) -> bool {
    has_activity(&context.category, iri)
}

fn has_activity(activities: &[Activity], iri: &str) -> bool {
    activities.iter().any(|activity| activity.id.as_str() == iri)
}

/// The value of an extension. `extensions` is the text of a JSON object.
fn find_extension(extensions: Option<&str>, key: &str) -> Option<Value> {
    let mut members: Map<String, Value> = serde_json::from_str(extensions?).ok()?;
    members.remove(key)
}

fn is_same_number(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() < 0.000_05,
        _ => false,
    }
}

/// A fault at a place of the statement.
fn fault_at(pointer: &[&str], detail: &str) -> Fault {
    fn descend(place: &Place<'_>, rest: &[&str], detail: &str) -> Fault {
        match rest.split_first() {
            Some((key, rest)) => descend(&place.member(key), rest, detail),
            None => place.fault(detail),
        }
    }
    descend(&Place::Root, pointer, detail)
}

#[cfg(test)]
mod tests;
