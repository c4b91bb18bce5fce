//! Resolving the users and contents of short forms before they are recorded, many at once.

use std::collections::HashMap;

use crate::base::clock::Timestamp;
use crate::base::fault::{Faults, Place};
use crate::base::ids::{ContentId, OrgId, StatementId, UserId};
use crate::catalogue::content::ContentDraft;
use crate::catalogue::{ContentFormat, LearningType};
use crate::directory::identity::account_of_id;
use crate::log::row::full_name;
use crate::log::short_form::{ContentName, ContentRef, ResolvedContent, UserRef};
use crate::log::{Resolved, ShortForm};
use crate::record::Identifier;

use crate::store::db::columns::columns;
use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError, digest};

/// A short form with its user and content resolved.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The id of the record: the client's, or a new one.
    pub id: StatementId,
    actor: Identifier,
    actor_name: Option<String>,
    content: Option<DescribedContent>,
    platform: String,
    happened_at: Timestamp,
}

/// A content as a statement names it.
#[derive(Debug, Clone)]
struct DescribedContent {
    iri: String,
    title: Option<String>,
    learning_type: Option<LearningType>,
    content_type: Option<ContentFormat>,
}

impl Resolution {
    /// The resolved parts, to build the statement from.
    pub fn resolved(&self) -> Resolved<'_> {
        Resolved {
            id: self.id,
            actor: &self.actor,
            actor_name: self.actor_name.as_deref(),
            content: self.content.as_ref().map(|content| ResolvedContent {
                iri: &content.iri,
                title: content.title.as_deref(),
                learning_type: content.learning_type,
                content_type: content.content_type,
            }),
            platform: &self.platform,
            happened_at: self.happened_at,
        }
    }
}

columns! {
    struct UserName {
        id: UserId = "id",
        first_name: Option<String> = "first_name",
        last_name: Option<String> = "last_name",
    }
}

/// The users and contents that short forms name and that exist.
struct Existing<'h> {
    home_page: &'h str,
    /// The full names of users, by id.
    names: HashMap<UserId, Option<String>>,
    /// The IRIs of contents, by id.
    iris: HashMap<ContentId, String>,
}

impl Store {
    /// Resolves the users and contents of short forms, in their order.
    ///
    /// # Errors
    ///
    /// The inner errors are the faults of a form: its user or content does not exist and cannot be created. Pointers begin
    /// with `/user` or `/content`.
    pub async fn resolve(
        &self,
        organisation: &OrgId,
        home_page: &str,
        forms: &[ShortForm],
    ) -> Result<Vec<Result<Resolution, Faults>>, StoreError> {
        let org = self.organisation_key(organisation).await?;
        let existing = Existing {
            home_page,
            names: self.user_names(org, forms).await?,
            iris: self.content_iris(org, forms).await?,
        };
        let mut resolutions = Vec::with_capacity(forms.len());
        for form in forms {
            let mut faults = Faults::new();
            let mut add_fault = |(member, detail): (&str, String)| {
                faults.push(Place::Root.member(member).fault(detail));
            };
            let (actor, actor_name) = existing.resolve_user(&form.user, &mut add_fault);
            let content = form
                .content
                .as_ref()
                .map(|content| existing.resolve_content(content, &mut add_fault));
            let resolution = Resolution {
                id: form.id.unwrap_or_else(|| self.clock().new_statement_id()),
                actor,
                actor_name,
                content,
                platform: home_page.to_owned(),
                happened_at: form.happened_at.unwrap_or_else(|| self.clock().now()),
            };
            resolutions.push(if faults.is_empty() {
                Ok(resolution)
            } else {
                Err(faults)
            });
        }
        Ok(resolutions)
    }

    async fn user_names(
        &self,
        org: Option<i64>,
        forms: &[ShortForm],
    ) -> Result<HashMap<UserId, Option<String>>, StoreError> {
        let ids: Vec<String> = forms
            .iter()
            .filter_map(|form| match &form.user {
                UserRef::Id(id) => Some(id.as_str().to_owned()),
                UserRef::Email { .. } | UserRef::Agent { .. } => None,
            })
            .collect();
        let (Some(org), false) = (org, ids.is_empty()) else {
            return Ok(HashMap::new());
        };
        let select = Sql::new(&format!(
            "SELECT {} FROM users WHERE org = $1 AND id IN LIST($2)",
            UserName::COLUMNS
        ));
        let users: Vec<UserName> = self.db().fetch_rows(select.with(org).with(ids)).await?;
        let names = users.into_iter().map(|user| {
            let name = full_name(user.first_name.as_deref(), user.last_name.as_deref());
            (user.id, name)
        });
        Ok(names.collect())
    }

    async fn content_iris(
        &self,
        org: Option<i64>,
        forms: &[ShortForm],
    ) -> Result<HashMap<ContentId, String>, StoreError> {
        let ids = forms.iter().filter_map(|form| match &form.content {
            Some(
                ContentRef::Id(id)
                | ContentRef::Described {
                    name: ContentName::Id(id),
                    ..
                },
            ) => Some(digest(id.as_str())),
            _ => None,
        });
        let ids: Vec<Vec<u8>> = ids.collect();
        let (Some(org), false) = (org, ids.is_empty()) else {
            return Ok(HashMap::new());
        };
        let select =
            Sql::new("SELECT id, iri FROM contents WHERE org = $1 AND listed AND id_digest IN LIST($2)");
        let rows: Vec<(ContentId, String)> = self.db().fetch_rows(select.with(org).with(ids)).await?;
        Ok(rows.into_iter().collect())
    }
}

impl Existing<'_> {
    /// The identifier and the name of the user.
    fn resolve_user(
        &self,
        user: &UserRef,
        add_fault: &mut impl FnMut((&str, String)),
    ) -> (Identifier, Option<String>) {
        match user {
            UserRef::Id(id) => {
                if !self.names.contains_key(id) {
                    let detail =
                        format!("the user `{id}` does not exist; add the user to the directory first");
                    add_fault(("user", detail));
                }
                (
                    account_of_id(self.home_page, id),
                    self.names.get(id).cloned().flatten(),
                )
            }
            UserRef::Email { identifier, .. } => (identifier.clone(), None),
            UserRef::Agent { identifier, name } => (identifier.clone(), name.clone()),
        }
    }

    /// The content as the statement names it.
    fn resolve_content(
        &self,
        content: &ContentRef,
        add_fault: &mut impl FnMut((&str, String)),
    ) -> DescribedContent {
        let (name, title, learning_type, content_type) = match content {
            ContentRef::Id(id) => (ContentName::Id(id.clone()), None, None, None),
            ContentRef::Described {
                name,
                title,
                learning_type,
                content_type,
            } => (name.clone(), title.clone(), *learning_type, *content_type),
        };
        let iri = match &name {
            ContentName::Iri(iri) => iri.as_str().to_owned(),
            ContentName::Id(id) => self.iris.get(id).cloned().unwrap_or_else(|| {
                if !content.can_create_content() {
                    let detail = "the content does not exist; add it to the catalogue, or send an id with title and \
                                  type, or an iri";
                    add_fault(("content", detail.to_owned()));
                }
                ContentDraft::default_iri(id, self.home_page)
            }),
        };
        DescribedContent {
            iri,
            title,
            learning_type,
            content_type,
        }
    }
}
