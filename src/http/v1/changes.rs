//! `/v1/activities/changes` and `/v1/directory/changes`: what changed, in the order of the commits
//! (`docs/specification.md#change-feed`).
//!
//! A request with `wait` that finds nothing waits for the next commit of its organisation. Meanwhile it holds no
//! connection to the database.

use std::time::Duration;

use actix_web::http::ConnectionType;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};
use utoipa::{IntoParams, ToSchema};

use crate::access::permit::{ReadActivities, ReadDirectoryChanges};
use crate::access::{AskedScope, CredentialScope, Principal, Reach};
use crate::base::ids::StatementId;
use crate::catalogue::Content;
use crate::directory::{Group, Team, User, visible_users};
use crate::http::auth::Caller;
use crate::http::base_path_of;
use crate::http::concurrency_limit::ConcurrencyPermit;
use crate::http::pages::{NoOthers, PIECE, PageWriter};
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::log::Activity;
use crate::store::{
    ChangePage, ChangedResource, CommitReceiver, LogChange, Lookups, PageLimits, Resource, ResourceEffect,
    VisibleResources, skip_unreadable,
};

routes! {
    "/v1/activities/changes" => { get: list_activity_changes },
    "/v1/directory/changes" => { get: list_directory_changes },
}

/// The maximum of `wait` in seconds.
const MAX_WAIT: usize = 30;
/// The least time between two readings of a request that waits. So an organisation with many commits that are not for
/// this feed costs little.
const PAUSE: Duration = Duration::from_millis(500);

/// The number of users, teams, groups and contents that are read at a time. A user can have 200 kB of texts.
const RESOURCES_AT_ONCE: usize = 50;

/// How long a request goes on while it finds only what belongs to later places or cannot be read.
const MOST_SEARCH: Duration = Duration::from_secs(5);

/// A page of changes of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityChanges {
    /// The changes in the order of their commits. Each activity is on the page of its last change.
    pub changes: Vec<ActivityChange>,
    /// The relative address of the next page. It is always there: later changes are found at it.
    #[schema(example = "/v1/activities/changes?after=4711&wait=30")]
    pub next: String,
}

/// A change of the log.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum ActivityChange {
    /// The activity is new or different. It is shown as it is now.
    Upsert {
        /// The activity.
        activity: Box<Activity>,
    },
    /// The activity has left the log.
    Delete {
        /// The activity's id.
        #[schema(value_type = Uuid)]
        id: StatementId,
    },
}

/// A page of changes of the directory and the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub struct DirectoryChanges {
    /// The changes in the order of their commits. Each resource is on the page of its last change.
    #[schema(value_type = Vec<DirectoryChangeShape>)]
    pub changes: Vec<DirectoryChange>,
    /// The relative address of the next page. It is always there: later changes are found at it.
    #[schema(example = "/v1/directory/changes?after=4711&wait=30")]
    pub next: String,
}

/// A change of the directory or the catalogue. With `upsert`, the member that `kind` names has the resource as its own
/// address shows it. With `delete`, there is no resource with this `id` any more.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the fields is used")]
#[schema(as = DirectoryChange)]
struct DirectoryChangeShape {
    /// What happened.
    op: ChangeKind,
    /// The kind of the resource.
    kind: ResourceKind,
    /// The user.
    #[schema(nullable = false)]
    user: Option<User>,
    /// The team.
    #[schema(nullable = false)]
    team: Option<Team>,
    /// The group.
    #[schema(nullable = false)]
    group: Option<Group>,
    /// The content.
    #[schema(nullable = false)]
    content: Option<Content>,
    /// The id that the resource had.
    #[schema(nullable = false)]
    id: Option<String>,
}

/// The kinds of changes.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the variants is used")]
#[schema(rename_all = "lowercase")]
enum ChangeKind {
    Upsert,
    Delete,
}

