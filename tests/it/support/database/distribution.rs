//! Databases of tests that are distributed over a cluster with Citus.
//!
//! Distributing the tables takes longer than most tests. So the first test makes one database with distributed tables, and
//! each test gets a copy of it, on every node.

use rollbook::base::clock::Clock;
use rollbook::log::VerbTable;
use rollbook::store::{DatabaseSettings, Store};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;

/// The variable that makes the tests distribute their databases. [`super::POSTGRES`] is then the coordinator.
pub const DISTRIBUTED: &str = "ROLLBOOK_TEST_DISTRIBUTED";

static TEMPLATE: OnceCell<String> = OnceCell::const_new();

/// Whether the databases of this test run are distributed.
pub fn is_demanded() -> bool {
    std::env::var_os(DISTRIBUTED).is_some()
}

/// Creates a database with distributed tables on every node.
pub async fn create_database(coordinator: &PgConnectOptions, name: &str) {
    let template = TEMPLATE.get_or_init(|| create_template(coordinator)).await;
    execute_on_nodes(coordinator, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
    // A plan with one part of each table would show an empty one.
    execute(coordinator, &format!("ALTER DATABASE {name} SET citus.explain_all_tasks = on")).await;
    // The settings of the role are not copied with a database.
    distribute(&coordinator.clone().database(name)).await;
}

/// Executes a command in the first database of every node.
pub async fn execute_on_nodes(coordinator: &PgConnectOptions, command: &str) {
    for node in find_nodes(coordinator).await {
        execute(&node, command).await;
    }
}

/// Every node of the cluster, the coordinator first.
async fn find_nodes(coordinator: &PgConnectOptions) -> Vec<PgConnectOptions> {
    let mut connection = coordinator.connect().await.expect("the coordinator answers");
    let select = "SELECT nodename::text, nodeport FROM pg_dist_node ORDER BY groupid";
    let nodes: Vec<(String, i32)> =
        sqlx::query_as(select).fetch_all(&mut connection).await.expect("the coordinator has nodes");
    let _ = connection.close().await; // the query has succeeded, so an error here does not matter
    let to_port = |port: i32| u16::try_from(port).expect("a port");
    nodes.into_iter().map(|(host, port)| coordinator.clone().host(&host).port(to_port(port))).collect()
}

/// Creates a database without tables on every node.
pub async fn create_empty_database(coordinator: &PgConnectOptions, name: &str) {
    let nodes = find_nodes(coordinator).await;
    for node in &nodes {
        execute(node, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        execute(node, &format!("CREATE DATABASE {name}")).await;
        execute(&node.clone().database(name), "CREATE EXTENSION citus").await;
    }
    let first = coordinator.clone().database(name);
    for (number, node) in nodes.iter().enumerate() {
        let add = if number == 0 { "citus_set_coordinator_host" } else { "citus_add_node" };
        execute(&first, &format!("SELECT {add}('{}', {})", node.get_host(), node.get_port())).await;
    }
}

async fn create_template(coordinator: &PgConnectOptions) -> String {
    let name = format!("rollbook_template_{}", std::process::id());
    create_empty_database(coordinator, &name).await;
    distribute(&coordinator.clone().database(&name)).await;
    for node in &find_nodes(coordinator).await {
        // Without connections, its maintenance daemon among them, the database can be copied.
        execute(node, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ";
        execute(node, &format!("{end} '{name}'")).await;
    }
    name
}

/// What `rollbook migrate --distributed` does.
async fn distribute(coordinator: &PgConnectOptions) {
    let settings = DatabaseSettings::new(coordinator.to_url_lossy().to_string());
    let store = Store::open(&settings, Clock::system(), VerbTable::standard()).await;
    let store = store.expect("the coordinator's database opens");
    store.migrate().await.expect("the database takes the schema");
    store.distribute().await.expect("the tables can be distributed");
    store.close().await;
}

async fn execute(node: &PgConnectOptions, command: &str) {
    let mut connection = node.connect().await.expect("the node answers");
    let result = sqlx::raw_sql(AssertSqlSafe(command.to_owned())).execute(&mut connection).await;
    result.unwrap_or_else(|error| panic!("{command}: {error}"));
    let _ = connection.close().await; // the command has succeeded, so an error here does not matter
}
