//! What directory and catalogue make of a short form's user and content: before it is written, many at once.

use std::collections::HashMap;

use crate::base::Fault;
use crate::base::clock::Timestamp;
use crate::base::ids::{ContentId, OrgId, StatementId, UserId};
use crate::catalogue::content::ContentDraft;
use crate::catalogue::{ContentFormat, LearningType};
use crate::log::short_form::{ContentName, ContentRef, ResolvedContent, UserRef};
use crate::log::{Resolved, ShortForm};
use crate::record::Identifier;

use crate::store::db::database::Sql;
use crate::store::db::{Store, StoreError, digest};

/// A short form with what its user and content are.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The record's id: the sender's, or a new one.
    pub id: StatementId,
    actor: Identifier,
    actor_name: Option<String>,
    content: Option<Described>,
    platform: String,
    happened_at: Timestamp,
}

#[derive(Debug, Clone)]
struct Described {
    iri: String,
    title: Option<String>,
    learning_type: Option<LearningType>,
    content_type: Option<ContentFormat>,
}

impl Resolution {
    /// What a statement is made with.
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

impl Store {
    /// What the short forms' users and contents are, in order.
    ///
    /// # Errors
    /// Inside, a fault for every user and content that is unknown and can't be made (product text, section
    /// 6); its pointer begins with `/user` or `/content`, behind the number of the form where `batch`.
    pub async fn resolve(
        &self,
        organisation: &OrgId,
        home_page: &str,
        forms: &[ShortForm],
        batch: bool,
    ) -> Result<Result<Vec<Resolution>, Vec<Fault>>, StoreError> {
        let org = self.organisation_key(organisation).await?;
        let names = self.user_names(org, forms).await?;
        let iris = self.content_iris(org, forms).await?;
        let mut faults = Vec::new();
        let mut resolutions = Vec::with_capacity(forms.len());
        for (index, form) in forms.iter().enumerate() {
            let place = |member: &str| {
                if batch {
                    format!("/{index}/{member}")
                } else {
                    format!("/{member}")
                }
            };
            let mut unknown = |member: &str, detail: String| {
                faults.push(Fault {
                    pointer: place(member),
                    detail,
                });
            };
            let (actor, actor_name) = match &form.user {
                UserRef::Id(id) => {
                    if !names.contains_key(id) {
                        unknown(
                            "user",
                            format!("there is no user `{id}`: put them into the directory first"),
                        );
                    }
                    (account(home_page, id.as_str()), names.get(id).cloned().flatten())
                }
                UserRef::Email { identifier, .. } => (identifier.clone(), None),
                UserRef::Agent { identifier, name } => (identifier.clone(), name.clone()),
            };
            let content = form
                .content
                .as_ref()
                .map(|content| describe(content, &iris, home_page));
            if let Some((_, false)) = &content {
                let detail = "there is no such content: put it into the catalogue, or send an id with title and type, or an iri";
                unknown("content", detail.to_owned());
            }
            resolutions.push(Resolution {
                id: form.id.unwrap_or_else(|| self.clock().new_statement_id()),
                actor,
                actor_name,
                content: content.map(|(content, _)| content),
                platform: home_page.to_owned(),
                happened_at: form.happened_at.unwrap_or_else(|| self.clock().now()),
            });
        }
        Ok(if faults.is_empty() {
            Ok(resolutions)
        } else {
            Err(faults)
        })
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
        let select =
            Sql::new("SELECT id, first_name, last_name FROM users WHERE org = $1 AND id IN LIST($2)");
        let mut names = HashMap::new();
        for row in self.db().fetch_all(select.with(org).with(ids)).await? {
            let id = UserId::new(row.get::<String>(0)?).map_err(|e| StoreError::corrupt("user id", e))?;
            names.insert(
                id,
                crate::store::directory::lookups::full_name(row.get(1)?, row.get(2)?),
            );
        }
        Ok(names)
    }

    /// The IRIs of the contents that are named by id and known.
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
        let rows = self.db().fetch_all(select.with(org).with(ids)).await?;
        rows.iter()
            .map(|row| Ok((ContentId::from_stored(row.get::<String>(0)?), row.get(1)?)))
            .collect()
    }
}

/// How a user's own id is an xAPI identifier.
fn account(home_page: &str, id: &str) -> Identifier {
    Identifier::Account {
        home_page: home_page.to_owned(),
        name: id.to_owned(),
    }
}

/// The content as a statement names it, and whether it is known or can be made.
fn describe(content: &ContentRef, iris: &HashMap<ContentId, String>, home_page: &str) -> (Described, bool) {
    let (name, title, kind, content_type) = match content {
        ContentRef::Id(id) => (ContentName::Id(id.clone()), None, None, None),
        ContentRef::Described {
            name,
            title,
            learning_type: kind,
            content_type,
        } => (name.clone(), title.clone(), *kind, *content_type),
    };
    let (iri, known) = match &name {
        ContentName::Iri(iri) => (iri.as_str().to_owned(), true),
        ContentName::Id(id) => match iris.get(id) {
            Some(iri) => (iri.clone(), true),
            None => (
                ContentDraft::default_iri(id, home_page),
                content.can_create_content(),
            ),
        },
    };
    (
        Described {
            iri,
            title,
            learning_type: kind,
            content_type,
        },
        known,
    )
}
