//! A database that restarts, freezes, is silent, refuses connections or loses the answer of a commit.

mod batches;
mod frozen;
mod lost_commits;
mod reads;
mod refusals;
mod restart;
mod silence;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::builders::{activity, content, user};
use crate::support::http::Caller;
use crate::support::process::{Process, serve_at};
use crate::support::server::{ORG, sign};

/// The setting for waiting in these tests, in seconds.
const WAIT: u64 = 2;

/// The time within which every request must be answered in every state of the database: the wait for a connection, and the
/// limit on one query with its tolerance.
const ANSWER_TIME: Duration = Duration::from_secs(8);

/// A server process and its callers.
struct Server {
    process: Process,
    admin: Caller,
}

impl Server {
    fn start(database_url: &str) -> Self {
        let mut command = serve_at(database_url);
        command
            .env("ROLLBOOK_DATABASE_WAIT", WAIT.to_string())
            .env("ROLLBOOK_DATABASE_QUERY_TIMEOUT_SECONDS", "1")
            .env("ROLLBOOK_DATABASE_LONG_QUERY_TIMEOUT_SECONDS", "3")
            .env("ROLLBOOK_LOG", "warn,rollbook=warn,rollbook::cli=info");
        let process = Process::start(command);
        let claims = json!({"sub": "root", "role": "admin", "org": ORG, "exp": 4_000_000_000_u64});
        let client = reqwest::Client::new();
        let admin = Caller::anonymous(client, process.base.clone()).with_token(&sign(&claims));
        Self { process, admin }
    }

    async fn set_up(&self) {
        self.admin.put("/v1/users/bo", &user("bo").set("email", "bo@x.example")).await.expect(201);
        self.admin.put("/v1/contents/c1", &content("c1", "quiz")).await.expect(201);
        self.admin.post("/v1/activities", &viewed()).await.expect(201);
    }

    /// Opens many connections to the database.
    async fn open_connections(&self) {
        futures_util::future::join_all((0..24).map(|number| async move { self.request(number).await })).await;
    }

    /// Sends one of several ordinary requests, and returns the status and the time until the answer.
    async fn request(&self, number: usize) -> (u16, Duration) {
        request(&self.admin, number).await
    }

    /// Waits until `count` ordinary requests in a row succeed. Returns the time until then.
    async fn wait_until_it_works(&self, count: usize, limit: Duration) -> Duration {
        let begin = Instant::now();
        let mut successes = 0;
        while successes < count {
            let (status, _) = self.request(successes).await;
            successes = if status < 300 { successes + 1 } else { 0 };
            assert!(begin.elapsed() < limit, "requests fail {limit:?} after the fault: {status}");
        }
        begin.elapsed()
    }
}

fn viewed() -> Value {
    activity("bo", "viewed").set("content", "c1").json()
}

async fn request(admin: &Caller, number: usize) -> (u16, Duration) {
    let begin = Instant::now();
    let answer = match number % 4 {
        0 => admin.get("/v1/activities").await,
        1 => admin.post("/v1/activities", &viewed()).await,
        2 => admin.get("/v1/users/bo").await,
        _ => admin.put("/v1/users/bo", &user("bo").set("email", "bo@x.example")).await,
    };
    if answer.status == 503 && answer.clone().json()["code"] != "outcome-unknown" {
        assert!(answer.headers.contains_key("retry-after"), "{}", answer.text());
    }
    (answer.status, begin.elapsed())
}

/// Callers that send ordinary requests until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Vec<(u16, Duration)>>>,
}

impl Load {
    fn start(server: &Server, callers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..callers)
            .map(|caller| {
                let (admin, stop) = (server.admin.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut answers = Vec::new();
                    while !stop.load(Ordering::SeqCst) {
                        answers.push(request(&admin, caller + answers.len()).await);
                    }
                    answers
                })
            })
            .collect();
        Self { stop, tasks }
    }

    /// Stops the callers and returns the status and the time of each answer.
    async fn stop(self) -> Vec<(u16, Duration)> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for task in self.tasks {
            all.extend(task.await.expect("a client does not panic"));
        }
        all
    }
}

/// Checks that each answer came in time, and was a success or a 503. Prints what was measured.
fn check_answers(name: &str, answers: &[(u16, Duration)]) {
    let mut times: Vec<Duration> = answers.iter().map(|(_, time)| *time).collect();
    times.sort_unstable();
    let refused = answers.iter().filter(|(status, _)| *status == 503).count();
    let longest = *times.last().expect("an answer");
    println!(
        "measured: {name}: {} requests, {refused} answered with 503, median {:?}, longest {longest:?}",
        answers.len(),
        times[times.len() / 2]
    );
    for (status, _) in answers {
        assert!(*status < 300 || *status == 503, "a request was answered with {status}");
    }
    assert!(longest < ANSWER_TIME, "a request took {longest:?}");
}
