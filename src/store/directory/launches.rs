//! Launches: content that an LMS started for a user, and the hashes of their tokens. The tokens themselves are not
//! stored.

use std::collections::HashSet;

use uuid::Uuid;

use crate::access::{Launch, LaunchMode, LaunchStandard};
use crate::base::Page;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId, UserId};
use crate::log::row::full_name;

use crate::store::db::columns::{columns, table_row};
use crate::store::db::conversions::converted;
use crate::store::db::database::Sql;
use crate::store::db::ledger::OrgTx;
use crate::store::db::organisations::Organisation;
use crate::store::db::page_rows::PageLimits;
use crate::store::db::{Store, StoreError, digest};

converted!(LaunchMode as String,
    read |key: String| key.parse().map_err(|error| StoreError::corrupt("mode", error)),
    write |mode: LaunchMode| mode.key().to_owned());
converted!(LaunchStandard as String,
    read |key: String| key.parse().map_err(|error| StoreError::corrupt("standard", error)),
    write |standard: LaunchStandard| standard.key().to_owned());

columns! {
    /// A stored launch.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct StoredLaunch {
        /// The organisation.
        pub org: OrgId = "o.id",
        /// The position in the order of launches.
        pub key: i64 = "l.key",
        /// The id.
        pub id: Uuid = "l.id",
        /// The user.
        pub user: UserId = "u.id",
        /// The home page of the account by which statements name the user.
        pub home_page: String = "l.home_page",
        /// The content's id.
        pub content: ContentId = "c.id",
        /// The content's IRI.
        pub activity: String = "c.iri",
        /// The registration.
        pub registration: Uuid = "l.registration",
        /// The standard of the content.
        pub standard: LaunchStandard = "l.standard",
        /// What the launch is for.
        pub mode: LaunchMode = "l.mode",
        /// Where the content sends the user when it ends.
        pub return_url: Option<String> = "l.return_url",
        /// The language that the user prefers.
        pub language: Option<String> = "l.language",
        /// The caller that launched the content.
        pub created_by: String = "l.created_by",
        /// When it was launched.
        pub created_at: Timestamp = "l.created_at",
        /// The token is valid before this moment.
        pub expires_at: Timestamp = "l.expires_at",
        /// When it was revoked.
        pub revoked_at: Option<Timestamp> = "l.revoked_at",
    }
}

table_row! {
    struct LaunchRow in "launches" {
        org: i64 = "org",
        key: i64 = "key",
        id: Uuid = "id",
        secret_hash: Vec<u8> = "secret_hash",
        user_key: i64 = "user_key",
        home_page: String = "home_page",
        content: i64 = "content",
        registration: Uuid = "registration",
        standard: LaunchStandard = "standard",
        mode: LaunchMode = "mode",
        return_url: Option<String> = "return_url",
        language: Option<String> = "language",
        created_by: String = "created_by",
        created_at: Timestamp = "created_at",
        expires_at: Timestamp = "expires_at",
    }
}

columns! {
    /// The user of a new launch.
    struct LaunchUser {
        key: i64 = "u.key",
        first_name: Option<String> = "u.first_name",
        last_name: Option<String> = "u.last_name",
        active: bool = "u.active",
    }
}

columns! {
    /// The content of a new launch.
    struct LaunchContent {
        key: i64 = "c.key",
        iri: String = "c.iri",
        url: Option<String> = "c.url",
        archived_at: Option<Timestamp> = "c.archived_at",
    }
}

/// A launch to be stored.
#[derive(Debug, Clone)]
pub struct NewLaunch {
    /// The user.
    pub user: UserId,
    /// The content.
    pub content: ContentId,
    /// The registration to continue.
    pub registration: Option<Uuid>,
    /// The standard of the content.
    pub standard: LaunchStandard,
    /// What the launch is for.
    pub mode: LaunchMode,
    /// Where the content sends the user when it ends.
    pub return_url: Option<String>,
    /// The language that the user prefers.
    pub language: Option<String>,
    /// The caller that launches the content.
    pub created_by: String,
    /// How long the token is valid, in seconds.
    pub lifetime_seconds: u32,
    /// The SHA-256 of the token.
    pub secret_hash: [u8; 32],
}

