//! Records of activities in the short form.

use std::sync::Arc;

use crate::access::permit::WriteActivities;
use crate::access::{DefinitionRight, Principal};
use crate::base::body::ParsedBatch;
use crate::base::fault::Fault;
use crate::http::auth::Caller;
use crate::http::problem::{Problem, id_fault};
use crate::http::xapi::statements::authority;
use crate::log::ShortForm;
use crate::log::short_form::ShortFormRules;
use crate::record::{Envelope, Origin};
use crate::store::{Incoming, Recorded, Sameness, Submission};

/// The records of the activities of a batch.
///
/// # Errors
///
/// The faults of all elements: of their members, of users and contents that do not exist, and of ids of other records.
pub(super) async fn batch_records(
    caller: &Caller<WriteActivities>,
    parsed: ParsedBatch<ShortForm>,
) -> Result<Vec<Incoming>, Problem> {
    let ParsedBatch {
        values,
        numbers,
        mut faults,
    } = parsed;
    let (records, unresolved) = to_records(caller, values).await?;
    let number = |index: usize| numbers.get(index).copied().unwrap_or(index);
    faults.extend(
        unresolved
            .into_iter()
            .map(|(index, fault)| fault.in_element(number(index))),
    );
    let (indexes, records): (Vec<usize>, Vec<Incoming>) = records.into_iter().unzip();
    if faults.is_empty() {
        // The writer finds conflicts of ids.
        return Ok(records);
    }
    let conflicts = caller.store().find_id_conflicts(caller.org(), &records).await?;
    faults.extend(conflicts.into_iter().filter_map(|conflict| {
        let index = *indexes.get(conflict.index)?;
        Some(id_fault(conflict.id).in_element(number(index)))
    }));
    faults.sort_by_element();
    Err(faults.into())
}

/// The records of the activities whose user and content exist or can be created, and the faults of the others, each with
/// the index of its form.
pub(super) async fn to_records(
    caller: &Caller<WriteActivities>,
    forms: Vec<ShortForm>,
) -> Result<(Vec<(usize, Incoming)>, Vec<(usize, Fault)>), Problem> {
    let home_page = &caller.organisation().account_home_page;
    let resolutions = caller.store().resolve(caller.org(), home_page, &forms).await?;
    let base = envelope(caller.principal());
    let (mut records, mut faults) = (Vec::with_capacity(forms.len()), Vec::new());
    for (index, (form, resolution)) in forms.into_iter().zip(resolutions).enumerate() {
        let resolution = match resolution {
            Ok(resolution) => resolution,
            Err(found) => {
                faults.extend(found.into_iter().map(|fault| (index, fault)));
                continue;
            }
        };
        let statement = form
            .to_statement(&resolution.resolved())
            .map_err(Problem::internal)?;
        let record = Incoming {
            id: resolution.id,
            id_was_given: form.id.is_some(),
            statement: Arc::new(statement),
            envelope: Arc::new(form.envelope(base.clone())),
            sameness: Sameness::ShortForm(Box::new(form)),
            mark: None,
            voids_first: false,
        };
        records.push((index, record));
    }
    Ok((records, faults))
}

/// Stores the records in one submission.
pub(super) async fn record_all(
    caller: &Caller<WriteActivities>,
    records: Vec<Incoming>,
    batch: bool,
) -> Result<Vec<Recorded>, Problem> {
    let recorded = caller
        .app_state()
        .recorder()
        .record(submission(caller, records))
        .await;
    recorded.map_err(|error| Problem::from_record_error(error, batch))
}

/// A submission of records from this caller. The authority is the user or credential of the caller.
pub(in crate::http::v1) fn submission<A>(caller: &Caller<A>, records: Vec<Incoming>) -> Submission {
    Submission {
        org: caller.org().clone(),
        records,
        authority: authority(caller.principal(), &caller.organisation().account_home_page),
        version: "1.0.0",
        sender: caller.principal().caller_id(),
        adds_definitions: caller.principal().definition_right() == DefinitionRight::Add,
        session: None,
        attachments: Vec::new(),
        import: None,
        attempt: None,
    }
}

/// The envelope of an activity from this caller. An activity from a person has the origin `manual` and the person as
/// recorder. An activity from a credential has the origin and the device type `api`.
pub(in crate::http::v1) fn envelope(principal: &Principal) -> Envelope {
    let defines = principal.definition_right() == DefinitionRight::Change;
    match principal {
        Principal::Person(person) => Envelope {
            origin: Origin::Manual,
            recorded_by: Some(person.user.clone()),
            defines,
            ..Envelope::default()
        },
        // The permission already refused report keys and launches, so this is a credential.
        Principal::Credential(_) | Principal::ReportKey(_) | Principal::Launch(_) => Envelope {
            origin: Origin::Api,
            device_type: Some("api".to_owned()),
            defines,
            ..Envelope::default()
        },
    }
}

/// The rules of the short form for this caller.
pub(super) fn short_form_rules(caller: &Caller<WriteActivities>, depth: usize) -> ShortFormRules {
    let recorder = caller.principal().credential().is_some();
    ShortFormRules {
        recorder,
        depth,
        now: caller.now(),
    }
}
