//! Tests of invalid tokens, and of keys that change while the server runs.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rollbook::access::{KeyConfig, TokenKeys};
use rollbook::base::clock::Timestamp;
use rollbook::http::{AppOptions, AppState};
use rollbook::log::VerbTable;
use rollbook::server::ServerSettings;
use rollbook::store::{DatabaseSettings, Store};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::support::builders::team;
use crate::support::http::Caller;
use crate::support::server::{SECRET, sign};
use crate::support::{TestServer, apply, both_databases};

const PUBLIC: &str = include_str!("../../fixtures/keys/rsa-a.pub.pem");

fn rsa_key(pem: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key")
}

pub(super) fn key_a() -> EncodingKey {
    rsa_key(include_str!("../../fixtures/keys/rsa-a.pem"))
}

pub(super) fn key_b() -> EncodingKey {
    rsa_key(include_str!("../../fixtures/keys/rsa-b.pem"))
}

/// Signs claims by RS256.
pub(super) fn sign_rs256(key: &EncodingKey, kid: Option<&str>, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, key).expect("claims are JSON")
}

/// A token with any header and payload, signed by HS256 with any secret.
fn sign_token(header: &Value, payload: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let key = EncodingKey::from_secret(secret);
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("a signature");
    format!("{message}.{signature}")
}

fn valid_claims(server: &TestServer) -> Value {
    let now = server.clock.now().micros() / 1_000_000;
    json!({"sub": "ada", "org": "acme", "role": "admin", "exp": now + 600})
}

/// A second server on the same database with other keys.
struct SecondServer {
    anonymous: Caller,
    stop: oneshot::Sender<()>,
    running: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl SecondServer {
    async fn start(server: &TestServer, config: KeyConfig) -> Self {
        let settings = DatabaseSettings { connections: 4, ..DatabaseSettings::new(server.database().url()) };
        let store = Store::open(&settings, server.clock.clone(), VerbTable::standard())
            .await
            .expect("the database opens");
        let keys = TokenKeys::load(&config).await.expect("the keys are valid");
        let app_state = AppState::new(store, keys, AppOptions::default()).expect("the recorder starts");
        let settings = ServerSettings {
            workers: 1,
            shutdown_timeout: Duration::from_secs(1),
            ..ServerSettings::default()
        };
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await; // a dropped sender stops the server too
        };
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (running, address) = rollbook::server::start(&settings, listener, app_state, None, shutdown)
            .expect("the server starts");
        let anonymous = Caller::anonymous(reqwest::Client::new(), format!("http://{address}"));
        Self { anonymous, stop, running: tokio::spawn(running) }
    }

    async fn stop(self) {
        drop(self.anonymous);
        let _ = self.stop.send(()); // it may have stopped already; the next line reports why
        self.running.await.expect("the server does not panic").expect("the server stops");
    }
}

/// A temporary folder that is deleted when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(server: &TestServer) -> Self {
        let folder = std::env::temp_dir()
            .join(format!("rollbook-keys-{}", server.base.rsplit(':').next().expect("a port")));
        std::fs::create_dir_all(&folder).expect("the folder can be created");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).expect("a file can be written");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0); // a folder that is not deleted does no harm
    }
}

