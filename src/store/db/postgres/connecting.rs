//! Opening a connection to PostgreSQL, its settings, and what it means if that fails.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::time::{sleep, timeout};

use super::identity::Identity;
use super::limits::{CUSTOM_PLANS, KEEPALIVE, Limits, WATCH_CLIENT, Work, limits_text};
use super::{APPLICATION, Access, REPLICA_TIME};
use crate::store::db::StoreError;
use crate::store::db::database::DatabaseSettings;

/// The time within which the database answers the test of an idle connection.
const TEST_TIME: Duration = Duration::from_secs(1);

/// The options of a connection to the database at this URL.
pub(in crate::store::db) fn connect_options(
    url: &str,
    is_behind_pooler: bool,
) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url).map_err(StoreError::Connect)?;
    let options = options.application_name(APPLICATION);
    Ok(if is_behind_pooler {
        // Poolers refuse this parameter of the start. Numbers travel in binary form, so it changes nothing.
        options.extra_float_digits(None).statement_cache_capacity(0)
    } else {
        options.statement_cache_capacity(256)
    })
}

/// Opens a connection and closes it. A pool would try for as long as a request may wait, and not say why it failed.
///
/// # Errors
///
/// [`StoreError::Unreachable`] if another try may succeed.
pub(in crate::store::db) async fn check_that_it_answers(
    settings: &DatabaseSettings,
) -> Result<(), StoreError> {
    let options = connect_options(&settings.url, settings.behind_transaction_pooler)?;
    match timeout(settings.wait, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => {
            let _ = connection.close().await; // it has answered
            Ok(())
        }
        Ok(Err(error)) => Err(connect_error(&options, error)),
        Err(_) => Err(unreachable(
            &options,
            format!("no answer within {:?}", settings.wait),
        )),
    }
}

/// The error of a connection that was not made: [`StoreError::Unreachable`] if another try may succeed.
pub(super) fn connect_error(options: &PgConnectOptions, error: sqlx::Error) -> StoreError {
    let cause = match &error {
        sqlx::Error::PoolTimedOut => "it takes no more connections".to_owned(),
        error => error.to_string(),
    };
    match StoreError::connect(error) {
        error if error.is_passing() => unreachable(options, cause),
        error => error,
    }
}

fn unreachable(options: &PgConnectOptions, cause: String) -> StoreError {
    StoreError::Unreachable {
        address: format!("{}:{}", options.get_host(), options.get_port()),
        cause,
    }
}

/// Asks the database for an answer.
pub(super) async fn test(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match timeout(TEST_TIME, connection.ping()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// The settings of a new connection. They are not options of the start, because poolers refuse those.
pub(super) fn set_up_text(limits: &Limits, access: Access) -> String {
    // The database limits all queries that read as long ones. This process closes the connection of a short one that
    // takes longer than it may.
    let (work, more) = match access {
        Access::Write => (Work::Short, ""),
        Access::Read => (Work::Long, CUSTOM_PLANS),
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
