//! A full disk, a database that cannot be written, a file that is removed, and two servers on one file.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use crate::support::http::{Answer, Caller};
use crate::support::process::{Process, serve};
use crate::support::server::run_with_database;
use crate::support::watch::watch;
use crate::support::{Database, apply, both_databases};

const ORG: &str = "acme";
const KEY: &str = "integration";
const SECRET: &str = "a-secret-of-a-test-with-enough-length";

/// How long readiness may take to notice a change: its result is used again for a second.
const NOTICE: Duration = Duration::from_secs(8);

fn serve_with_credential(database: &Database) -> Command {
    let mut command = serve(database);
    command.args(["--database-wait", "1"]);
    command.env("ROLLBOOK_BOOTSTRAP_CREDENTIAL", format!("{ORG}:{KEY}:{SECRET}"));
    command
}

fn caller(process: &Process) -> Caller {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("a client");
    Caller::anonymous(client, process.base.clone()).with_basic(KEY, SECRET)
}

async fn post_activity(caller: &Caller) -> Answer {
    let activity = json!({"user": {"email": "ada@example.com"}, "action": "logged_out"});
    caller.post("/v1/activities", &activity).await
}

/// Asks for the readiness until `/writes` of the answer is `writes`. Returns the answer.
async fn wait_for_readiness(caller: &Caller, writes: &str) -> Answer {
    let begin = Instant::now();
    loop {
        let answer = caller.get("/health/ready").await;
        if answer.clone().json()["writes"] == writes {
            println!("measured: readiness shows `{writes}` after {:?}", begin.elapsed());
            assert_eq!(answer.status, if writes == "ok" { 200 } else { 503 });
            return answer;
        }
        assert!(begin.elapsed() < NOTICE, "readiness does not show `{writes}`: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks that reads and their readiness go on while nothing can be written.
async fn check_reads(caller: &Caller) {
    caller.get("/v1/activities").await.expect(200);
    let ready = caller.get("/health/ready?for=reads").await.expect(200).json();
    assert_eq!(ready["reads"], "ok");
    assert_ne!(ready["writes"], "ok");
    caller.get("/health/live").await.expect(200);
}

/// Checks that a write is answered with this status and says when to try again.
async fn check_refused_write(caller: &Caller, status: u16, code: &str) {
    let begin = Instant::now();
    let refused = post_activity(caller).await.expect(status);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.json()["code"], code);
}

/// Runs the command with a file system of `size` at each of the folders, which ends with the process.
fn on_small_disks(command: &Command, folders: &[&Path], size: &str) -> Command {
    let script = "size=$1; shift; while [ \"$1\" != -- ]; do \
                  mount -t tmpfs -o size=$size,mode=0755 none \"$1\" || exit 1; shift; done; shift; exec \"$@\"";
    let mut wrapped = Command::new("unshare");
    wrapped.args(["-rm", "sh", "-c", script, "sh", size]).args(folders).arg("--");
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        wrapped.env(name, value.expect("a variable is set"));
    }
    wrapped.stdout(Stdio::piped()).stderr(Stdio::piped());
    wrapped
}

/// Whether this user may mount a file system in a name space.
fn can_mount(folder: &Path) -> bool {
    let status = on_small_disks(&Command::new("true"), &[folder], "1m").stderr(Stdio::null()).status();
    let can = status.is_ok_and(|status| status.success());
    if !can {
        println!("SKIPPED: no file system can be mounted with `unshare -rm`");
    }
    can
}

/// The path of a file in the name space of the process.
fn path_in_namespace(process: &Process, path: &Path) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{}", process.id(), path.display()))
}

/// Writes a file until the disk is full.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("the small disk takes a file");
    for size in [65_536, 512, 1] {
        let bytes = vec![0; size];
        while let Ok(written) = file.write(&bytes) {
            assert!(written > 0);
        }
    }
    let full = file.write(&[0]).expect_err("the disk is full");
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
}

fn sqlite_folder(database: &Database) -> &Path {
    match database {
        Database::Sqlite { folder } => folder,
        Database::Postgres { .. } => panic!("only for SQLite"),
    }
}

