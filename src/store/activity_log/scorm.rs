//! Reading attempts at SCORM packages, so that a learner can go on.

use uuid::Uuid;

use crate::access::{LaunchMode, LaunchStandard};
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId, UserId};
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::row::full_name;
use crate::scorm::AttemptState;
use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError, digest};
use crate::store::ingest::scorm_attempts::parse_state;

columns! {
    /// A content as a package that sends commits.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ScormPackage {
        /// The key of the content.
        pub key: i64 = "c.key",
        /// The IRI of the content.
        pub iri: String = "c.iri",
        /// Whether the catalogue has registered the content. Others are only named by records.
        pub is_registered: bool = "c.registered",
        /// When the content was archived.
        pub archived_at: Option<Timestamp> = "c.archived_at",
        /// What the content is.
        pub learning_type: Option<LearningType> = "c.type",
        /// How the content is consumed.
        pub content_type: Option<ContentFormat> = "c.content_type",
        /// The course of cmi5 of which the content is an element.
        pub course: Option<i64> = "e.course",
    }
}

columns! {
    struct GivenRow {
        content: i64 = "content",
    }
}

/// An attempt of a learner.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAttempt {
    /// The registration, which identifies the attempt.
    pub registration: Uuid,
    /// The state after the last commit.
    pub state: AttemptState,
}

columns! {
    struct LearnerRow {
        first_name: Option<String> = "first_name",
        last_name: Option<String> = "last_name",
    }
}

/// A user of the directory that sends commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScormLearner {
    /// The name.
    pub name: Option<String>,
}

columns! {
    /// An attempt with a session that did not end, and that has something to record.
    pub struct IdleAttempt {
        /// The organisation.
        pub org: OrgId = "o.id",
        /// The learner.
        pub user: UserId = "a.user_id",
        /// The key of the content.
        pub content: i64 = "a.content",
        /// The IRI of the content.
        pub iri: String = "c.iri",
        /// The attempt.
        pub registration: Uuid = "a.registration",
    }
}

columns! {
    struct AttemptRow {
        registration: Uuid = "registration",
        state: String = "state",
    }
}

impl Store {
    /// Finds a content that is in the catalogue. It may be archived.
    pub async fn find_scorm_package(
        &self,
        organisation: &OrgId,
        content: &ContentId,
    ) -> Result<Option<ScormPackage>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = Sql::new(&format!(
            "SELECT {} FROM contents c LEFT JOIN course_elements e ON e.org = c.org AND e.content = c.key \
             WHERE c.org = $1 AND c.id_digest = $2 AND c.listed",
            ScormPackage::COLUMNS
        ));
        self.db()
            .fetch_row(select.with(org).with(digest(content.as_str())))
            .await
    }

    /// Whether a user has an attempt at a content, or a launch of it as a SCORM package that counts.
    pub async fn has_scorm_attempt_or_launch(
        &self,
        organisation: &OrgId,
        user: &UserId,
        package: &ScormPackage,
    ) -> Result<bool, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(false);
        };
        let select = Sql::new(
            "SELECT a.content FROM scorm_attempts a WHERE a.org = $1 AND a.user_id = $2 AND a.content = $3 \
             UNION ALL SELECT l.content FROM launches l JOIN users u ON u.org = l.org AND u.key = l.user_key \
             WHERE l.org = $1 AND u.id = $2 AND l.content = $3 AND l.standard = $4 AND l.mode = $5 \
             AND l.revoked_at IS NULL LIMIT 1",
        );
        let select = select.with(org).with(user.as_str()).with(package.key);
        let select = select
            .with(<&str>::from(LaunchStandard::Scorm))
            .with(LaunchMode::Normal.key());
        let row: Option<GivenRow> = self.db().fetch_row(select).await?;
        Ok(row.is_some_and(|row| row.content == package.key))
    }

    /// Finds the name of a user. Returns `None` if the directory does not have the user.
    pub async fn find_scorm_learner(
        &self,
        organisation: &OrgId,
        user: &UserId,
    ) -> Result<Option<ScormLearner>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = Sql::new(&format!(
            "SELECT {} FROM users WHERE org = $1 AND id = $2",
            LearnerRow::COLUMNS
        ));
        let row: Option<LearnerRow> = self.db().fetch_row(select.with(org).with(user.as_str())).await?;
        Ok(row.map(|row| ScormLearner {
            name: full_name(row.first_name.as_deref(), row.last_name.as_deref()),
        }))
    }

    /// Finds attempts of all organisations whose last session has been idle since `now`, at most `limit` of them, the longest
    /// idle ones first. The first `passed_over` ones are left out.
    pub async fn find_idle_scorm_attempts(
        &self,
        now: Timestamp,
        limit: i64,
        passed_over: i64,
    ) -> Result<Vec<IdleAttempt>, StoreError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM scorm_attempts a JOIN organisations o ON o.key = a.org \
             JOIN contents c ON c.org = a.org AND c.key = a.content \
             WHERE a.due IS NOT NULL AND a.due <= $1 \
             ORDER BY a.due, a.org, a.user_id, a.content, a.registration LIMIT $2 OFFSET $3",
            IdleAttempt::COLUMNS
        ));
        self.db()
            .fetch_readable("SCORM attempt", 1, select.with(now).with(limit).with(passed_over))
            .await
    }

    /// Finds an attempt of a user at a content: the one with the registration, or the one that began last.
    pub async fn find_scorm_attempt(
        &self,
        organisation: &OrgId,
        user: &UserId,
        package: &ScormPackage,
        registration: Option<Uuid>,
    ) -> Result<Option<StoredAttempt>, StoreError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = Sql::new(&format!(
            "SELECT {} FROM scorm_attempts WHERE org = $1 AND user_id = $2 AND content = $3",
            AttemptRow::COLUMNS
        ));
        let mut select = select.with(org).with(user.as_str()).with(package.key);
        match registration {
            Some(registration) => select.push(" AND registration = ").bind(registration),
            None => select.push(" ORDER BY begun DESC LIMIT 1"),
        };
        let row: Option<AttemptRow> = self.db().fetch_row(select).await?;
        let attempt = row.map(|row| {
            Ok(StoredAttempt {
                registration: row.registration,
                state: parse_state(&row.state)?,
            })
        });
        attempt.transpose()
    }
}
