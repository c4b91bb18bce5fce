//! Who asks: tokens and credentials are verified here, once for every request (contract section 4).
//!
//! [`authenticate`] stands before everything under `/v1` and `/xapi`: it verifies the `Authorization`
//! header, refuses deactivated users, and keeps the caller with the request. A handler takes a
//! [`Caller<A>`]: what it may do stands in the type of its argument, so that forgetting to ask is a
//! compile error, and a handler that nobody authenticated for answers 401.
//!
//! A credential is looked up at most once in five seconds, so that a steady stream of statements costs
//! no query for it: revoking one takes at most that long on other replicas, and no time on the one that
//! revoked it. People's tokens are verified, and the directory asked, at every request; and so are keys of reports
//! and their owners, of which nothing is remembered.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use secrecy::SecretString;

use super::AppState;
use super::problem::{Code, Problem};
use crate::access::{
    Action, AskedScope, Credential, OverPeople, Principal, ReachRules, ReportAccess, ReportKey, Scoped,
    Scopes, SecretHash, Subjects, basic,
};
use crate::base::clock::Timestamp;
use crate::base::ids::OrgId;
use crate::reports::key::is_key_secret;
use crate::reports::rights;
use crate::store::{Organisation, Store, StoredCredential};

/// How long a credential and its organisation's settings are taken as known.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);
/// How many credentials are remembered; past that, all are looked up anew.
const REMEMBERED: usize = 10_000;

/// The verified caller of a request, who may do `A`.
///
/// Take it as the first argument of a handler: arguments are extracted in order, so a caller who may not
/// is refused (403) before a byte of the body is looked at.
pub struct Caller<A> {
    app_state: Data<AppState>,
    known: Arc<Known>,
    action: PhantomData<fn() -> A>,
}

/// What a verified request says of its caller.
struct Known {
    principal: Principal,
    organisation: Organisation,
}

impl<A> Caller<A> {
    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.known.principal
    }

    /// The organisation: nothing outside it exists for the caller.
    pub fn org(&self) -> &OrgId {
        self.known.principal.org()
    }

    /// The organisation's settings; what they are unless changed, where it doesn't exist yet.
    pub fn organisation(&self) -> &Organisation {
        &self.known.organisation
    }

    /// The settings that the caller's reach depends on.
    pub fn reach_rules(&self) -> ReachRules {
        self.known.organisation.reach_rules()
    }

    /// A question over activities, bound to the caller's reach: the only way to ask one.
    ///
    /// # Errors
    ///
    /// 403 for a scope that the caller can't have.
    pub fn scoped<F>(&self, asked: Option<AskedScope>, inner: F) -> Result<Scoped<F>, Problem> {
        Ok(Scoped::new(self.principal(), &self.reach_rules(), asked, inner)?)
    }

    /// Which saved reports the caller may open: the only way to them.
    ///
    /// # Errors
    ///
    /// 403 where they may open none.
    pub fn reports(&self) -> Result<ReportAccess, Problem> {
        ReportAccess::of(self.principal()).ok_or_else(|| Problem::forbidden("you may not open saved reports"))
    }

    /// What every handler has at hand.
    pub fn app_state(&self) -> &AppState {
        &self.app_state
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.app_state.store()
    }

    /// Now, by the server's clock.
    pub fn now(&self) -> Timestamp {
        self.app_state.clock().now()
    }
}

impl<A: OverPeople> Caller<A> {
    /// Over whom the caller may do it: the only way to what is done about people.
    ///
    /// # Errors
    ///
    /// 403 where nobody is; that was refused already when the caller was extracted.
    pub fn subjects(&self) -> Result<Subjects<A>, Problem> {
        Subjects::of(self.principal(), &self.reach_rules())
            .ok_or_else(|| Problem::forbidden(format!("you may not {}", A::NAME)))
    }
}

impl<A: Action> FromRequest for Caller<A> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request))
    }
}

fn caller<A: Action>(request: &HttpRequest) -> Result<Caller<A>, Problem> {
    let app_state = app_state(request.app_data())?;
    let known = request
        .extensions()
        .get::<Arc<Known>>()
        .cloned()
        .ok_or_else(nobody)?;
    if !A::allowed(&known.principal) {
        let what = match &known.principal {
            Principal::Person(person) => format!("the role `{}`", person.role),
            Principal::Credential(_) => "this credential's scopes".to_owned(),
            Principal::ReportKey(_) => "the key of a report".to_owned(),
        };
        return Err(Problem::forbidden(format!("{what} may not {}", A::NAME)));
    }
    Ok(Caller {
        app_state,
        known,
        action: PhantomData,
    })
}