/// The kinds of resources of the directory and the catalogue.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only the schema of the variants is used")]
#[schema(rename_all = "lowercase")]
enum ResourceKind {
    User,
    Team,
    Group,
    Content,
}

/// A change of the directory or the catalogue.
#[derive(Debug, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum DirectoryChange {
    /// The resource is new or different. It is shown as it is now.
    Upsert(UpsertedResource),
    /// There is no resource with this id any more.
    Delete(DeletedResource),
}

/// A resource as its own address shows it.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum UpsertedResource {
    /// A user.
    User {
        /// The user.
        user: Box<User>,
    },
    /// A team.
    Team {
        /// The team.
        team: Team,
    },
    /// A group.
    Group {
        /// The group.
        group: Group,
    },
    /// A content.
    Content {
        /// The content.
        content: Box<Content>,
    },
}

/// A resource that does not exist any more.
#[derive(Debug, Serialize)]
pub struct DeletedResource {
    /// The kind of the resource.
    pub kind: DeletedKind,
    /// The id that it had.
    pub id: String,
}

/// The kinds of resources that can cease to exist. Users, teams and groups are never deleted.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeletedKind {
    /// A content: it was registered under another id, or no record is about it any more.
    Content,
}

/// The parameters of a feed.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "`FeedRequest` reads them; this struct documents them")]
struct FeedParameters {
    /// The place after which the page begins, from the last page's `next`. Default: 0, the beginning.
    #[param(example = 0)]
    after: Option<u64>,
    /// The maximum number of changes of a page. Default: 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// How many seconds to wait for a change if there is none. Default: 0.
    #[param(minimum = 0, maximum = 30, example = 0)]
    wait: Option<u32>,
}

/// Follow the changes of the log: new activities, activities that are different now, and activities that have left it.
/// For callers that may see the whole organisation.
#[utoipa::path(
    get,
    path = "/v1/activities/changes",
    tag = "activities",
    operation_id = "list_activity_changes",
    params(FeedParameters),
    responses((status = 200, description = "A page of changes, which can be empty.", body = ActivityChanges))
)]
async fn list_activity_changes(
    caller: Caller<ReadActivities>,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    if caller.scoped(Some(AskedScope::Company), ()).is_err() {
        return Err(needs_organisation());
    }
    let feed = FeedRequest::read(&caller, &pairs)?;
    let mut waiting = Waiting::new(&caller, &feed).await?;
    let mut place = feed.after;
    loop {
        let limits = PageLimits {
            rows: feed.limit,
            bytes: caller.app_state().limits().page_bytes,
        };
        let scoped = caller.scoped(Some(AskedScope::Company), place)?;
        let page = caller.store().changes_after(&scoped, limits).await?;
        if page.changes.is_empty() && waiting.goes_on(page.more, &caller).await? {
            place = page.place;
            continue;
        }
        return feed.finish(write_activities(&caller, &request, &feed, page).await?, &waiting);
    }
}

/// Writes a page of changes of the log.
async fn write_activities(
    caller: &Caller<ReadActivities>,
    request: &HttpRequest,
    feed: &FeedRequest,
    page: ChangePage<LogChange>,
) -> Answer {
    let mut lookups = Lookups::new(caller.store(), caller.org());
    let mut writer = PageWriter::new("changes", caller.app_state().limits());
    let (mut place, now) = (page.place, caller.now());
    'page: for piece in page.changes.chunks(PIECE) {
        lookups
            .load(piece.iter().filter_map(|change| change.row.as_deref()))
            .await?;
        for change in piece {
            let written = match &change.row {
                Some(row) => {
                    let activity = lookups.activity(row, now);
                    let Some(activity) = skip_unreadable("activity", || change.id, activity)? else {
                        continue;
                    };
                    ActivityChange::Upsert {
                        activity: Box::new(activity),
                    }
                }
                None => ActivityChange::Delete { id: change.id },
            };
            if !writer.push(&written)? {
                place = change.number - 1;
                break 'page;
            }
        }
    }
    writer.respond(Some(&feed.next(request, place)), &NoOthers {})
}

