//! A cluster of PostgreSQL with Citus: which rows are on which node.
//!
//! The rows of an organisation are together on one node, so a text that names the organisation runs there alone.
//! `tests/it/support/sql_rule.rs` checks that the texts do.

use crate::base::ids::OrgId;
use crate::store::db::columns::columns;
use crate::store::db::database::{Db, Engine, Sql};
use crate::store::db::postgres::READ_SCANS;
use crate::store::db::{Store, StoreError};

/// The tables that every node has whole: those without an organisation, and those that are read before the organisation is
/// known. All other tables are distributed by their column `org`.
pub const REFERENCE_TABLES: [&str; 7] = [
    // Each request looks up its organisation by the id of the token.
    "organisations",
    // Unique by the id of an organisation that does not exist yet.
    "archive_imports",
    // Looked up by the user name of HTTP Basic.
    "credentials",
    // Looked up by the secret.
    "report_keys",
    // Looked up by the secret. Its organisation need not exist.
    "export_links",
    // One row for all organisations.
    "cursor_keys",
    // Has no organisation. A probe needs space on every node.
    "write_probes",
];

/// The table by which the others are placed.
const FIRST_TABLE: &str = "ledgers";

/// The oldest major version of Citus that was tried with Rollbook.
const OLDEST_CITUS: i64 = 13;

/// How often the tables are locked for the distribution while requests lock them too.
const ATTEMPTS: u32 = 10;

/// Why the tables cannot be distributed, or why there is no cluster to show. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum DistributionError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SQLite has one node.
    #[error(
        "only PostgreSQL with the extension citus has several nodes: give --database (ROLLBOOK_DATABASE) its address"
    )]
    NotPostgres,
    /// The extension is missing.
    #[error(
        "the extension citus is missing in this database: on every node install Citus {OLDEST_CITUS} or newer, add it to \
         shared_preload_libraries and run CREATE EXTENSION citus; then, on the coordinator, add each worker with \
         SELECT citus_add_node('HOST', PORT)"
    )]
    NoExtension,
    /// The extension is too old.
    #[error(
        "the database has Citus {0}: install version {OLDEST_CITUS} or newer on every node and run ALTER EXTENSION citus UPDATE"
    )]
    OldExtension(String),
    /// The connection leads to a worker.
    #[error(
        "this node is a worker of the cluster: give --database (ROLLBOOK_DATABASE) the address of the coordinator"
    )]
    NotCoordinator,
    /// The workers do not know the coordinator, which has the reference tables too.
    #[error(
        "the coordinator is not among the nodes: run SELECT citus_set_coordinator_host('HOST', PORT) with an address at which the workers reach it"
    )]
    UnknownCoordinator,
    /// No node takes rows.
    #[error(
        "the cluster has no node for rows of organisations: add a worker with SELECT citus_add_node('HOST', PORT)"
    )]
    NoWorkers,
    /// A worker does not answer.
    #[error("the node {node} does not answer the coordinator: {cause}")]
    SilentNode {
        /// The host and port.
        node: String,
        /// What the coordinator says.
        cause: String,
    },
    /// The role may not change the tables.
    #[error(
        "the role {role} does not own the table {table}: connect as its owner ({owner}) or as a superuser"
    )]
    NotOwner {
        /// The role of the connection.
        role: String,
        /// A table.
        table: String,
        /// Its owner.
        owner: String,
    },
    /// A table cannot be distributed.
    #[error(
        "the tables could not be distributed, and nothing was changed: {0}. With `out of shared memory`, raise \
         max_locks_per_transaction on every node"
    )]
    Failed(StoreError),
}

columns! {
    /// A node of the cluster.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ClusterNode {
        /// Its host.
        pub host: String = "n.nodename::text",
        /// Its port.
        pub port: i64 = "n.nodeport::bigint",
        /// Whether it is the coordinator.
        pub is_coordinator: bool = "n.groupid = 0",
        /// Whether the cluster uses it.
        pub is_active: bool = "n.isactive",
        /// Whether it takes rows of organisations.
        pub takes_rows: bool = "n.shouldhaveshards",
        /// The number of the parts of all tables that it has.
        pub shards: i64 = "count(s.shardid)",
        /// The bytes of the parts, with their indexes.
        pub bytes: i64 = "coalesce(sum(s.shard_size), 0)::bigint",
    }
}

/// How the tables are distributed.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The version of Citus.
    pub version: String,
    /// The nodes, the coordinator first.
    pub nodes: Vec<ClusterNode>,
    /// The number of tables that are distributed by organisation.
    pub distributed: usize,
    /// The number of tables that every node has.
    pub reference: usize,
    /// The tables that are on the coordinator alone, and should not be.
    pub missing: Vec<String>,
    /// The number of parts into which the organisations are divided.
    pub parts: i64,
}

