//! The app_state: HTTP in, HTTP out, and no rule of the product (contract sections 3, 10, 12).
//!
//! What it promises: nobody passes to `/v1` or `/xapi` unverified; every error is a problem document with
//! the request's id; everything a client sends has a limit; what is logged and counted names no secret.
//!
//! Start at [`application`], the layers around every request, then read a resource file: `v1/` and
//! `xapi/` have one for each, named as in its address. The frame's parts:
//!
//! | file | holds |
//! | --- | --- |
//! | [`problem`] | problem documents, and the table of their codes |
//! | [`auth`] | who asks: [`auth::Caller`] |
//! | [`query`], [`json`] | reading queries and bodies, with every fault at its place |
//! | [`conditions`] | ETags, and what a request says of them |
//! | [`pages`] | lists and their next page |
//! | [`limits`] | sizes, rates, slow clients |
//! | [`turns`] | how many may have the database read at length at once |
//! | [`cors`], [`request_id`], [`metrics`], [`health`] | as they say |
//! | [`downloads`] | what messages link to, for whoever has the address |
//! | [`openapi`], [`docs`] | the description of all of it, and its viewer |
//!
//! # A resource file
//!
//! One file is one resource: a table of routes, the shapes, and handlers that extract, call and answer.
//! `v1/credentials.rs` is a whole one; this is its skeleton.
//!
//! ```text
//! //! `/v1/widgets`: what they are (contract section N).
//!
//! use actix_web::http::header;
//! use actix_web::{HttpResponse, web};
//!
//! use crate::access::permit::{ManageDirectory, ReadDirectory};
//! use crate::http::auth::Caller;
//! use crate::http::json::{Batch, JsonBody};
//! use crate::http::pages;
//! use crate::http::problem::{Answer, Problem};
//! use crate::http::query::QueryPairs;
//! use crate::http::routes::routes;
//! use crate::base::ids::TeamId;
//!
//! // Gives `pub fn routes`, `pub fn document` and `TABLE`. Fixed paths before those with parameters. HEAD
//! // and 405 with `Allow` come by themselves. Then add the file's name to `resources!` in `v1.rs`.
//! routes! {
//!     "/v1/widgets" => { get: list_widgets, post: create_widget },
//!     "/v1/widgets/batch" => { post: put_widgets },
//!     "/v1/widgets/{id}" => { get: read_widget },
//! }
//!
//! /// `deny_unknown_fields` makes a misspelt member a fault with its pointer.
//! #[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
//! #[serde(deny_unknown_fields)]
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
//!         ("team" = Option<Vec<String>>, Query, description = "Of any of these teams."),
//!         ("limit" = Option<u32>, Query, description = "Rows of a page, 1 to 1000.", example = 50),
//!         ("cursor" = Option<String>, Query, description = "From the last page's `next`."),
//!     ),
//!     // Errors need no line: the document gives every operation `default: Problem`, and its security.
//!     responses((status = 200, description = "A page.", body = WidgetList))
//! )]
//! async fn list_widgets(
//!     caller: Caller<ReadDirectory>, // first: a caller who may not is refused before anything is read
//!     request: actix_web::HttpRequest,
//!     pairs: QueryPairs,
//! ) -> Answer {
//!     // Ask for each parameter that the resource knows; `finish` refuses the others and all bad values.
//!     let query = pairs.reader();
//!     let words = query.text("q");
//!     let teams = query.values::<TeamId>("team");
//!     let limits = caller.app_state().limits();
//!     let limit = query.number("limit", 1..=limits.page_max).unwrap_or(limits.page_default);
//!     let cursor = query.text("cursor");
//!     query.finish()?;
//!     // A room with a parser of its own (the log's `Query`) takes `pairs.as_slice()` instead.
//!
//!     let page = caller.store().widgets(caller.org(), words, &teams, limit, cursor).await?;
//!     let next = page.cursor.map(|cursor| pages::next_page_address(request.path(), &pairs, &cursor));
//!     let body = WidgetList { widgets: page.widgets, next };
//!     Ok(pages::list_response(&body, body.next.as_deref()))
//! }
//!
//! /// Make a widget.
//! #[utoipa::path(post, path = "/v1/widgets", tag = "directory", operation_id = "create_widget",
//!     request_body = NewWidget, responses((status = 201, description = "Made.", body = Widget)))]
//! async fn create_widget(
//!     caller: Caller<ManageDirectory>,
//!     pairs: QueryPairs,
//!     JsonBody(body): JsonBody<NewWidget>,
//! ) -> Answer {
//!     pairs.refuse_any()?;
//!     if body.name.is_empty() {
//!         return Err(Problem::invalid_body("/name", "a name must not be empty"));
//!     }
//!     let widget = caller.store().add_widget(caller.org(), body).await?; // rooms' errors become problems
//!     Ok(HttpResponse::Created()
//!         .insert_header((header::LOCATION, format!("/v1/widgets/{}", widget.id)))
//!         .json(widget))
//! }
//!
//! /// An array or NDJSON; `read` names every bad element by its pointer (`/1/name`).
//! async fn put_widgets(caller: Caller<ManageDirectory>, pairs: QueryPairs, batch: Batch) -> Answer {
//!     pairs.refuse_any()?;
//!     let widgets = batch.read::<NewWidget>()?;
//!     // … or `batch.elements()?` for the texts, where a room parses them itself.
//! }
//!
//! /// `web::Path` takes the ids of `crate::base::ids` as they are; a path that is no id is 404.
//! async fn read_widget(caller: Caller<ReadDirectory>, id: web::Path<TeamId>, pairs: QueryPairs) -> Answer {
//!     pairs.refuse_any()?;
//!     let widget = caller.store().widget(caller.org(), &id).await?.ok_or_else(Problem::not_found)?;
//!     Ok(HttpResponse::Ok().json(widget))
//! }
//! ```

