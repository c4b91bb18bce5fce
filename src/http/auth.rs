//! Authentication: verifies tokens and credentials, once for every request
//! (`docs/specification.md#callers-and-rights`).
//!
//! [`authenticate`] runs before everything under `/v1` and `/xapi`. It verifies the `Authorization` header, refuses
//! deactivated users, and stores the caller with the request. A handler takes a [`Caller<A>`], so the permission is
//! part of its signature: a handler cannot forget to check it. Without a verified caller the answer is 401.
//!
//! Credentials are looked up about twice a second ([`credential_cache`]), so that a steady stream of statements needs
//! no query for each, and so are launches ([`launch_cache`]). Tokens of persons and report keys are not cached: the
//! directory is read at every request.
//!
//! Wrong secrets are limited by address and key ([`super::refusals`]). Every wrong secret costs one look-up, so that the
//! time of the answer does not show which keys exist.

pub mod credential_cache;
pub mod launch_cache;

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use secrecy::{ExposeSecret, SecretString};

use super::AppState;
use super::challenge::{credentials, has_scheme};
use super::origin;
use super::problem::{Code, Problem};
use super::query::QueryPairs;
use super::refusals::Attempt;
use crate::access::launch::is_launch_token;
use crate::access::{
    Action, AskedScope, OverPeople, Principal, ReachRules, ReportAccess, ReportKey, Scoped, SecretHash,
    Subjects, basic,
};
use crate::base::CursorKey;
use crate::base::clock::Timestamp;
use crate::base::fair_limit::Sharer;
use crate::base::ids::OrgId;
use crate::reports::key::is_key_secret;
use crate::reports::rights;
use crate::store::{OpenedLaunch, Organisation, Store, StoreError};
use credential_cache::{Cached, CachedCredential, stored_hash};

/// The parameter with the token of a launch, for players that send a commit by `navigator.sendBeacon`. Other tokens are not
/// accepted there: addresses are written to logs, and the token of a launch opens one content for a short time.
pub const LAUNCH_TOKEN_PARAMETER: &str = "access_token";

/// The verified caller of a request, with the permission `A`.
///
/// It must be the first argument of a handler. Arguments are extracted in order, so a caller without the permission is
/// refused (403) before the body is read.
pub struct Caller<A> {
    app_state: Data<AppState>,
    verified: Arc<VerifiedCaller>,
    /// The store that reads from the replica, after [`Caller::on_replica`].
    on_replica: Option<Store>,
    action: PhantomData<fn() -> A>,
}

/// The caller of a verified request, and its organisation.
struct VerifiedCaller {
    principal: Principal,
    organisation: Organisation,
}

impl<A> Caller<A> {
    /// The principal.
    pub fn principal(&self) -> &Principal {
        &self.verified.principal
    }

    /// The id of the organisation. Nothing outside of it exists for the caller.
    pub fn org(&self) -> &OrgId {
        self.verified.principal.org()
    }

    /// The organisation's settings, or the defaults if the organisation does not exist yet.
    pub fn organisation(&self) -> &Organisation {
        &self.verified.organisation
    }

    /// The settings on which the caller's reach depends.
    pub fn reach_rules(&self) -> ReachRules {
        self.verified.organisation.reach_rules()
    }

    /// The caller as one that shares limits with others.
    pub fn sharer(&self) -> Sharer {
        Sharer {
            organisation: self.org().clone(),
            caller: self.principal().caller_id(),
        }
    }

    /// Limits a query over activities to the caller's reach. Handlers can only build such queries with it.
    ///
    /// # Errors
    ///
    /// 403 for a scope that the caller cannot have.
    pub fn scoped<F>(&self, asked: Option<AskedScope>, inner: F) -> Result<Scoped<F>, Problem> {
        Ok(Scoped::new(self.principal(), &self.reach_rules(), asked, inner)?)
    }

    /// Returns the saved reports that the caller may open. Handlers can only read reports with it.
    ///
    /// # Errors
    ///
    /// 403 if the caller may open no reports.
    pub fn reports(&self) -> Result<ReportAccess, Problem> {
        ReportAccess::for_caller(self.principal())
            .ok_or_else(|| Problem::forbidden("you may not open saved reports"))
    }

