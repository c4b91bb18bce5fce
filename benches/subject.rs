//! Rollbook under measurement: the real server in this process, and a client that needs little time, because both
//! share the machine.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use rollbook::access::{KeyConfig, TokenKeys};
use rollbook::base::clock::Clock;
use rollbook::http::{AppOptions, AppState};
use rollbook::log::VerbTable;
use rollbook::server::{self, ServerSettings};
use rollbook::store::{DatabaseSettings, Store};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::data;

/// The secret of people's tokens.
pub const SECRET: &str = "a secret for benchmarks alone, of more than 32 bytes";

/// How often a request is sent while the database is not available.
const MOST_TRIES: u32 = 60;
/// Enough for ten million records, of which most have a registration.
const COUNTING_MEMORY_BYTES: u64 = 2 << 30;

/// A server.
pub struct Subject {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
    /// The header `Authorization` of new connections.
    authorization: String,
}

impl Subject {
    /// Starts a server. Its connections are those of an administrator, until [`Subject::use_credential`].
    pub fn start(url: &str, clock: Clock) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        let (address, stop, running) = runtime.block_on(async {
            let settings = DatabaseSettings {
                counting_memory_bytes: COUNTING_MEMORY_BYTES,
                ..DatabaseSettings::new(url)
            };
            let store = Store::open(&settings, clock, VerbTable::standard()).await;
            let store = store.expect("the database opens");
            store.migrate().await.expect("the database takes the schema");
            let config = KeyConfig {
                secret: Some(SecretString::from(SECRET)),
                ..KeyConfig::default()
            };
            let keys = TokenKeys::load(&config).await.expect("the secret is long enough");
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let (stop, stopped) = oneshot::channel();
            let shutdown = async {
                let _ = stopped.await; // a dropped sender stops the server as well
            };
            let options = AppOptions {
                metrics_on_api: true,
                ..AppOptions::default()
            };
            let app_state = AppState::new(store, keys, options).expect("the recorder starts");
            let (running, address) =
                server::start(&ServerSettings::default(), listener, app_state, None, shutdown)
                    .expect("the server starts");
            (address, stop, tokio::spawn(running))
        });
        Self {
            runtime,
            address,
            stop,
            running,
            authorization: sign_token(data::ORGANISATION, "root", "admin"),
        }
    }

    /// Uses a credential, `<key>:<secret>`, for new connections.
    pub fn use_credential(&mut self, credential: &str) {
        self.authorization = format!("Basic {}", STANDARD.encode(credential));
    }

    /// A connection for many requests.
    pub fn connect(&self) -> Connection {
        self.connect_with(self.authorization.clone())
    }

    /// A connection of a user of the organisation.
    pub fn connect_as(&self, user: &str, role: &str) -> Connection {
        self.connect_with(sign_token(data::ORGANISATION, user, role))
    }

    /// A connection of an administrator of another organisation.
    pub fn connect_to(&self, organisation: &str) -> Connection {
        self.connect_with(sign_token(organisation, "root", "admin"))
    }

    fn connect_with(&self, authorization: String) -> Connection {
        let stream = TcpStream::connect(self.address).expect("the server answers");
        stream.set_nodelay(true).expect("a TCP connection");
        Connection {
            stream: BufReader::with_capacity(256 * 1024, stream),
            authorization,
        }
    }

    /// Sends every body to `/xapi/statements` through that number of connections.
    pub fn ingest(&self, bodies: &[Vec<u8>], connections: usize) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..connections {
                scope.spawn(|| {
                    let mut connection = self.connect();
                    while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                        connection.send("POST", "/xapi/statements", body, &mut std::io::sink());
                    }
                });
            }
        });
    }

    /// Stops the server and waits until it has closed its database.
    pub fn stop(self) {
        let _ = self.stop.send(()); // the server may have ended already; the next line reports its error
        let ended = self.runtime.block_on(self.running);
        ended
            .expect("the server does not panic")
            .expect("the server ends without an error");
    }
}

/// The header `Authorization` of a person, valid for long.
fn sign_token(organisation: &str, user: &str, role: &str) -> String {
    let claims = json!({"sub": user, "org": organisation, "role": role, "exp": 4_102_444_800_i64});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).expect("claims are JSON");
    format!("Bearer {token}")
}

/// An HTTP/1.1 connection to the server.
pub struct Connection {
    stream: BufReader<TcpStream>,
    authorization: String,
}

impl Connection {
    pub fn json(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let mut answer = Vec::new();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, body.as_bytes(), &mut answer);
        serde_json::from_slice(&answer).expect("the answer is JSON")
    }

    /// Sends a GET request. Returns the size of the body.
    pub fn get(&mut self, path: &str, sink: &mut impl Write) -> usize {
        self.send("GET", path, &[], sink)
    }

    /// Sends a request and writes the body of the answer. Returns its size. If the database is not available for a moment, for
    /// example while it writes a bulk load to the disk, the request is repeated; its time counts.
    pub fn send(&mut self, method: &str, path: &str, body: &[u8], sink: &mut impl Write) -> usize {
        for _ in 0..MOST_TRIES {
            if let Some(size) = self.send_once(method, path, body, sink) {
                return size;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        panic!("{method} {path}: the database is not available");
    }

    fn send_once(&mut self, method: &str, path: &str, body: &[u8], sink: &mut impl Write) -> Option<usize> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
             X-Experience-API-Version: 1.0.3\r\nContent-Length: {}\r\n\r\n",
            self.authorization,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream
            .get_mut()
            .write_all(&request)
            .expect("the server listens");

        let status = self.line();
        let mut length = None;
        loop {
            let line = self.line().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse::<usize>().ok();
            }
        }
        if !status.contains(" 20") {
            let mut problem = String::new();
            let end = length.unwrap_or(0) as u64;
            let _ = self.stream.by_ref().take(end).read_to_string(&mut problem); // the text is only for the message
            if status.contains(" 503") {
                return None;
            }
            panic!("{method} {path}: {status}\n{problem}");
        }
        Some(match length {
            Some(length) => self.copy(length, sink),
            None => self.chunks(sink),
        })
    }

    fn chunks(&mut self, sink: &mut impl Write) -> usize {
        let mut total = 0;
        loop {
            let size = usize::from_str_radix(self.line().trim(), 16).expect("the size of a chunk");
            total += self.copy(size, sink);
            self.line();
            if size == 0 {
                return total;
            }
        }
    }

    fn copy(&mut self, length: usize, sink: &mut impl Write) -> usize {
        let mut left = length;
        while left > 0 {
            let part = self.stream.fill_buf().expect("the server answers");
            assert!(!part.is_empty(), "the answer is incomplete");
            let taken = part.len().min(left);
            sink.write_all(&part[..taken]).expect("the sink takes the bytes");
            self.stream.consume(taken);
            left -= taken;
        }
        length
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        line.truncate(line.trim_end().len());
        line
    }
}