pub mod auth;
pub mod concurrency_limit;
pub mod conditions;
pub mod cors;
pub mod docs;
pub mod downloads;
pub mod health;
pub mod json;
pub mod keyed;
pub mod limits;
pub mod metrics;
pub mod middleware;
pub mod openapi;
pub mod pages;
pub mod problem;
pub mod query;
pub mod request_id;
pub(crate) mod routes;
pub mod v1;
pub mod xapi;

use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::error::PathError;
use actix_web::http::Method;
use actix_web::middleware::{Compress, Condition, from_fn};
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest};
use tracing_actix_web::TracingLogger;

use crate::access::TokenKeys;
use crate::base::clock::Clock;
use crate::reports::rights::RecipientRules;
use crate::store::{FacetCache, Recorder, Store, StoreError};
use auth::CredentialCache;
use concurrency_limit::ConcurrencyLimits;
use limits::{Limits, Rates};
use problem::Problem;

/// What every request has at hand.
pub struct AppState {
    store: Store,
    recorder: Recorder,
    facets: FacetCache,
    keys: TokenKeys,
    options: AppOptions,
    credentials: CredentialCache,
    rates: Rates,
    concurrency: ConcurrencyLimits,
    stopping: AtomicBool,
}

/// Options that an operator can set.
#[derive(Debug, Clone, Default)]
pub struct AppOptions {
    /// The limits on what clients send.
    pub limits: Limits,
    /// Origins whose pages may read answers, as [`cors::check_origin`] gives them.
    pub cors_origins: Vec<String>,
    /// Which version `/xapi` names in an answer to a request that named none.
    pub xapi_unversioned: xapi::UnversionedAnswer,
    /// Who outside the directory may receive reports.
    pub recipients: RecipientRules,
    /// Whether `/metrics` has a listener of its own, so that it isn't served beside the API.
    pub metrics_elsewhere: bool,
}