#[test]
fn full_disk_is_507_and_heals_without_a_restart() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let folder = sqlite_folder(database);
        if !can_mount(folder) {
            return;
        }
        let process = Process::start(on_small_disks(&serve_with_credential(database), &[folder], "16m"));
        let caller = caller(&process);
        post_activity(&caller).await.expect(201);
        let mut recorded = 1;
        wait_for_readiness(&caller, "ok").await;
        for _ in 0..2 {
            let filler = path_in_namespace(&process, &folder.join("filler"));
            fill(&filler);
            // The log of SQLite may have room for some more writes. Documents need new pages.
            for number in 0..50 {
                let path = format!("/xapi/activities/profile?activityId=urn:a&profileId={number}");
                let body = vec![b'x'; 100_000];
                let headers = [("content-type", "text/plain"), ("if-none-match", "*")];
                caller.send(reqwest::Method::PUT, &path, &headers, body).await.expect(507);
            }
            while post_activity(&caller).await.expect_one_of(&[201, 507]).status == 201 {
                recorded += 1;
            }
            check_refused_write(&caller, 507, "insufficient-storage").await;
            check_reads(&caller).await;
            let answer = wait_for_readiness(&caller, "disk-full").await.json();
            assert_eq!(answer["reads"], "ok");
            assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("full")), "{answer}");
            fs::remove_file(filler).expect("the filler is removed");
            post_activity(&caller).await.expect(201);
            recorded += 1;
            wait_for_readiness(&caller, "ok").await;
        }
        assert_eq!(caller.list("/v1/activities", "activities").await.len(), recorded);
    });
}

#[test]
fn readiness_heals_on_its_own_when_there_is_space() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let folder = sqlite_folder(database);
        if !can_mount(folder) {
            return;
        }
        let process = Process::start(on_small_disks(&serve_with_credential(database), &[folder], "16m"));
        let caller = caller(&process);
        let filler = path_in_namespace(&process, &folder.join("filler"));
        fill(&filler);
        while post_activity(&caller).await.expect_one_of(&[201, 507]).status == 201 {}
        wait_for_readiness(&caller, "disk-full").await;
        fs::remove_file(filler).expect("the filler is removed");
        wait_for_readiness(&caller, "ok").await;
    });
}

#[test]
fn full_disk_of_temporary_files_is_507() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let folder = sqlite_folder(database).join("temporary");
        fs::create_dir(&folder).expect("a folder");
        if !can_mount(&folder) {
            return;
        }
        let mut command = serve_with_credential(database);
        command.env("TMPDIR", &folder);
        let process = Process::start(on_small_disks(&command, &[&folder], "2m"));
        let caller = caller(&process);
        let put = |bytes: usize| {
            let path = "/xapi/activities/profile?activityId=urn:a&profileId=p";
            let headers = [("content-type", "text/plain"), ("if-none-match", "*")];
            let caller = caller.clone();
            async move { caller.send(reqwest::Method::PUT, path, &headers, vec![b'x'; bytes]).await }
        };
        let refused = put(8 << 20).await.expect(507);
        assert!(refused.headers.contains_key("retry-after"));
        put(1_500_000).await.expect(204);
    });
}

#[test]
fn start_on_a_full_disk_says_so() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let folder = sqlite_folder(database);
        if !can_mount(folder) {
            return;
        }
        let output = on_small_disks(&serve_with_credential(database), &[folder], "64k").output();
        let output = output.expect("the command ends");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains("disk of the database is full"), "{text}");
    });
}

/// A limit on the size of files refuses bytes although the disk is not full, as a quota does.
#[test]
fn refused_write_of_a_file_heals_without_a_restart() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let command = serve_with_credential(database);
        let mut wrapped = Command::new("sh");
        wrapped.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(command.get_program());
        wrapped.args(command.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in command.get_envs() {
            wrapped.env(name, value.expect("a variable is set"));
        }
        let process = Process::start(wrapped);
        let caller = caller(&process);
        post_activity(&caller).await.expect(201);
        let limit = |bytes: &str| {
            let pid = process.id().to_string();
            let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}")]).status();
            status.is_ok_and(|status| status.success())
        };
        if !limit("1000:unlimited") {
            println!("SKIPPED: prlimit is missing");
            return;
        }
        for _ in 0..5 {
            check_refused_write(&caller, 507, "insufficient-storage").await;
        }
        check_reads(&caller).await;
        wait_for_readiness(&caller, "disk-full").await;
        assert!(limit("unlimited:unlimited"));
        post_activity(&caller).await.expect(201);
        wait_for_readiness(&caller, "ok").await;
    });
}

