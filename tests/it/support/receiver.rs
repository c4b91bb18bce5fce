//! A receiver of webhooks in the test process: it keeps each request and answers as the test tells it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How a receiver answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Behaviour {
    /// With this status and these lines of headers.
    Status(u16, String),
    /// With a success, after this time.
    Slow(Duration),
    /// Not at all. The connection stays open.
    Hang,
    /// It closes the connection.
    Close,
    /// With a body without end.
    Endless(u16),
    /// With 413 for an array of more than one item, else with 204.
    Single,
}

impl Behaviour {
    /// With a status alone.
    pub fn status(status: u16) -> Self {
        Self::Status(status, String::new())
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST /path`.
    pub line: String,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The value of a header.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        &found.unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers)).1
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

#[derive(Default)]
struct State {
    behaviour: Option<Behaviour>,
    received: Vec<Received>,
}

/// A receiver on a free port of this machine.
pub struct Receiver {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver that answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let accepting = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, Arc::clone(&state)));
                }
            }
        });
        Self { address, state, accepting }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers in this way from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.state.lock().expect("the lock").behaviour = Some(behaviour);
    }

    /// The requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().expect("the lock").received.clone()
    }

    /// Waits until this number of requests came, and returns them.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(Instant::now() < until, "{} of {count} requests came", received.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves the requests of a connection.
async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut buffer = Vec::new();
    while let Some(received) = read_request(&mut stream, &mut buffer).await {
        let is_single =
            serde_json::from_slice(&received.body).is_ok_and(|items: Vec<Value>| items.len() <= 1);
        let behaviour = {
            let mut state = state.lock().expect("the lock");
            state.received.push(received);
            match state.behaviour.clone() {
                Some(Behaviour::Single) => Behaviour::status(if is_single { 204 } else { 413 }),
                behaviour => behaviour.unwrap_or(Behaviour::status(204)),
            }
        };
        let written = match behaviour {
            Behaviour::Single => unreachable!("it is a status"),
            Behaviour::Status(status, headers) => {
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{headers}\r\n");
                stream.write_all(answer.as_bytes()).await
            }
            Behaviour::Slow(pause) => {
                tokio::time::sleep(pause).await;
                stream.write_all(b"HTTP/1.1 204 X\r\n\r\n").await
            }
            Behaviour::Hang => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                return;
            }
            Behaviour::Close => return,
            Behaviour::Endless(status) => {
                let head = format!("HTTP/1.1 {status} X\r\ntransfer-encoding: chunked\r\n\r\n");
                let mut written = stream.write_all(head.as_bytes()).await;
                while written.is_ok() {
                    written = stream.write_all(b"400\r\n").await;
                    written = written.and(stream.write_all(&[b'x'; 1024]).await);
                    written = written.and(stream.write_all(b"\r\n").await);
                }
                written
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// Reads a request with a `Content-Length`. `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        read_more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer.drain(..end + 4).collect()).expect("an ASCII head");
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        read_more(stream, buffer).await?;
    }
    Some(Received { line, headers, body: buffer.drain(..length).collect() })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&piece[..count]);
    Some(())
}