    /// The state of the server.
    pub fn app_state(&self) -> &AppState {
        &self.app_state
    }

    /// The store.
    pub fn store(&self) -> &Store {
        self.on_replica.as_ref().unwrap_or(self.app_state.store())
    }

    /// The same caller, with a store that reads from the replica if there is one. For costly reads that do not write.
    pub async fn on_replica(mut self) -> Self {
        if self.app_state.store().has_replica() {
            self.on_replica = Some(self.app_state.store().on_replica().await);
        }
        self
    }

    /// The key that encrypts cursors.
    pub async fn cursor_key(&self) -> Result<&CursorKey, StoreError> {
        self.store().cursor_key().await
    }

    /// The current time of the server's clock.
    pub fn now(&self) -> Timestamp {
        self.app_state.clock().now()
    }
}

impl<A: OverPeople> Caller<A> {
    /// Returns the users on which the caller may act. Handlers can only act on users with it.
    ///
    /// # Errors
    ///
    /// 403 if the caller may act on no user. The extractor has refused such a caller already.
    pub fn subjects(&self) -> Result<Subjects<A>, Problem> {
        Subjects::for_caller(self.principal(), &self.reach_rules())
            .ok_or_else(|| Problem::forbidden(format!("you may not {}", A::NAME)))
    }
}

impl<A: Action> FromRequest for Caller<A> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(find_caller(request))
    }
}

/// The verified caller of a request, with the permission `A`.
///
/// # Errors
///
/// 401 if no caller was verified, and 403 if the caller may not do `A`.
pub fn find_caller<A: Action>(request: &HttpRequest) -> Result<Caller<A>, Problem> {
    let app_state = find_app_state(request.app_data())?;
    let verified = request
        .extensions()
        .get::<Arc<VerifiedCaller>>()
        .cloned()
        .ok_or_else(missing_authorization)?;
    if !A::allowed(&verified.principal) {
        let subject = match &verified.principal {
            Principal::Person(person) => format!("the role `{}`", person.role),
            Principal::Credential(_) => "a credential with these scopes".to_owned(),
            Principal::ReportKey(_) => "a report key".to_owned(),
            Principal::Launch(launch) => format!("the token of a launch by {}", launch.standard),
        };
        return Err(Problem::forbidden(format!("{subject} may not {}", A::NAME)));
    }
    Ok(Caller {
        app_state,
        verified,
        on_replica: None,
        action: PhantomData,
    })
}

/// Middleware that refuses requests to `/v1` and `/xapi` without a verified token or credential.
///
/// The refusal is a response and not an `Err`, so that the outer middleware handles it like any other response.
pub async fn authenticate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    // This is the decoded path, which the router matches: `/%761/users` is `/v1/users`.
    if !needs_caller(request.match_info().as_str()) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    match verify_once(&request).await {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_left_body),
        Err(problem) => {
            let (request, _) = request.into_parts();
            Ok(ServiceResponse::from_err(problem, request).map_into_right_body())
        }
    }
}

/// Whether a path needs a verified caller: everything under `/v1` and `/xapi`, except `/xapi/about`.
pub fn needs_caller(path: &str) -> bool {
    let under = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    under("/v1") || (under("/xapi") && path != "/xapi/about")
}

/// Verifies the caller of a request and stores it with the request. A second call does nothing: the alternate syntax
/// verifies the caller before it reads a long form.
///
/// # Errors
///
/// The caller cannot be verified or sends too many requests.
pub async fn verify_once(request: &ServiceRequest) -> Result<(), Problem> {
    if !request.extensions().contains::<Arc<VerifiedCaller>>() {
        let verified = verify(request).await?;
        request.extensions_mut().insert(Arc::new(verified));
    }
    Ok(())
}

/// Verifies the caller of an open answer again, by the `Authorization` header of its request. It counts as no request.
///
/// # Errors
///
/// The caller cannot be verified any more, or not at the moment.
pub async fn verify_again(
    app_state: &AppState,
    authorization: &str,
    address: IpAddr,
) -> Result<(Principal, ReachRules), Problem> {
    let verified = verify_header(app_state, authorization, address).await?;
    let rules = verified.organisation.reach_rules();
    Ok((verified.principal, rules))
}