/// A trigger raises the error of PostgreSQL. `scripts/faults` fills a real disk.
#[test]
fn full_disk_of_postgres_is_507_and_heals() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let process = Process::start(serve_with_credential(database));
        let caller = caller(&process);
        post_activity(&caller).await.expect(201);
        if database.is_distributed() {
            let Database::Postgres { name, .. } = database else { return };
            let allow = format!("ALTER DATABASE {name} SET citus.enable_unsafe_triggers = on");
            database.execute(&allow).await;
        }
        // A cluster passes the message on, and not always the code.
        for (state, message, status, code, writes) in [
            ("53100", "f: No space left on device", 507, "insufficient-storage", "disk-full"),
            ("58030", "f: Input/output error", 503, "unavailable", "disk-failed"),
        ] {
            let raise = format!(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION '{message}' USING ERRCODE = '{state}'; END $$"
            );
            database.execute(&raise).await;
            // One at a time: a cluster passes each on to its nodes as it is.
            for table in ["statements", "write_probes"] {
                let trigger = format!("TRIGGER refuse BEFORE INSERT ON {table}");
                let create = format!("CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION refuse()");
                database.execute(&create).await;
            }
            for _ in 0..5 {
                check_refused_write(&caller, status, code).await;
            }
            check_reads(&caller).await;
            wait_for_readiness(&caller, writes).await;
            database.execute("DROP FUNCTION refuse CASCADE").await;
            wait_for_readiness(&caller, "ok").await;
            post_activity(&caller).await.expect(201);
        }
    });
}

#[test]
fn read_only_postgres_is_not_ready_for_writes() {
    run_with_database(Database::postgres(), async |database: &Database| {
        let process = Process::start(serve_with_credential(database));
        let caller = caller(&process);
        post_activity(&caller).await.expect(201);
        let Database::Postgres { name, .. } = database else { return };
        // Connections have the setting from their start on.
        let disconnect = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        );
        let set = |value: &str| format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}");
        database.execute(&format!("{}; {disconnect}", set("on"))).await;
        wait_for_readiness(&caller, "read-only").await;
        check_refused_write(&caller, 503, "unavailable").await;
        check_reads(&caller).await;
        // The open connections stay read-only. The server replaces them; nothing terminates them.
        database.execute(&format!("BEGIN READ WRITE; {}; COMMIT", set("off"))).await;
        wait_for_readiness(&caller, "ok").await;
        post_activity(&caller).await.expect(201);
    });
}

#[test]
fn read_only_file_is_not_ready_for_writes() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let process = Process::start(serve_with_credential(database));
        post_activity(&caller(&process)).await.expect(201);
        drop(process);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--database"]);
        command.arg(format!("{}?mode=ro", database.url())).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = Process::start(command);
        let caller = caller(&process);
        wait_for_readiness(&caller, "read-only").await;
        check_refused_write(&caller, 503, "unavailable").await;
        check_reads(&caller).await;
    });
}

/// A lock of the writers: of the organisation on PostgreSQL, of the file on SQLite.
enum Lock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Lock {
    async fn take(database: &Database) -> Self {
        let url = database.url();
        match database {
            Database::Sqlite { .. } => {
                let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.expect("the lock");
                Self::Sqlite(connection)
            }
            Database::Postgres { .. } => {
                let org = database.organisation_key(ORG).await;
                let mut connection = PgConnection::connect(&url).await.expect("the cluster answers");
                // A cluster locks rows of one organisation only.
                let lock = format!("BEGIN; SELECT org FROM ledgers WHERE org = {org} FOR UPDATE");
                sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.expect("the lock");
                Self::Postgres(connection)
            }
        }
    }

    async fn release(self) {
        match self {
            Self::Sqlite(connection) => connection.close().await.expect("it closes"),
            Self::Postgres(connection) => connection.close().await.expect("it closes"),
        }
    }
}

