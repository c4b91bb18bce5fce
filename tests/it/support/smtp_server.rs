//! A mail server in the test process: mailin's SMTP state machine on Tokio sockets, plain or with TLS, with
//! or without a login.
//!
//! It stores the messages that it receives. A test can make it slow, refuse or fail.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mailin::response::{AUTH_OK, INVALID_CREDENTIALS, OK};
use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder};
use mailparse::ParsedMail;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The user and password of servers that require a login.
pub const LOGIN: (&str, &str) = ("reports@acme.example", "p%ss w/rd+");

/// How long [`SmtpServer::wait_for`] waits for messages.
const PATIENCE: Duration = Duration::from_secs(20);

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Never: the server does not offer it.
    Plain,
    /// After the command STARTTLS.
    StartTls,
    /// With the first byte of the connection.
    Tls,
}

/// The behaviour of the server. By default it accepts every message at once.
#[derive(Debug, Clone, Default)]
pub struct SmtpBehaviour {
    /// The port is closed.
    pub down: bool,
    /// The delay before the greeting.
    pub greeting: Duration,
    /// The delay before the answer to a message.
    pub answer: Duration,
    /// The delay after each 128 KiB of a message.
    pub pause: Duration,
    /// The server stops reading after this many bytes of a message.
    pub stops_reading_after: Option<usize>,
    /// The login is refused with this code.
    pub refuses_login: Option<u16>,
    /// Every sender is refused with this code.
    pub refuses_sender: Option<u16>,
    /// The refused recipients and the code for each: 550 is permanent, 450 is temporary.
    pub refused_recipients: BTreeMap<String, u16>,
    /// Each message is refused with this code after its last byte.
    pub refuses_message: Option<u16>,
    /// The server stores the message and closes the connection without an answer.
    pub drops_message: bool,
    /// Refusals repeat the refused text.
    pub repeats_text: bool,
}

/// A message that the server received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// The bytes of the message.
    pub bytes: Vec<u8>,
    /// Whether the connection used TLS.
    pub encrypted: bool,
    /// The user that logged in.
    pub user: Option<String>,
}

impl Received {
    /// The parsed message.
    pub fn parsed(&self) -> ParsedMail<'_> {
        mailparse::parse_mail(&self.bytes).expect("a message")
    }

    /// The only attached file: name, media type and bytes.
    pub fn file(&self) -> (String, String, Vec<u8>) {
        let message = self.parsed();
        let [_, file] = message.subparts.as_slice() else {
            panic!("{} parts", message.subparts.len());
        };
        let name = file.get_content_disposition().params["filename"].clone();
        (name, file.ctype.mimetype.clone(), file.get_body_raw().expect("a body"))
    }

    /// The plain text part.
    pub fn text(&self) -> String {
        self.parsed().subparts[0].subparts[0].get_body().expect("a text")
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> String {
        use mailparse::MailHeaderMap as _;
        self.parsed().headers.get_first_value(name).unwrap_or_default()
    }
}

/// A running mail server. It stops when dropped.
pub struct SmtpServer {
    address: SocketAddr,
    security: Security,
    login: bool,
    shared: Arc<Shared>,
    behaviour: watch::Sender<SmtpBehaviour>,
    /// Contains the certificate of the issuer.
    folder: tempfile::TempDir,
    accepting: JoinHandle<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    connections: Mutex<usize>,
    behaviour: watch::Receiver<SmtpBehaviour>,
    sessions: SessionBuilder,
    security: Security,
    tls: TlsAcceptor,
}

impl SmtpServer {
    /// Starts a server without TLS and without a login.
    pub async fn start() -> Self {
        Self::start_with(Security::Plain, &[]).await
    }

