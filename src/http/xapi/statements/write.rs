//! Stores the statements of a request, all of them or none (xAPI 1.0.3, Communication 2.1.1 and 2.1.2).

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::access::permit::WriteStatements;
use crate::access::{DefinitionRight, Launch, LaunchStandard, Principal};
use crate::base::fault::Faults;
use crate::base::ids::StatementId;
use crate::http::auth::Caller;
use crate::http::problem::{Code, Problem, ProblemError};
use crate::http::xapi::XapiVersion;
use crate::launches::bounds;
use crate::record::{Envelope, Origin, Statement};
use crate::store::{Incoming, NewAttachment, Sameness, Submission};

use super::authority;
use super::upload::{Contents, Received};

/// The most Activities, other than the launched content, that are looked up for a request of a launch.
const MAX_OTHER_CONTENTS: usize = 10_000;

/// Stores the statements with their attachments and returns their ids in order. `id` is the id in the query of a PUT.
pub(super) async fn store(
    caller: &Caller<WriteStatements>,
    version: XapiVersion,
    received: Received,
    id: Option<StatementId>,
) -> Result<Vec<StatementId>, Problem> {
    check_launch(caller, &received).await?;
    check_signatures(caller, version, &received, id).await?;
    let Received {
        statements,
        array,
        contents,
    } = received;
    let envelope = Arc::new(envelope(caller.principal()));
    let records = statements
        .into_iter()
        .map(|statement| {
            let sent_id = id.or(statement.id);
            Incoming {
                id: sent_id.unwrap_or_else(|| caller.app_state().clock().new_statement_id()),
                id_was_given: sent_id.is_some(),
                envelope: add_missing_contents(&envelope, &statement, &contents),
                statement: Arc::new(statement),
                sameness: Sameness::Statement,
                mark: None,
                voids_first: false,
            }
        })
        .collect();
    let attachments = contents
        .into_iter()
        .map(|(sha2, blob)| NewAttachment { sha2, blob });
    let submission = Submission {
        org: caller.org().clone(),
        records,
        authority: authority(caller.principal(), &caller.organisation().account_home_page),
        version: version.statement_version(),
        sender: caller.principal().caller_id(),
        adds_definitions: caller.principal().definition_right() == DefinitionRight::Add,
        session: caller.principal().launch().and_then(cmi5_session),
        attachments: attachments.collect(),
        import: None,
        attempt: None,
    };
    let recorded = caller.app_state().recorder().record(submission).await;
    let recorded = recorded.map_err(|error| Problem::from_record_error(error, array))?;
    Ok(recorded.into_iter().map(|record| record.id()).collect())
}

/// The session of a launch by cmi5, which has the id of the launch.
fn cmi5_session(launch: &Launch) -> Option<Uuid> {
    (launch.standard == LaunchStandard::Cmi5).then_some(launch.id)
}

/// Returns the envelope of this sender's statements.
fn envelope(principal: &Principal) -> Envelope {
    Envelope {
        origin: Origin::Xapi,
        recorded_by: principal.user().cloned(),
        defines: principal.definition_right() == DefinitionRight::Change,
        ..Envelope::default()
    }
}

/// Adds to the envelope the attachments of the statement that arrived without their content.
fn add_missing_contents(
    envelope: &Arc<Envelope>,
    statement: &Statement,
    contents: &Contents,
) -> Arc<Envelope> {
    let missing = statement
        .declared_attachments()
        .filter(|(_, attachment)| !contents.has(attachment));
    let without_content: Vec<String> = missing.map(|(_, attachment)| attachment.sha2.clone()).collect();
    if without_content.is_empty() {
        return Arc::clone(envelope);
    }
    Arc::new(Envelope {
        without_content,
        ..(**envelope).clone()
    })
}

/// Checks that the statements are within the bounds of the launch, if the caller is one.
async fn check_launch(caller: &Caller<WriteStatements>, received: &Received) -> Result<(), Problem> {
    let Some(launch) = caller.principal().launch() else {
        return Ok(());
    };
    let verbs = caller.store().verbs();
    let mut faults = Faults::new();
    for (index, statement) in received.statements.iter().enumerate() {
        if let Err(found) = bounds::check_statement(launch, verbs, statement) {
            faults.extend(found.iter().map(|fault| {
                ProblemError::at_pointer(received.pointer(index, &fault.pointer), fault.detail.clone())
            }));
        }
    }
    if faults.is_empty() {
        check_contents(caller, launch, received, &mut faults).await?;
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::with_errors(Code::Forbidden, faults))
    }
}

/// Checks that no statement of a launch counts for another registered content.
async fn check_contents(
    caller: &Caller<WriteStatements>,
    launch: &Launch,
    received: &Received,
    faults: &mut Faults<ProblemError>,
) -> Result<(), Problem> {
    let verbs = caller.store().verbs();
    let candidates = |statement| bounds::find_other_contents(launch, verbs, statement);
    let candidates: Vec<Vec<&str>> = received.statements.iter().map(candidates).collect();
    let named: HashSet<&str> = candidates.iter().flatten().copied().collect();
    if named.is_empty() {
        return Ok(());
    }
    if named.len() > MAX_OTHER_CONTENTS {
        let detail = format!(
            "the statements name more than {MAX_OTHER_CONTENTS} other Activities as what they are about; send fewer statements"
        );
        return Err(Problem::new(Code::BatchTooLong, detail));
    }
    let registered = caller.store().find_registered_iris(caller.org(), &named).await?;
    for (index, candidates) in candidates.iter().enumerate() {
        if let Some(other) = candidates.iter().find(|iri| registered.contains(**iri)) {
            let detail =
                format!("the statement would count for another content, `{other}`; launch that content");
            faults.push(ProblemError::at_pointer(
                received.pointer(index, "/object/id"),
                detail,
            ));
        }
    }
    Ok(())
}

/// Checks the signatures of signed statements (Data 2.6).
async fn check_signatures(
    caller: &Caller<WriteStatements>,
    version: XapiVersion,
    received: &Received,
    id: Option<StatementId>,
) -> Result<(), Problem> {
    let limits = caller.app_state().limits();
    let mut faults = Faults::new();
    for (index, statement) in received.statements.iter().enumerate() {
        for (place, attachment) in statement
            .declared_attachments()
            .filter(|(_, attachment)| attachment.is_signature())
        {
            let Some(blob) = received.contents.find(attachment) else {
                continue; // a missing content was refused before
            };
            // Base64 makes a statement a third longer, and certificates are added to it.
            let fault = if blob.length > 2 * limits.body_bytes as u64 {
                Some("is too long for the signature of a statement".to_owned())
            } else {
                let content = blob.bytes().await.map_err(Problem::internal)?;
                let id = id.or(statement.id);
                let checked = statement.check_signature(
                    attachment,
                    &content,
                    id,
                    version.version(),
                    &limits.statement(),
                );
                checked.err().map(|error| error.to_string())
            };
            faults
                .extend(fault.map(|fault| ProblemError::at_pointer(received.pointer(index, &place), fault)));
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Problem::with_errors(Code::InvalidBody, faults))
    }
}
