//! `/v1/credentials`: the keys of integrations and content (`docs/specification.md#credentials`).
//!
//! Only owners and admins may use it. The response that creates a credential is the only one with its secret: only the
//! hash of the secret is stored. A revoked credential stays revoked.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::credential::{new_key, new_secret};
use crate::access::permit::ManageCredentials;
use crate::access::{CredentialScope, Scopes, SecretHash};
use crate::base::body::parse_body;
use crate::base::clock::Timestamp;
use crate::base::fault::Faults;
use crate::base::form::{Form, one_of};
use crate::http::auth::Caller;
use crate::http::json::JsonBody;
use crate::http::pages;
use crate::http::problem::{Answer, Problem};
use crate::http::query::QueryPairs;
use crate::http::routes::routes;
use crate::store::StoredCredential;

/// The longest name, in characters.
const MAX_NAME: usize = 255;

/// How many random keys are tried until one is free. Two tries are very rare.
const MAX_TRIES: usize = 3;

routes! {
    "/v1/credentials" => { get: list_credentials, post: create_credential },
    "/v1/credentials/{id}" => { get: read_credential, delete: revoke_credential },
}

/// A new credential.
#[derive(Debug, ToSchema)]
#[schema(example = json!({"name": "Moodle", "scopes": ["statements/write", "statements/read/mine"]}))]
pub struct NewCredential {
    /// The name for people, at most 255 characters.
    #[schema(min_length = 1, max_length = 255)]
    pub name: String,
    /// What it may do.
    #[schema(min_items = 1)]
    pub scopes: Vec<CredentialScope>,
}

/// A credential, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Credential)]
pub struct CredentialView {
    /// The id in addresses.
    pub id: Uuid,
    /// The user part of HTTP Basic.
    #[schema(example = "rk_3v9QmZ0y")]
    pub key: String,
    /// The name for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<CredentialScope>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A new credential with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedCredential {
    /// The credential.
    #[serde(flatten)]
    pub credential: CredentialView,
    /// The password part of HTTP Basic. It is not stored and cannot be shown again.
    pub secret: String,
}

/// The organisation's credentials.
#[derive(Debug, Serialize, ToSchema)]
pub struct CredentialList {
    /// The credentials that are not revoked, the newest first.
    pub credentials: Vec<CredentialView>,
    /// Always null: all credentials fit on one page.
    pub next: Option<String>,
}

impl NewCredential {
    /// Reads a body, at most `depth` objects and arrays deep.
    fn parse(text: &str, depth: usize) -> Result<Self, Faults> {
        parse_body(text, depth, |node, place, faults| {
            let mut form = Form::from_node(node, place, "a credential", &["name", "scopes"], faults)?;
            let name = form.required_name("name", MAX_NAME).unwrap_or_default();
            let faults_before = form.faults().len();
            let scopes = form.list("scopes", usize::MAX, |node, place| {
                one_of(node, place, &CredentialScope::ALL, CredentialScope::key)
            });
            if scopes.is_empty() && form.faults().len() == faults_before {
                form.add_fault("scopes", "give at least one scope");
            }
            Some(Self { name, scopes })
        })
    }
}

impl CredentialView {
    fn new(stored: StoredCredential) -> Result<Self, Problem> {
        let scopes: Scopes = stored.scopes.parse().map_err(Problem::internal)?;
        Ok(Self {
            id: stored.id,
            key: stored.key,
            name: stored.name,
            scopes: scopes.iter().collect(),
            created_at: stored.created_at,
        })
    }
}

/// List the credentials that are not revoked.
///
/// The secrets are never shown again.
#[utoipa::path(
    get,
    path = "/v1/credentials",
    tag = "credentials",
    operation_id = "list_credentials",
    responses((status = 200, description = "All credentials, the newest first, without secrets.",
        body = CredentialList))
)]
async fn list_credentials(caller: Caller<ManageCredentials>, query: QueryPairs) -> Answer {
    query.refuse_any()?;
    let stored = caller.store().credentials(caller.org()).await?;
    let credentials = stored
        .into_iter()
        .map(CredentialView::new)
        .collect::<Result<_, _>>()?;
    Ok(pages::list_response(
        &CredentialList {
            credentials,
            next: None,
        },
        None,
    ))
}

/// Create a credential. Only this response contains its secret.
#[utoipa::path(
    post,
    path = "/v1/credentials",
    tag = "credentials",
    operation_id = "create_credential",
    request_body = NewCredential,
    responses((status = 201, description = "Created. Store the secret now.", body = CreatedCredential,
        headers(("Location" = String, description = "The credential's address."))))
)]
async fn create_credential(caller: Caller<ManageCredentials>, query: QueryPairs, body: JsonBody) -> Answer {
    query.refuse_any()?;
    let new = body.read(NewCredential::parse)?;
    let scopes: Scopes = new.scopes.into_iter().collect();
    for _ in 0..MAX_TRIES {
        let secret = new_secret()?;
        let stored = StoredCredential {
            org: caller.org().clone(),
            id: caller.app_state().clock().new_uuid(),
            key: new_key()?,
            name: new.name.clone(),
            secret_hash: SecretHash::from_secret(&secret).as_bytes().to_vec(),
            scopes: scopes.to_string(),
            created_at: caller.now(),
            revoked_at: None,
        };
        if caller.store().add_credential(stored.clone()).await? {
            let location = format!("/v1/credentials/{}", stored.id);
            let credential = CredentialView::new(stored)?;
            let created = CreatedCredential {
                credential,
                secret: secret.expose_secret().to_owned(),
            };
            return Ok(HttpResponse::Created()
                .insert_header((header::LOCATION, location))
                // No cache may store the secret.
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .json(created));
        }
    }
    Err(Problem::internal("no random key was free"))
}

/// Read one credential, without its secret.
///
/// A revoked credential is not found.
#[utoipa::path(
    get,
    path = "/v1/credentials/{id}",
    tag = "credentials",
    operation_id = "read_credential",
    params(("id" = Uuid, Path, description = "The credential's id.")),
    responses((status = 200, description = "The credential.", body = CredentialView))
)]
async fn read_credential(
    caller: Caller<ManageCredentials>,
    id: web::Path<Uuid>,
    query: QueryPairs,
) -> Answer {
    query.refuse_any()?;
    let stored = caller.store().credentials(caller.org()).await?;
    let found = stored
        .into_iter()
        .find(|stored| stored.id == *id)
        .ok_or_else(Problem::not_found)?;
    Ok(HttpResponse::Ok().json(CredentialView::new(found)?))
}

/// Revoke a credential permanently.
///
/// Requests with its secret are refused from then on. What it has recorded stays.
#[utoipa::path(
    delete,
    path = "/v1/credentials/{id}",
    tag = "credentials",
    operation_id = "revoke_credential",
    params(("id" = Uuid, Path, description = "The credential's id.")),
    responses((status = 204, description = "Revoked: this server refuses it from now on, other replicas \
        within a second."))
)]
async fn revoke_credential(
    caller: Caller<ManageCredentials>,
    id: web::Path<Uuid>,
    query: QueryPairs,
) -> Answer {
    query.refuse_any()?;
    if !caller.store().revoke_credential(caller.org(), *id).await? {
        return Err(Problem::not_found());
    }
    caller.app_state().credentials().remove_organisation(caller.org());
    Ok(HttpResponse::NoContent().finish())
}
