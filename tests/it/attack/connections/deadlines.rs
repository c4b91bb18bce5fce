//! Every phase of a connection has a deadline: heads, bodies, the rest of refused bodies, and answers.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::{admin_of, admin_token, connect, head, read_until_closed, send, start};
use crate::support::process::Process;
use crate::support::records::STATEMENTS;
use crate::support::watch::watch;
use crate::support::{Database, apply, both_databases};

/// All deadlines that have settings.
const SHORT: [(&str, &str); 4] = [
    ("ROLLBOOK_HEADER_TIMEOUT", "1"),
    ("ROLLBOOK_BODY_TIMEOUT", "1"),
    ("ROLLBOOK_KEEP_ALIVE", "2"),
    ("ROLLBOOK_ANSWER_STALL_SECONDS", "1"),
];

/// The connections of each attack.
const CONNECTIONS: usize = 10;

/// The time within which the server closes an attacked connection; all deadlines together, on a busy machine.
const CLOSED_WITHIN: Duration = Duration::from_secs(8);

/// What an attacker does on one connection.
struct Attack {
    name: &'static str,
    /// It sends this and then nothing.
    sent: String,
    /// It reads one answer and then sends this.
    then: Option<&'static str>,
    /// It goes on with this piece again and again, with a pause.
    drip: Option<&'static str>,
    /// The status of the last answer, if the server answers.
    status: Option<u16>,
}

fn attack(name: &'static str, sent: impl Into<String>, status: impl Into<Option<u16>>) -> Attack {
    Attack { name, sent: sent.into(), then: None, drip: None, status: status.into() }
}

impl Attack {
    fn then(self, then: &'static str) -> Self {
        Self { then: Some(then), ..self }
    }

    fn drip(self, drip: &'static str) -> Self {
        Self { drip: Some(drip), ..self }
    }

    /// Attacks on one connection. Returns the time until the server closed it.
    async fn run(&self, base: &str) -> Duration {
        let mut stream = connect(base).await;
        send(&mut stream, &self.sent).await;
        if let Some(then) = self.then {
            read_answer(&mut stream).await;
            send(&mut stream, then).await;
        }
        let begin = Instant::now();
        let (mut reading, mut writing) = stream.into_split();
        let dripping = async {
            let Some(drip) = self.drip else { return std::future::pending().await };
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = writing.write_all(drip.as_bytes()).await; // reading shows that the connection is closed
            }
        };
        let mut answer = Vec::new();
        let closed = async {
            let _ = reading.read_to_end(&mut answer).await; // a reset closes it too
        };
        let is_closed = tokio::select! {
            () = dripping => false,
            outcome = tokio::time::timeout(CLOSED_WITHIN, closed) => outcome.is_ok(),
        };
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(is_closed, "{}: the connection is still open; answer: {answer}", self.name);
        if let Some(status) = self.status {
            let line = format!("HTTP/1.1 {status}");
            assert!(answer.contains(&line), "{}: {answer}", self.name);
        }
        begin.elapsed()
    }
}

/// Reads an answer with a `Content-Length`.
async fn read_answer(stream: &mut TcpStream) {
    let mut read = Vec::new();
    let mut piece = vec![0; 16_384];
    loop {
        let count = stream.read(&mut piece).await.expect("an answer");
        assert!(count > 0, "the connection is closed: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.expect("a length").parse::<usize>().expect("a number") {
                return;
            }
        }
    }
}

