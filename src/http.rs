//! The HTTP interface: it reads requests, calls the lower layers and writes answers. It contains no business rules.
//!
//! Four guarantees hold for every request. No request reaches `/v1` or `/xapi` without a verified caller. Every error
//! is a problem document with the id of the request. Everything that a client sends has a limit. Logs and metrics name
//! no secret.
//!
//! [`application`] lists the middleware around every request. `v1/` and `xapi/` have one file for each resource, named
//! as in its path. The other modules:
//!
//! | module | content |
//! | --- | --- |
//! | [`problem`] | problem documents and the table of their codes |
//! | [`auth`], [`challenge`] | the caller of a request: [`auth::Caller`]; what a request without one is answered |
//! | [`origin`] | passwords that a browser remembers, in requests of other sites |
//! | [`query`], [`json`], [`body`] | reading queries and bodies |
//! | [`conditions`] | ETags and conditional requests |
//! | [`pages`], [`keyed`] | lists and their pages, resources that are written by id |
//! | [`limits`], [`rate_limit`], [`concurrency_limit`] | limits on sizes, times and requests |
//! | [`refusals`], [`client_address`] | the limit on wrong secrets, by address and key |
//! | [`middleware`], [`cors`], [`request_id`], [`metrics`], [`health`] | what is the same for every request |
//! | [`downloads`], [`files`], [`cmi5_fetch`] | links to reports, to attached files, and to the token of a unit of cmi5 |
//! | [`secret_links`] | what these links have in common |
//! | [`openapi`], [`docs`] | the description of the API and its viewer |
//!
//! # A resource file
//!
//! One file is one resource: a table of routes, the types of its bodies, and handlers. `v1/credentials.rs` is a
//! complete example. This is the skeleton:
//!
//! ```text
//! //! `/v1/widgets`: the widgets of an organisation.
//!
//! use actix_web::http::header;
//! use actix_web::{HttpResponse, web};
//!
//! use crate::access::permit::{ManageDirectory, ReadDirectory};
//! use crate::base::ids::TeamId;
//! use crate::http::auth::Caller;
//! use crate::http::json::{Batch, JsonBody};
//! use crate::http::pages;
//! use crate::http::problem::{Answer, Problem};
//! use crate::http::query::QueryPairs;
//! use crate::http::routes::routes;
//!
//! // Generates `routes`, `document` and `TABLE`. A fixed path comes before one with a parameter. HEAD and 405 with
//! // `Allow` need no line. Then add the file's name to `resources!` in `v1.rs`.
//! routes! {
//!     "/v1/widgets" => { get: list_widgets, post: create_widget },
//!     "/v1/widgets/batch" => { post: put_widgets },
//!     "/v1/widgets/{id}" => { get: read_widget },
//! }
//!
//! /// `NewWidget::parse` uses `base::body::parse_body` and a `Form`: unknown members are faults with their pointer.
//! #[derive(Debug, utoipa::ToSchema)]
//! #[schema(example = json!({"name": "Cog", "team": "t1"}))]
//! pub struct NewWidget { /* … */ }
//!
//! /// List the widgets within the caller's reach.
//! #[utoipa::path(
//!     get,
//!     path = "/v1/widgets",
//!     tag = "directory",
//!     operation_id = "list_widgets",
//!     params(
//!         ("q" = Option<String>, Query, description = "Words in the name."),
//!         ("team" = Option<Vec<String>>, Query, description = "Widgets of these teams."),
//!         ("limit" = Option<u32>, Query, description = "Rows of a page, 1 to 1000.", example = 50),
//!         ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
//!     ),
//!     // Errors need no line: the document gives every operation `default: Problem`, and its security.
//!     responses((status = 200, description = "A page.", body = WidgetList))
//! )]
//! async fn list_widgets(
//!     caller: Caller<ReadDirectory>, // first, so that a caller without the permission is refused first
//!     request: actix_web::HttpRequest,
//!     pairs: QueryPairs,
//! ) -> Answer {
//!     // Read every parameter of the resource. `finish` refuses all others and all bad values.
//!     let query = pairs.reader();
//!     let words = query.text("q");
//!     let teams = query.values::<TeamId>("team");
//!     let limits = caller.app_state().limits();
//!     let limit = query.number("limit", 1..=limits.page_max).unwrap_or(limits.page_default);
//!     let cursor = query.text("cursor");
//!     query.finish()?;
//!     // If a lower layer parses the query (the log's `Query`), pass `pairs.as_slice()` instead.
//!
//!     let page = caller.store().widgets(caller.org(), words, &teams, limit, cursor).await?;
//!     let next = page.cursor.map(|cursor| pages::next_address(&request, &pairs, &cursor));
//!     let body = WidgetList { widgets: page.widgets, next };
//!     Ok(pages::list_response(&body, body.next.as_deref()))
//! }
//!
//! /// Create a widget.
//! #[utoipa::path(post, path = "/v1/widgets", tag = "directory", operation_id = "create_widget",
//!     request_body = NewWidget, responses((status = 201, description = "The widget is created.", body = Widget)))]
//! async fn create_widget(
//!     caller: Caller<ManageDirectory>,
//!     pairs: QueryPairs,
//!     body: JsonBody,
//! ) -> Answer {
//!     pairs.refuse_any()?;
//!     let new = body.read(NewWidget::parse)?;
//!     // `?` turns an error of a lower layer into a problem; see `problem/conversions.rs`.
//!     let widget = caller.store().add_widget(caller.org(), new).await?;
//!     Ok(HttpResponse::Created()
//!         .insert_header((header::LOCATION, format!("/v1/widgets/{}", widget.id)))
//!         .json(widget))
//! }
//!
//! /// Takes a JSON array or NDJSON. `read` names every bad element by its pointer (`/1/name`).
//! async fn put_widgets(caller: Caller<ManageDirectory>, pairs: QueryPairs, batch: Batch) -> Answer {
//!     pairs.refuse_any()?;
//!     let widgets = batch.read(NewWidget::parse_batch)?;
//! }
//!
//! /// `web::Path` takes the ids of `crate::base::ids`. A path with an invalid id is 404.
//! async fn read_widget(caller: Caller<ReadDirectory>, id: web::Path<TeamId>, pairs: QueryPairs) -> Answer {
//!     pairs.refuse_any()?;
//!     let widget = caller.store().widget(caller.org(), &id).await?.ok_or_else(Problem::not_found)?;
//!     Ok(HttpResponse::Ok().json(widget))
//! }
//! ```