/// Verifies the caller that got a link, by the `Authorization` header of that time, and stores it with the request that opens
/// the link.
///
/// # Errors
///
/// The caller cannot be verified any more or sends too many requests.
pub async fn verify_for_link(
    app_state: &AppState,
    request: &HttpRequest,
    authorization: &str,
) -> Result<(), Problem> {
    let verified = verify_header(app_state, authorization, app_state.client_address(request)).await?;
    count_request(app_state, &verified.principal)?;
    request.extensions_mut().insert(Arc::new(verified));
    Ok(())
}

async fn verify(request: &ServiceRequest) -> Result<VerifiedCaller, Problem> {
    let app_state = find_app_state(request.app_data())?;
    let address = app_state.client_address(request.request());
    let verified = match find_launch_token(request) {
        Some(token) => verify_launch(&app_state, &token, address).await?,
        None => {
            let mut values = request.headers().get_all(header::AUTHORIZATION);
            let (Some(value), None) = (values.next(), values.next()) else {
                return Err(missing_authorization());
            };
            let value = value.to_str().map_err(|_| missing_authorization())?;
            if has_scheme(value, BASIC) {
                origin::refuse_remembered_password(request, &app_state.options().cors_origins)?;
            }
            verify_header(&app_state, value, address).await?
        }
    };
    count_request(&app_state, &verified.principal)?;
    Ok(verified)
}

/// Names the organisation in the server's log, and counts a request of the caller.
fn count_request(app_state: &AppState, principal: &Principal) -> Result<(), Problem> {
    let span = tracing::Span::current();
    span.record("org", principal.org().as_str());
    let caller = format!("{}\n{}", principal.org(), principal.caller_id());
    app_state
        .rate_limiter()
        .count_request(&caller, Instant::now(), app_state.limits())
}

/// The scheme of a credential, in lower case.
const BASIC: &str = "basic";

/// Verifies the value of an `Authorization` header.
async fn verify_header(
    app_state: &AppState,
    value: &str,
    address: IpAddr,
) -> Result<VerifiedCaller, Problem> {
    if let Some(token) = credentials(value, "bearer") {
        let token = SecretString::from(token.trim().to_owned());
        if is_launch_token(&token) {
            verify_launch(app_state, &token, address).await
        } else {
            verify_token(app_state, token.expose_secret(), address).await
        }
    } else if has_scheme(value, BASIC) {
        verify_basic(app_state, value, address).await
    } else {
        Err(missing_authorization())
    }
}

/// The token of a launch in the query of a request to `/v1/scorm` without the header `Authorization`.
fn find_launch_token(request: &ServiceRequest) -> Option<SecretString> {
    let takes_token = request.match_info().as_str().starts_with("/v1/scorm/");
    if !takes_token || request.headers().contains_key(header::AUTHORIZATION) {
        return None;
    }
    let pairs = QueryPairs::parse(request.query_string()).ok()?;
    let mut pairs = pairs.as_slice().iter();
    let (_, token) = pairs.find(|(name, _)| name == LAUNCH_TOKEN_PARAMETER)?;
    let token = SecretString::from(token.clone());
    is_launch_token(&token).then_some(token)
}

/// Verifies the token of a person. A valid signature needs no look-up, so the limit on refusals applies to others only.
async fn verify_token(app_state: &AppState, token: &str, address: IpAddr) -> Result<VerifiedCaller, Problem> {
    let person = match app_state.keys().verify(token, app_state.clock().now()).await {
        Ok(person) => person,
        Err(error) => {
            if error.is_forgery() {
                let attempt = Attempt { address, key: None };
                let (refusals, now, limits) = (app_state.refusals(), Instant::now(), app_state.limits());
                refusals.check_address(attempt, now, limits)?;
                refusals.count(attempt, now, limits);
            }
            return Err(error.into());
        }
    };
    let facts = app_state
        .store()
        .caller_facts(&person.org, Some(&person.user))
        .await?;
    if facts.user_active == Some(false) {
        let detail = "your user is deactivated in the directory";
        return Err(Problem::new(Code::Deactivated, detail));
    }
    let organisation = facts
        .organisation
        .unwrap_or_else(|| Organisation::initial(&person.org));
    Ok(VerifiedCaller {
        principal: Principal::Person(person),
        organisation,
    })
}

