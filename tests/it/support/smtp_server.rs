//! A real mail server in this process, on a free port: mailin's state machine of SMTP over Tokio's sockets, plain or
//! with TLS, with or without a login. It keeps what it is sent, and can be told to be as bad as servers are.

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

/// The user and the password of servers that want a login.
pub const LOGIN: (&str, &str) = ("reports@acme.example", "p%ss w/rd+");

/// How long a test waits for messages.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether and when TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Never; the server doesn't offer it.
    Plain,
    /// By STARTTLS.
    StartTls,
    /// With the first byte.
    Tls,
}

/// How the server behaves from now on; by default it takes everything at once.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// Nothing listens at its port.
    pub down: bool,
    /// How long it takes before it greets.
    pub greeting: Duration,
    /// How long it takes before it answers for a message.
    pub answer: Duration,
    /// How long it rests after each 128 KiB of a message.
    pub rests: Duration,
    /// It reads no further in a message than so many bytes.
    pub stalls_at: Option<usize>,
    /// The login is refused, with this code.
    pub refuses_login: Option<u16>,
    /// Senders are refused, with this code.
    pub refuses_sender: Option<u16>,
    /// Recipients that are refused, with a code each: 550 for good, 450 for now.
    pub refuses: BTreeMap<String, u16>,
    /// Messages are refused once they are there, with this code.
    pub refuses_message: Option<u16>,
    /// It keeps the message and closes the connection without an answer.
    pub drops: bool,
    /// Its refusals give back what it was sent.
    pub echoes: bool,
}

/// A message that the server has.
#[derive(Debug, Clone)]
pub struct Received {
    /// Who sent it, by the envelope.
    pub from: String,
    /// Whom it is for, by the envelope.
    pub to: Vec<String>,
    /// The message.
    pub bytes: Vec<u8>,
    /// Whether it came by TLS.
    pub encrypted: bool,
    /// Who had logged in.
    pub user: Option<String>,
}

impl Received {
    /// The message, as a library reads it.
    pub fn parsed(&self) -> ParsedMail<'_> {
        mailparse::parse_mail(&self.bytes).expect("a message")
    }

    /// The only attached file: its name, its type and its bytes.
    pub fn file(&self) -> (String, String, Vec<u8>) {
        let message = self.parsed();
        let [_, file] = message.subparts.as_slice() else {
            panic!("{} parts", message.subparts.len());
        };
        let name = file.get_content_disposition().params["filename"].clone();
        (name, file.ctype.mimetype.clone(), file.get_body_raw().expect("a body"))
    }

    /// The plain text.
    pub fn text(&self) -> String {
        self.parsed().subparts[0].subparts[0].get_body().expect("a text")
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> String {
        use mailparse::MailHeaderMap as _;
        self.parsed().headers.get_first_value(name).unwrap_or_default()
    }
}

/// A mail server under the test's command; it is gone when it is dropped.
pub struct SmtpServer {
    address: SocketAddr,
    security: Security,
    login: bool,
    shared: Arc<Shared>,
    manners: watch::Sender<Manners>,
    /// Holds the certificate of whoever issued the server's.
    folder: tempfile::TempDir,
    accepting: JoinHandle<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    connections: Mutex<usize>,
    manners: watch::Receiver<Manners>,
    sessions: SessionBuilder,
    security: Security,
    tls: TlsAcceptor,
}

impl SmtpServer {
    /// A server without TLS that wants no login.
    pub async fn start() -> Self {
        Self::start_with(Security::Plain, &[]).await
    }

    /// A server with these ways to log in, by [`LOGIN`]; without one it wants none.
    pub async fn start_with(security: Security, logins: &[AuthMechanism]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = listen(([127, 0, 0, 1], 0).into());
        let address = listener.local_addr().expect("an address");
        let (manners, following) = watch::channel(Manners::default());
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
            manners: following.clone(),
            sessions,
            security,
            tls: certificate(&folder.path().join("root.pem")),
        });
        Self {
            address,
            security,
            login: !logins.is_empty(),
            shared: Arc::clone(&shared),
            manners,
            folder,
            accepting: tokio::spawn(accept(listener, shared, following)),
        }
    }

    /// The address for `ROLLBOOK_SMTP_URL`, with the login where the server wants one.
    pub fn url(&self) -> String {
        self.url_with(LOGIN.1)
    }

    /// The same with another password.
    pub fn url_with(&self, password: &str) -> String {
        let (scheme, tls) = match self.security {
            Security::Plain => ("smtp", ""),
            Security::StartTls => ("smtp", "?tls=required"),
            Security::Tls => ("smtps", ""),
        };
        let login = match self.login {
            true => format!("{}:{}@", super::http::segment(LOGIN.0), super::http::segment(password)),
            false => String::new(),
        };
        format!("{scheme}://{login}{}{tls}", self.address)
    }

    /// The certificate that the server's comes from, as a PEM file.
    pub fn certificate(&self) -> std::path::PathBuf {
        self.folder.path().join("root.pem")
    }

    /// Changes how the server behaves, from the next connection on.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        self.manners.send_modify(change);
    }

    /// Every message that the server has, whether or not it said so, in the order of their coming.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        *lock(&self.shared.connections)
    }

    /// Waits until the server has so many messages, and gives them all.
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