/// A table of the schema, and how the cluster has it: `distributed`, `reference` or not at all.
struct PlacedTable {
    name: String,
    kind: Option<String>,
}

impl PlacedTable {
    fn is_reference(&self) -> bool {
        REFERENCE_TABLES.contains(&self.name.as_str())
    }

    /// The statements that place it with its rows, and remove the rows from where they were.
    fn placement(&self) -> String {
        let name = &self.name;
        let place = if self.is_reference() {
            format!("create_reference_table('{name}')")
        } else if name == FIRST_TABLE {
            format!("create_distributed_table('{name}', 'org', colocate_with => 'none')")
        } else {
            format!("create_distributed_table('{name}', 'org', colocate_with => '{FIRST_TABLE}')")
        };
        format!("SELECT {place}; SELECT truncate_local_data_after_distributing_table('{name}')")
    }
}

/// The statements that lock the tables before any of them is changed, so that requests wait for all of them together.
fn lock_text(tables: &[PlacedTable]) -> String {
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    format!(
        "SET LOCAL client_min_messages = warning; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
        names.join(", ")
    )
}

impl Store {
    /// Distributes the tables that are not distributed yet, in one transaction, with their rows. Returns their number.
    /// Every node then plans the scans of this role as the server demands of a single PostgreSQL.
    ///
    /// # Errors
    ///
    /// The cluster lacks something, or a table cannot be distributed. Then nothing is changed.
    pub async fn distribute(&self) -> Result<usize, DistributionError> {
        self.check_cluster().await?;
        let mut tables = self.placed_tables().await?;
        tables.retain(|table| table.kind.is_none());
        self.check_owner(&tables).await?;
        // The others are placed with the first one.
        tables.sort_by_key(|table| (!table.is_reference(), table.name != FIRST_TABLE));
        let Db::Postgres { write, .. } = self.db() else {
            return Err(DistributionError::NotPostgres);
        };
        // The nodes get the settings of a role that they know. They know the owner of their tables.
        let settings = self.scan_settings().await?;
        if tables.is_empty() {
            write.execute_together(&settings).await?;
            return Ok(0);
        }
        let mut statements = vec![lock_text(&tables)];
        statements.extend(tables.iter().map(PlacedTable::placement));
        statements.extend(settings);
        let mut attempt = 1;
        loop {
            match write.execute_together(&statements).await {
                Ok(()) => return Ok(tables.len()),
                // A request has locked two of the tables in another order, and the database ended one of the two.
                Err(error) if error.is_passing() && attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(DistributionError::Failed(error)),
            }
        }
    }

    /// How the tables are distributed over the nodes.
    ///
    /// # Errors
    ///
    /// The database is not the coordinator of a cluster.
    pub async fn cluster(&self) -> Result<Cluster, DistributionError> {
        let version = self.check_coordinator().await?;
        let tables = self.placed_tables().await?;
        let count = |kind: &str| {
            tables
                .iter()
                .filter(|table| table.kind.as_deref() == Some(kind))
                .count()
        };
        let parts = Sql::new(
            "SELECT count(*) FROM pg_dist_shard s JOIN pg_class c ON c.oid = s.logicalrelid \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relname = $1",
        );
        Ok(Cluster {
            version,
            nodes: self.cluster_nodes().await?,
            distributed: count("distributed"),
            reference: count("reference"),
            parts: self.db().count(parts.with(FIRST_TABLE)).await?,
            missing: tables
                .into_iter()
                .filter(|table| table.kind.is_none())
                .map(|table| table.name)
                .collect(),
        })
    }

    /// Whether tables are distributed over the nodes of a cluster.
    ///
    /// # Errors
    ///
    /// The database failed.
    pub async fn is_distributed(&self) -> Result<bool, StoreError> {
        if self.db().engine() == Engine::Sqlite || self.citus_version().await?.is_none() {
            return Ok(false);
        }
        let tables = self.placed_tables().await?;
        Ok(tables.iter().any(|table| table.kind.is_some()))
    }

    /// The node that has the rows of an organisation, as host and port. `None` if the organisation does not exist.
    ///
    /// # Errors
    ///
    /// The tables are not distributed.
    pub async fn node_of(&self, organisation: &OrgId) -> Result<Option<(String, i64)>, DistributionError> {
        let Some(org) = self.organisation_key(organisation).await? else {
            return Ok(None);
        };
        let select = Sql::new(
            "SELECT n.nodename::text, n.nodeport::bigint FROM pg_dist_placement p JOIN pg_dist_node n ON n.groupid = p.groupid \
             WHERE p.shardid = get_shard_id_for_distribution_column('ledgers', $1::bigint) AND n.noderole = 'primary'",
        );
        Ok(self.db().fetch_row(select.with(org)).await?)
    }