/// Verifies the token of a launch, which content sends as a bearer token or as the password of HTTP Basic.
async fn verify_launch(
    app_state: &AppState,
    token: &SecretString,
    address: IpAddr,
) -> Result<VerifiedCaller, Problem> {
    let hash = SecretHash::from_secret(token);
    let now = Instant::now();
    let launch = match app_state.launches().find(hash.as_bytes(), now) {
        Some(launch) => launch,
        None => look_up_launch(app_state, &hash, address, now).await?,
    };
    if !launch.user_active {
        let detail = "the user of the launch is deactivated in the directory";
        return Err(Problem::new(Code::Deactivated, detail));
    }
    if app_state.clock().now() >= launch.launch.expires_at {
        let detail = "the launch has expired; launch the content again";
        return Err(Problem::new(Code::TokenExpired, detail));
    }
    Ok(VerifiedCaller {
        principal: Principal::Launch(launch.launch.to_principal()),
        organisation: launch.organisation.clone(),
    })
}

/// Looks up the launch of a token and caches it.
async fn look_up_launch(
    app_state: &AppState,
    hash: &SecretHash,
    address: IpAddr,
    now: Instant,
) -> Result<Arc<OpenedLaunch>, Problem> {
    let attempt = Attempt { address, key: None };
    let limits = app_state.limits();
    if !app_state.verified_secrets().contains(hash.as_bytes(), now) {
        app_state.refusals().check_address(attempt, now, limits)?;
    }
    let look_up = app_state.launches().begin_look_up(now);
    let Some(found) = app_state.store().find_launch_by_token(hash.as_bytes()).await? else {
        app_state.verified_secrets().remove(hash.as_bytes());
        app_state.refusals().count(attempt, now, limits);
        let detail = "the token of the launch is wrong or revoked; launch the content again";
        return Err(Problem::new(Code::TokenInvalid, detail));
    };
    app_state.verified_secrets().insert(*hash.as_bytes(), now);
    let found = Arc::new(found);
    app_state
        .launches()
        .put(look_up, *hash.as_bytes(), Arc::clone(&found));
    Ok(found)
}

/// Verifies HTTP Basic authorisation: a credential, a report key or the token of a launch.
async fn verify_basic(
    app_state: &AppState,
    header: &str,
    address: IpAddr,
) -> Result<VerifiedCaller, Problem> {
    let sent =
        basic::decode(header).map_err(|error| Problem::new(Code::Unauthenticated, error.to_string()))?;
    let attempt = Attempt {
        address,
        key: Some(&sent.key),
    };
    if is_launch_token(&sent.secret) {
        return verify_launch(app_state, &sent.secret, address).await;
    }
    let (refusals, now, limits) = (app_state.refusals(), Instant::now(), app_state.limits());
    let hash = SecretHash::from_secret(&sent.secret);
    let known = app_state.credentials().find(&sent.key, &hash, address, now);
    let is_report_key = is_key_secret(&sent.secret);
    // An integration goes on working while others guess its secret at the same address. The secret of a credential must
    // have been used there before: a guess from elsewhere is not shown to be right. Report keys cannot be guessed.
    let is_used_here = known.as_ref().is_some_and(|known| known.is_used_here)
        || (is_report_key && app_state.verified_secrets().contains(hash.as_bytes(), now));
    if !is_used_here {
        refusals.check_key(attempt, now, limits)?;
    }
    // A report key is used with any user name. A secret of the same form can also be the secret of a credential.
    if is_report_key && let Some(verified) = verify_report_key(app_state, &hash, attempt).await? {
        return Ok(verified);
    }
    if let Some(credential) = verify_credential(app_state, &sent.key, &hash, known, attempt).await? {
        return Ok(VerifiedCaller {
            principal: Principal::Credential(credential.credential.clone()),
            organisation: credential.organisation.clone(),
        });
    }
    refusals.count(attempt, now, limits);
    // An unknown key, a revoked key and a wrong secret have the same answer, so that it does not show which keys exist.
    let detail = "the key or its secret is wrong, or the key is revoked";
    Err(Problem::new(Code::Unauthenticated, detail))
}