/// A new launch with what its address needs.
#[derive(Debug, Clone)]
pub struct CreatedLaunch {
    /// The launch.
    pub launch: StoredLaunch,
    /// The address of the content.
    pub url: Option<String>,
    /// The name of the user.
    pub user_name: Option<String>,
}

/// Why content is not launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaunchRefusal {
    /// The directory does not have the user.
    UnknownUser,
    /// The user is deactivated.
    DeactivatedUser,
    /// The catalogue does not have the content.
    UnknownContent,
    /// The content is archived.
    ArchivedContent,
    /// The content has no address, which its standard needs.
    NoAddress,
    /// The registration belongs to a launch of another user, or to another course of cmi5.
    ForeignRegistration,
    /// The content is no unit of an imported course of cmi5.
    NoCourseUnit,
}

/// Which launches a list has.
#[derive(Debug, Clone, Default)]
pub struct LaunchFilter {
    /// Those of this user.
    pub user: Option<UserId>,
    /// Those of this content.
    pub content: Option<ContentId>,
    /// Those of this registration.
    pub registration: Option<Uuid>,
}

/// A launch that a token opens.
#[derive(Debug, Clone)]
pub struct OpenedLaunch {
    /// The launch.
    pub launch: StoredLaunch,
    /// Whether the user is active.
    pub user_active: bool,
    /// The organisation's settings.
    pub organisation: Organisation,
}

impl StoredLaunch {
    /// The rights of the launch, as a caller.
    pub fn to_principal(&self) -> Launch {
        Launch {
            org: self.org.clone(),
            id: self.id,
            user: self.user.clone(),
            account_home_page: self.home_page.clone(),
            content: self.content.clone(),
            activity: self.activity.clone(),
            registration: self.registration,
            mode: self.mode,
            standard: self.standard,
            expires_at: self.expires_at,
        }
    }
}

impl LaunchRow {
    fn new(org: i64, launch: &StoredLaunch, (user_key, content): (i64, i64), secret_hash: [u8; 32]) -> Self {
        Self {
            org,
            key: launch.key,
            id: launch.id,
            secret_hash: secret_hash.to_vec(),
            user_key,
            home_page: launch.home_page.clone(),
            content,
            registration: launch.registration,
            standard: launch.standard,
            mode: launch.mode,
            return_url: launch.return_url.clone(),
            language: launch.language.clone(),
            created_by: launch.created_by.clone(),
            created_at: launch.created_at,
            expires_at: launch.expires_at,
        }
    }
}

/// Finds the user of a new launch.
async fn find_user(tx: &mut OrgTx, user: &UserId) -> Result<Result<LaunchUser, LaunchRefusal>, StoreError> {
    let select = format!(
        "SELECT {} FROM users u WHERE u.org = $1 AND u.id = $2",
        LaunchUser::COLUMNS
    );
    let select = Sql::new(&select).with(tx.org).with(user.as_str());
    let user: Option<LaunchUser> = tx.fetch_row(select).await?;
    Ok(match user {
        None => Err(LaunchRefusal::UnknownUser),
        Some(user) if !user.active => Err(LaunchRefusal::DeactivatedUser),
        Some(user) => Ok(user),
    })
}

/// Finds the content of a new launch.
async fn find_content(
    tx: &mut OrgTx,
    new: &NewLaunch,
) -> Result<Result<LaunchContent, LaunchRefusal>, StoreError> {
    let select = format!(
        "SELECT {} FROM contents c WHERE c.org = $1 AND c.id_digest = $2 AND c.registered",
        LaunchContent::COLUMNS
    );
    let select = Sql::new(&select).with(tx.org).with(digest(new.content.as_str()));
    let content: Option<LaunchContent> = tx.fetch_row(select).await?;
    Ok(match content {
        None => Err(LaunchRefusal::UnknownContent),
        Some(content) if content.archived_at.is_some() => Err(LaunchRefusal::ArchivedContent),
        // The player of a SCORM package is part of the platform.
        // So does a unit of cmi5 with an address that is none of the web: the course has it.
        Some(content) if content.url.is_none() && new.standard == LaunchStandard::Xapi => {
            Err(LaunchRefusal::NoAddress)
        }
        Some(content) => Ok(content),
    })
}

