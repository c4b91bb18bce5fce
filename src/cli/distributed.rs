//! `rollbook distributed`: how a cluster with Citus has the tables. `rollbook migrate --distributed` distributes them.

use std::io::{self, Write as _};

use clap::{Args, Subcommand};

use crate::base::ids::OrgId;
use crate::cli::{CliError, check_schema, open_store};
use crate::config::DatabaseArgs;
use crate::store::{self, Cluster, ClusterNode, DistributionError, Store};

/// The arguments of `rollbook distributed`.
#[derive(Debug, Args)]
pub struct Distributed {
    /// What to do.
    #[command(subcommand)]
    pub command: DistributedCommand,
}

/// The commands of `rollbook distributed`.
#[derive(Debug, Subcommand)]
pub enum DistributedCommand {
    /// Show the nodes, their rows, and the tables that are not distributed
    Status(Status),
}

/// The arguments of `rollbook distributed status`.
#[derive(Debug, Args)]
pub struct Status {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Also show the node that has the rows of this organisation
    #[arg(long = "org", value_name = "ID")]
    pub organisation: Option<OrgId>,
}

impl Distributed {
    /// Shows the cluster.
    ///
    /// # Errors
    ///
    /// [`CliError::Refused`] if tables are not distributed, so that a script notices.
    pub async fn run(self) -> Result<(), CliError> {
        let DistributedCommand::Status(status) = self.command;
        let store = open_coordinator(&status.database).await?;
        let shown = show(&store, status.organisation.as_ref()).await;
        store.close().await;
        shown
    }
}

/// Opens the store of a cluster. SQLite is refused before its file is created.
pub(super) async fn open_coordinator(database: &DatabaseArgs) -> Result<Store, CliError> {
    if store::file_of(&database.settings().url).is_some() {
        return Err(DistributionError::NotPostgres.into());
    }
    open_store(database).await
}

async fn show(store: &Store, organisation: Option<&OrgId>) -> Result<(), CliError> {
    let cluster = store.cluster().await?;
    check_schema(store, false).await?;
    let mut text = describe(&cluster);
    if let (Some(organisation), true) = (organisation, cluster.missing.is_empty()) {
        let Some((host, port)) = store.node_of(organisation).await? else {
            let refusal = format!("the organisation `{organisation}` does not exist");
            return Err(CliError::Refused(refusal));
        };
        text.push_str(&format!("The rows of {organisation} are on {host}:{port}.\n"));
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    if cluster.missing.is_empty() {
        return Ok(());
    }
    Err(CliError::Refused(format!(
        "not distributed: {}. Run `rollbook migrate --distributed`",
        cluster.missing.join(", ")
    )))
}

/// The cluster in words, one line for each node.
fn describe(cluster: &Cluster) -> String {
    let mut text = format!(
        "Citus {}. {} tables are distributed by organisation in {} parts, and {} tables are on every node.\n",
        cluster.version, cluster.distributed, cluster.parts, cluster.reference
    );
    for node in &cluster.nodes {
        text.push_str(&describe_node(node));
        text.push('\n');
    }
    text
}

fn describe_node(node: &ClusterNode) -> String {
    let role = if node.is_coordinator {
        "coordinator"
    } else {
        "worker"
    };
    let rows = if node.takes_rows {
        "takes rows of organisations"
    } else {
        "takes no rows of organisations"
    };
    let activity = if node.is_active { "active" } else { "not active" };
    format!(
        "{}:{}  {role}, {activity}, {rows}; {} shards, {:.1} MiB",
        node.host,
        node.port,
        node.shards,
        node.bytes as f64 / (1024.0 * 1024.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_is_described_node_by_node() {
        let node = ClusterNode {
            host: "10.0.0.1".to_owned(),
            port: 5432,
            is_coordinator: true,
            is_active: true,
            takes_rows: false,
            shards: 7,
            bytes: 1_572_864,
        };
        let worker = ClusterNode {
            host: "10.0.0.2".to_owned(),
            is_coordinator: false,
            is_active: false,
            takes_rows: true,
            ..node.clone()
        };
        let cluster = Cluster {
            version: "13.2-1".to_owned(),
            nodes: vec![node, worker],
            distributed: 49,
            reference: 7,
            missing: Vec::new(),
            parts: 32,
        };
        assert_eq!(
            describe(&cluster),
            "Citus 13.2-1. 49 tables are distributed by organisation in 32 parts, and 7 tables are on every node.\n\
             10.0.0.1:5432  coordinator, active, takes no rows of organisations; 7 shards, 1.5 MiB\n\
             10.0.0.2:5432  worker, not active, takes rows of organisations; 7 shards, 1.5 MiB\n"
        );
    }
}