#[apply(both_databases)]
async fn lock_beyond_its_limit_is_not_ready_for_writes(database: &Database) {
    let process = Process::start(serve_with_credential(database));
    let caller = caller(&process);
    post_activity(&caller).await.expect(201);
    let lock = Lock::take(database).await;
    check_refused_write(&caller, 503, "unavailable").await;
    wait_for_readiness(&caller, "locked").await;
    check_reads(&caller).await;
    lock.release().await;
    wait_for_readiness(&caller, "ok").await;
    post_activity(&caller).await.expect(201);
}

/// Clients that go away leave no transaction open.
#[apply(both_databases)]
async fn writer_goes_on_after_clients_went_away(database: &Database) {
    let process = Process::start(serve_with_credential(database));
    let caller = caller(&process);
    for patience in 0..40 {
        let client = reqwest::Client::builder().timeout(Duration::from_micros(patience * 500)).build();
        let user = json!({"first_name": "Ada"});
        let put = client.expect("a client").put(format!("{}/v1/users/u{patience}", process.base));
        let put = put.basic_auth(KEY, Some(SECRET)).header("content-type", "application/json");
        let _ = put.body(user.to_string()).send().await; // most have no answer in this time
    }
    post_activity(&caller).await.expect(201);
    caller.put("/v1/users/eva", &json!({"first_name": "Eva"})).await.expect(201);
    wait_for_readiness(&caller, "ok").await;
}

#[test]
fn removed_file_is_noticed_and_takes_no_writes() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let folder = sqlite_folder(database);
        let process = Process::start(serve_with_credential(database));
        let caller = caller(&process);
        post_activity(&caller).await.expect(201);
        wait_for_readiness(&caller, "ok").await;
        let (path, aside) = (folder.join("rollbook.db"), folder.join("aside.db"));
        fs::rename(&path, &aside).expect("renamed");
        for replacement in [false, true] {
            if replacement {
                fs::copy(&aside, &path).expect("copied");
            }
            check_refused_write(&caller, 503, "unavailable").await;
            let answer = wait_for_readiness(&caller, "file-replaced").await.json();
            assert_eq!(answer["reads"], "unavailable");
            caller.get("/health/ready?for=reads").await.expect(503);
        }
        assert_eq!(fs::metadata(&path).expect("the copy").len(), fs::metadata(&aside).expect("it").len());
        fs::rename(&aside, &path).expect("renamed back");
        wait_for_readiness(&caller, "ok").await;
        post_activity(&caller).await.expect(201);
        fs::remove_file(folder.join("rollbook.db-wal")).expect("the log is removed");
        check_refused_write(&caller, 503, "unavailable").await;
    });
}

#[test]
fn second_server_on_a_file_is_refused() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let folder = sqlite_folder(database);
        let process = Process::start(serve_with_credential(database));
        post_activity(&caller(&process)).await.expect(201);
        let link = folder.join("link.db");
        std::os::unix::fs::symlink(folder.join("rollbook.db"), &link).expect("a link");
        for url in [database.url(), format!("sqlite:{}", link.display())] {
            let mut second = Command::new(env!("CARGO_BIN_EXE_rollbook"));
            second.args(["serve", "--listen", "127.0.0.1:0", "--database", &url]);
            let output = second.output().expect("the command ends");
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success());
            assert!(text.contains(&format!("process {}", process.id())), "{text}");
        }
        // Commands work beside the server.
        for arguments in [&["migrate"][..], &["rebuild"], &["credential", "list", "--org", "acme"]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_rollbook"));
            let output = command.args(arguments).args(["--database", &database.url()]).output();
            let output = output.expect("the command ends");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        post_activity(&caller(&process)).await.expect(201);
        // SIGKILL releases the lock.
        drop(process);
        let next = Process::start(serve_with_credential(database));
        post_activity(&caller(&next)).await.expect(201);
    });
}