/// All attacks that a client can make without reading slowly.
fn attacks() -> Vec<Attack> {
    let get = head("GET /v1/organisation HTTP/1.1", "");
    let chunked = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    let one_chunk = |line: &str, headers: &str| format!("{}5\r\n[   1\r\n", head(line, headers));
    let anonymous = format!("POST /v1/activities HTTP/1.1\r\nHost: x\r\n{chunked}\r\n5\r\n[   1\r\n");
    let length = "Content-Type: application/json\r\nContent-Length: 5000\r\n";
    let multipart = "Content-Type: multipart/mixed; boundary=b\r\nTransfer-Encoding: chunked\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n";
    let text = "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n";
    vec![
        attack("nothing", "", 408),
        attack("a first head that stops", "GET /v1/organisation HT", 408),
        attack("a first head in single bytes", "GET /v1/organisation HTTP/1.1\r\nX: ", 408).drip("x"),
        attack("a second head that stops", get.clone(), 408).then("GET /v1/org"),
        attack("a second head in single bytes", get.clone(), 408).then("GET /v1/org").drip("x"),
        attack("a head that begins with the request before", format!("{get}GET /v1/org"), 408),
        attack("line breaks between requests", get.clone(), None).then("\r\n").drip("\r\n"),
        attack("silence after an answer", get, 200),
        attack("a body that stops", head("POST /v1/activities HTTP/1.1", length), 408),
        attack("a body in single bytes", head("POST /v1/activities HTTP/1.1", length), 408).drip(" "),
        attack("a chunked body that stops", one_chunk("POST /v1/activities HTTP/1.1", chunked), 408),
        attack("a body after 401", anonymous.clone(), 401),
        attack("an endless body after 401", anonymous, 401).drip("1\r\n \r\n"),
        attack("a body after 404", one_chunk("POST /v1/nothing HTTP/1.1", chunked), 404),
        attack("an endless body after 404", one_chunk("POST /v1/nothing HTTP/1.1", chunked), 404)
            .drip("1\r\n \r\n"),
        attack("a body after 405", one_chunk("POST /v1/users/ada HTTP/1.1", chunked), 405),
        attack("a body after 415", one_chunk("POST /v1/activities HTTP/1.1", text), 415),
        attack(
            "a body after 413",
            head("POST /v1/activities HTTP/1.1", &length.replace("5000", "99999999")),
            413,
        ),
        attack("a body of a GET that is answered", one_chunk("GET /v1/organisation HTTP/1.1", chunked), 200),
        attack(
            "an endless body of a GET that is answered",
            one_chunk("GET /v1/organisation HTTP/1.1", chunked),
            200,
        )
        .drip("1\r\n \r\n"),
        attack(
            "half of a multipart body",
            format!("{}5\r\n--b\r\n\r\n", head("POST /xapi/statements HTTP/1.1", multipart)),
            408,
        ),
        attack(
            "half of a form",
            format!("{}Authorization=", head("POST /xapi/statements?method=PUT HTTP/1.1", form)),
            408,
        ),
        attack(
            "no body after 100-continue",
            head("POST /v1/activities HTTP/1.1", &format!("{length}Expect: 100-continue\r\n")),
            408,
        ),
    ]
}

/// The open connections of a server on this machine.
fn open_connections(process: &Process) -> usize {
    let port: u16 = process.base.rsplit(':').next().expect("a port").parse().expect("a number");
    let local = format!("0100007F:{port:04X}");
    let table = fs::read_to_string("/proc/net/tcp").expect("the kernel lists sockets");
    let sockets = table.lines().filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The listener has the state 0A. A socket that the process has closed has the inode 0.
        fields.get(1) == Some(&local.as_str()) && fields[3] != "0A" && fields[9] != "0"
    });
    sockets.count()
}