impl AppState {
    /// The state of a server over a store, with the keys that verify tokens. It starts the recorder.
    ///
    /// # Errors
    ///
    /// The recorder cannot be started.
    pub fn new(store: Store, keys: TokenKeys, options: AppOptions) -> Result<Self, StoreError> {
        let (credentials, rates) = (CredentialCache::default(), Rates::default());
        let recorder = Recorder::start(&store)?;
        let concurrency = ConcurrencyLimits::new(&options.limits);
        Ok(Self {
            store,
            recorder,
            facets: FacetCache::default(),
            keys,
            options,
            credentials,
            rates,
            concurrency,
            stopping: AtomicBool::new(false),
        })
    }

    /// Takes records in.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Facets that took long to count.
    pub fn facets(&self) -> &FacetCache {
        &self.facets
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The keys that people's tokens are verified with.
    pub fn keys(&self) -> &TokenKeys {
        &self.keys
    }

    /// The server's clock, the store's own.
    pub fn clock(&self) -> &Clock {
        self.store.clock()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// What the operator set.
    pub fn options(&self) -> &AppOptions {
        &self.options
    }

    /// The credentials seen lately; a handler that changes one, or an organisation's settings, tells it to
    /// forget the organisation's.
    pub fn credentials(&self) -> &CredentialCache {
        &self.credentials
    }

    /// Who has asked how often.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// The limits on requests that read the database for a long time.
    pub fn concurrency(&self) -> &ConcurrencyLimits {
        &self.concurrency
    }

    /// From now on the server isn't ready for new work: it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Adds every route. Tests that need no layers use it alone.
pub fn configure(config: &mut web::ServiceConfig) {
    config.app_data(web::PathConfig::default().error_handler(bad_path));
    v1::routes(config);
    xapi::routes(config);
    downloads::routes(config);
    health::routes(config);
    docs::routes(config);
    docs::viewer(config);
}

/// Every path with its methods in lower case, but those of the viewer at `/docs`.
pub fn table() -> Vec<(&'static str, &'static [&'static str])> {
    let mut table = v1::table();
    table.extend(xapi::table());
    for part in [downloads::TABLE, health::TABLE, docs::TABLE, metrics::TABLE] {
        table.extend_from_slice(part);
    }
    table
}

/// The whole application: every route within its layers, from the outside in:
///
/// 1. the request's span and id ([`middleware::RootSpan`]);
/// 2. counting, and the headers that every answer has, preflights too ([`middleware::count`]);
/// 3. cross-origin questions ([`cors`]), so that errors can be read across origins too;
/// 4. limits on the head, HEAD as GET, problem documents, what is left of a refused body
///    ([`middleware::frame`]);
/// 5. gzip where the client accepts it;
/// 6. the alternate request syntax of xAPI 1.0.3, whose form may hold who asks ([`xapi::alternate`]);
/// 7. authentication ([`auth::authenticate`]).
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
    let metrics_here = !app_state.options.metrics_elsewhere;
    App::new()
        .app_data(app_state)
        .configure(configure)
        .configure(|config| {
            if metrics_here {
                metrics::routes(config);
            }
        })
        .wrap(from_fn(auth::authenticate))
        .wrap(from_fn(xapi::alternate::rewrite))
        .wrap(Compress::default())
        .wrap(from_fn(middleware::handle_request))
        .wrap(Condition::new(cross_origin, cors))
        .wrap(from_fn(middleware::count))
        .wrap(TracingLogger::<middleware::RootSpan>::new())
}

/// A path parameter that can't be what it should be: nothing has that address; whoever wants to make
/// something there is told why it can't be.
fn bad_path(error: PathError, request: &HttpRequest) -> actix_web::Error {
    match *request.method() {
        Method::PUT | Method::POST | Method::PATCH => {
            Problem::bad_request(format!("the address holds something that is no id: {error}")).into()
        }
        _ => Problem::not_found().into(),
    }
}