    /// Starts a server with these login mechanisms, for [`LOGIN`]. An empty list means no login.
    pub async fn start_with(security: Security, logins: &[AuthMechanism]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = listen(([127, 0, 0, 1], 0).into());
        let address = listener.local_addr().expect("an address");
        let (behaviour, receiver) = watch::channel(SmtpBehaviour::default());
        let mut sessions = SessionBuilder::new("mail.test");
        for login in logins {
            sessions.enable_auth(login.clone());
        }
        match security {
            Security::Plain => _ = sessions.insecure_enable_plaintext_auth(),
            Security::StartTls => _ = sessions.enable_start_tls(),
            Security::Tls => {}
        }
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            connections: Mutex::default(),
            behaviour: receiver.clone(),
            sessions,
            security,
            tls: certificate(&folder.path().join("root.pem")),
        });
        Self {
            address,
            security,
            login: !logins.is_empty(),
            shared: Arc::clone(&shared),
            behaviour,
            folder,
            accepting: tokio::spawn(accept(listener, shared, receiver)),
        }
    }

    /// The value for `ROLLBOOK_SMTP_URL`, with the login if the server requires one.
    pub fn url(&self) -> String {
        self.url_with(LOGIN.1)
    }

    /// Like [`SmtpServer::url`], with another password.
    pub fn url_with(&self, password: &str) -> String {
        let (scheme, tls) = match self.security {
            Security::Plain => ("smtp", ""),
            Security::StartTls => ("smtp", "?tls=required"),
            Security::Tls => ("smtps", ""),
        };
        let login = match self.login {
            true => {
                format!("{}:{}@", super::http::encode_segment(LOGIN.0), super::http::encode_segment(password))
            }
            false => String::new(),
        };
        format!("{scheme}://{login}{}{tls}", self.address)
    }

    /// The issuer's certificate as a PEM file.
    pub fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Changes the behaviour for the following connections.
    pub fn change_behaviour(&self, change: impl FnOnce(&mut SmtpBehaviour)) {
        self.behaviour.send_modify(change);
    }

    /// All received messages in order of arrival, also those that were not acknowledged.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        *lock(&self.shared.connections)
    }

    /// Waits until the server has `count` messages, and returns all messages.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let until = Instant::now() + PATIENCE;
        loop {
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            assert!(Instant::now() < until, "{} messages came, not {count}", received.len());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens with a small receive buffer, so that the client notices when the server reads slowly.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.set_recv_buffer_size(64 * 1024).expect("an option");
    socket.bind(address).expect("a free port");
    socket.listen(1_024).expect("a listener")
}

/// Creates a certificate and its issuer, and writes the issuer's certificate to the file.
fn certificate(root: &Path) -> TlsAcceptor {
    let key = || KeyPair::generate().expect("a key");
    let mut issuer = CertificateParams::new(Vec::new()).expect("no names");
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(issuer, key()).expect("an issuer");
    std::fs::write(root, issuer.pem()).expect("a file");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let (params, key) = (CertificateParams::new(names).expect("names"), key());
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports these versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("the key belongs to the certificate");
    TlsAcceptor::from(Arc::new(config))
}

/// Accepts connections while the server is up, always on the same port.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut behaviour: watch::Receiver<SmtpBehaviour>) {
    let address = listener.local_addr().expect("an address");
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if behaviour.borrow_and_update().down {
            listener = None;
            if behaviour.changed().await.is_err() {
                return;
            }
            continue;
        }
        let listening = match listener.take() {
            Some(listening) => listening,
            None => listen(address),
        };
        tokio::select! {
            accepted = listening.accept() => if let Ok((stream, from)) = accepted {
                *lock(&shared.connections) += 1;
                connections.spawn(serve(stream, from.ip(), Arc::clone(&shared)));
            },
            changed = behaviour.changed() => if changed.is_err() { return },
        }
        listener = Some(listening);
        while connections.try_join_next().is_some() {}
    }
}

/// Serves one connection until it ends.
async fn serve(stream: TcpStream, from: IpAddr, shared: Arc<Shared>) {
    let behaviour = shared.behaviour.borrow().clone();
    let state = Arc::new(Mutex::new(ConnectionState::default()));
    let handler = PolicyHandler { behaviour: behaviour.clone(), state: Arc::clone(&state) };
    let mut connection = Connection {
        session: shared.sessions.build(from, handler),
        behaviour,
        state,
        shared: Arc::clone(&shared),
    };
    if shared.security == Security::Tls {
        let Ok(stream) = shared.tls.accept(stream).await else {
            return; // the client does not trust the certificate
        };
        connection.set_encrypted();
        connection.greet_and_answer(BufReader::new(stream)).await;
        return;
    }
    if let Some(stream) = connection.greet_and_answer(BufReader::new(stream)).await
        && let Ok(stream) = shared.tls.accept(stream.into_inner()).await
    {
        connection.set_encrypted();
        connection.answer_lines(BufReader::new(stream)).await;
    }
}