/// Middleware: nobody passes to `/v1` or `/xapi` without a verified token or credential.
///
/// The refusal is an answer, not an error, so that it passes through the layers around it as any other.
pub async fn authenticate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    // The decoded path, as the router matches it: `/%761/users` is `/v1/users`.
    if !is_guarded(request.match_info().as_str()) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    match verify(&request).await {
        Ok(known) => {
            request.extensions_mut().insert(Arc::new(known));
            next.call(request).await.map(ServiceResponse::map_into_left_body)
        }
        Err(problem) => {
            let (request, _) = request.into_parts();
            Ok(ServiceResponse::from_err(problem, request).map_into_right_body())
        }
    }
}

/// Whether a path is only for verified callers: everything under `/v1` and `/xapi` but `/xapi/about`.
fn is_guarded(path: &str) -> bool {
    let under = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    under("/v1") || (under("/xapi") && path != "/xapi/about")
}

async fn verify(request: &ServiceRequest) -> Result<Known, Problem> {
    let app_state = app_state(request.app_data())?;
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(nobody());
    };
    let value = value.to_str().map_err(|_| nobody())?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(nobody)?;
    let known = if scheme.eq_ignore_ascii_case("bearer") {
        person(&app_state, rest.trim()).await?
    } else if scheme.eq_ignore_ascii_case("basic") {
        integration(&app_state, value).await?
    } else {
        return Err(nobody());
    };
    let principal = &known.principal;
    let span = tracing::Span::current();
    span.record("org", principal.org().as_str());
    let caller = format!("{}\n{}", principal.org(), principal.caller_id());
    app_state
        .rates()
        .count(&caller, Instant::now(), app_state.limits())?;
    Ok(known)
}

async fn person(app_state: &AppState, token: &str) -> Result<Known, Problem> {
    let person = app_state.keys().verify(token, app_state.clock().now()).await?;
    let facts = app_state
        .store()
        .caller_facts(&person.org, Some(&person.user))
        .await?;
    if facts.user_active == Some(false) {
        let detail = "the directory has this user as deactivated";
        return Err(Problem::new(Code::Deactivated, detail));
    }
    let organisation = facts
        .organisation
        .unwrap_or_else(|| Organisation::initial(&person.org));
    Ok(Known {
        principal: Principal::Person(person),
        organisation,
    })
}

async fn integration(app_state: &AppState, header: &str) -> Result<Known, Problem> {
    // One answer for an unknown key, a revoked one and a wrong secret: it must not tell which keys exist.
    let wrong = || {
        Problem::new(
            Code::Unauthenticated,
            "the key or its secret is wrong, or the key is revoked",
        )
    };
    let sent =
        basic::decode(header).map_err(|error| Problem::new(Code::Unauthenticated, error.to_string()))?;
    // Whatever the user name. A secret of this form that is no report's may be one that somebody chose.
    if is_key_secret(&sent.secret)
        && let Some(known) = report_key(app_state, &sent.secret).await?
    {
        return Ok(known);
    }
    let remembered = match app_state.credentials().get(&sent.key, Instant::now()) {
        Some(remembered) => remembered,
        None => {
            let stored = app_state.store().credential(&sent.key).await?.ok_or_else(wrong)?;
            let facts = app_state.store().caller_facts(&stored.org, None).await?;
            let remembered = Arc::new(Remembered::new(stored, facts.organisation)?);
            app_state
                .credentials()
                .put(Arc::clone(&remembered), Instant::now());
            remembered
        }
    };
    if remembered.revoked || !remembered.secret.matches(&sent.secret) {
        return Err(wrong());
    }
    Ok(Known {
        principal: Principal::Credential(remembered.credential.clone()),
        organisation: remembered.organisation.clone(),
    })
}

