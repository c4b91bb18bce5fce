//! The requests that reports and schedules share: both are read, written, patched and deleted in the same way, with ETags.
//!
//! A resource adds its parser, [`ReportApi`], and its routes.

use std::collections::{HashMap, HashSet};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use uuid::Uuid;

use crate::access::permit::ManageReports;
use crate::base::Page;
use crate::base::fault::Faults;
use crate::base::ids::UserId;
use crate::http::auth::Caller;
use crate::http::conditions;
use crate::http::json::{JsonBody, MergePatch};
use crate::http::keyed::Listing;
use crate::http::pages::{NoOthers, PageWriter};
use crate::http::problem::{Answer, Code, Problem};
use crate::http::query::QueryPairs;
use crate::log::Recorder;
use crate::store::{ReportRefusal, ReportResource, StoreError, skip_unreadable};

/// Computes the change from the stored resource.
pub(super) type Change<R> = Box<dyn FnOnce(&R) -> Result<<R as ReportResource>::Change, Faults>>;

/// A stored resource that clients read and write.
pub(super) trait ReportApi: ReportResource {
    /// The resource as clients read it.
    type Representation: Serialize;

    /// The path of the resources, without an id.
    const PATH: &'static str;

    /// The kind of the resource, for the log.
    const KIND: &'static str;

    /// The id in the path.
    fn id(&self) -> Uuid;

    /// The position in the list of all resources, for the cursor of the page that begins after it.
    fn position(&self) -> String;

    /// The user that it belongs to.
    fn user(&self) -> &UserId;

    /// The representation, with the current name of the user.
    fn represent(self, user_name: Option<String>) -> Result<Self::Representation, StoreError>;

    /// Adds to the representations what other resources contain.
    async fn add_details<A>(
        _caller: &Caller<A>,
        _representations: &mut [Self::Representation],
    ) -> Result<(), Problem> {
        Ok(())
    }

    /// The change that replaces the content with a body.
    async fn parse_put(
        caller: &Caller<ManageReports>,
        id: Uuid,
        body: &JsonBody,
    ) -> Result<Change<Self>, Problem>;

    /// The change that applies a merge patch (RFC 7396).
    async fn parse_patch(
        caller: &Caller<ManageReports>,
        id: Uuid,
        patch: MergePatch,
    ) -> Result<Change<Self>, Problem>;
}

/// Handles a GET of one resource.
pub(super) async fn get<R: ReportApi, A>(caller: &Caller<A>, id: &str, pairs: &QueryPairs) -> Answer {
    pairs.refuse_any()?;
    let resource = find::<R, A>(caller, parse_id(id)?).await?;
    ok_response(caller, resource).await
}

/// Handles a PUT.
pub(super) async fn put<R: ReportApi>(
    caller: &Caller<ManageReports>,
    request: &HttpRequest,
    id: &str,
    pairs: &QueryPairs,
    body: &JsonBody,
) -> Answer {
    pairs.refuse_any()?;
    let id = parse_id(id)?;
    let change = R::parse_put(caller, id, body).await?;
    write(caller, request, id, change).await
}

/// Handles a PATCH.
pub(super) async fn patch<R: ReportApi>(
    caller: &Caller<ManageReports>,
    request: &HttpRequest,
    id: &str,
    pairs: &QueryPairs,
    patch: MergePatch,
) -> Answer {
    pairs.refuse_any()?;
    let id = parse_id(id)?;
    let change = R::parse_patch(caller, id, patch).await?;
    write(caller, request, id, change).await
}

async fn write<R: ReportApi>(
    caller: &Caller<ManageReports>,
    request: &HttpRequest,
    id: Uuid,
    change: Change<R>,
) -> Answer {
    let expected = conditions::parse_if_match(request)?;
    let access = caller.reports()?;
    let written = caller
        .store()
        .change_resource(&access, id, expected.as_ref(), change);
    ok_response(caller, written.await??).await
}

/// Handles a DELETE.
pub(super) async fn delete<R: ReportApi>(
    caller: &Caller<ManageReports>,
    request: &HttpRequest,
    id: &str,
    pairs: &QueryPairs,
) -> Answer {
    pairs.refuse_any()?;
    let id = parse_id(id)?;
    let expected = conditions::parse_if_match(request)?;
    let access = caller.reports()?;
    let deleted = caller
        .store()
        .delete_resource::<R>(&access, id, expected.as_ref());
    deleted.await??;
    Ok(HttpResponse::NoContent().finish())
}

