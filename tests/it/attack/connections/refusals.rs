//! Guessing secrets: attempts are refused before anything is looked up, and others do not notice.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{admin_of, admin_token, start};
use crate::support::process::Process;
use crate::support::watch::watch;
use crate::support::{Database, apply, both_databases};

/// A client behind the trusted proxy, which is this machine.
struct Guesser {
    client: reqwest::Client,
    base: String,
    address: Option<&'static str>,
}

impl Guesser {
    fn new(process: &Process) -> Self {
        Self { client: reqwest::Client::new(), base: process.base.clone(), address: None }
    }

    /// The same client at another address.
    fn with_address(&self, address: &'static str) -> Self {
        Self { client: self.client.clone(), base: self.base.clone(), address: Some(address) }
    }

    fn request(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.get(format!("{}{path}", self.base));
        match self.address {
            Some(address) => request.header("X-Forwarded-For", address),
            None => request,
        }
    }

    /// The status of a request with a key and a secret.
    async fn basic(&self, key: &str, secret: &str) -> u16 {
        let request = self.request("/v1/actions").basic_auth(key, Some(secret));
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Sends requests, 20 at once. Counts the statuses. Every 429 says when to try again.
    async fn guess(
        &self,
        count: usize,
        request: impl Fn(usize) -> reqwest::RequestBuilder,
    ) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        let numbers: Vec<usize> = (0..count).collect();
        for some in numbers.chunks(20) {
            let answers = some.iter().map(|number| request(*number).send());
            for answer in futures_util::future::join_all(answers).await {
                let answer = answer.expect("an answer");
                let status = answer.status().as_u16();
                if status == 429 {
                    let retry = answer.headers().get("retry-after").expect("Retry-After");
                    assert!(retry.to_str().expect("text").parse::<u64>().expect("seconds") >= 1);
                    let text = answer.text().await.expect("a body");
                    let problem: Value = serde_json::from_str(&text).expect("a problem");
                    assert_eq!(problem["code"], "too-many-requests");
                }
                *statuses.entry(status).or_default() += 1;
            }
        }
        statuses
    }
}

/// Creates a credential. Returns its key and secret.
async fn create(process: &Process, scopes: &[&str]) -> (String, String) {
    let body = json!({"name": "Guessed", "scopes": scopes});
    let created = admin_of(process).post("/v1/credentials", &body).await.expect(201).json();
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    (text("key"), text("secret"))
}

/// Checks how many of the guesses were looked up: the burst, what was added meanwhile, and what was sent at once.
fn check(statuses: &BTreeMap<u16, usize>, refused_as: u16, elapsed: Duration) {
    let looked_up = statuses.get(&refused_as).copied().unwrap_or_default();
    let most = 100 + (elapsed.as_secs_f64() * 10.0) as usize + 41;
    assert!((90..=most).contains(&looked_up), "{statuses:?} in {elapsed:?}");
    assert!(statuses.keys().all(|status| [refused_as, 429].contains(status)), "{statuses:?}");
}

#[apply(both_databases)]
async fn guesses_are_refused_without_a_look_up_and_others_at_the_address_still_work(database: &Database) {
    let process = start(database, &[]);
    let (key, secret) = create(&process, &["activities/read"]).await;
    let (other, other_secret) = create(&process, &["activities/read"]).await;
    let guesser = Guesser::new(&process);
    assert_eq!(guesser.basic(&key, &secret).await, 200);
    assert_eq!(guesser.basic(&other, &other_secret).await, 200);
    let address = format!("{}/v1/actions", process.base);
    let ordinary = {
        let (other, other_secret) = (other.clone(), other_secret.clone());
        move |client: &reqwest::Client| client.get(&address).basic_auth(&other, Some(&other_secret))
    };
    let begin = Instant::now();
    let guesses = guesser.guess(1_500, |number| {
        guesser.request("/v1/actions").basic_auth(&key, Some(format!("guess {number}")))
    });
    let (statuses, measured) = watch("1,500 guesses of a secret", &process, ordinary, guesses).await;
    check(&statuses, 401, begin.elapsed());
    assert_eq!(measured.failed, 0, "another credential still works at this address");
    // The integration with this key was used at this address before.
    assert_eq!(guesser.basic(&key, &secret).await, 200);
    // A slow machine may have given the address a few further attempts.
    let further =
        guesser.guess(50, |_| guesser.request("/v1/actions").basic_auth(&key, Some("one more guess")));
    assert!(further.await.contains_key(&429), "further guesses are refused");
    admin_of(&process).get("/v1/organisation").await.expect(200);
}

