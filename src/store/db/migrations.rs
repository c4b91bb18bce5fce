//! The versions of the schema, in `migrations/`. Both databases have the same numbers and names.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqlSafeStr};

use crate::store::db::StoreError;
use crate::store::db::database::{Db, Sql};

struct Version {
    number: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! version {
    ($number:literal, $name:literal) => {
        Version {
            number: $number,
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }
    };
}

const VERSIONS: &[Version] = &[version!(1, "0001_initial")];

/// The database's schema compared with the schema that this binary needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// They are the same.
    Current,
    /// The database is older. `rollbook migrate` updates it.
    Behind {
        /// The database's version; 0 if the database is empty.
        found: i64,
        /// The version that this binary needs.
        needed: i64,
    },
    /// The database is newer. It needs a newer binary.
    Ahead {
        /// The database's version.
        found: i64,
        /// The version that this binary needs.
        needed: i64,
    },
}

/// The version of the schema that this binary needs.
pub(crate) fn needed_version() -> i64 {
    VERSIONS.iter().map(|version| version.number).max().unwrap_or(0)
}

fn migrator(sqlite: bool) -> Migrator {
    let migrations = VERSIONS
        .iter()
        .map(|version| {
            let text = if sqlite { version.sqlite } else { version.postgres };
            Migration::new(
                version.number,
                Cow::Borrowed(version.name),
                MigrationType::Simple,
                AssertSqlSafe(text).into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}

impl Db {
    /// Updates the schema to this binary's version. It may run twice, and on two replicas at once.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Db::Sqlite { options, wait, .. } => {
                // The writers of the pool look for the lock themselves, the migrator does not.
                let options = options.as_ref().clone().busy_timeout(*wait);
                let mut connection = options.connect().await.map_err(StoreError::connect)?;
                let migrated = migrator(true).run(&mut connection).await;
                connection.close().await?;
                migrated?;
            }
            Db::Postgres { write, .. } => write.migrate(migrator(false)).await?,
        }
        Ok(())
    }

    /// Compares the schema with the one that this binary needs.
    pub(crate) async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        let exists = match self {
            Db::Sqlite { .. } => Sql::new("SELECT name FROM sqlite_master WHERE name = '_sqlx_migrations'"),
            Db::Postgres { .. } => Sql::new(
                "SELECT tablename::text FROM pg_tables WHERE tablename = '_sqlx_migrations' AND schemaname = current_schema()",
            ),
        };
        let needed = needed_version();
        let found = if self.fetch_optional(exists).await?.is_none() {
            0
        } else {
            let newest = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
            self.count(Sql::new(newest)).await?
        };
        Ok(match found.cmp(&needed) {
            std::cmp::Ordering::Equal => SchemaState::Current,
            std::cmp::Ordering::Less => SchemaState::Behind { found, needed },
            std::cmp::Ordering::Greater => SchemaState::Ahead { found, needed },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::VERSIONS;

    #[test]
    fn both_databases_have_the_same_versions() {
        let names = |folder: &str| -> Vec<String> {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(folder);
            let mut names: Vec<_> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let listed: Vec<_> = VERSIONS
            .iter()
            .map(|version| format!("{}.sql", version.name))
            .collect();
        assert_eq!(names("sqlite"), listed);
        assert_eq!(names("postgres"), listed);
    }
}