/// Whether a registration belongs to a launch of another user.
async fn is_foreign(tx: &mut OrgTx, registration: Uuid, user_key: i64) -> Result<bool, StoreError> {
    let select = Sql::new(
        "SELECT l.user_key FROM launches l WHERE l.org = $1 AND l.registration = $2 ORDER BY l.key LIMIT 1",
    );
    let first: Option<(i64,)> = tx.fetch_row(select.with(tx.org).with(registration)).await?;
    Ok(first.is_some_and(|(owner,)| owner != user_key))
}

/// The user and the content of a new launch.
pub(crate) struct LaunchParties {
    user: LaunchUser,
    content: LaunchContent,
}

impl LaunchParties {
    /// The key of the user.
    pub(crate) fn user_key(&self) -> i64 {
        self.user.key
    }

    /// The key of the content.
    pub(crate) fn content_key(&self) -> i64 {
        self.content.key
    }
}

/// Finds the user and the content of a new launch.
pub(crate) async fn find_parties(
    tx: &mut OrgTx,
    new: &NewLaunch,
) -> Result<Result<LaunchParties, LaunchRefusal>, StoreError> {
    let user = match find_user(tx, &new.user).await? {
        Ok(user) => user,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let content = match find_content(tx, new).await? {
        Ok(content) => content,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(registration) = new.registration
        && is_foreign(tx, registration, user.key).await?
    {
        return Ok(Err(LaunchRefusal::ForeignRegistration));
    }
    Ok(Ok(LaunchParties { user, content }))
}

/// Inserts a new launch. A launch without a registration gets a new one.
pub(crate) async fn insert_launch(
    tx: &mut OrgTx,
    new: NewLaunch,
    LaunchParties { user, content }: LaunchParties,
) -> Result<CreatedLaunch, StoreError> {
    let home_page = tx.organisation().await?.account_home_page;
    let clock = tx.store().clock().clone();
    let created_at = clock.now().whole_millisecond();
    let lifetime = i64::from(new.lifetime_seconds) * 1_000_000;
    let launch = StoredLaunch {
        org: tx.organisation_id().clone(),
        key: tx.next_key(),
        id: clock.new_uuid(),
        user: new.user,
        home_page,
        content: new.content,
        activity: content.iri,
        registration: new.registration.unwrap_or_else(|| clock.new_uuid()),
        standard: new.standard,
        mode: new.mode,
        return_url: new.return_url,
        language: new.language,
        created_by: new.created_by,
        created_at,
        expires_at: Timestamp::from_micros(created_at.micros() + lifetime),
        revoked_at: None,
    };
    let row = LaunchRow::new(tx.org, &launch, (user.key, content.key), new.secret_hash);
    tx.insert_rows(vec![row]).await?;
    Ok(CreatedLaunch {
        launch,
        url: content.url,
        user_name: full_name(user.first_name.as_deref(), user.last_name.as_deref()),
    })
}

/// The tables of [`StoredLaunch`].
const TABLES: &str = "launches l JOIN organisations o ON o.key = l.org JOIN users u ON u.org = l.org AND u.key = l.user_key \
     JOIN contents c ON c.org = l.org AND c.key = l.content";

impl Store {
    /// Stores a new launch. A launch without a registration gets a new one.
    pub async fn add_launch(
        &self,
        organisation: &OrgId,
        new: NewLaunch,
    ) -> Result<Result<CreatedLaunch, LaunchRefusal>, StoreError> {
        let mut tx = self.write(organisation).await?;
        let parties = match find_parties(&mut tx, &new).await? {
            Ok(parties) => parties,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let created = insert_launch(&mut tx, new, parties).await?;
        tx.commit().await?;
        Ok(Ok(created))
    }

    /// Returns those of the IRIs that belong to a registered content.
    pub async fn find_registered_iris(
        &self,
        organisation: &OrgId,
        iris: &HashSet<&str>,
    ) -> Result<HashSet<String>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(HashSet::new());
        };
        let digests: Vec<Vec<u8>> = iris.iter().map(|iri| digest(iri)).collect();
        let mut sql =
            Sql::new("SELECT c.iri FROM contents c WHERE c.org = $1 AND c.registered AND c.digest").with(org);
        sql.any_of(digests);
        let rows: Vec<(String,)> = self.db().fetch_rows(sql).await?;
        Ok(rows.into_iter().map(|(iri,)| iri).collect())
    }

    /// Finds the launch with this id, also a revoked or expired one.
    pub async fn find_launch(
        &self,
        organisation: &OrgId,
        id: Uuid,
    ) -> Result<Option<StoredLaunch>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = format!(
            "SELECT {} FROM {TABLES} WHERE l.org = $1 AND l.id = $2",
            StoredLaunch::COLUMNS
        );
        self.db().fetch_row(Sql::new(&select).with(org).with(id)).await
    }

    /// Finds the launch that a token opens, also an expired one. `None` if no launch has this SHA-256 of its token, or it is
    /// revoked.
    ///
    /// It takes no caller: the token itself proves the right.
    pub async fn find_launch_by_token(
        &self,
        secret_hash: &[u8; 32],
    ) -> Result<Option<OpenedLaunch>, StoreError> {
        let select = format!(
            "SELECT {}, {}, u.active FROM {TABLES} WHERE l.secret_hash = $1 AND l.revoked_at IS NULL",
            StoredLaunch::COLUMNS,
            Organisation::COLUMNS
        );
        let select = Sql::new(&select).with(secret_hash.to_vec());
        let Some(row) = self.db().fetch_optional(select).await? else {
            return Ok(None);
        };
        Ok(Some(OpenedLaunch {
            launch: StoredLaunch::read(&row)?,
            organisation: Organisation::read_from(&row, StoredLaunch::COUNT)?,
            user_active: row.get(StoredLaunch::COUNT + Organisation::COUNT)?,
        }))
    }

    /// Lists launches, the newest first, from the one before the position `before` on.
    pub async fn list_launches(
        &self,
        organisation: &OrgId,
        filter: &LaunchFilter,
        before: Option<i64>,
        limits: PageLimits,
    ) -> Result<Page<StoredLaunch>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(Page::empty());
        };
        let select = format!("SELECT {} FROM {TABLES} WHERE l.org = $1", StoredLaunch::COLUMNS);
        let mut sql = Sql::new(&select).with(org);
        if let Some(user) = &filter.user {
            sql.push(" AND l.user_key = (SELECT f.key FROM users f WHERE f.org = $1 AND f.id = ")
                .bind(user.as_str())
                .push(")");
        }
        if let Some(content) = &filter.content {
            sql.push(" AND l.content = (SELECT f.key FROM contents f WHERE f.org = $1 AND f.id_digest = ")
                .bind(digest(content.as_str()))
                .push(")");
        }
        if let Some(registration) = filter.registration {
            sql.push(" AND l.registration = ").bind(registration);
        }
        if let Some(before) = before {
            sql.push(" AND l.key < ").bind(before);
        }
        sql.push(" ORDER BY l.key DESC");
        self.db().fetch_page(sql, limits).await
    }

    /// Revokes a launch. Returns false if the organisation has no such launch. A revoked launch stays as it is.
    pub async fn revoke_launch(&self, organisation: &OrgId, id: Uuid) -> Result<bool, StoreError> {
        if self.find_launch(organisation, id).await?.is_none() {
            return Ok(false);
        }
        let mut tx = self.write(organisation).await?;
        let update =
            Sql::new("UPDATE launches SET revoked_at = $3 WHERE org = $1 AND id = $2 AND revoked_at IS NULL");
        let now = self.clock().now().whole_millisecond();
        tx.execute(update.with(tx.org).with(id).with(now.micros()))
            .await?;
        tx.commit().await?;
        Ok(true)
    }
}