/// Follow the changes of users, teams, groups and contents. For persons that may see the whole organisation, and for
/// credentials: the scope `directory` shows users, teams and groups, the scope `catalogue` shows contents.
#[utoipa::path(
    get,
    path = "/v1/directory/changes",
    tag = "directory",
    operation_id = "list_directory_changes",
    params(FeedParameters),
    responses((status = 200, description = "A page of changes, which can be empty.", body = DirectoryChanges))
)]
async fn list_directory_changes(
    caller: Caller<ReadDirectoryChanges>,
    request: HttpRequest,
    pairs: QueryPairs,
) -> Answer {
    let reach = visible_users(caller.principal(), &caller.reach_rules());
    let reach = reach.filter(|reach| *reach == Reach::Organisation);
    let reach = reach.ok_or_else(needs_organisation)?;
    let visible = visible_resources(caller.principal());
    let feed = FeedRequest::read(&caller, &pairs)?;
    let mut waiting = Waiting::new(&caller, &feed).await?;
    let mut place = feed.after;
    loop {
        let page = caller
            .store()
            .directory_changes_after(caller.org(), &reach, visible, place, feed.limit)
            .await?;
        let (writer, end) = write_resources(&caller, &page).await?;
        if writer.is_empty() && waiting.goes_on(page.more, &caller).await? {
            place = end;
            continue;
        }
        let answer = writer.respond(Some(&feed.next(&request, end)), &NoOthers {})?;
        return feed.finish(answer, &waiting);
    }
}

/// Writes a page of changes of the directory and the catalogue. Returns also the place of its end.
async fn write_resources(
    caller: &Caller<ReadDirectoryChanges>,
    page: &ChangePage<ChangedResource>,
) -> Result<(PageWriter, i64), Problem> {
    let mut writer = PageWriter::new("changes", caller.app_state().limits());
    for piece in page.changes.chunks(RESOURCES_AT_ONCE) {
        for change in caller.store().load_changed(caller.org(), piece).await? {
            let number = change.number;
            if !writer.push(&DirectoryChange::from(change.effect))? {
                return Ok((writer, number - 1));
            }
        }
    }
    Ok((writer, page.place))
}

/// What the caller may see of the directory and the catalogue. A person that sees the organisation sees all.
fn visible_resources(principal: &Principal) -> VisibleResources {
    let allows = |scope| match principal.credential() {
        Some(credential) => credential.scopes.allows(scope),
        None => true,
    };
    VisibleResources {
        directory: allows(CredentialScope::Directory),
        catalogue: allows(CredentialScope::Catalogue),
    }
}

fn needs_organisation() -> Problem {
    Problem::forbidden(
        "a change feed is for callers that may see the whole organisation; read the lists instead, which show what you \
         may see",
    )
}

impl From<ResourceEffect> for DirectoryChange {
    fn from(effect: ResourceEffect) -> Self {
        let resource = match effect {
            ResourceEffect::Upsert(resource) => resource,
            ResourceEffect::DeletedContent(id) => {
                let kind = DeletedKind::Content;
                return Self::Delete(DeletedResource { kind, id });
            }
        };
        Self::Upsert(match resource {
            Resource::User(user) => UpsertedResource::User { user },
            Resource::Team(team) => UpsertedResource::Team { team },
            Resource::Group(group) => UpsertedResource::Group { group },
            Resource::Content(content) => UpsertedResource::Content { content },
        })
    }
}

/// The parameters of a feed.
struct FeedRequest {
    after: i64,
    limit: usize,
    wait: Duration,
    /// The parameters besides `after`, for the next page.
    others: Vec<(String, String)>,
}

