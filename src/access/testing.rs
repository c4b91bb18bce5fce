//! What the tests of this room share: keys, tokens signed with them, files, and a server for key sets.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::access::claims::Claims;
use crate::access::role::Role;
use crate::base::clock::{Clock, Timestamp};
use crate::base::ids::{OrgId, UserId};

/// A private key, as an issuer has it.
pub(crate) struct TestKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) encoding: EncodingKey,
    pub(crate) public_pem: &'static str,
}

macro_rules! pem {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/keys/",
            $name
        ))
    };
}
pub(crate) use pem;

pub(crate) fn rsa_a() -> TestKey {
    TestKey {
        algorithm: Algorithm::RS256,
        encoding: EncodingKey::from_rsa_pem(pem!("rsa-a.pem").as_bytes()).unwrap(),
        public_pem: pem!("rsa-a.pub.pem"),
    }
}

pub(crate) fn rsa_b() -> TestKey {
    TestKey {
        algorithm: Algorithm::RS256,
        encoding: EncodingKey::from_rsa_pem(pem!("rsa-b.pem").as_bytes()).unwrap(),
        public_pem: pem!("rsa-b.pub.pem"),
    }
}

pub(crate) fn p256() -> TestKey {
    TestKey {
        algorithm: Algorithm::ES256,
        encoding: EncodingKey::from_ec_pem(pem!("ec-p-256.pem").as_bytes()).unwrap(),
        public_pem: pem!("ec-p-256.pub.pem"),
    }
}

pub(crate) fn p384() -> TestKey {
    TestKey {
        algorithm: Algorithm::ES384,
        encoding: EncodingKey::from_ec_pem(pem!("ec-p-384.pem").as_bytes()).unwrap(),
        public_pem: pem!("ec-p-384.pub.pem"),
    }
}

pub(crate) fn ed25519() -> TestKey {
    TestKey {
        algorithm: Algorithm::EdDSA,
        encoding: EncodingKey::from_ed_pem(pem!("ed25519.pem").as_bytes()).unwrap(),
        public_pem: pem!("ed25519.pub.pem"),
    }
}

impl TestKey {
    /// A token signed with the key.
    pub(crate) fn sign(&self, kid: Option<&str>, claims: &Claims) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = kid.map(str::to_owned);
        jsonwebtoken::encode(&header, claims, &self.encoding).unwrap()
    }

    /// The key as a set has it.
    pub(crate) fn jwk(&self, kid: Option<&str>) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.encoding, self.algorithm).unwrap();
        jwk.common.key_id = kid.map(str::to_owned);
        serde_json::to_value(jwk).unwrap()
    }
}

/// A token with a header and payload of any kind, signed with a shared secret's HS256.
pub(crate) fn raw_token(header: &Value, payload: &Value, secret: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(payload));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// The moment of the tests: 2026-11-21T12:00:00Z.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(1_795_262_400_000_000)
}

pub(crate) fn seconds_from_now(seconds: i64) -> Timestamp {
    Timestamp::from_micros(now().micros() + seconds * 1_000_000)
}

/// A manager's claims, good for a minute.
pub(crate) fn claims() -> Claims {
    let mut claims = Claims::new(
        OrgId::new("acme").unwrap(),
        UserId::new("ada").unwrap(),
        seconds_from_now(60),
    );
    claims.role = Role::Manager;
    claims
}

pub(crate) fn secret() -> SecretString {
    SecretString::from("a secret of more than 32 bytes, for tests")
}

pub(crate) fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// A folder that is gone with its value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rollbook-access-{}", Clock::system().new_uuid()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An HTTP server on a free port of this machine that gives one answer until it is told another.
pub(crate) struct KeyServer {
    address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl KeyServer {
    pub(crate) fn start(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
            asked: Arc::default(),
            ended: Arc::default(),
        };
        server.serve(body);
        let (answer, asked, ended) = (
            Arc::clone(&server.answer),
            Arc::clone(&server.asked),
            Arc::clone(&server.ended),
        );
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in lines {
                    if line.unwrap_or_default().is_empty() {
                        break;
                    }
                }
                asked.fetch_add(1, Ordering::SeqCst);
                let text = answer.lock().unwrap().clone();
                let _ = stream.write_all(text.as_bytes());
            }
        });
        server
    }

    /// Answers 200 with this body from now on.
    pub(crate) fn serve(&self, body: &str) {
        self.answer_raw(&format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ));
    }

    /// Answers with these bytes from now on.
    pub(crate) fn answer_raw(&self, text: &str) {
        *self.answer.lock().unwrap() = text.to_owned();
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    /// How often it was asked so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}