pub(super) fn jwks_text(keys: &[(&str, &EncodingKey)]) -> String {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(kid, key)| {
            let mut jwk = Jwk::from_encoding_key(key, Algorithm::RS256).expect("a public key");
            jwk.common.key_id = Some((*kid).to_owned());
            serde_json::to_value(jwk).expect("JSON")
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

fn path_text(path: &Path) -> String {
    path.to_str().expect("the path is text").to_owned()
}

async fn assert_refused(caller: &Caller, what: &str) {
    let answer = caller.get("/v1/activities").await;
    assert_eq!(answer.status, 401, "{what}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    let code = if ["expired", "expiring now", "exp negative"].contains(&what) {
        "token_expired"
    } else {
        "token_invalid"
    };
    assert_eq!(answer.json()["code"], code, "{what}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{what}");
    // Writing is refused as well.
    assert_eq!(caller.put("/v1/teams/t", &team("t")).await.status, 401, "{what}");
    assert_eq!(caller.post("/xapi/statements", &json!([])).await.status, 401, "{what}");
}

#[apply(both_databases)]
async fn invalid_token_is_refused(server: &TestServer) {
    let anonymous = server.anonymous();
    let now = server.clock.now().micros() / 1_000_000;
    let with = |claim: &str, value: Value| {
        let mut claims = valid_claims(server);
        claims[claim] = value;
        sign(&claims)
    };
    let without = |claim: &str| {
        let mut claims = valid_claims(server);
        claims.as_object_mut().expect("claims").remove(claim);
        sign(&claims)
    };
    anonymous.with_token(&sign(&valid_claims(server))).get("/v1/activities").await.expect(200);
    let valid_token = sign(&valid_claims(server));
    let (message, signature) = valid_token.rsplit_once('.').expect("three parts");
    let payload = message.split_once('.').expect("two parts").1;
    let none = |alg: &str| {
        format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(json!({"alg": alg, "typ": "JWT"}).to_string()))
    };
    let unsigned = |alg: &str| format!("{}{signature}", none(alg));
    let other_payload = URL_SAFE_NO_PAD
        .encode(json!({"sub": "ada", "org": "acme", "role": "owner", "exp": now + 600}).to_string());
    let header = valid_token.split_once('.').expect("three parts").0;
    let cases = [
        ("no token", String::new()),
        ("no dots", "abc".to_owned()),
        ("two parts", message.to_owned()),
        ("four parts", format!("{valid_token}.x")),
        ("padded", format!("{valid_token}=")),
        ("alg none, unsigned", none("none")),
        ("alg None", none("None")),
        ("alg nOnE with a signature", unsigned("nOnE")),
        ("alg left empty", unsigned("")),
        ("alg RS256 over an HS256 signature", unsigned("RS256")),
        ("alg HS512 over an HS256 signature", unsigned("HS512")),
        ("another payload", format!("{header}.{other_payload}.{signature}")),
        (
            "another secret",
            sign_token(
                &json!({"alg": "HS256"}),
                &valid_claims(server),
                b"another secret of more than 32 bytes",
            ),
        ),
        ("the empty secret", sign_token(&json!({"alg": "HS256"}), &valid_claims(server), b"")),
        (
            "an extension that must be understood",
            sign_token(
                &json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
                &valid_claims(server),
                SECRET.as_bytes(),
            ),
        ),
        (
            "a key in its own header",
            sign_token(
                &json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}),
                &valid_claims(server),
                b"\0\0\0",
            ),
        ),
        ("expired", with("exp", json!(now - 1))),
        ("expiring now", with("exp", json!(now))),
        ("no exp", without("exp")),
        ("exp a text", with("exp", json!("2999-01-01T00:00:00Z"))),
        ("exp null", with("exp", Value::Null)),
        ("exp negative", with("exp", json!(-1))),
        ("not yet valid", with("nbf", json!(now + 3600))),
        ("nbf a text", with("nbf", json!("now"))),
        ("no sub", without("sub")),
        ("sub empty", with("sub", json!(""))),
        ("sub a number", with("sub", json!(7))),
        ("sub with U+0000", with("sub", json!("a\u{0}b"))),
        ("sub too long", with("sub", json!("x".repeat(256)))),
        ("no org", without("org")),
        ("org empty", with("org", json!(""))),
        ("org a list", with("org", json!(["acme", "other"]))),
        ("an unknown role", with("role", json!("root"))),
        ("role in capitals", with("role", json!("Admin"))),
        ("role a list", with("role", json!(["admin"]))),
        ("permissions a text", with("permissions", json!("reporting"))),
        ("reports a list", with("reports", json!(["bo"]))),
        ("reports of numbers", with("reports", json!({"direct": [1]}))),
        ("claims a list", sign_token(&json!({"alg": "HS256"}), &json!([1]), SECRET.as_bytes())),
        ("40 kB without structure", "x".repeat(40_000)),
        (
            "40 kB with an unknown secret",
            sign_token(&json!({"alg": "HS256"}), &json!({"x": "x".repeat(30_000)}), b"no"),
        ),
    ];
    for (what, token) in &cases {
        assert_refused(&anonymous.with_token(token), what).await;
    }
    // Other values of the header.
    for value in ["Bearer", "Digest x", "Basic", "Basic x", "Basic Og==", "Basic /w==", "Bearer\tx", "x"] {
        let answer = anonymous
            .send(reqwest::Method::GET, "/v1/activities", &[("authorization", value)], Vec::new())
            .await;
        let code = if value == "Bearer" { "token_invalid" } else { "unauthenticated" };
        assert_eq!(answer.expect(401).json()["code"], code, "{value}");
    }
    // Above the limit of headers, the token is not read.
    for size in [50_000, 90_000] {
        let answer = anonymous.with_token(&"x".repeat(size)).get("/v1/activities").await.expect(431);
        assert_eq!(answer.json()["code"], "headers-too-large");
    }
    // A token expires while it is in use.
    let token = anonymous.with_token(&with("exp", json!(now + 60)));
    token.get("/v1/activities").await.expect(200);
    server.clock.set(Timestamp::from_micros((now + 60) * 1_000_000));
    token.get("/v1/activities").await.expect(401);
    assert_eq!(server.store.organisations().await.expect("a list").len(), 0, "no request may write");
}