#[test]
fn files_of_the_database_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    run_with_database(Database::sqlite(), async |database: &Database| {
        let folder = sqlite_folder(database);
        let files = ["rollbook.db", "rollbook.db-wal", "rollbook.db-shm", "rollbook.db.lock"];
        let command = serve_with_credential(database);
        for umask in ["000", "022"] {
            let mut wrapped = Command::new("sh");
            let script = format!("umask {umask}; exec \"$@\"");
            wrapped.args(["-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
            for (name, value) in command.get_envs() {
                wrapped.env(name, value.expect("a variable is set"));
            }
            wrapped.stdout(Stdio::piped()).stderr(Stdio::piped());
            let process = Process::start(wrapped);
            post_activity(&caller(&process)).await.expect(201);
            for name in files {
                let mode = fs::metadata(folder.join(name)).expect(name).permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{name} with umask {umask}");
            }
            drop(process);
            // Files of an earlier version are changed at the next start.
            for name in files {
                let wide = fs::Permissions::from_mode(0o644);
                fs::set_permissions(folder.join(name), wide).expect(name);
            }
        }
    });
}

/// Writers look for the lock often enough to get it between two transactions of another process.
#[test]
fn writers_wait_for_another_process_that_writes_again_and_again() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let process = Process::start(serve_with_credential(database));
        let caller = caller(&process);
        post_activity(&caller).await.expect(201);
        let url = database.url();
        let other = tokio::spawn(async move {
            let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
            for _ in 0..40 {
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.expect("the lock");
                tokio::time::sleep(Duration::from_millis(100)).await;
                sqlx::raw_sql("COMMIT").execute(&mut connection).await.expect("the commit");
                tokio::time::sleep(Duration::from_millis(50)).await; // as a rebuild does
            }
        });
        let mut longest = Duration::ZERO;
        while !other.is_finished() {
            let begin = Instant::now();
            post_activity(&caller).await.expect(201);
            longest = longest.max(begin.elapsed());
        }
        other.await.expect("the other process does not fail");
        println!("measured: a write waits {longest:?} at most for another process that writes");
        assert!(longest < Duration::from_millis(800), "{longest:?}");
    });
}

/// A read that lasts long keeps the write-ahead log. When it has ended, the log is emptied without further writes.
#[test]
fn large_log_of_sqlite_is_emptied() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let process = Process::start(serve_with_credential(database));
        post_activity(&caller(&process)).await.expect(201);
        let log = sqlite_folder(database).join("rollbook.db-wal");
        let log_bytes = || fs::metadata(&log).expect("the log exists").len();
        let mut reader = SqliteConnection::connect(&database.url()).await.expect("the file opens");
        let begin = "BEGIN; SELECT count(*) FROM users";
        sqlx::raw_sql(begin).execute(&mut reader).await.expect("a snapshot");
        for _ in 0..3 {
            database.execute("INSERT INTO write_probes (bytes) VALUES (randomblob(15000000))").await;
        }
        assert!(log_bytes() > 40_000_000, "{}", log_bytes());
        sqlx::raw_sql("ROLLBACK").execute(&mut reader).await.expect("the end");
        let begin = Instant::now();
        while log_bytes() > 16 << 20 {
            assert!(begin.elapsed() < Duration::from_secs(8), "the log has {} bytes", log_bytes());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("measured: the log of SQLite is emptied after {:?}", begin.elapsed());
        post_activity(&caller(&process)).await.expect(201);
        reader.close().await.expect("it closes");
    });
}

/// Every connection reads all pages. Without a common limit each would keep 16 MiB of them.
#[test]
fn caches_of_all_connections_have_one_limit() {
    run_with_database(Database::sqlite(), async |database: &Database| {
        let mut command = serve_with_credential(database);
        command.args(["--sqlite-cache-bytes", "16777216"]);
        let process = Process::start(command);
        let caller = caller(&process);
        caller.put("/v1/users/ada", &json!({"first_name": "Ada"})).await.expect(201);
        let users = format!(
            "INSERT INTO users (org, key, id, role, active, custom, search, name_order, last_name_order, email_order) \
             SELECT (SELECT org FROM users LIMIT 1), 1000000 + n, 'u' || n, 'learner', true, '{{}}', \
             hex(randomblob(1500)), '1', '1', '1' FROM ({})",
            database.series(8_000)
        );
        database.execute(&users).await;
        let ordinary = format!("{}/health/live", process.base);
        let ordinary = move |client: &reqwest::Client| client.get(&ordinary);
        let attack = async {
            let scans = (0..24).map(|_| caller.get("/v1/users?q=zzzz"));
            futures_util::future::join_all(scans).await
        };
        let (answers, measured) =
            watch("reads by all connections of SQLite", &process, ordinary, attack).await;
        assert!(answers.iter().any(|answer| answer.status == 200));
        assert!(measured.growth() < 90 << 20, "{measured}");
    });
}
