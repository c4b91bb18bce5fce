//! SQL views for BI tools that read the database: `activity_log`, `users`, `user_fields`, `contents` and `progress`
//! (`docs/bi.md`).
//!
//! On PostgreSQL each organisation has a schema with its views. A role that may use one schema and nothing else reads
//! one organisation: a view reads the tables with the rights of its owner, and `security_barrier` applies the condition on
//! the organisation before any function of the reader's query. On SQLite, which has no roles, each view has all
//! organisations, with a column `organisation`, and its name begins with `bi_`.
//!
//! A view has the labels of the release that installed it.

mod queries;

use crate::base::ids::OrgId;
use crate::store::db::database::{Engine, Sql};
use crate::store::db::transaction::Tx;
use crate::store::db::{Store, StoreError};

use queries::{Queries, quoted_name};

/// The longest id that is part of the name of a schema. PostgreSQL cuts names at 63 bytes.
const MAX_ID_IN_SCHEMA: usize = 50;

/// The index that serves conditions on `happened_at` of the views.
const INDEX: &str = "activities_bi_time";

/// The search path under which the views are created, so that no function or operator of another schema gets into them.
const SEARCH_PATH: &str = "pg_catalog, pg_temp";

/// Why views cannot be installed, or a role cannot get rights on them.
#[derive(Debug, thiserror::Error)]
pub enum ViewsError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The schema was not created for these views.
    #[error(
        "the schema {schema} exists, and was not created for the views of the organisation `{organisation}`: \
         rename it or drop it"
    )]
    ForeignSchema {
        /// The name of the schema in quotation marks.
        schema: String,
        /// The id of the organisation.
        organisation: String,
    },
    /// The view cannot be replaced.
    #[error(
        "the view {schema}.{view} cannot be replaced: {cause}. If an older release made it, drop the schema and install the \
         views again, with --role for each role that reads them"
    )]
    Irreplaceable {
        /// The name of the schema in quotation marks.
        schema: String,
        /// The name of the view.
        view: &'static str,
        /// The error of the database.
        cause: StoreError,
    },
    /// The role does not exist.
    #[error("the role `{0}` does not exist: create it first, with CREATE ROLE … LOGIN PASSWORD '…'")]
    UnknownRole(String),
    /// The role can read the tables.
    #[error(
        "the role `{0}` can read or change the tables of Rollbook, so the views would not limit it to one organisation: \
         take a role without rights on the tables"
    )]
    PowerfulRole(String),
}

/// The views of one organisation on PostgreSQL, or of all on SQLite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSet {
    /// The organisation and its schema; `None` on SQLite.
    pub schema: Option<ViewSchema>,
    views: Vec<View>,
}

/// The schema of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSchema {
    /// The id of the organisation.
    pub organisation: String,
    /// The name of the schema, in quotation marks.
    pub name: String,
    /// The same name as the catalogue of the database has it.
    plain_name: String,
    /// The comment by which Rollbook knows the schemas that it created.
    mark: String,
    /// The schema of the tables.
    base: String,
    /// The database, in quotation marks.
    database: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct View {
    name: &'static str,
    /// The statements that create or replace it.
    statements: Vec<String>,
}

impl ViewSet {
    /// The statements that create the views, or replace them.
    pub fn statements(&self) -> Vec<String> {
        let mut statements = Vec::new();
        if let Some(schema) = &self.schema {
            statements.push(format!("SET search_path = {SEARCH_PATH}"));
            statements.push(schema.creation());
            statements.push(schema.comment());
        }
        statements.extend(self.views.iter().flat_map(|view| view.statements.iter().cloned()));
        statements
    }
}

impl ViewSchema {
    fn creation(&self) -> String {
        format!("CREATE SCHEMA IF NOT EXISTS {}", self.name)
    }

    fn comment(&self) -> String {
        let mark = self.mark.replace('\'', "''");
        format!("COMMENT ON SCHEMA {} IS '{mark}'", self.name)
    }

    /// The statements that let a role read the views, also those of later releases.
    pub fn grants(&self, role: &str) -> Vec<String> {
        let (schema, role) = (&self.name, quoted_name(role));
        vec![
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}"),
            format!("GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}"),
            format!("ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"),
        ]
    }

    /// The statements that make the role's sessions convenient and keep them from loading the server by mistake. They are no
    /// protection: a session can change its settings.
    pub fn role_settings(&self, role: &str) -> Vec<String> {
        let Self { name, database, .. } = self;
        let role = quoted_name(role);
        [
            format!("search_path = {name}"),
            "default_transaction_read_only = on".to_owned(),
            "statement_timeout = '5min'".to_owned(),
        ]
        .map(|setting| format!("ALTER ROLE {role} IN DATABASE {database} SET {setting}"))
        .to_vec()
    }
}