#[apply(both_databases)]
async fn guessed_key_still_works_from_another_address(database: &Database) {
    let process = start(
        database,
        &[("ROLLBOOK_TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.1"), ("ROLLBOOK_REFUSALS_PER_SECOND", "1")],
    );
    let (key, secret) = create(&process, &["activities/read"]).await;
    let (attacker, owner) = (
        Guesser::new(&process).with_address("192.0.2.1"),
        Guesser::new(&process).with_address("2001:db8::1, 10.0.0.1"),
    );
    let begin = Instant::now();
    let statuses = attacker
        .guess(400, |number| {
            attacker.request("/v1/actions").basic_auth(&key, Some(format!("guess {number}")))
        })
        .await;
    check(&statuses, 401, begin.elapsed());
    assert_eq!(attacker.basic(&key, &secret).await, 429);
    assert_eq!(owner.basic(&key, &secret).await, 200);
    // A right guess is not shown to be right, also while the owner uses the key at another address.
    assert_eq!(attacker.basic(&key, &secret).await, 429);
    // The attacker cannot choose an address: the proxy appends the real one.
    assert_eq!(attacker.with_address("198.51.100.9, 192.0.2.1").basic(&key, &secret).await, 429);
    // The whole network of an IPv6 address counts as one.
    let network =
        ["2001:db8:7::1", "2001:db8:7::2"].map(|address| Guesser::new(&process).with_address(address));
    for number in 0..140 {
        network[number % 2].basic("rk_unknown", "guess").await;
    }
    assert_eq!(Guesser::new(&process).with_address("2001:db8:7::3").basic("rk_unknown", "guess").await, 429);
    assert_eq!(Guesser::new(&process).with_address("2001:db8:8::1").basic("rk_unknown", "guess").await, 401);
}

#[apply(both_databases)]
async fn forwarded_address_of_a_client_that_is_no_trusted_proxy_does_not_count(database: &Database) {
    let process = start(database, &[]);
    let guesser = Guesser::new(&process);
    let begin = Instant::now();
    let statuses = guesser
        .guess(300, |number| {
            let request = guesser.request("/v1/actions").basic_auth(format!("key {number}"), Some("guess"));
            let address = format!("198.51.100.{}", number % 250);
            request.header("X-Forwarded-For", &address).header("Forwarded", format!("for={address}"))
        })
        .await;
    check(&statuses, 401, begin.elapsed());
}

/// Most proxies write only `X-Forwarded-For`, and pass on what a client sends as `Forwarded`.
#[apply(both_databases)]
async fn client_behind_a_proxy_cannot_change_its_address_with_forwarded(database: &Database) {
    let process =
        start(database, &[("ROLLBOOK_TRUSTED_PROXIES", "127.0.0.1"), ("ROLLBOOK_REFUSALS_PER_SECOND", "1")]);
    let (attacker, other) =
        (Guesser::new(&process).with_address("192.0.2.1"), Guesser::new(&process).with_address("192.0.2.2"));
    let lying = |guesser: &Guesser, number: usize| {
        let request = guesser.request("/v1/actions").basic_auth(format!("key {number}"), Some("guess"));
        request.header("Forwarded", format!("for=198.51.100.{}", number % 250))
    };
    let begin = Instant::now();
    let statuses = attacker.guess(300, |number| lying(&attacker, number)).await;
    check(&statuses, 401, begin.elapsed());
    // The attempts count for the attacker, not for the proxy or another client.
    let answer = lying(&other, 1).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
}