#[apply(both_databases)]
async fn issuer_audience_and_key_type_are_checked(server: &TestServer) {
    let folder = Folder::new(server);
    let config = KeyConfig {
        public_key: Some(folder.write("key.pem", PUBLIC)),
        issuer: Some("https://id.example.org".to_owned()),
        audience: Some("rollbook".to_owned()),
        ..KeyConfig::default()
    };
    let other = SecondServer::start(server, config).await;
    let claims = |issuer: Value, audience: Value| {
        let mut claims = valid_claims(server);
        for (claim, value) in [("iss", issuer), ("aud", audience)] {
            if !value.is_null() {
                claims[claim] = value;
            }
        }
        claims
    };
    let valid = claims(json!("https://id.example.org"), json!("rollbook"));
    let several = claims(json!("https://id.example.org"), json!(["else", "rollbook"]));
    for claims in [&valid, &several] {
        other
            .anonymous
            .with_token(&sign_rs256(&key_a(), None, claims))
            .get("/v1/activities")
            .await
            .expect(200);
    }
    let issuer = || json!("https://id.example.org");
    for (what, claims) in [
        ("another issuer", claims(json!("https://id.example.com"), json!("rollbook"))),
        ("an issuer with a slash more", claims(json!("https://id.example.org/"), json!("rollbook"))),
        ("no issuer", claims(Value::Null, json!("rollbook"))),
        ("issuers", claims(json!(["https://id.example.org"]), json!("rollbook"))),
        ("another audience", claims(issuer(), json!("else"))),
        ("no audience", claims(issuer(), Value::Null)),
        ("other audiences", claims(issuer(), json!(["else", "rollbook2"]))),
        ("an audience of numbers", claims(issuer(), json!([1]))),
    ] {
        assert_refused(&other.anonymous.with_token(&sign_rs256(&key_a(), None, &claims)), what).await;
    }
    // The public key is not accepted as a shared secret, in any spelling.
    for secret in
        [PUBLIC.to_owned(), PUBLIC.trim().to_owned(), PUBLIC.replace('\n', "\r\n"), PUBLIC.replace('\n', "")]
    {
        for alg in ["HS256", "RS256"] {
            assert_refused(
                &other.anonymous.with_token(&sign_token(&json!({"alg": alg}), &valid, secret.as_bytes())),
                "the public key as a secret",
            )
            .await;
        }
    }
    assert_refused(&other.anonymous.with_token(&sign_rs256(&key_b(), None, &valid)), "another key").await;
    assert_refused(&other.anonymous.with_token(&sign(&valid)), "the other server's secret").await;
    let other_algorithm = Header::new(Algorithm::PS256);
    let token = jsonwebtoken::encode(&other_algorithm, &valid, &key_a()).expect("a token");
    assert_refused(&other.anonymous.with_token(&token), "the right key by another algorithm").await;
    other.stop().await;
}

