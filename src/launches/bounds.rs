//! Which statements and documents a launch may write (`docs/specification.md#what-a-launch-may-do`).
//!
//! The rules here need only the statement. The store also refuses a statement that would count for another registered
//! content.

use uuid::Uuid;

use crate::access::{Launch, LaunchMode, LaunchStandard};
use crate::base::fault::{Faults, Place};
use crate::log::placement::find_content_candidates;
use crate::log::{Action, VerbTable};
use crate::record::{Actor, ActorKind, Context, Identifier, Object, Statement};

/// The characters that may follow the IRI of a content in the IRI of a part of it.
const SEPARATORS: [char; 5] = ['/', '#', '?', '&', ':'];

/// Returns the identifier by which statements of a launch name its user.
pub fn actor_of(launch: &Launch) -> Identifier {
    Identifier::Account {
        home_page: launch.account_home_page.clone(),
        name: launch.user.to_string(),
    }
}

/// Checks that a launch may write the statement.
///
/// # Errors
///
/// Every fault, with its pointer into the statement.
pub fn check_statement(launch: &Launch, verbs: &VerbTable, statement: &Statement) -> Result<(), Faults> {
    let place = &Place::Root;
    let mut faults = Faults::new();
    check_people(launch, statement, place, &mut faults);
    check_registration(launch, statement.context.as_ref(), place, &mut faults);
    check_object(launch, statement, place, &mut faults);
    if launch.mode != LaunchMode::Normal {
        check_outcome(launch.mode, verbs, statement, place, &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Returns the IRIs of the Activities that the record would count for instead of the launched content if they are
/// registered. The list is empty for a statement about the content itself.
pub fn find_other_contents<'s>(launch: &Launch, verbs: &VerbTable, statement: &'s Statement) -> Vec<&'s str> {
    let candidates = find_content_candidates(verbs, statement, &launch.account_home_page);
    let iris = candidates.into_iter().map(|activity| activity.id.as_str());
    // Of several registered ones, the first is the content, and the launched content is registered.
    iris.take_while(|iri| *iri != launch.activity).collect()
}

/// Whether an Activity is the launched content or a part of it by its IRI.
pub fn is_within_content(launch: &Launch, activity: &str) -> bool {
    activity
        .strip_prefix(launch.activity.as_str())
        .is_some_and(|rest| {
            rest.is_empty() || launch.activity.ends_with(SEPARATORS) || rest.starts_with(SEPARATORS)
        })
}

/// Requires that the statement names nobody but the user of the launch.
fn check_people(launch: &Launch, statement: &Statement, place: &Place<'_>, faults: &mut Faults) {
    let user = actor_of(launch);
    let is_user = |actor: &Actor| actor.kind == ActorKind::Agent && actor.identifier.as_ref() == Some(&user);
    if !is_user(&statement.actor) {
        let detail =
            "the actor must be the Agent of the launch, with its account; send the `actor` of the address";
        faults.push(place.member("actor").fault(detail));
    }
    let Some(context) = &statement.context else {
        return;
    };
    let place = place.member("context");
    let others = [
        ("instructor", context.instructor.iter().all(is_user)),
        ("team", context.team.iter().all(is_user)),
        (
            "contextAgents",
            context
                .context_agents
                .iter()
                .all(|related| is_user(&related.actor)),
        ),
        ("contextGroups", context.context_groups.is_empty()),
    ];
    for (member, is_allowed) in others {
        if !is_allowed {
            let detail = "a launch writes about its own user only; leave other agents and groups out";
            faults.push(place.member(member).fault(detail));
        }
    }
}

fn check_registration(launch: &Launch, context: Option<&Context>, place: &Place<'_>, faults: &mut Faults) {
    if context.and_then(|context| context.registration) != Some(launch.registration) {
        let context = place.member("context");
        let detail = format!(
            "the registration must be that of the launch, `{}`",
            launch.registration
        );
        faults.push(context.member("registration").fault(detail));
    }
}

fn check_object(launch: &Launch, statement: &Statement, place: &Place<'_>, faults: &mut Faults) {
    let place = place.member("object");
    let Object::Activity(object) = &statement.object else {
        faults.push(place.fault("a launch writes statements about Activities only, and voids none"));
        return;
    };
    // The session of cmi5 requires the publisher's Activity of the unit in each statement instead.
    if launch.standard == LaunchStandard::Cmi5 {
        return;
    }
    let above = statement.context.iter().flat_map(|context| {
        let above = context.parent.iter().chain(&context.grouping);
        above.map(|activity| activity.id.as_str())
    });
    let mut related = std::iter::once(object.id.as_str()).chain(above);
    let is_named = |activity: &str| is_within_content(launch, activity);
    if !related.any(is_named) {
        let detail = format!(
            "the Activity must be the launched content `{}`, or have an IRI that begins with it, or name it as a parent \
             or in `grouping` of its context",
            launch.activity
        );
        faults.push(place.member("id").fault(detail));
    }
}

/// Requires that the statement says nothing about the outcome of the attempt.
fn check_outcome(
    mode: LaunchMode,
    verbs: &VerbTable,
    statement: &Statement,
    place: &Place<'_>,
    faults: &mut Faults,
) {
    let fault = |place: &Place<'_>| {
        place.fault(format!(
            "nothing about the outcome is recorded in the mode `{mode}`; launch the content in the mode `normal`"
        ))
    };
    let action = verbs.action(statement.verb.id.as_str());
    if says_outcome(action) {
        let verb = place.member("verb");
        faults.push(fault(&verb.member("id")));
    }
    if let Some(result) = &statement.result {
        let place = place.member("result");
        for (member, is_there) in [
            ("completion", result.completion.is_some()),
            ("success", result.success.is_some()),
            ("score", result.score.is_some()),
        ] {
            if is_there {
                faults.push(fault(&place.member(member)));
            }
        }
    }
}