/// The server has a small limit, so that few addresses use up the limit of all attempts.
#[apply(both_databases)]
async fn many_guessing_addresses_do_not_lock_out_an_address_that_has_not_failed(database: &Database) {
    let process = start(
        database,
        &[
            ("ROLLBOOK_TRUSTED_PROXIES", "127.0.0.1"),
            ("ROLLBOOK_REFUSALS_PER_SECOND", "1"),
            ("ROLLBOOK_REFUSAL_BURST", "10"),
        ],
    );
    let (key, secret) = create(&process, &["activities/read"]).await;
    let guesser = Guesser::new(&process);
    let statuses = guesser
        .guess(3_000, |number| {
            let request = guesser.request("/v1/actions").basic_auth(format!("key {number}"), Some("guess"));
            // Twenty addresses guess at once, each twenty times, then the next twenty.
            request.header("X-Forwarded-For", format!("192.0.2.{}", number / 400 * 20 + number % 20))
        })
        .await;
    assert!(statuses.get(&429).is_some_and(|refused| *refused > 0), "{statuses:?}");
    // This credential was not used before, so that it is looked up.
    assert_eq!(guesser.with_address("198.51.100.1").basic(&key, &secret).await, 200);
    // Networks of one site share a limit.
    let statuses = guesser
        .guess(400, |number| {
            let request = guesser.request("/v1/actions").basic_auth(format!("key {number}"), Some("guess"));
            request.header("X-Forwarded-For", format!("2001:db8:1:{number:x}::1"))
        })
        .await;
    assert!(statuses.get(&429).is_some_and(|refused| *refused > 100), "{statuses:?}");
    assert_eq!(guesser.with_address("2001:db8:2::1").basic("rk_unknown", "guess").await, 401);
}

#[apply(both_databases)]
async fn forged_tokens_report_keys_and_links_are_limited_too(database: &Database) {
    let process = start(database, &[("ROLLBOOK_TRUSTED_PROXIES", "127.0.0.1")]);
    let forged = admin_token() + "x";
    let guesser = Guesser::new(&process).with_address("192.0.2.1");
    let begin = Instant::now();
    let statuses = guesser.guess(250, |_| guesser.request("/v1/actions").bearer_auth(&forged)).await;
    check(&statuses, 401, begin.elapsed());
    let own = guesser.request("/v1/actions").bearer_auth(admin_token());
    assert_eq!(own.send().await.expect("an answer").status(), 200, "a valid token needs no look-up");

    let guesser = Guesser::new(&process).with_address("192.0.2.2");
    let begin = Instant::now();
    let statuses = guesser
        .guess(250, |number| {
            let secret = format!("rbk_{number:043}");
            guesser.request("/v1/reports").basic_auth(format!("user {number}"), Some(secret))
        })
        .await;
    check(&statuses, 401, begin.elapsed());

    let guesser = Guesser::new(&process).with_address("192.0.2.3");
    let begin = Instant::now();
    let statuses = guesser.guess(250, |number| guesser.request(&format!("/downloads/{number:088}"))).await;
    check(&statuses, 404, begin.elapsed());
    let elsewhere = Guesser::new(&process).with_address("192.0.2.4");
    let link = elsewhere.request("/downloads/nothing").send().await.expect("an answer");
    assert_eq!(link.status(), 404);
}

#[apply(both_databases)]
async fn requests_without_authorisation_are_no_guesses(database: &Database) {
    let process = start(database, &[]);
    let (key, secret) = create(&process, &["activities/read"]).await;
    let guesser = Guesser::new(&process);
    let statuses = guesser.guess(300, |_| guesser.request("/v1/actions")).await;
    assert_eq!(statuses, BTreeMap::from([(401, 300)]));
    assert_eq!(guesser.basic(&key, &secret).await, 200);
}