#[apply(both_databases)]
async fn changed_keys_apply_while_the_server_runs(server: &TestServer) {
    let folder = Folder::new(server);
    let (a, b) = (key_a(), key_b());
    let file = folder.write("jwks.json", &jwks_text(&[("a", &a)]));
    let other =
        SecondServer::start(server, KeyConfig { jwks: Some(path_text(&file)), ..KeyConfig::default() }).await;
    let claims = valid_claims(server);
    let later = |seconds: i64| {
        server.clock.set(Timestamp::from_micros(server.clock.now().micros() + seconds * 1_000_000))
    };
    let caller_with_key =
        |key: &EncodingKey, kid: Option<&str>| other.anonymous.with_token(&sign_rs256(key, kid, &claims));
    caller_with_key(&a, Some("a")).get("/v1/activities").await.expect(200);
    assert_refused(&caller_with_key(&b, Some("b")), "a key that is not in the set yet").await;
    assert_refused(&caller_with_key(&b, Some("a")), "another key with a known id").await;
    assert_refused(
        &other.anonymous.with_token(&sign_token(
            &json!({"alg": "HS256", "kid": "a"}),
            &claims,
            PUBLIC.as_bytes(),
        )),
        "HS256 by a public key",
    )
    .await;
    // First both keys, then only the new one.
    later(11);
    folder.write("jwks.json", &jwks_text(&[("a", &a), ("b", &b)]));
    caller_with_key(&b, Some("b")).get("/v1/activities").await.expect(200);
    caller_with_key(&a, Some("a")).get("/v1/activities").await.expect(200);
    later(11);
    folder.write("jwks.json", &jwks_text(&[("b", &b)]));
    assert_refused(&caller_with_key(&a, Some("c")), "an unknown id, so that the set is read again").await;
    assert_refused(&caller_with_key(&a, Some("a")), "a removed key").await;
    caller_with_key(&b, Some("b")).get("/v1/activities").await.expect(200);
    // An invalid file changes nothing.
    later(11);
    folder.write("jwks.json", "{\"keys\": [");
    assert_refused(&caller_with_key(&a, Some("c")), "an unknown id").await;
    caller_with_key(&b, Some("b")).get("/v1/activities").await.expect(200);
    other.stop().await;
}

/// Several keys can be configured, each for its algorithm.
#[apply(both_databases)]
async fn secret_and_key_set_can_be_combined(server: &TestServer) {
    let folder = Folder::new(server);
    let file = folder.write("jwks.json", &jwks_text(&[("a", &key_a())]));
    let config = KeyConfig {
        secret: Some(SecretString::from(SECRET)),
        jwks: Some(path_text(&file)),
        ..KeyConfig::default()
    };
    let other = SecondServer::start(server, config).await;
    other.anonymous.with_token(&sign(&valid_claims(server))).get("/v1/activities").await.expect(200);
    other
        .anonymous
        .with_token(&sign_rs256(&key_a(), Some("a"), &valid_claims(server)))
        .get("/v1/activities")
        .await
        .expect(200);
    assert_refused(
        &other.anonymous.with_token(&sign_rs256(&key_b(), Some("a"), &valid_claims(server))),
        "another key",
    )
    .await;
    other.stop().await;
}