/// The state of a connection.
#[derive(Default)]
struct ConnectionState {
    encrypted: bool,
    user: Option<String>,
    from: String,
    to: Vec<String>,
    bytes: Vec<u8>,
    /// The message is complete.
    complete: bool,
}

/// Decides how the SMTP state machine answers.
struct PolicyHandler {
    behaviour: SmtpBehaviour,
    state: Arc<Mutex<ConnectionState>>,
}

impl PolicyHandler {
    fn login(&self, user: &str, password: &str) -> Response {
        if let Some(code) = self.behaviour.refuses_login {
            return self.refusal(code, &format!("{user} {password}"));
        }
        if (user, password) != LOGIN {
            return INVALID_CREDENTIALS;
        }
        lock(&self.state).user = Some(user.to_owned());
        AUTH_OK
    }

    fn refusal(&self, code: u16, text: &str) -> Response {
        let text = if self.behaviour.repeats_text { text } else { "not now, not ever" };
        Response::custom(code, format!("5.7.1 No: {text}"))
    }
}

impl Handler for PolicyHandler {
    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        lock(&self.state).from = from.to_owned();
        match self.behaviour.refuses_sender {
            Some(code) => self.refusal(code, from),
            None => OK,
        }
    }

    fn rcpt(&mut self, to: &str) -> Response {
        match self.behaviour.refused_recipients.get(to) {
            Some(code) => self.refusal(*code, to),
            None => {
                lock(&self.state).to.push(to.to_owned());
                OK
            }
        }
    }

    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        lock(&self.state).bytes.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        match self.behaviour.refuses_message {
            Some(code) => self.refusal(code, "the message"),
            None => {
                lock(&self.state).complete = true;
                OK
            }
        }
    }

    fn auth_plain(&mut self, _: &str, user: &str, password: &str) -> Response {
        self.login(user, password)
    }

    fn auth_login(&mut self, user: &str, password: &str) -> Response {
        self.login(user, password)
    }
}

struct Connection {
    session: Session<PolicyHandler>,
    behaviour: SmtpBehaviour,
    state: Arc<Mutex<ConnectionState>>,
    shared: Arc<Shared>,
}

impl Connection {
    fn set_encrypted(&mut self) {
        self.session.tls_active();
        lock(&self.state).encrypted = true;
    }

    async fn greet_and_answer<S>(&mut self, mut stream: BufReader<S>) -> Option<BufReader<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        sleep(self.behaviour.greeting).await;
        let greeting = self.session.greeting().buffer().ok()?;
        stream.write_all(&greeting).await.ok()?;
        stream.flush().await.ok()?;
        self.answer_lines(stream).await
    }

    /// Answers line by line. Returns the stream when TLS begins.
    async fn answer_lines<S>(&mut self, mut stream: BufReader<S>) -> Option<BufReader<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut last_pause = 0;
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            let answer = self.session.process(&line);
            let read = lock(&self.state).bytes.len();
            if self.behaviour.stops_reading_after.is_some_and(|at| read >= at) {
                std::future::pending::<()>().await;
            }
            if read >= last_pause + 128 * 1024 {
                last_pause = read;
                sleep(self.behaviour.pause).await;
            }
            if self.store_complete_message() {
                if self.behaviour.drops_message {
                    return None;
                }
                sleep(self.behaviour.answer).await;
            }
            stream.write_all(&answer.buffer().ok()?).await.ok()?;
            stream.flush().await.ok()?;
            match answer.action {
                Action::Close => return None,
                Action::UpgradeTls => return Some(stream),
                Action::NoReply | Action::Reply => {}
            }
        }
    }

    /// Stores the message if it is complete, and returns whether it was.
    fn store_complete_message(&self) -> bool {
        let mut state = lock(&self.state);
        if !std::mem::take(&mut state.complete) {
            return false;
        }
        let message = Received {
            from: state.from.clone(),
            to: std::mem::take(&mut state.to),
            bytes: std::mem::take(&mut state.bytes),
            encrypted: state.encrypted,
            user: state.user.clone(),
        };
        lock(&self.shared.received).push(message);
        true
    }
}
