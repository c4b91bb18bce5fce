//! What every test stands on: a server with an empty database, callers, requests, and builders of data.
//!
//! ```text
//! both_databases! {
//!     async fn a_learner_sees_itself(server: &TestServer) {
//!         let admin = server.person("admin", "ada");
//!         admin.put("/v1/users/bo", &user("bo").email("bo@example.com")).await.expect(201);
//!         let rows = server.person("learner", "bo").get("/v1/activities").await.expect(200).json();
//!         assert_eq!(rows["activities"], json!([]));
//!     }
//! }
//! ```
//!
//! makes the tests `a_learner_sees_itself::sqlite` and `a_learner_sees_itself::postgres`. The server's clock
//! stands still at [`server::START`] until the test moves it.

#![allow(dead_code, reason = "a toolbox: not every tool is in use at every time")]

pub mod builders;
pub mod database;
pub mod http;
pub mod outbox;
pub mod process;
pub mod random;
pub mod records;
pub mod server;
pub mod smtp_server;
pub mod sql;

pub use database::Database;
pub use server::TestServer;

/// Makes two tests of one: `name::sqlite` and `name::postgres`, each with a server of its own.
macro_rules! both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($server:ident: &TestServer) $body:block)+) => {
        $(
            $(#[$attribute])*
            mod $name {
                #[allow(unused_imports, reason = "what a test needs differs")]
                use super::*;

                async fn journey($server: &$crate::support::TestServer) $body

                #[test]
                fn sqlite() {
                    $crate::support::server::run($crate::support::Database::sqlite(), journey);
                }

                #[test]
                fn postgres() {
                    $crate::support::server::run($crate::support::Database::postgres(), journey);
                }
            }
        )+
    };
}
pub(crate) use both_databases;
