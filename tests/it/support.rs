//! The tools of the tests: a server with an empty database, callers, requests, and builders of data.
//!
//! ```text
//! #[apply(both_databases)]
//! async fn learner_sees_no_activity_of_others(server: &TestServer) {
//!     let admin = server.person("admin", "ada");
//!     admin.put("/v1/users/bo", &user("bo").email("bo@example.com")).await.expect(201);
//!     let rows = server.person("learner", "bo").get("/v1/activities").await.expect(200).json();
//!     assert_eq!(rows["activities"], json!([]));
//! }
//! ```
//!
//! This makes the tests `learner_sees_no_activity_of_others::sqlite` and
//! `learner_sees_no_activity_of_others::postgres`. The server's clock shows [`server::START`] until the test moves
//! it.

#![allow(dead_code, reason = "some tools are only needed while a test is written")]

pub mod browser;
pub mod builders;
pub mod database;
pub mod events;
pub mod helpers;
pub mod http;
pub mod many_persons;
pub mod openapi;
pub mod outbox;

pub mod process;
pub mod proxy;
pub mod random;
pub mod receiver;
pub mod records;
pub mod server;
pub mod smtp_server;
pub mod sql;
pub mod sql_rule;
pub mod tools;
pub mod watch;

pub use database::Database;
pub use server::TestServer;

/// Runs the function as two tests, `name::sqlite` and `name::postgres`, each with a new database.
///
/// A function that takes `&TestServer` gets a running server. A function that takes `&Database` gets the empty
/// database only, for tests that start the binary.
macro_rules! both_databases {
    ($(#[$attribute:meta])* async fn $name:ident($server:ident: &TestServer) $body:block) => {
        $crate::support::both_databases! {
            @tests $crate::support::server::run;
            $(#[$attribute])* async fn $name($server: &TestServer) $body
        }
    };
    ($(#[$attribute:meta])* async fn $name:ident($database:ident: &Database) $body:block) => {
        $crate::support::both_databases! {
            @tests $crate::support::server::run_with_database;
            $(#[$attribute])* async fn $name($database: &Database) $body
        }
    };
    (
        @tests $run:path;
        $(#[$attribute:meta])* async fn $name:ident($argument:ident: &$type:ident) $body:block
    ) => {
        $(#[$attribute])*
        mod $name {
            use super::*;

            async fn journey($argument: &$type) $body

            #[test]
            fn sqlite() {
                $run($crate::support::Database::sqlite(), journey);
            }

            #[test]
            fn postgres() {
                $run($crate::support::Database::postgres(), journey);
            }
        }
    };
}
pub(crate) use both_databases;

/// `#[apply(macro)]` passes the item below it to a declarative macro.
pub(crate) use macro_rules_attribute::apply;