/// Finds the credential of a key and secret; `known` is what the cache has. Returns `None` if the key is unknown or
/// revoked, or the secret is wrong; each of them takes one look-up.
async fn verify_credential(
    app_state: &AppState,
    key: &str,
    secret: &SecretHash,
    known: Option<Cached>,
    attempt: Attempt<'_>,
) -> Result<Option<Arc<CachedCredential>>, Problem> {
    let (credentials, now) = (app_state.credentials(), Instant::now());
    let is_known = known.is_some();
    match known {
        Some(cached) if cached.is_fresh => {
            if !cached.is_used_here {
                credentials.note_use(key, attempt.address);
            }
            return Ok(Some(cached.credential));
        }
        Some(_) => {}
        None => app_state
            .refusals()
            .check_address(attempt, now, app_state.limits())?,
    }
    let look_up = credentials.begin_look_up(now);
    let stored = app_state.store().credential(key).await?;
    // An unknown key is compared too, so that it takes as long as a known one.
    let hash = stored.as_ref().map_or(Ok(NO_SECRET), stored_hash)?;
    let matches = hash.equals(secret);
    let Some(stored) = stored.filter(|stored| matches && stored.revoked_at.is_none()) else {
        if is_known {
            credentials.remove(key);
        }
        return Ok(None);
    };
    let facts = app_state.store().caller_facts(&stored.org, None).await?;
    let cached = Arc::new(CachedCredential::new(stored, facts.organisation)?);
    credentials.put(look_up, Arc::clone(&cached), attempt.address);
    Ok(Some(cached))
}

/// A hash that belongs to no secret.
const NO_SECRET: SecretHash = SecretHash::from_bytes([0; 32]);

/// Verifies a report key. It opens its report with the rights that its owner has at this moment. Returns `None` if no
/// report has this key.
async fn verify_report_key(
    app_state: &AppState,
    hash: &SecretHash,
    attempt: Attempt<'_>,
) -> Result<Option<VerifiedCaller>, Problem> {
    let now = Instant::now();
    if !app_state.verified_secrets().contains(hash.as_bytes(), now) {
        app_state
            .refusals()
            .check_address(attempt, now, app_state.limits())?;
    }
    let Some(found) = app_state.store().find_report_by_key(hash.as_bytes()).await? else {
        app_state.verified_secrets().remove(hash.as_bytes());
        return Ok(None);
    };
    app_state.verified_secrets().insert(*hash.as_bytes(), now);
    let refusal = |reason: String| {
        Problem::forbidden(format!(
            "this key opens its report with the rights of its owner, and at present {reason}"
        ))
    };
    let owner = rights::find_rights(app_state.store(), &found.org, &found.owner).await?;
    let owner = owner.map_err(|reason| refusal(reason.to_string()))?;
    let Principal::Person(owner) = owner.principal else {
        return Err(Problem::internal("a user of the directory is not a person"));
    };
    let organisation = app_state.store().organisation(&found.org).await?;
    let key = ReportKey {
        id: found.key,
        report: found.report,
        owner,
    };
    Ok(Some(VerifiedCaller {
        principal: Principal::ReportKey(key),
        organisation,
    }))
}

fn find_app_state(data: Option<&Data<AppState>>) -> Result<Data<AppState>, Problem> {
    data.cloned()
        .ok_or_else(|| Problem::internal("the application has no AppState"))
}

fn missing_authorization() -> Problem {
    let detail = "send `Authorization: Bearer <token>`, or `Basic` with the key and secret of a credential, or `Basic` \
        with the secret of a report key as the password";
    Problem::new(Code::Unauthenticated, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_under_v1_and_xapi_except_about_needs_a_caller() {
        for path in [
            "/v1",
            "/v1/",
            "/v1/users",
            "/xapi",
            "/xapi/statements",
            "/xapi/about/",
            "/xapi/about/x",
        ] {
            assert!(needs_caller(path), "{path}");
        }
        for path in ["/", "/v10", "/xapi/about", "/health/live", "/metrics", "/docs/v1"] {
            assert!(!needs_caller(path), "{path}");
        }
    }
}