    /// The version of the extension in this database, which is PostgreSQL. `None` if it is missing.
    async fn citus_version(&self) -> Result<Option<String>, StoreError> {
        let select = Sql::new("SELECT extversion FROM pg_extension WHERE extname = 'citus'");
        let row: Option<(String,)> = self.db().fetch_row(select).await?;
        Ok(row.map(|(version,)| version))
    }

    /// Checks that the database is the coordinator of a cluster, and returns the version of Citus.
    async fn check_coordinator(&self) -> Result<String, DistributionError> {
        if self.db().engine() == Engine::Sqlite {
            return Err(DistributionError::NotPostgres);
        }
        let Some(version) = self.citus_version().await? else {
            return Err(DistributionError::NoExtension);
        };
        let major = version
            .split(['.', '-'])
            .next()
            .and_then(|major| major.parse::<i64>().ok());
        if major.is_some_and(|major| major < OLDEST_CITUS) {
            return Err(DistributionError::OldExtension(version));
        }
        let group = Sql::new("SELECT groupid::bigint FROM pg_dist_local_group");
        if self.db().count(group).await? != 0 {
            return Err(DistributionError::NotCoordinator);
        }
        Ok(version)
    }

    /// Checks that the cluster can take the tables. It needs no tables.
    ///
    /// # Errors
    ///
    /// The cluster lacks something.
    pub async fn check_cluster(&self) -> Result<(), DistributionError> {
        self.check_coordinator().await?;
        let nodes = Sql::new(
            "SELECT coalesce(bool_or(n.groupid = 0), FALSE), coalesce(bool_or(n.shouldhaveshards AND n.isactive), FALSE) \
             FROM pg_dist_node n WHERE n.noderole = 'primary'",
        );
        match self.db().fetch_row::<(bool, bool)>(nodes).await? {
            Some((true, true)) => {}
            Some((false, _)) => return Err(DistributionError::UnknownCoordinator),
            _ => return Err(DistributionError::NoWorkers),
        }
        let silent = Sql::new(
            "SELECT nodename::text || ':' || nodeport::text, result::text FROM run_command_on_workers('SELECT 1') \
             WHERE NOT success LIMIT 1",
        );
        match self.db().fetch_row::<(String, String)>(silent).await? {
            Some((node, cause)) => Err(DistributionError::SilentNode { node, cause }),
            None => Ok(()),
        }
    }

    /// The statements that make every node plan the scans of this role in this database by [`READ_SCANS`]. A coordinator
    /// does not pass on the settings of its connections to the other nodes, but those of roles.
    async fn scan_settings(&self) -> Result<Vec<String>, StoreError> {
        let name = Sql::new("SELECT quote_ident(current_database())");
        let name: Option<(String,)> = self.db().fetch_row(name).await?;
        let (name,) = name.ok_or(StoreError::Invariant("a database without a name"))?;
        let set =
            |(setting, value)| format!("ALTER ROLE CURRENT_USER IN DATABASE {name} SET {setting} = {value}");
        Ok(READ_SCANS.map(set).into())
    }

    /// Checks that the role of the connection owns the tables.
    async fn check_owner(&self, tables: &[PlacedTable]) -> Result<(), DistributionError> {
        let select = Sql::new(
            "SELECT current_user::text, c.relname::text, pg_get_userbyid(c.relowner)::text FROM pg_class c \
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() \
             AND c.relname::text IN LIST($1) AND NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1",
        );
        let names: Vec<String> = tables.iter().map(|table| table.name.clone()).collect();
        match self
            .db()
            .fetch_row::<(String, String, String)>(select.with(names))
            .await?
        {
            Some((role, table, owner)) => Err(DistributionError::NotOwner { role, table, owner }),
            None => Ok(()),
        }
    }

    /// The tables of the schema, without that of the migrator.
    async fn placed_tables(&self) -> Result<Vec<PlacedTable>, StoreError> {
        let select = Sql::new(
            "SELECT c.relname::text, CASE p.partmethod WHEN 'n' THEN 'reference' WHEN 'h' THEN 'distributed' END \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_dist_partition p ON p.logicalrelid = c.oid \
             WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relname <> '_sqlx_migrations' ORDER BY c.relname",
        );
        let rows: Vec<(String, Option<String>)> = self.db().fetch_rows(select).await?;
        Ok(rows
            .into_iter()
            .map(|(name, kind)| PlacedTable { name, kind })
            .collect())
    }

    async fn cluster_nodes(&self) -> Result<Vec<ClusterNode>, DistributionError> {
        let select = Sql::new(&format!(
            "SELECT {} FROM pg_dist_node n LEFT JOIN citus_shards s ON s.nodename = n.nodename AND s.nodeport = n.nodeport \
             WHERE n.noderole = 'primary' GROUP BY n.nodename, n.nodeport, n.groupid, n.isactive, n.shouldhaveshards \
             ORDER BY n.groupid",
            ClusterNode::COLUMNS
        ));
        Ok(self.db().for_long_queries().fetch_rows(select).await?)
    }
}