pub mod auth;
pub mod body;
pub mod challenge;
pub mod client_address;
pub mod cmi5_fetch;
pub mod concurrency_limit;
pub mod conditions;
pub mod cors;
pub mod docs;
pub mod downloads;
pub mod files;
pub mod health;
pub mod json;
pub mod keyed;
pub mod language;
pub mod limits;
pub mod metrics;
pub mod middleware;
pub mod openapi;
pub mod origin;
pub mod pages;
pub mod problem;
pub mod query;
pub mod rate_limit;
pub mod refusals;
pub mod request_id;
pub(crate) mod routes;
pub mod secret_links;
pub mod static_pages;
pub mod v1;
pub mod xapi;

use std::net::IpAddr;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::error::PathError;
use actix_web::http::Method;
use actix_web::middleware::{Compress, Condition, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest};
use ipnet::IpNet;
use tokio::sync::watch;
use tracing_actix_web::TracingLogger;

use crate::access::TokenKeys;
use crate::base::clock::Clock;
use crate::base::ids::OrgId;
use crate::base::shared_limit::{SharedLimit, Shares};
use crate::imports::ImportLimits;
use crate::launches::LaunchLifetime;
use crate::live::{LiveOptions, LiveStreams};
use crate::reports::rights::RecipientRules;
use crate::store::{FacetCache, Recorder, RecorderOptions, Store, StoreError};
use crate::subscriptions::egress::Egress;
use crate::subscriptions::worker::{Worker, WorkerOptions};
use auth::credential_cache::CredentialCache;
use auth::launch_cache::LaunchCache;
use client_address::find_client_address;
use concurrency_limit::ConcurrencyLimits;
use limits::Limits;
use problem::Problem;
use rate_limit::RateLimiter;
use refusals::{RefusalLimiter, VerifiedSecrets};
use static_pages::StaticPage;