async fn wait_until_all_are_closed(process: &Process) {
    let until = Instant::now() + CLOSED_WITHIN;
    while open_connections(process) > 0 {
        assert!(Instant::now() < until, "{} connections are still open", open_connections(process));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[apply(both_databases)]
async fn connection_that_waits_for_its_client_is_closed(database: &Database) {
    let process = start(database, &SHORT);
    admin_of(&process).get("/v1/organisation").await.expect(200);
    let attacks = attacks();
    let all = attacks.iter().flat_map(|attack| (0..CONNECTIONS).map(move |_| attack));
    let attacking = futures_util::future::join_all(all.map(|attack| attack.run(&process.base)));
    let address = format!("{}/v1/organisation", process.base);
    let token = admin_token();
    let ordinary = move |client: &reqwest::Client| client.get(&address).bearer_auth(&token);
    let (times, measured) =
        watch("230 connections that wait for their clients", &process, ordinary, attacking).await;
    assert_eq!(measured.failed, 0);
    assert!(measured.latency(0.5) < Duration::from_millis(500), "{measured}");
    assert!(times.iter().all(|time| *time < CLOSED_WITHIN));
    wait_until_all_are_closed(&process).await;
}

/// Stores statements of about a megabyte, which make a page of several.
async fn store_large_statements(process: &Process) {
    let admin = admin_of(process);
    let text = "x".repeat(1_000_000);
    for number in 0..4 {
        let statements: Vec<Value> = (0..2)
            .map(|part| {
                json!({"actor": {"mbox": "mailto:a@example.org"}, "verb": {"id": "urn:v"},
                    "object": {"id": format!("urn:o:{number}:{part}")},
                    "context": {"extensions": {"urn:e": text}}})
            })
            .collect();
        admin.post(STATEMENTS, &statements).await.expect(200);
    }
}

/// A connection with a small buffer for what it receives.
async fn connect_with_small_buffer(base: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(16_384).expect("a small buffer");
    let address = base.strip_prefix("http://").expect("an address").parse().expect("an address");
    socket.connect(address).await.expect("the server listens")
}

#[apply(both_databases)]
async fn answer_that_nobody_reads_is_given_up(database: &Database) {
    let process = start(database, &SHORT);
    store_large_statements(&process).await;
    let paths = ["/xapi/statements", "/v1/activities/export.ndjson?columns=full", "/xapi/statements?limit=4"];
    let attacking = async {
        let mut streams = Vec::new();
        for number in 0..12 {
            let mut stream = connect(&process.base).await;
            let get = head(&format!("GET {} HTTP/1.1", paths[number % paths.len()]), "");
            // The second request is never reached, or its answer is not read either.
            send(&mut stream, format!("{get}{get}")).await;
            streams.push(stream);
        }
        tokio::time::sleep(Duration::from_secs(4)).await;
        // The connection of the ordinary requests is left.
        assert!(open_connections(&process) <= 2, "{} connections are open", open_connections(&process));
        for stream in &mut streams {
            let (read, is_closed) = read_until_closed(stream, CLOSED_WITHIN).await;
            assert!(is_closed);
            assert!(read.len() < 1_000_000, "{} bytes came", read.len());
        }
    };
    let address = format!("{}/health/live", process.base);
    let ordinary = move |client: &reqwest::Client| client.get(&address);
    let ((), measured) =
        watch("12 answers of megabytes that nobody reads", &process, ordinary, attacking).await;
    assert_eq!(measured.failed, 0);
    wait_until_all_are_closed(&process).await;
}

#[apply(both_databases)]
async fn answer_that_is_read_too_slowly_is_given_up_and_a_slow_link_gets_all(database: &Database) {
    let process = start(database, &SHORT);
    store_large_statements(&process).await;
    let request = head("GET /xapi/statements?limit=1 HTTP/1.1", "");
    let mut stream = connect_with_small_buffer(&process.base).await;
    send(&mut stream, &request).await;
    let (begin, mut piece) = (Instant::now(), [0; 100]);
    // 1,000 bytes a second; 4,096 are required.
    while begin.elapsed() < Duration::from_secs(1) || open_connections(&process) > 0 {
        assert!(begin.elapsed() < CLOSED_WITHIN, "the connection is open after {:?}", begin.elapsed());
        stream.read_exact(&mut piece).await.expect("what has arrived can be read");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let mut stream = connect_with_small_buffer(&process.base).await;
    send(&mut stream, &request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    let (mut total, mut piece) = (0, vec![0; 16_384]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        total += count;
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    assert!(total > 1_000_000, "a slow link got only {total} bytes");
}

#[apply(both_databases)]
async fn address_has_at_most_its_number_of_connections(database: &Database) {
    let process = start(database, &[("ROLLBOOK_MAX_CONNECTIONS_PER_ADDRESS", "3")]);
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&process.base).await;
        send(&mut stream, head("GET /v1/organisation HTTP/1.1", "")).await;
        read_answer(&mut stream).await;
        open.push(stream);
    }
    let mut refused = connect(&process.base).await;
    send(&mut refused, head("GET /v1/organisation HTTP/1.1", "")).await;
    let (answer, is_closed) = read_until_closed(&mut refused, CLOSED_WITHIN).await;
    assert!(is_closed && answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    open.clear();
    tokio::time::sleep(Duration::from_millis(300)).await;
    admin_of(&process).get("/v1/organisation").await.expect(200);
}

#[apply(both_databases)]
async fn answer_to_a_slow_head_names_its_problem_below_the_public_address(database: &Database) {
    for (public_url, base_path) in
        [("https://lrs.example.org/a/rollbook/", "/a/rollbook"), ("https://lrs.example.org", "")]
    {
        let process =
            start(database, &[("ROLLBOOK_HEADER_TIMEOUT", "1"), ("ROLLBOOK_PUBLIC_URL", public_url)]);
        let mut stream = connect(&process.base).await;
        send(&mut stream, "GET /v1/organisation HT").await;
        let (answer, is_closed) = read_until_closed(&mut stream, CLOSED_WITHIN).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| serde_json::from_str(body));
        let problem: serde_json::Value = body.expect("a head and a body").expect("JSON");
        assert!(is_closed && answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert_eq!(problem["type"], format!("{base_path}/docs/problems#request-timeout"), "{answer}");
    }
}