impl Store {
    /// The views of the organisation, or of all organisations.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn bi_views(&self, organisation: Option<&OrgId>) -> Result<Vec<ViewSet>, StoreError> {
        if self.db().engine() == Engine::Sqlite {
            return Ok(vec![sqlite_views()]);
        }
        let (base, database) = self.bi_places().await?;
        let mut sql = Sql::new("SELECT key, id FROM organisations WHERE 1 = 1");
        if let Some(organisation) = organisation {
            sql.push(" AND id = ").bind(organisation.as_str());
        }
        sql.push(" ORDER BY id");
        let organisations: Vec<(i64, String)> = self.db().fetch_rows(sql).await?;
        let sets = organisations
            .into_iter()
            .map(|(key, id)| postgres_views(key, id, &base, &database));
        Ok(sets.collect())
    }

    /// The statement that creates the index for conditions on `happened_at` of the views.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn bi_index(&self) -> Result<String, StoreError> {
        Ok(match self.db().engine() {
            Engine::Sqlite => {
                let time = Queries::sqlite().time("happened_at");
                format!("CREATE INDEX IF NOT EXISTS {INDEX} ON activities (org, {time})")
            }
            Engine::Postgres => {
                let (base, _) = self.bi_places().await?;
                let time = Queries::postgres(&base, 0).time("happened_at");
                let base = quoted_name(&base);
                format!("CREATE INDEX CONCURRENTLY IF NOT EXISTS {INDEX} ON {base}.activities (org, {time})")
            }
        })
    }

    /// Creates the index of [`Store::bi_index`] if it is missing. On PostgreSQL activities can be recorded meanwhile.
    ///
    /// # Errors
    ///
    /// The database failed, or its user may not create indexes.
    pub async fn install_bi_index(&self) -> Result<(), StoreError> {
        let create = self.bi_index().await?;
        if self.db().engine() == Engine::Sqlite {
            return self.db().execute_without_limits(&[create]).await;
        }
        // An index that could not be completed stays as one that no query uses.
        let state = Sql::new(
            "SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relname = $1",
        );
        let is_valid: Option<(bool,)> = self.db().fetch_row(state.with(INDEX)).await?;
        let (base, _) = self.bi_places().await?;
        let base = quoted_name(&base);
        let mut statements = Vec::new();
        match is_valid {
            Some((true,)) => return Ok(()),
            Some((false,)) => statements.push(format!("DROP INDEX CONCURRENTLY IF EXISTS {base}.{INDEX}")),
            None => {}
        }
        // Without statistics of its expression the planner would not choose the index.
        statements.extend([create, format!("ANALYZE {base}.activities")]);
        self.db().execute_without_limits(&statements).await
    }

    /// Creates the views, or replaces them, and lets the role read them. Rights that roles have on them stay.
    ///
    /// # Errors
    ///
    /// The schema or the role is not fit for it, or the database failed, or its user may not create schemas.
    pub async fn install_bi_views(&self, set: &ViewSet, role: Option<&str>) -> Result<(), ViewsError> {
        let mut tx = self.db().begin().await?;
        if let Some(schema) = &set.schema {
            let path = Sql::new("SELECT set_config('search_path', $1, true)");
            tx.fetch_optional(path.with(SEARCH_PATH)).await?;
            if let Some(role) = role {
                check_role(&mut tx, role, &schema.base).await?;
            }
            prepare_schema(&mut tx, schema).await?;
        }
        for view in &set.views {
            for statement in &view.statements {
                let created = tx.execute(Sql::new(statement)).await;
                created.map_err(|cause| match &set.schema {
                    Some(schema) if cause.is_of_replaced_object() => ViewsError::Irreplaceable {
                        schema: schema.name.clone(),
                        view: view.name,
                        cause,
                    },
                    _ => cause.into(),
                })?;
            }
        }
        if let (Some(schema), Some(role)) = (&set.schema, role) {
            for grant in schema.grants(role) {
                tx.execute(Sql::new(&grant)).await?;
            }
        }
        Ok(tx.commit().await?)
    }

    /// Sets what a session of the role begins with.
    ///
    /// # Errors
    ///
    /// The database failed, or its user may not change the role.
    pub async fn set_bi_role(&self, schema: &ViewSchema, role: &str) -> Result<(), StoreError> {
        for setting in schema.role_settings(role) {
            self.db().execute_alone(Sql::new(&setting)).await?;
        }
        Ok(())
    }

    /// The schema of the tables and the name of the database, on PostgreSQL.
    async fn bi_places(&self) -> Result<(String, String), StoreError> {
        let places = Sql::new("SELECT current_schema()::text, current_database()::text");
        let places: Option<(String, String)> = self.db().fetch_row(places).await?;
        places.ok_or(StoreError::Invariant("a database without a schema"))
    }
}