/// The maximum number of tests of subscriptions by hand at the same time, and of those that wait in one organisation.
const TRIALS: usize = 8;

/// The state of a server, which every request can use.
pub struct AppState {
    store: Store,
    recorder: Recorder,
    facets: FacetCache,
    keys: TokenKeys,
    options: AppOptions,
    credentials: CredentialCache,
    launches: LaunchCache,
    rate_limiter: RateLimiter,
    refusals: RefusalLimiter,
    verified_secrets: VerifiedSecrets,
    read_check: health::ReadCheck,
    concurrency: ConcurrencyLimits,
    live: LiveStreams,
    stopping: watch::Sender<bool>,
    egress: Egress,
    trials: SharedLimit<OrgId>,
}

/// The options of a server.
#[derive(Debug, Clone, Default)]
pub struct AppOptions {
    /// The limits on what clients send.
    pub limits: Limits,
    /// The origins of web pages that may read answers, as [`cors::check_origin`] returns them.
    pub cors_origins: Vec<String>,
    /// The version that `/xapi` names in an answer to a request without a version.
    pub xapi_unversioned: xapi::UnversionedAnswer,
    /// The recipients outside the directory that may receive reports.
    pub recipients: RecipientRules,
    /// Whether `/metrics` is served beside the API, where every client can read it.
    pub metrics_on_api: bool,
    /// The public address of the server, without a slash at its end. `None`: the one by which a client reaches it.
    pub public_url: Option<String>,
    /// Web pages that are served beside the API.
    pub pages: &'static [StaticPage],
    /// How long the tokens of launches may be valid.
    pub launch_lifetime: LaunchLifetime,
    /// The limits of the recorder.
    pub recorder: RecorderOptions,
    /// The limits of imports.
    pub imports: ImportLimits,
    /// The limits and times of live streams.
    pub streams: LiveOptions,
    /// The proxies that name the addresses of clients.
    pub trusted_proxies: Vec<IpNet>,
    /// The options of subscriptions.
    pub subscriptions: WorkerOptions,
    /// Whether this server sends what subscriptions have to send.
    pub sends_subscriptions: bool,
}

impl AppState {
    /// Creates the state of a server and starts the recorder. `keys` verify the tokens of persons.
    ///
    /// # Errors
    ///
    /// The recorder cannot be started.
    pub fn new(store: Store, keys: TokenKeys, options: AppOptions) -> Result<Self, StoreError> {
        let recorder = Recorder::start_with(&store, options.recorder.clone())?;
        let concurrency = ConcurrencyLimits::new(&options.limits);
        let WorkerOptions { egress, names, .. } = options.subscriptions.clone();
        let egress =
            Egress::new(egress, names).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let live = LiveStreams::new(store.clone(), options.streams.clone());
        Ok(Self {
            store,
            recorder,
            facets: FacetCache::default(),
            keys,
            options,
            credentials: CredentialCache::default(),
            launches: LaunchCache::default(),
            rate_limiter: RateLimiter::default(),
            refusals: RefusalLimiter::default(),
            verified_secrets: VerifiedSecrets::default(),
            read_check: health::ReadCheck::default(),
            concurrency,
            live,
            stopping: watch::Sender::new(false),
            egress,
            trials: SharedLimit::new(Shares::for_three(TRIALS, TRIALS / 2), TRIALS),
        })
    }

