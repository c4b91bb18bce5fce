//! Measures a server process while something attacks it: its memory, and the latency of an ordinary request.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::process::Process;

/// The pause between two ordinary requests.
const PAUSE: Duration = Duration::from_millis(20);

/// How long an ordinary request may take before it counts as unanswered.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was measured during an attack.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The resident memory before the attack, in bytes.
    pub resident_before: u64,
    /// The most resident memory during the attack, in bytes.
    pub peak_resident: u64,
    /// The latencies of the ordinary requests, in ascending order.
    latencies: Vec<Duration>,
    /// The number of ordinary requests that had no answer or another status than a success.
    pub failed: usize,
}

impl Measured {
    /// The memory that the attack added, in bytes.
    pub fn growth(&self) -> u64 {
        self.peak_resident.saturating_sub(self.resident_before)
    }

    /// The latency that this share of the ordinary requests did not exceed; `share` is between 0 and 1.
    pub fn latency(&self, share: f64) -> Duration {
        let last = self.latencies.len().checked_sub(1).expect("an ordinary request was answered");
        self.latencies[(last as f64 * share).round() as usize]
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        write!(
            f,
            "memory {:.0} MiB, peak {:.0} MiB; {} ordinary requests, median {:?}, 99 % {:?}, longest {:?}, failed {}",
            mib(self.resident_before),
            mib(self.peak_resident),
            self.latencies.len(),
            self.latency(0.5),
            self.latency(0.99),
            self.latency(1.0),
            self.failed
        )
    }
}

/// Runs `attack` against the process. Meanwhile it sends the request that `ordinary` builds again and again, and reads
/// the memory of the process. Prints what it measured under `name`; `scripts/attack` shows these lines.
pub async fn watch<T>(
    name: &str,
    process: &Process,
    ordinary: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder + Send + 'static,
    attack: impl Future<Output = T>,
) -> (T, Measured) {
    let id = process.id();
    let resident_before = resident(id);
    let stop = Arc::new(AtomicBool::new(false));
    let memory = tokio::spawn(sample_memory(id, Arc::clone(&stop)));
    let requests = tokio::spawn(send_requests(ordinary, Arc::clone(&stop)));
    let outcome = attack.await;
    stop.store(true, Ordering::SeqCst);
    let (mut latencies, failed) = requests.await.expect("the requests end");
    latencies.sort_unstable();
    let measured = Measured {
        resident_before,
        peak_resident: memory.await.expect("the sampling ends").max(resident_before),
        latencies,
        failed,
    };
    println!("measured: {name}: {measured}");
    (outcome, measured)
}

async fn sample_memory(id: u32, stop: Arc<AtomicBool>) -> u64 {
    let mut peak = 0;
    while !stop.load(Ordering::SeqCst) {
        peak = peak.max(resident(id));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    peak
}

async fn send_requests(
    ordinary: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder,
    stop: Arc<AtomicBool>,
) -> (Vec<Duration>, usize) {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().expect("a client");
    let (mut latencies, mut failed) = (Vec::new(), 0);
    loop {
        let began = Instant::now();
        let answer = ordinary(&client).send().await;
        latencies.push(began.elapsed());
        if !answer.is_ok_and(|answer| answer.status().is_success()) {
            failed += 1;
        }
        if stop.load(Ordering::SeqCst) {
            return (latencies, failed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The resident memory of a process in bytes (`VmRSS`).
pub fn resident(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