/// Refuses a role for which the views are no limit.
async fn check_role(tx: &mut Tx, role: &str, base: &str) -> Result<(), ViewsError> {
    let rights = Sql::new(
        "SELECT coalesce(bool_or(has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE') \
             OR has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE') OR pg_has_role(r.oid, c.relowner, 'MEMBER')), false) \
         FROM pg_roles r LEFT JOIN pg_namespace n ON n.nspname = $2 LEFT JOIN pg_class c ON c.relnamespace = n.oid \
         AND c.relkind IN ('r', 'p') \
         AND EXISTS (SELECT 1 FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'org' AND NOT t.attisdropped) \
         WHERE r.rolname = $1 GROUP BY r.oid",
    );
    match tx.fetch_row::<(bool,)>(rights.with(role).with(base)).await? {
        None => Err(ViewsError::UnknownRole(role.to_owned())),
        Some((true,)) => Err(ViewsError::PowerfulRole(role.to_owned())),
        Some((false,)) => Ok(()),
    }
}

/// Creates the schema if it is missing. A schema that another user or program created is refused: its owner could
/// replace the views.
async fn prepare_schema(tx: &mut Tx, schema: &ViewSchema) -> Result<(), ViewsError> {
    let find = "SELECT coalesce(obj_description(oid, 'pg_namespace'), ''), pg_has_role(nspowner, 'USAGE') \
                FROM pg_namespace WHERE nspname = $1";
    let find = Sql::new(find).with(schema.plain_name.as_str());
    let foreign = || ViewsError::ForeignSchema {
        schema: schema.name.clone(),
        organisation: schema.organisation.clone(),
    };
    let existing: Option<(String, bool)> = tx.fetch_row(find.clone()).await?;
    if existing.is_some_and(|(mark, is_own)| mark != schema.mark || !is_own) {
        return Err(foreign());
    }
    tx.execute(Sql::new(&schema.creation())).await?;
    // Another user may have created it meanwhile.
    let created: Option<(String, bool)> = tx.fetch_row(find).await?;
    if !created.is_some_and(|(_, is_own)| is_own) {
        return Err(foreign());
    }
    tx.execute(Sql::new(&schema.comment())).await?;
    Ok(())
}

fn sqlite_views() -> ViewSet {
    let views = Queries::sqlite().views();
    let views = views.map(|(name, query)| View {
        name,
        statements: vec![
            format!("DROP VIEW IF EXISTS bi_{name}"),
            format!("CREATE VIEW bi_{name} AS {query}"),
        ],
    });
    ViewSet {
        schema: None,
        views: views.to_vec(),
    }
}

fn postgres_views(key: i64, id: String, base: &str, database: &str) -> ViewSet {
    let plain_name = schema_name(key, &id);
    let name = quoted_name(&plain_name);
    let views = Queries::postgres(base, key).views();
    let views = views.map(|(view, query)| View {
        name: view,
        statements: vec![format!(
            "CREATE OR REPLACE VIEW {name}.{view} WITH (security_barrier = true) AS {query}"
        )],
    });
    let schema = ViewSchema {
        mark: format!("Rollbook: views of the organisation {id} with the key {key} in the schema {base}"),
        organisation: id,
        name,
        plain_name,
        base: base.to_owned(),
        database: quoted_name(database),
    };
    ViewSet {
        schema: Some(schema),
        views: views.to_vec(),
    }
}

/// The name of an organisation's schema: its id if that is a short, simple name, and else its key.
fn schema_name(key: i64, id: &str) -> String {
    let is_simple = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if id.len() <= MAX_ID_IN_SCHEMA && id.bytes().all(is_simple) && !id.starts_with("key_") {
        format!("rollbook_{id}")
    } else {
        format!("rollbook_key_{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_is_named_by_a_simple_id_and_else_by_the_key() {
        let long = "a".repeat(MAX_ID_IN_SCHEMA + 1);
        for (id, expected) in [
            ("acme", "rollbook_acme"),
            ("acme-2_b", "rollbook_acme-2_b"),
            ("Acme", "rollbook_key_7"),
            ("a\"; DROP TABLE users; --", "rollbook_key_7"),
            ("key_8", "rollbook_key_7"),
            (long.as_str(), "rollbook_key_7"),
        ] {
            assert_eq!(schema_name(7, id), expected, "{id}");
        }
    }
}