/// The report that a key opens, in the name of its owner as the directory has them at this moment.
async fn report_key(app_state: &AppState, secret: &SecretString) -> Result<Option<Known>, Problem> {
    let hash = SecretHash::of(secret);
    let Some(opened) = app_state.store().report_key(hash.as_bytes()).await? else {
        return Ok(None);
    };
    let closed = |reason: String| {
        Problem::forbidden(format!(
            "this key opens nothing at present, since it does so under its owner's rights: {reason}"
        ))
    };
    let owner = rights::as_of_directory(app_state.store(), &opened.org, &opened.owner).await?;
    let owner = owner.map_err(|reason| closed(reason.to_string()))?;
    let Principal::Person(owner) = owner.principal else {
        return Err(Problem::internal("a user of the directory who is no person"));
    };
    let organisation = app_state.store().organisation(&opened.org).await?;
    let key = ReportKey {
        id: opened.key,
        report: opened.report,
        owner,
    };
    Ok(Some(Known {
        principal: Principal::ReportKey(key),
        organisation,
    }))
}

fn app_state(data: Option<&Data<AppState>>) -> Result<Data<AppState>, Problem> {
    data.cloned()
        .ok_or_else(|| Problem::internal("an application was put together without an app_state"))
}

fn nobody() -> Problem {
    let detail = "send `Authorization: Bearer <token>`, or Basic with a credential's key and secret, or with a report \
        key's secret as the password";
    Problem::new(Code::Unauthenticated, detail)
}

/// Credentials seen in the last seconds, by key.
#[derive(Default)]
pub struct CredentialCache(Mutex<HashMap<String, (Instant, Arc<Remembered>)>>);

/// A stored credential, ready to be compared with.
pub struct Remembered {
    credential: Credential,
    secret: SecretHash,
    revoked: bool,
    organisation: Organisation,
}

impl Remembered {
    fn new(stored: StoredCredential, organisation: Option<Organisation>) -> Result<Self, Problem> {
        let scopes: Scopes = stored.scopes.parse().map_err(Problem::internal)?;
        let hash = <[u8; 32]>::try_from(stored.secret_hash)
            .map_err(|_| Problem::internal("a kept hash is not one of SHA-256"))?;
        let secret = SecretHash::from_bytes(hash);
        Ok(Self {
            revoked: stored.revoked_at.is_some(),
            organisation: organisation.unwrap_or_else(|| Organisation::initial(&stored.org)),
            credential: Credential {
                org: stored.org,
                key: stored.key,
                scopes,
            },
            secret,
        })
    }
}

impl CredentialCache {
    fn get(&self, key: &str, now: Instant) -> Option<Arc<Remembered>> {
        let seen = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (at, remembered) = seen.get(key)?;
        (now.duration_since(*at) < REMEMBERED_FOR).then(|| Arc::clone(remembered))
    }

    fn put(&self, remembered: Arc<Remembered>, now: Instant) {
        let mut seen = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(remembered.credential.key.clone(), (now, remembered));
    }

    /// Looks the organisation's credentials up anew: after one was revoked, or its settings changed.
    pub fn forget(&self, org: &OrgId) {
        let mut seen = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        seen.retain(|_, (_, remembered)| remembered.credential.org != *org);
    }
}

impl std::fmt::Debug for CredentialCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialCache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_under_v1_and_xapi_is_guarded_but_about() {
        for path in [
            "/v1",
            "/v1/",
            "/v1/users",
            "/xapi",
            "/xapi/statements",
            "/xapi/about/",
            "/xapi/about/x",
        ] {
            assert!(is_guarded(path), "{path}");
        }
        for path in ["/", "/v10", "/xapi/about", "/health/live", "/metrics", "/docs/v1"] {
            assert!(!is_guarded(path), "{path}");
        }
    }

    fn remembered(key: &str) -> Arc<Remembered> {
        let org = OrgId::new("acme").expect("an id");
        let stored = StoredCredential {
            org: org.clone(),
            id: uuid::Uuid::nil(),
            key: key.to_owned(),
            name: String::new(),
            secret_hash: vec![0; 32],
            scopes: "state".to_owned(),
            created_at: Timestamp::default(),
            revoked_at: None,
        };
        Arc::new(Remembered::new(stored, None).unwrap_or_else(|problem| panic!("{problem}")))
    }

    #[test]
    fn a_credential_is_remembered_for_seconds_and_forgotten_when_told() {
        let seen = CredentialCache::default();
        let start = Instant::now();
        seen.put(remembered("k"), start);
        assert!(
            seen.get("k", start + REMEMBERED_FOR - Duration::from_millis(1))
                .is_some()
        );
        assert!(seen.get("k", start + REMEMBERED_FOR).is_none());
        assert!(seen.get("other", start).is_none());
        seen.forget(&OrgId::new("acme").expect("an id"));
        assert!(seen.get("k", start).is_none());
    }
}
