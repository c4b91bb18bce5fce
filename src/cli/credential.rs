//! `rollbook credential`: creates, lists and revokes credentials, without a server or a token.

use clap::{Args, Subcommand};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::access::credential::{new_key, new_secret};
use crate::access::{CredentialScope, Scopes, SecretHash};
use crate::base::ids::OrgId;
use crate::base::naming::check_naming;
use crate::cli::{CliError, open_existing_store, open_migrated_store};
use crate::config::DatabaseArgs;
use crate::store::{Store, StoredCredential};

/// The maximum length of a name in characters.
const MAX_NAME: usize = 255;

/// The arguments of `rollbook credential`.
#[derive(Debug, Args)]
pub struct Credential {
    /// The subcommand.
    #[command(subcommand)]
    pub command: CredentialCommand,
}

/// The subcommands for credentials.
#[derive(Debug, Subcommand)]
pub enum CredentialCommand {
    /// Create a credential and print its key and secret; the secret is not stored
    Create(Create),
    /// List the credentials that are not revoked
    List(List),
    /// Revoke a credential permanently
    Revoke(Revoke),
}

/// The arguments of `rollbook credential create`.
#[derive(Debug, Args)]
pub struct Create {
    /// The organisation
    #[arg(long, value_name = "ID")]
    pub org: OrgId,
    /// The name of the credential
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: String,
    /// A scope; repeat for several
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    pub scopes: Vec<CredentialScope>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// The arguments of `rollbook credential list`.
#[derive(Debug, Args)]
pub struct List {
    /// The organisation
    #[arg(long, value_name = "ID")]
    pub org: OrgId,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// The arguments of `rollbook credential revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// The organisation
    #[arg(long, value_name = "ID")]
    pub org: OrgId,
    /// The credential's id, as `list` shows it
    #[arg(long, value_name = "UUID")]
    pub id: Uuid,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

impl Credential {
    /// Executes the subcommand.
    pub async fn run(self) -> Result<(), CliError> {
        let (database, command) = match &self.command {
            CredentialCommand::Create(command) => (&command.database, &self.command),
            CredentialCommand::List(command) => (&command.database, &self.command),
            CredentialCommand::Revoke(command) => (&command.database, &self.command),
        };
        let store = match command {
            // The first credential may come before the first start of the server.
            CredentialCommand::Create(_) => open_migrated_store(database).await?,
            CredentialCommand::List(_) | CredentialCommand::Revoke(_) => {
                open_existing_store(database).await?
            }
        };
        let outcome = match command {
            CredentialCommand::Create(command) => command.run(&store).await,
            CredentialCommand::List(command) => command.run(&store).await,
            CredentialCommand::Revoke(command) => command.run(&store).await,
        };
        store.close().await;
        outcome
    }
}

impl Create {
    async fn run(&self, store: &Store) -> Result<(), CliError> {
        let secret = new_secret()?;
        let credential = StoredCredential {
            org: self.org.clone(),
            id: store.clock().new_uuid(),
            key: new_key()?,
            name: self.name.clone(),
            secret_hash: SecretHash::from_secret(&secret).as_bytes().to_vec(),
            scopes: self.scopes.iter().copied().collect::<Scopes>().to_string(),
            created_at: store.clock().now(),
            revoked_at: None,
        };
        if !store.add_credential(credential.clone()).await? {
            return Err(CliError::Refused(
                "the new key was taken already: try again".to_owned(),
            ));
        }
        println!("id:     {}", credential.id);
        println!("key:    {}", credential.key);
        println!("secret: {}", secret.expose_secret());
        println!("scopes: {}", credential.scopes);
        eprintln!("The secret is not kept: note it now.");
        Ok(())
    }
}

impl List {
    async fn run(&self, store: &Store) -> Result<(), CliError> {
        for credential in store.credentials(&self.org).await? {
            // Columns are separated by tabs, which `cut` expects. A name contains no tab.
            println!(
                "{}\t{}\t{}\t{}\t{}",
                credential.id, credential.key, credential.created_at, credential.name, credential.scopes
            );
        }
        Ok(())
    }
}

impl Revoke {
    async fn run(&self, store: &Store) -> Result<(), CliError> {
        if !store.revoke_credential(&self.org, self.id).await? {
            let org = &self.org;
            let help = format!(
                "{org} has no credential {} that isn't revoked: see `rollbook credential list`",
                self.id
            );
            return Err(CliError::Refused(help));
        }
        println!("Revoked; running servers refuse it within a second.");
        Ok(())
    }
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().count() > MAX_NAME {
        return Err(format!("a name has 1 to {MAX_NAME} characters"));
    }
    match check_naming(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(format!("a name {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_on_one_line() {
        assert_eq!(name("Moodle").as_deref(), Ok("Moodle"));
        for bad in ["", " ", " Moodle ", "a\tb", "a\nb", &"x".repeat(256)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