/// Whether a record of this action says how an attempt went.
fn says_outcome(action: Action) -> bool {
    action.completes()
        || matches!(
            action,
            Action::Failed
                | Action::ReceivedCertificateFor
                | Action::Answered
                | Action::Submitted
                | Action::Graded
        )
}

/// Checks that a launch may write the documents of a set of states: those of its user, content and registration.
///
/// # Errors
///
/// What is outside of the bounds.
pub fn check_states(
    launch: &Launch,
    activity: &str,
    agent: &Identifier,
    registration: Option<Uuid>,
    id: Option<&str>,
) -> Result<(), String> {
    if launch.standard == LaunchStandard::Cmi5 && id.is_none_or(|id| id == LAUNCH_DATA) {
        return Err(format!(
            "content must neither change nor delete the state `{LAUNCH_DATA}`; name another `stateId`"
        ));
    }
    if *agent != actor_of(launch) {
        return Err("the agent must be the user of the launch, with its account".to_owned());
    }
    if activity != launch.activity {
        return Err(format!(
            "the Activity must be the launched content `{}`",
            launch.activity
        ));
    }
    if registration != Some(launch.registration) {
        return Err(format!(
            "the registration must be that of the launch, `{}`",
            launch.registration
        ));
    }
    if launch.mode == LaunchMode::Review {
        return Err(
            "states do not change in the mode `review`; launch the content in the mode `normal`".to_owned(),
        );
    }
    Ok(())
}

/// The id of the state with the launch data of cmi5, which only Rollbook writes (cmi5, section 10).
pub const LAUNCH_DATA: &str = "LMS.LaunchData";

/// The id of the only agent profile that content writes: the preferences of cmi5 (cmi5, section 11).
pub const LEARNER_PREFERENCES: &str = "cmi5LearnerPreferences";

/// Checks that a launch may write this document of an agent's profile: the preferences of its user, by cmi5.
///
/// # Errors
///
/// What is outside of the bounds.
pub fn check_agent_profile(launch: &Launch, agent: &Identifier, id: Option<&str>) -> Result<(), String> {
    if launch.standard != LaunchStandard::Cmi5 || id != Some(LEARNER_PREFERENCES) {
        return Err(format!(
            "content writes no profile but `{LEARNER_PREFERENCES}`, and only by cmi5"
        ));
    }
    if *agent != actor_of(launch) {
        return Err("the agent must be the user of the launch, with its account".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