/// Parses the id in a path. A text that is no UUID is the id of no resource.
pub(super) fn parse_id(text: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(text).map_err(|_| Problem::not_found())
}

/// The resource with this id.
///
/// # Errors
///
/// 404 if it does not exist for the caller.
pub(super) async fn find<R: ReportApi, A>(caller: &Caller<A>, id: Uuid) -> Result<R, Problem> {
    let resource = caller.store().find_resource(&caller.reports()?, id).await?;
    resource.ok_or_else(Problem::not_found)
}

/// 201 with a new resource and its path.
pub(super) async fn created_response<R: ReportApi, A>(caller: &Caller<A>, resource: R) -> Answer {
    let location = format!("{}/{}", R::PATH, resource.id());
    let etag = conditions::format_etag(resource.version());
    let body = represent_one(caller, resource).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, etag))
        .json(body))
}

/// 200 with a resource and its ETag.
async fn ok_response<R: ReportApi, A>(caller: &Caller<A>, resource: R) -> Answer {
    let etag = conditions::format_etag(resource.version());
    let body = represent_one(caller, resource).await?;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag)).json(body))
}

async fn represent_one<R: ReportApi, A>(
    caller: &Caller<A>,
    resource: R,
) -> Result<R::Representation, Problem> {
    let names = find_names(caller, std::slice::from_ref(&resource)).await?;
    let name = names.get(resource.user()).and_then(|user| user.name.clone());
    let mut representations = vec![resource.represent(name)?];
    R::add_details(caller, &mut representations).await?;
    let body = representations.pop();
    body.ok_or_else(|| Problem::internal("a resource got lost"))
}

/// The representations of the resources that can be read, each with its index.
pub(super) async fn represent_readable<R: ReportApi, A>(
    caller: &Caller<A>,
    resources: Vec<R>,
) -> Result<Vec<(usize, R::Representation)>, Problem> {
    let names = find_names(caller, &resources).await?;
    let (mut indexes, mut representations) = (Vec::new(), Vec::new());
    for (index, resource) in resources.into_iter().enumerate() {
        let (id, name) = (
            resource.id(),
            names.get(resource.user()).and_then(|user| user.name.clone()),
        );
        if let Some(representation) = skip_unreadable(R::KIND, || id, resource.represent(name))? {
            indexes.push(index);
            representations.push(representation);
        }
    }
    R::add_details(caller, &mut representations).await?;
    Ok(indexes.into_iter().zip(representations).collect())
}

/// 200 with a page. Resources that cannot be read are left out; the next page begins after them.
pub(super) async fn page_response<R: ReportApi, A>(
    caller: &Caller<A>,
    listing: &Listing<'_>,
    plural: &'static str,
    page: Page<R>,
) -> Answer {
    let positions: Vec<String> = page.items.iter().map(R::position).collect();
    let mut writer = PageWriter::new(plural, caller.app_state().limits());
    let mut listed = positions.len();
    for (index, representation) in represent_readable(caller, page.items).await? {
        if !writer.push(&representation)? {
            listed = index;
            break;
        }
    }
    let last = positions[..listed].last().map(String::as_str);
    let next = listing.next(page.more || writer.is_full(), last)?;
    writer.respond(next.as_deref(), &NoOthers {})
}

/// The current names of the users of resources.
async fn find_names<R: ReportApi, A>(
    caller: &Caller<A>,
    resources: &[R],
) -> Result<HashMap<UserId, Recorder>, Problem> {
    let users: HashSet<UserId> = resources.iter().map(|resource| resource.user().clone()).collect();
    let users: Vec<UserId> = users.into_iter().collect();
    Ok(caller.store().recorders(caller.org(), &users).await?)
}

impl From<ReportRefusal> for Problem {
    fn from(refusal: ReportRefusal) -> Self {
        match refusal {
            ReportRefusal::NotFound => Problem::not_found(),
            ReportRefusal::NotChangeable | ReportRefusal::KeyByOwnerOnly | ReportRefusal::KeysNotVisible => {
                Problem::forbidden(refusal.to_string())
            }
            ReportRefusal::Stale => Problem::new(Code::PreconditionFailed, refusal.to_string()),
            ReportRefusal::TooManyReports
            | ReportRefusal::TooManySchedules
            | ReportRefusal::TooManyKeys
            | ReportRefusal::TooManyRuns => Problem::conflict(refusal.to_string()),
            ReportRefusal::Faults(faults) => faults.into(),
        }
    }
}
