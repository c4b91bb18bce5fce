//! A TCP proxy before PostgreSQL or the server, which fails in the ways of a network: it is silent, refuses, cuts connections, or loses
//! the answer of a commit.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::Database;

/// A running proxy. It ends with the runtime of the test.
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Network>,
}

/// The state of the network.
#[derive(Default)]
struct Network {
    connections: Mutex<Vec<Arc<Connection>>>,
    /// The number of connections that were accepted.
    accepted: AtomicUsize,
    /// New connections are accepted and get no answer.
    is_silent: AtomicBool,
    /// New connections are closed at once.
    refuses: AtomicBool,
    /// The number of commits of which the answer is still to be lost.
    commits_to_lose: AtomicUsize,
    /// The number of commits of which the answer was lost.
    lost_commits: AtomicUsize,
}

#[derive(Default)]
struct Connection {
    /// Bytes are accepted and not forwarded.
    is_silent: AtomicBool,
    /// The connection is cut when the next answer comes.
    loses_answer: AtomicBool,
    cut: Notify,
}

impl Proxy {
    /// Starts a proxy before the cluster of the database.
    pub async fn start(database: &Database) -> Self {
        let Database::Postgres { cluster, .. } = database else {
            panic!("only PostgreSQL is reached through a network");
        };
        Self::before(format!("{}:{}", cluster.get_host(), cluster.get_port())).await
    }

    /// Starts a proxy before this address.
    pub async fn before(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let network = Arc::new(Network::default());
        let accepting = Arc::clone(&network);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                if !accepting.refuses.load(Ordering::SeqCst) {
                    tokio::spawn(serve(client, target.clone(), Arc::clone(&accepting)));
                }
            }
        });
        Self { address, network }
    }

    /// The address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the database through the proxy.
    pub fn url(&self, database: &Database) -> String {
        database.url_at(self.address)
    }

    /// The number of connections that were opened so far.
    pub fn accepted(&self) -> usize {
        self.network.accepted.load(Ordering::SeqCst)
    }

    fn for_each(&self, action: impl Fn(&Connection)) {
        self.network.connections.lock().expect("no panic").iter().for_each(|connection| action(connection));
    }

    /// All open connections get no answers any more, and stay open. New ones work.
    pub fn silence_open_connections(&self) {
        self.for_each(|connection| connection.is_silent.store(true, Ordering::SeqCst));
    }

    /// Whether new connections are accepted without an answer.
    pub fn silence_new_connections(&self, is_silent: bool) {
        self.network.is_silent.store(is_silent, Ordering::SeqCst);
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuses: bool) {
        self.network.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Closes all open connections.
    pub fn cut(&self) {
        self.for_each(|connection| connection.cut.notify_waiters());
    }

    /// Loses the answers of the next commits: the database commits, and the connection is cut.
    pub fn lose_commits(&self, count: usize) {
        self.network.commits_to_lose.store(count, Ordering::SeqCst);
    }

    /// The number of commits of which the answer was lost.
    pub fn lost_commits(&self) -> usize {
        self.network.lost_commits.load(Ordering::SeqCst)
    }
}

async fn serve(client: TcpStream, target: String, network: Arc<Network>) {
    let connection = Arc::new(Connection::default());
    connection.is_silent.store(network.is_silent.load(Ordering::SeqCst), Ordering::SeqCst);
    network.connections.lock().expect("no panic").push(Arc::clone(&connection));
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true)); // a delay would only make the test slower
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = connection.cut.notified() => {}
        () = forward_requests(from_client, to_server, &connection, &network) => {}
        () = forward_answers(from_server, to_client, &connection, &network) => {}
    }
}

async fn forward_requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    connection: &Connection,
    network: &Network,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let read = &bytes[..length];
        if connection.is_silent.load(Ordering::SeqCst) {
            continue;
        }
        if read.windows(6).any(|window| window == b"COMMIT") {
            let less = |count: usize| count.checked_sub(1);
            if network.commits_to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                connection.loses_answer.store(true, Ordering::SeqCst);
            }
        }
        if to.write_all(read).await.is_err() {
            return;
        }
    }
}

async fn forward_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    connection: &Connection,
    network: &Network,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if connection.loses_answer.load(Ordering::SeqCst) {
            network.lost_commits.fetch_add(1, Ordering::SeqCst);
            return;
        }
        let is_silent = connection.is_silent.load(Ordering::SeqCst);
        if !is_silent && to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
