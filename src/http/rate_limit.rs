//! The limit on the requests per second of each caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use actix_web::http::header::{self, HeaderValue};

use super::limits::Limits;
use super::problem::{Code, Problem};

/// The most callers in a [`RateLimiter`]. Beyond it, the limiter drops the callers that were quiet for long enough, or
/// else all callers.
const MAX_CALLERS: usize = 10_000;

/// Counts the requests of each caller at this replica, with one token bucket for each caller.
#[derive(Debug, Default)]
pub struct RateLimiter(Mutex<HashMap<String, Bucket>>);

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// The tokens at a later moment.
    fn tokens_at(self, now: Instant, rate: f64) -> f64 {
        self.tokens + now.duration_since(self.filled_at).as_secs_f64() * rate
    }
}

impl RateLimiter {
    /// Counts one request of a caller.
    ///
    /// # Errors
    ///
    /// 429 with `Retry-After` in seconds if the caller sends too many requests.
    pub fn count_request(&self, caller: &str, now: Instant, limits: &Limits) -> Result<(), Problem> {
        if limits.requests_per_second == 0 {
            return Ok(());
        }
        let rate = f64::from(limits.requests_per_second);
        let capacity = f64::from(limits.burst.max(1));
        // The map is valid even if a thread panicked while it held the lock: each change is a single assignment.
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_CALLERS && !buckets.contains_key(caller) {
            // A full bucket means the same as no bucket.
            buckets.retain(|_, bucket| bucket.tokens_at(now, rate) < capacity);
            if buckets.len() >= MAX_CALLERS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(caller.to_owned()).or_insert(Bucket {
            tokens: capacity,
            filled_at: now,
        });
        bucket.tokens = bucket.tokens_at(now, rate).min(capacity);
        bucket.filled_at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let seconds = ((1.0 - bucket.tokens) / rate).ceil().max(1.0) as u64;
        let detail = format!(
            "you sent more than {} requests per second; try again in {seconds} s",
            limits.requests_per_second
        );
        Err(Problem::new(Code::TooManyRequests, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn too_many_requests_are_refused_with_retry_after() {
        let limits = Limits {
            requests_per_second: 2,
            burst: 3,
            ..Limits::default()
        };
        let limiter = RateLimiter::default();
        let start = Instant::now();
        for _ in 0..3 {
            limiter.count_request("a", start, &limits).expect("the burst");
        }
        let problem = limiter.count_request("a", start, &limits).expect_err("too many");
        let response = problem.to_response("", None);
        assert_eq!(response.headers().get(header::RETRY_AFTER).expect("a time"), "1");
        limiter
            .count_request("b", start, &limits)
            .expect("another caller has another bucket");
        limiter
            .count_request("a", start + Duration::from_millis(500), &limits)
            .expect("half a second adds one token");
    }
}