/// Listens with little room for what wasn't read yet, so that a server that reads slowly is felt by its client.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.set_recv_buffer_size(64 * 1024).expect("an option");
    socket.bind(address).expect("a port that is free");
    socket.listen(1_024).expect("a listener")
}

/// A certificate of an issuer of its own, which is written to the file.
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
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

/// Takes connections while the server is up, at the same port whenever it is.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut manners: watch::Receiver<Manners>) {
    let address = listener.local_addr().expect("an address");
    let mut listener = Some(listener);
    let mut talks = JoinSet::new();
    loop {
        if manners.borrow_and_update().down {
            listener = None;
            if manners.changed().await.is_err() {
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
                talks.spawn(serve(stream, from.ip(), Arc::clone(&shared)));
            },
            changed = manners.changed() => if changed.is_err() { return },
        }
        listener = Some(listening);
        while talks.try_join_next().is_some() {}
    }
}

/// One connection, to its end.
async fn serve(stream: TcpStream, from: IpAddr, shared: Arc<Shared>) {
    let manners = shared.manners.borrow().clone();
    let heard = Arc::new(Mutex::new(Heard::default()));
    let clerk = Clerk { manners: manners.clone(), heard: Arc::clone(&heard) };
    let mut talk =
        Talk { session: shared.sessions.build(from, clerk), manners, heard, shared: Arc::clone(&shared) };
    if shared.security == Security::Tls {
        let Ok(stream) = shared.tls.accept(stream).await else {
            return; // the client doesn't trust it
        };
        talk.encrypted();
        talk.greet_and_go_on(BufReader::new(stream)).await;
        return;
    }
    if let Some(stream) = talk.greet_and_go_on(BufReader::new(stream)).await
        && let Ok(stream) = shared.tls.accept(stream.into_inner()).await
    {
        talk.encrypted();
        talk.go_on(BufReader::new(stream)).await;
    }
}

/// What is known of a connection.
#[derive(Default)]
struct Heard {
    encrypted: bool,
    user: Option<String>,
    from: String,
    to: Vec<String>,
    bytes: Vec<u8>,
    /// A message has come to its end.
    complete: bool,
}

/// Decides about what the state machine hears.
struct Clerk {
    manners: Manners,
    heard: Arc<Mutex<Heard>>,
}

impl Clerk {
    fn login(&self, user: &str, password: &str) -> Response {
        if let Some(code) = self.manners.refuses_login {
            return self.refusal(code, &format!("{user} {password}"));
        }
        if (user, password) != LOGIN {
            return INVALID_CREDENTIALS;
        }
        lock(&self.heard).user = Some(user.to_owned());
        AUTH_OK
    }

    fn refusal(&self, code: u16, heard: &str) -> Response {
        let heard = if self.manners.echoes { heard } else { "not now, not ever" };
        Response::custom(code, format!("5.7.1 No: {heard}"))
    }
}

impl Handler for Clerk {
    fn mail(&mut self, _: IpAddr, _: &str, from: &str) -> Response {
        lock(&self.heard).from = from.to_owned();
        match self.manners.refuses_sender {
            Some(code) => self.refusal(code, from),
            None => OK,
        }
    }

    fn rcpt(&mut self, to: &str) -> Response {
        match self.manners.refuses.get(to) {
            Some(code) => self.refusal(*code, to),
            None => {
                lock(&self.heard).to.push(to.to_owned());
                OK
            }
        }
    }

    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        lock(&self.heard).bytes.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        match self.manners.refuses_message {
            Some(code) => self.refusal(code, "the message"),
            None => {
                lock(&self.heard).complete = true;
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

struct Talk {
    session: Session<Clerk>,
    manners: Manners,
    heard: Arc<Mutex<Heard>>,
    shared: Arc<Shared>,
}

impl Talk {
    fn encrypted(&mut self) {
        self.session.tls_active();
        lock(&self.heard).encrypted = true;
    }

    async fn greet_and_go_on<S>(&mut self, mut stream: BufReader<S>) -> Option<BufReader<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        sleep(self.manners.greeting).await;
        let greeting = self.session.greeting().buffer().ok()?;
        stream.write_all(&greeting).await.ok()?;
        stream.flush().await.ok()?;
        self.go_on(stream).await
    }

    /// Answers line by line; gives the stream back where TLS is to begin.
    async fn go_on<S>(&mut self, mut stream: BufReader<S>) -> Option<BufReader<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut rested = 0;
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
                return None;
            }
            let answer = self.session.process(&line);
            let read = lock(&self.heard).bytes.len();
            if self.manners.stalls_at.is_some_and(|at| read >= at) {
                std::future::pending::<()>().await;
            }
            if read >= rested + 128 * 1024 {
                rested = read;
                sleep(self.manners.rests).await;
            }
            if self.take() {
                if self.manners.drops {
                    return None;
                }
                sleep(self.manners.answer).await;
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

    /// Puts a message that is complete to the others.
    fn take(&self) -> bool {
        let mut heard = lock(&self.heard);
        if !std::mem::take(&mut heard.complete) {
            return false;
        }
        let message = Received {
            from: heard.from.clone(),
            to: std::mem::take(&mut heard.to),
            bytes: std::mem::take(&mut heard.bytes),
            encrypted: heard.encrypted,
            user: heard.user.clone(),
        };
        lock(&self.shared.received).push(message);
        true
    }
}