impl FeedRequest {
    fn read<A>(caller: &Caller<A>, pairs: &QueryPairs) -> Result<Self, Problem> {
        let limits = caller.app_state().limits();
        let query = pairs.reader();
        let most = usize::try_from(i64::MAX).unwrap_or(usize::MAX);
        let after = query.number("after", 0..=most).unwrap_or(0);
        let limit = query.number("limit", 1..=limits.page_max);
        let wait = query.number("wait", 0..=MAX_WAIT).unwrap_or(0);
        query.finish()?;
        let others = pairs.as_slice().iter().filter(|(name, _)| name != "after");
        Ok(Self {
            after: i64::try_from(after).unwrap_or(i64::MAX),
            limit: limit.unwrap_or(limits.page_default),
            wait: Duration::from_secs(wait as u64),
            others: others.cloned().collect(),
        })
    }

    /// The relative address of the next page.
    fn next(&self, request: &HttpRequest, place: i64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("after", &place.to_string());
        query.extend_pairs(&self.others);
        format!("{}{}?{}", base_path_of(request), request.path(), query.finish())
    }

    /// The answer. While the server stops, it closes the connection: the client goes on at another replica.
    fn finish(&self, mut answer: HttpResponse, waiting: &Waiting) -> Answer {
        if waiting.was_interrupted {
            answer.head_mut().set_connection_type(ConnectionType::Close);
        }
        Ok(answer)
    }
}

/// The waiting of a request for the next commit.
struct Waiting {
    begin: Instant,
    deadline: Instant,
    /// `None` without `wait`, and for an organisation that does not exist yet.
    commits: Option<CommitReceiver>,
    permit: Option<ConcurrencyPermit>,
    was_interrupted: bool,
}

impl Waiting {
    /// Subscribes to the commits before the first reading, so that none is missed.
    async fn new<A>(caller: &Caller<A>, feed: &FeedRequest) -> Result<Self, Problem> {
        let mut wait = feed.wait;
        if let Some(person) = caller.principal().person() {
            let left = person.expires_at.micros().saturating_sub(caller.now().micros());
            wait = wait.min(Duration::from_micros(u64::try_from(left).unwrap_or(0)));
        }
        let commits = match wait.is_zero() {
            true => None,
            false => caller.store().subscribe_to_commits(caller.org()).await?,
        };
        let begin = Instant::now();
        Ok(Self {
            begin,
            deadline: begin + wait,
            commits,
            permit: None,
            was_interrupted: false,
        })
    }

    /// Whether to read again after an empty page: at once if there is more, otherwise after the next commit.
    ///
    /// # Errors
    ///
    /// 503 if too many requests wait already.
    async fn goes_on<A>(&mut self, more: bool, caller: &Caller<A>) -> Result<bool, Problem> {
        match more {
            true => Ok(self.begin.elapsed() < MOST_SEARCH),
            false => self.pause(caller).await,
        }
    }

    /// Waits until it is worth reading again. Returns false if the time is over or the server stops.
    async fn pause<A>(&mut self, caller: &Caller<A>) -> Result<bool, Problem> {
        if Instant::now() >= self.deadline {
            return Ok(false);
        }
        if self.permit.is_none() {
            let (limit, sharer) = (&caller.app_state().concurrency().feeds, caller.sharer());
            let most = Instant::now() + caller.app_state().limits().concurrency_wait;
            self.permit = Some(limit.acquire_until(self.deadline.min(most), &sharer).await?);
        } else {
            sleep(PAUSE.min(self.deadline - Instant::now())).await;
        }
        let next_commit = async {
            match &mut self.commits {
                // An error means that the server has stopped.
                Some(commits) => commits.changed().await,
                None => sleep(PAUSE).await,
            }
        };
        tokio::select! {
            () = next_commit => {}
            () = sleep_until(self.deadline) => return Ok(false),
            () = caller.app_state().stopped() => {
                self.was_interrupted = true;
                return Ok(false);
            }
        }
        if self.commits.is_none() {
            self.commits = caller.store().subscribe_to_commits(caller.org()).await?;
        }
        Ok(true)
    }
}