    /// The recorder, which writes records.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The cache of facets that took long to count.
    pub fn facets(&self) -> &FacetCache {
        &self.facets
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The keys that verify the tokens of persons.
    pub fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// The clock of the store.
    pub fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// The limits of imports.
    pub fn imports(&self) -> &ImportLimits {
        &self.options.imports
    }

    /// The address of the client of a request: that of its connection, or the one that trusted proxies name.
    pub fn client_address(&self, request: &HttpRequest) -> IpAddr {
        let proxies = &self.options.trusted_proxies;
        find_client_address(request.peer_addr(), request.headers(), proxies)
    }

    /// The public address of this server, without a slash at its end: that of the settings, or the one that the client
    /// used.
    pub fn public_address(&self, request: &HttpRequest) -> String {
        match &self.options.public_url {
            Some(url) => url.clone(),
            None => {
                let connection = request.connection_info();
                format!("{}://{}", connection.scheme(), connection.host())
            }
        }
    }

    /// The path of the public address, without a slash at its end; empty if it has none. Addresses in answers that have no
    /// host begin with it.
    pub fn base_path(&self) -> &str {
        self.options.public_url.as_deref().map_or("", path_of_address)
    }

    /// The options.
    pub fn options(&self) -> &AppOptions {
        &self.options
    }

    /// The cache of credentials. A handler that changes a credential or an organisation's settings removes the
    /// organisation from it.
    pub fn credentials(&self) -> &CredentialCache {
        &self.credentials
    }

    /// The cache of launches. A handler that revokes one removes the organisation from it.
    pub fn launches(&self) -> &LaunchCache {
        &self.launches
    }

    /// The limiter of requests per second.
    pub fn rate_limiter(&self) -> &RateLimiter {
        &self.rate_limiter
    }

    /// The limiter of failed attempts to authenticate.
    pub fn refusals(&self) -> &RefusalLimiter {
        &self.refusals
    }

    /// The secrets of report keys and links that were verified a short time ago.
    pub fn verified_secrets(&self) -> &VerifiedSecrets {
        &self.verified_secrets
    }

    /// The last check that the database can be read.
    pub fn read_check(&self) -> &health::ReadCheck {
        &self.read_check
    }

    /// The limits on requests that read the database for a long time.
    pub fn concurrency(&self) -> &ConcurrencyLimits {
        &self.concurrency
    }

    /// Sends requests to the addresses of subscriptions.
    pub fn egress(&self) -> &Egress {
        &self.egress
    }

    /// The limit on tests of subscriptions by hand, which organisations share.
    pub fn trials(&self) -> &SharedLimit<OrgId> {
        &self.trials
    }

    /// The worker of subscriptions, if this server has one.
    pub fn subscription_worker(&self) -> Option<Worker> {
        let options = self.options.subscriptions.clone();
        let worker = Worker::new(self.store.clone(), self.egress.clone(), options);
        Some(worker).filter(|_| self.options.sends_subscriptions)
    }

    /// The live streams.
    pub fn live(&self) -> &LiveStreams {
        &self.live
    }

    /// Marks the server as stopping, so that `/health/ready` answers 503, and ends the live streams.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        self.live.stop();
    }

    /// Whether the server is stopping.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until the server is stopping.
    pub async fn stopped(&self) {
        // An error means that the state is gone, and with it the server.
        let _ = self
            .stopping
            .subscribe()
            .wait_for(|is_stopping| *is_stopping)
            .await;
    }
}

/// [`AppState::base_path`] of an application without a state: that of a server that waits for its database.
#[derive(Debug, Clone)]
pub struct BasePath(pub String);

/// Returns [`AppState::base_path`] of the application that a request came to.
pub fn base_path_of(request: &HttpRequest) -> &str {
    let app_state = request.app_data::<Data<AppState>>();
    let waiting = || request.app_data::<BasePath>().map_or("", |base| base.0.as_str());
    app_state.map_or_else(waiting, |app_state| app_state.base_path())
}

