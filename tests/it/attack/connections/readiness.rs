//! Readiness, which anybody can ask for: it costs no query for each request, and says when to ask again.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::{admin_of, start};
use crate::support::http::Caller;
use crate::support::server::ORG;
use crate::support::{Database, apply, both_databases};

/// How soon readiness notices a change.
const NOTICE: Duration = Duration::from_secs(5);

#[apply(both_databases)]
async fn readiness_asks_the_database_once_a_second(database: &Database) {
    let process = start(database, &[]);
    let caller = Caller::anonymous(reqwest::Client::new(), process.base.clone());
    let set_version = |change: &str| {
        format!(
            "UPDATE _sqlx_migrations SET version = version {change} \
             WHERE version = (SELECT max(version) FROM _sqlx_migrations)"
        )
    };
    let mut is_shared = false;
    for _ in 0..5 {
        // The checks of the other requests are older than a second.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        let begin = Instant::now();
        caller.get("/health/ready").await.expect(200);
        database.execute(&set_version("+ 1000")).await;
        let next = caller.get("/health/ready").await;
        let elapsed = begin.elapsed();
        let refused = loop {
            let answer = caller.get("/health/ready").await;
            if answer.status != 200 {
                break answer.expect(503);
            }
            assert!(begin.elapsed() < NOTICE, "readiness does not notice the change");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        println!("measured: readiness shows the newer schema after {:?}", begin.elapsed());
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(refused.json()["reads"], "unavailable");
        database.execute(&set_version("- 1000")).await;
        while caller.get("/health/ready").await.status != 200 {
            assert!(begin.elapsed() < NOTICE * 2, "readiness does not notice the change back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // A slow machine tries again.
        if elapsed < Duration::from_millis(900) {
            next.expect(200);
            is_shared = true;
            break;
        }
    }
    assert!(is_shared, "no request came within a second of the one before");
}

#[apply(both_databases)]
async fn token_of_keys_that_could_not_be_fetched_is_refused_with_the_time_to_wait(database: &Database) {
    // Nothing listens at this port.
    let process = start(database, &[("ROLLBOOK_JWT_JWKS", "http://127.0.0.1:9/keys")]);
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"sub": "root", "org": ORG, "role": "admin", "exp": 4_000_000_000_i64});
    let head = part(json!({"alg": "RS256", "kid": "a"}));
    let token = format!("{head}.{}.{}", part(claims), URL_SAFE_NO_PAD.encode([0; 256]));
    let caller = Caller::anonymous(reqwest::Client::new(), process.base.clone()).with_token(&token);
    let answer = caller.get("/v1/actions").await.expect(503);
    assert!(answer.headers.contains_key("retry-after"));
    admin_of(&process).get("/v1/actions").await.expect(200);
}
