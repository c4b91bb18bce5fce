//! Sessions of SCORM packages that end without a last commit: the window was closed, or the connection was lost.
//!
//! A task in each replica records what such a session has had after half an hour without a commit. The transaction that
//! records it reads the attempt, so several replicas record it once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::directory::identity::account_of_id;
use crate::http::AppState;
use crate::record::{Actor, Envelope, Origin};
use crate::scorm::AttemptCommit;
use crate::store::{IdleAttempt, StoreError, Submission};

/// How often the task looks for idle sessions.
const EVERY: Duration = Duration::from_secs(60);

/// The maximum number of sessions that are recorded at once.
const AT_ONCE: usize = 50;

/// Records idle sessions until it is dropped.
pub(super) async fn record_idle_sessions(app_state: &AppState) {
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        if let Err(error) = record_all(app_state).await {
            tracing::warn!(%error, "idle sessions of SCORM packages are recorded later");
        }
    }
}

/// Records the sessions that are idle now.
async fn record_all(app_state: &AppState) -> Result<(), StoreError> {
    // Attempts of this round that stay due are passed over, so that the ones after them are recorded.
    let mut passed_over = 0_i64;
    loop {
        let limit = i64::try_from(AT_ONCE).unwrap_or(i64::MAX);
        let idle = app_state
            .store()
            .find_idle_scorm_attempts(app_state.clock().now(), limit, passed_over)
            .await?;
        let outcomes = join_all(idle.iter().map(|attempt| record(app_state, attempt))).await;
        for outcome in outcomes {
            match outcome {
                Ok(0) => passed_over += 1,
                Ok(_) => {}
                Err(error) => {
                    passed_over += 1;
                    tracing::warn!(%error, "an idle session of a SCORM package is recorded later");
                }
            }
        }
        if idle.len() < AT_ONCE {
            return Ok(());
        }
    }
}

/// Records the session. Returns the number of its records, which is 0 if another replica has recorded it.
async fn record(app_state: &AppState, idle: &IdleAttempt) -> Result<usize, crate::store::RecordError> {
    let organisation = app_state.store().organisation(&idle.org).await?;
    let learner = app_state
        .store()
        .find_scorm_learner(&idle.org, &idle.user)
        .await?;
    let actor = account_of_id(&organisation.account_home_page, &idle.user);
    let attempt = AttemptCommit {
        user: idle.user.clone(),
        content: idle.content,
        iri: idle.iri.clone(),
        registration: idle.registration,
        actor: actor.clone(),
        actor_name: learner.and_then(|learner| learner.name),
        commit: None,
        session: None,
        now: app_state.clock().now().whole_millisecond(),
        max_state_bytes: usize::MAX,
        envelope: Arc::new(Envelope {
            origin: Origin::Scorm,
            ..Envelope::default()
        }),
    };
    let submission = Submission {
        org: idle.org.clone(),
        records: Vec::new(),
        // The learner has sent the commits.
        authority: Actor::agent(actor, None).to_json(),
        version: "1.0.0",
        sender: "system".to_owned(),
        adds_definitions: true,
        session: None,
        attachments: Vec::new(),
        import: None,
        attempt: Some(Arc::new(attempt)),
    };
    let recorded = app_state.recorder().record(submission).await?;
    Ok(recorded.len())
}
