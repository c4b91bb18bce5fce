//! Key sets that come from elsewhere: looked for, kept fresh, and kept where looking fails.

use std::time::Duration;

use super::*;
use crate::access::testing::KeyServer;

async fn with_server(server: &KeyServer) -> TokenKeys {
    load(KeyConfig {
        jwks: Some(server.url()),
        ..KeyConfig::default()
    })
    .await
}

#[tokio::test]
async fn unknown_key_causes_a_fetch_at_once_but_not_often() {
    let server = KeyServer::start(&set(&[rsa_a().jwk(Some("old"))]));
    let keys = with_server(&server).await;
    let (old, new) = (
        rsa_a().sign(Some("old"), &claims()),
        rsa_b().sign(Some("new"), &claims()),
    );
    assert!(keys.verify(&old, now()).await.is_ok());
    assert_eq!(server.asked(), 1);

    // Unknown, looked for, not there; then not looked for again for ten seconds.
    assert_eq!(keys.verify(&new, now()).await, Err(TokenError::UnknownKey));
    assert_eq!(server.asked(), 2);
    server.serve(&set(&[rsa_b().jwk(Some("new"))]));
    assert_eq!(
        keys.verify(&new, seconds_from_now(9)).await,
        Err(TokenError::UnknownKey)
    );
    assert_eq!(server.asked(), 2);
    assert!(keys.verify(&new, seconds_from_now(10)).await.is_ok());
    assert_eq!(server.asked(), 3);

    // Rotated: the old key is gone, and both answers come without another fetch.
    assert_eq!(
        keys.verify(&old, seconds_from_now(11)).await,
        Err(TokenError::UnknownKey)
    );
    assert!(keys.verify(&new, seconds_from_now(12)).await.is_ok());
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn many_unknown_keys_cause_one_fetch() {
    let server = KeyServer::start(&set(&[rsa_a().jwk(Some("old"))]));
    let keys = with_server(&server).await;
    server.serve(&set(&[rsa_a().jwk(Some("old")), rsa_b().jwk(Some("new"))]));
    let token = rsa_b().sign(Some("new"), &claims());
    let all = join_all((0..20).map(|_| keys.verify(&token, now()))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn disconnected_client_does_not_cancel_the_fetch() {
    let server = KeyServer::start(&set(&[rsa_a().jwk(Some("old"))]));
    let keys = with_server(&server).await;
    server.serve(&set(&[rsa_b().jwk(Some("new"))]));
    let token = rsa_b().sign(Some("new"), &claims());
    tokio::select! {
        biased;
        verified = keys.verify(&token, now()) => panic!("too quick to hang up: {verified:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(keys.verify(&token, seconds_from_now(1)).await.is_ok());
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn token_with_a_shared_secret_causes_no_fetch() {
    let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
    let keys = with_server(&server).await;
    let payload = serde_json::to_value(claims()).unwrap();
    let token = raw_token(&json!({"alg": "HS256", "kid": "x"}), &payload, b"anything");
    assert_eq!(refusal(&keys, &token).await, TokenError::AlgorithmNotAllowed);
    let token = raw_token(&json!({"alg": "none", "kid": "x"}), &payload, b"anything");
    assert_eq!(refusal(&keys, &token).await, TokenError::AlgorithmNotAllowed);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn failed_fetch_keeps_the_old_keys() {
    let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
    let keys = with_server(&server).await;
    let token = rsa_a().sign(Some("a"), &claims());
    let unknown = rsa_b().sign(Some("b"), &claims());
    let good = set(&[rsa_b().jwk(Some("b"))]);
    let failures = [
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n{\"key".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{\"keys\":[]}".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\nConnection: close\r\n\r\n".to_owned(),
        // Without a length, so that only counting helps.
        format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{good}{}",
            " ".repeat(1024 * 1024)
        ),
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            server.url()
        ),
        "nonsense\r\n\r\n".to_owned(),
    ];
    for (attempt, failure) in (1..).zip(failures) {
        server.answer_raw(&failure);
        let at = Timestamp::from_micros(now().micros() + attempt * 1_000_000);
        // Every look is due: the one before is set far back.
        keys.forget_last_look().await;
        assert_eq!(
            keys.verify(&unknown, at).await,
            Err(TokenError::UnknownKey),
            "{failure:.60}"
        );
        assert_eq!(server.asked() as i64, attempt + 1, "{failure:.60}");
        assert!(keys.verify(&token, at).await.is_ok(), "{failure:.60}");
    }
    server.serve(&good);
    keys.forget_last_look().await;
    assert!(keys.verify(&unknown, now()).await.is_ok());
}

#[tokio::test]
async fn set_that_was_never_fetched_is_a_fault_of_the_server() {
    let server = KeyServer::start("not yet");
    let keys = with_server(&server).await;
    let token = rsa_a().sign(Some("a"), &claims());
    let unnamed = rsa_a().sign(None, &claims());
    assert_eq!(refusal(&keys, &token).await, TokenError::KeysUnavailable);
    assert_eq!(refusal(&keys, &unnamed).await, TokenError::KeysUnavailable);
    server.serve(&set(&[rsa_a().jwk(Some("a"))]));
    assert!(keys.verify(&unnamed, seconds_from_now(20)).await.is_ok());
    assert!(keys.verify(&token, seconds_from_now(20)).await.is_ok());
}

#[tokio::test]
async fn withdrawn_key_is_removed_even_if_it_was_the_last() {
    let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
    let keys = with_server(&server).await;
    let token = rsa_a().sign(Some("a"), &claims());
    assert!(keys.verify(&token, now()).await.is_ok());
    server.serve(&set(&[]));
    keys.refresh_now().await;
    assert_eq!(refusal(&keys, &token).await, TokenError::UnknownKey);
}

#[tokio::test]
async fn file_is_read_again() {
    let folder = Folder::new();
    let path = folder.write("jwks.json", set(&[rsa_a().jwk(Some("a"))]));
    let keys = load(KeyConfig {
        jwks: Some(path.display().to_string()),
        ..KeyConfig::default()
    })
    .await;
    let new = rsa_b().sign(Some("b"), &claims());
    folder.write("jwks.json", "half a fi");
    keys.refresh_now().await;
    assert!(
        keys.verify(&rsa_a().sign(Some("a"), &claims()), now())
            .await
            .is_ok()
    );
    folder.write("jwks.json", set(&[rsa_b().jwk(Some("b"))]));
    assert!(keys.verify(&new, now()).await.is_ok());
}

#[tokio::test]
async fn set_is_refreshed_without_requests() {
    let server = KeyServer::start("not yet");
    let keys = with_server(&server).await;
    let (pause, never) = (Duration::from_millis(5), Duration::from_secs(3600));
    // Waits for what the loop brings in, without looking for it.
    let until = async |wanted: Option<&str>, every, retry| {
        let set = keys.current().key_sets().next().cloned().unwrap();
        let there = async {
            let first = || {
                set.keys()
                    .and_then(|keys| keys.first().and_then(|key| key.id.clone()))
            };
            while first().as_deref() != wanted {
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = set.keep_fresh(every, retry) => unreachable!("it never ends"),
            done = tokio::time::timeout(Duration::from_secs(10), there) => done.unwrap(),
        }
    };
    server.serve(&set(&[rsa_a().jwk(Some("a"))]));
    until(Some("a"), never, pause).await;
    server.serve(&set(&[rsa_b().jwk(Some("b"))]));
    until(Some("b"), pause, never).await;
}

#[tokio::test]
async fn refresh_loop_ends_at_shutdown() {
    let server = KeyServer::start(&set(&[rsa_a().jwk(Some("a"))]));
    let keys = with_server(&server).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(keys.refresh_loop(async {
        let _ = stopped.await;
    }));
    stop.send(()).unwrap();
    running.await.unwrap();
}

impl TokenKeys {
    async fn refresh_now(&self) {
        for set in self.current().key_sets() {
            set.refresh().await;
        }
    }

    async fn forget_last_look(&self) {
        for set in self.current().key_sets() {
            set.forget_last_look().await;
        }
    }
}
