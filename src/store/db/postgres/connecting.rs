//! Opening a connection to PostgreSQL, its settings, and what it means if that fails.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::{sleep, timeout};

use super::hosts::{address, is_standby};
use super::identity::Identity;
use super::limits::{KEEPALIVE, Limits, WATCH_CLIENT, Work, limits_text, read_plans_text};
use super::{Access, REPLICA_TIME};
use crate::store::db::StoreError;

/// The time within which the database answers the test of an idle connection.
const TEST_TIME: Duration = Duration::from_secs(1);

/// The error of a connection that was not made: [`StoreError::Unreachable`] if another try may succeed.
pub(super) fn connect_error(options: &PgConnectOptions, error: sqlx::Error) -> StoreError {
    let cause = match &error {
        sqlx::Error::PoolTimedOut => "it takes no more connections".to_owned(),
        error => error.to_string(),
    };
    match StoreError::connect(error) {
        error if error.is_passing() => StoreError::Unreachable {
            address: address(options),
            cause,
        },
        error => error,
    }
}

/// Asks the database for an answer.
pub(super) async fn test(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match timeout(TEST_TIME, connection.ping()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(silence()),
    }
}

/// The error of a test without an answer.
pub(super) fn silence() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}

/// Whether a test failed because no answer came.
pub(super) fn is_silence(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::TimedOut)
}

/// The settings of a new connection. They are not options of the start, because poolers refuse those.
pub(super) fn set_up_text(limits: &Limits, access: Access) -> String {
    // The database limits all queries that read as long ones. This process closes the connection of a short one that
    // takes longer than it may.
    let (work, more) = match access {
        Access::Write => (Work::Short, String::new()),
        Access::Read => (Work::Long, read_plans_text("SET")),
    };
    format!("{}; {KEEPALIVE}; {more}", limits_text(limits, work, "SET"))
}

/// Checks that a connection leads to this database. A pool would connect again at once after an error, and a read of it
/// waits no longer than [`REPLICA_TIME`].
pub(super) async fn check_identity(
    connection: &mut PgConnection,
    identity: &Identity,
) -> Result<(), sqlx::Error> {
    if identity.is_of(connection).await? {
        return Ok(());
    }
    sleep(REPLICA_TIME).await;
    Err(sqlx::Error::Configuration(
        "the database is no replica of the primary".into(),
    ))
}

/// Refuses a connection that leads to a standby. The pool tries again, and meanwhile another host is looked for.
pub(super) async fn refuse_standby(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match is_standby(connection).await? {
        true => Err(sqlx::Error::Configuration("the host is a standby".into())),
        false => Ok(()),
    }
}

pub(super) async fn set_up_connection(
    connection: &mut PgConnection,
    text: String,
) -> Result<(), sqlx::Error> {
    connection.execute(AssertSqlSafe(text)).await?;
    // A statement whose client has gone ends. Not every version and platform of PostgreSQL has this setting, and all
    // works without it.
    let _ = connection.execute(WATCH_CLIENT).await;
    Ok(())
}