/// Returns the path of an absolute address without query: `/lrs` of `https://example.org/lrs`.
pub fn path_of_address(address: &str) -> &str {
    let after_scheme = address.find("://").map_or(0, |colon| colon + 3);
    let rest = address.get(after_scheme..).unwrap_or_default();
    let path = rest.find('/').and_then(|slash| rest.get(slash..));
    path.unwrap_or_default().trim_end_matches('/')
}

/// Adds all routes, without the middleware.
pub fn configure(config: &mut web::ServiceConfig) {
    config.app_data(web::PathConfig::default().error_handler(bad_path));
    v1::routes(config);
    xapi::routes(config);
    downloads::routes(config);
    cmi5_fetch::routes(config);
    files::routes(config);
    health::routes(config);
    docs::routes(config);
    docs::viewer(config);
}

/// Returns every path with its methods in lower case, except those of the viewer at `/docs`.
pub fn table() -> Vec<(&'static str, &'static [&'static str])> {
    let mut table = v1::table();
    table.extend(xapi::table());
    for part in [
        downloads::TABLE,
        cmi5_fetch::TABLE,
        files::TABLE,
        health::TABLE,
        docs::TABLE,
        metrics::TABLE,
    ] {
        table.extend_from_slice(part);
    }
    table
}

/// Returns the application: all routes within their middleware. From the outside in:
///
/// 1. the span and the id of the request ([`middleware::RootSpan`]);
/// 2. metrics, and the headers of every answer, also of preflights ([`middleware::count_and_add_headers`]);
/// 3. cross-origin requests ([`cors`]), so that pages of other origins can read errors too, and around them the problems of
///    refused preflights ([`middleware::write_refused_preflight`]);
/// 4. slashes in addresses of xAPI ([`xapi::fold_slashes`]);
/// 5. limits on the head, HEAD as GET, problem documents, the rest of a refused body
///    ([`middleware::handle_request`]);
/// 6. gzip, if the client accepts it and the answer is no live stream;
/// 7. the alternate request syntax of xAPI 1.0.3, which may carry the authorisation in a form ([`xapi::alternate`]);
/// 8. authentication ([`auth::authenticate`]).
pub fn application(
    app_state: Data<AppState>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    let cors = cors::layer(&app_state.options.cors_origins);
    let cross_origin = !app_state.options.cors_origins.is_empty();
    let metrics_here = app_state.options.metrics_on_api;
    let pages = app_state.options.pages;
    App::new()
        .app_data(app_state)
        .configure(configure)
        .configure(|config| static_pages::routes(config, pages))
        .configure(|config| {
            if metrics_here {
                metrics::routes(config);
            }
        })
        .wrap(from_fn(auth::authenticate))
        .wrap(from_fn(xapi::alternate::rewrite))
        .wrap(Compress::default())
        .wrap(from_fn(middleware::handle_request))
        .wrap(from_fn(xapi::fold_slashes))
        .wrap(Condition::new(cross_origin, cors))
        .wrap(from_fn(middleware::write_refused_preflight))
        .wrap(from_fn(middleware::count_and_add_headers))
        .wrap(TracingLogger::<middleware::RootSpan>::new())
}

/// Answers a path parameter that is not a valid id. No resource has such an address, so reading is 404. The answer to a
/// write says what is wrong with the id.
fn bad_path(error: PathError, request: &HttpRequest) -> actix_web::Error {
    match *request.method() {
        Method::PUT | Method::POST | Method::PATCH => {
            let reason = match &error {
                PathError::Deserialize(reason) => reason.to_string(),
                other => other.to_string(),
            };
            Problem::bad_request(format!("the address contains an invalid id: {reason}")).into()
        }
        _ => Problem::not_found().into(),
    }
}
