//! The limit on wrong secrets: how often callers may fail to authenticate.
//!
//! A refused attempt counts in the buckets of its address, of its site, of its key, of its key from its address, and of
//! all attempts. A bucket that is empty refuses further attempts with 429, before anything is looked up:
//!
//! - The bucket of a key from an address refuses everything that this address sends for this key, except a credential
//!   that was used from there a short time ago.
//! - The bucket of a key refuses addresses that failed with this key before. Others can still use it, so that nobody
//!   locks out an integration by guessing its secret.
//! - The bucket of an address or site refuses what can be verified only by a look-up. A credential that was verified a
//!   short time ago, and a token with a valid signature, still work: several callers may share one address.
//! - The bucket of all attempts refuses the same, but only to addresses that failed a short time ago. The others have a
//!   larger bucket: many addresses that guess do not lock out everybody.
//!
//! An address of IPv6 counts as its network of 64 bits, because a client usually has a whole network. Its network of 48
//! bits is its site, because a provider may give a client that many.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actix_web::http::header::{self, HeaderValue};

use super::limits::Limits;
use super::problem::{Code, Problem};

/// The most buckets. Beyond it, new addresses and keys share one bucket.
const MAX_BUCKETS: usize = 50_000;
/// The interval at which full buckets are removed while the map is full.
const CLEAN_EVERY: Duration = Duration::from_secs(1);
/// The most secrets in [`VerifiedSecrets`]. Beyond it, they are all forgotten.
const MAX_SECRETS: usize = 10_000;
/// The time for which a verified secret is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How many times the limit of one address a key has, for all addresses together.
const KEY_FACTOR: f64 = 10.0;
/// How many times the limit of one address a site has.
const SITE_FACTOR: f64 = 10.0;
/// How many times the limit of one address all attempts have together.
const TOTAL_FACTOR: f64 = 50.0;
/// How many times the limit of one address the first attempts of all addresses have together.
const FIRST_FACTOR: f64 = 500.0;

/// An attempt to authenticate.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The address of the client.
    pub address: IpAddr,
    /// The key of a credential. A token, a report key and a download link have none.
    pub key: Option<&'a str>,
}

/// What a bucket counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Total,
    /// The attempts of addresses that had not failed a short time before.
    First,
    Address(IpAddr),
    /// A network of 48 bits of IPv6.
    Site(Ipv6Addr),
    /// A hash of a key, which may have any length.
    Key(u64),
    KeyFromAddress(u64, IpAddr),
    /// All subjects for which the map had no space.
    Others,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// It is negative after attempts that arrived at once and were all looked up before the first was refused.
    tokens: f64,
    filled_at: Instant,
}

#[derive(Debug, Default)]
struct Buckets {
    by_subject: HashMap<Subject, Bucket>,
    /// When full buckets were removed, which reads the whole map.
    cleaned_at: Option<Instant>,
}

/// Counts refused attempts at this replica, in token buckets. A subject without a bucket has a full one.
#[derive(Debug, Default)]
pub struct RefusalLimiter {
    buckets: Mutex<Buckets>,
    /// The number of buckets. While it is zero, an attempt needs no lock.
    count: AtomicUsize,
    hasher: RandomState,
}

impl RefusalLimiter {
    /// Refuses an attempt with a key that was guessed too often.
    ///
    /// # Errors
    ///
    /// 429 with `Retry-After`.
    pub fn check_key(&self, attempt: Attempt<'_>, now: Instant, limits: &Limits) -> Result<(), Problem> {
        let Some((key, rates)) = attempt.key.zip(self.rates_in_use(limits)) else {
            return Ok(());
        };
        let (key, from) = self.key_subjects(key, attempt.address);
        let buckets = self.lock();
        rates.require_token(&buckets, from, now)?;
        match rates.require_token(&buckets, key, now) {
            Err(problem) if rates.has_failed(&buckets, from, now) => Err(problem),
            _ => Ok(()),
        }
    }

    /// Refuses an attempt from an address that failed too often, or while too many fail.
    ///
    /// # Errors
    ///
    /// 429 with `Retry-After`.
    pub fn check_address(&self, attempt: Attempt<'_>, now: Instant, limits: &Limits) -> Result<(), Problem> {
        let Some(rates) = self.rates_in_use(limits) else {
            return Ok(());
        };
        let address = Subject::Address(network_of(attempt.address));
        let buckets = self.lock();
        rates.require_token(&buckets, address, now)?;
        if let Some(site) = site_of(attempt.address) {
            rates.require_token(&buckets, site, now)?;
        }
        let all = if rates.has_failed(&buckets, address, now) {
            Subject::Total
        } else {
            Subject::First
        };
        rates.require_token(&buckets, all, now)
    }

    /// Counts a refused attempt.
    pub fn count(&self, attempt: Attempt<'_>, now: Instant, limits: &Limits) {
        let Some(rates) = Rates::new(limits) else {
            return;
        };
        let address = Subject::Address(network_of(attempt.address));
        let mut buckets = self.lock();
        if !rates.has_failed(&buckets, address, now) {
            rates.take_token(&mut buckets, Subject::First, now);
        }
        rates.take_token(&mut buckets, Subject::Total, now);
        rates.take_token(&mut buckets, address, now);
        if let Some(site) = site_of(attempt.address) {
            rates.take_token(&mut buckets, site, now);
        }
        if let Some(key) = attempt.key {
            let (key, from) = self.key_subjects(key, attempt.address);
            rates.take_token(&mut buckets, key, now);
            rates.take_token(&mut buckets, from, now);
        }
        self.count.store(buckets.by_subject.len(), Ordering::Relaxed);
    }

    /// The rates, or `None` if no attempt can be refused at present.
    fn rates_in_use(&self, limits: &Limits) -> Option<Rates> {
        let rates = Rates::new(limits)?;
        (self.count.load(Ordering::Relaxed) > 0).then_some(rates)
    }

    /// The subjects of a key, and of the key from an address.
    fn key_subjects(&self, key: &str, address: IpAddr) -> (Subject, Subject) {
        let hash = self.hasher.hash_one(key);
        (
            Subject::Key(hash),
            Subject::KeyFromAddress(hash, network_of(address)),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        // The map is valid even if a thread panicked while it held the lock: each change is a single assignment.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rate and the capacity of the bucket of an address.
#[derive(Debug, Clone, Copy)]
struct Rates {
    per_second: f64,
    capacity: f64,
}

impl Rates {
    /// The rates of the settings, or `None` if the limit is off.
    fn new(limits: &Limits) -> Option<Self> {
        (limits.refusals_per_second > 0).then(|| Self {
            per_second: f64::from(limits.refusals_per_second),
            capacity: f64::from(limits.refusal_burst.max(1)),
        })
    }

    /// The rates of a subject's bucket.
    fn rates_for(self, subject: Subject) -> Self {
        let factor = match subject {
            Subject::Address(_) | Subject::KeyFromAddress(..) => 1.0,
            Subject::Key(_) | Subject::Others => KEY_FACTOR,
            Subject::Site(_) => SITE_FACTOR,
            Subject::Total => TOTAL_FACTOR,
            Subject::First => FIRST_FACTOR,
        };
        Self {
            per_second: self.per_second * factor,
            capacity: self.capacity * factor,
        }
    }

    /// The tokens of a bucket at a later moment.
    fn tokens_at(self, bucket: Bucket, now: Instant) -> f64 {
        let seconds = now.saturating_duration_since(bucket.filled_at).as_secs_f64();
        (bucket.tokens + seconds * self.per_second).min(self.capacity)
    }

    /// Whether a bucket is not full: an attempt was refused a short time ago.
    fn has_failed(self, buckets: &Buckets, subject: Subject, now: Instant) -> bool {
        let rates = self.rates_for(subject);
        let bucket = buckets.by_subject.get(&subject);
        bucket.is_some_and(|bucket| rates.tokens_at(*bucket, now) < rates.capacity)
    }

    fn require_token(self, buckets: &Buckets, subject: Subject, now: Instant) -> Result<(), Problem> {
        let map = &buckets.by_subject;
        let subject = if map.len() < MAX_BUCKETS || map.contains_key(&subject) {
            subject
        } else {
            Subject::Others
        };
        let Some(bucket) = map.get(&subject) else {
            return Ok(());
        };
        let rates = self.rates_for(subject);
        let tokens = rates.tokens_at(*bucket, now);
        if tokens >= 1.0 {
            return Ok(());
        }
        let seconds = ((1.0 - tokens) / rates.per_second).ceil().max(1.0) as u64;
        let detail = format!("too many attempts failed to authenticate; try again in {seconds} s");
        Err(Problem::new(Code::TooManyRequests, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(seconds)))
    }

    fn take_token(self, buckets: &mut Buckets, subject: Subject, now: Instant) {
        if buckets.by_subject.len() >= MAX_BUCKETS {
            self.remove_full_buckets(buckets, now);
        }
        let map = &mut buckets.by_subject;
        let subject = if map.len() < MAX_BUCKETS || map.contains_key(&subject) {
            subject
        } else {
            Subject::Others
        };
        let rates = self.rates_for(subject);
        let bucket = map.entry(subject).or_insert(Bucket {
            tokens: rates.capacity,
            filled_at: now,
        });
        // The debt has a limit, so that a burst is forgotten after twice the time that a bucket needs to fill.
        bucket.tokens = (rates.tokens_at(*bucket, now) - 1.0).max(-rates.capacity);
        bucket.filled_at = now;
    }

    /// Removes full buckets, which mean the same as none, at most once in [`CLEAN_EVERY`].
    fn remove_full_buckets(self, buckets: &mut Buckets, now: Instant) {
        let waits = |at| now.saturating_duration_since(at) < CLEAN_EVERY;
        if buckets.cleaned_at.is_some_and(waits) {
            return;
        }
        buckets.cleaned_at = Some(now);
        buckets.by_subject.retain(|subject, bucket| {
            let rates = self.rates_for(*subject);
            rates.tokens_at(*bucket, now) < rates.capacity
        });
    }
}

/// The network that counts as one address.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// The site of an address of IPv6.
fn site_of(address: IpAddr) -> Option<Subject> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Some(Subject::Site(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
        }
    }
}

/// The digests of secrets that were verified in the last minutes. What they open may be looked up also for an address
/// that failed too often.
#[derive(Debug, Default)]
pub struct VerifiedSecrets(Mutex<HashMap<[u8; 32], Instant>>);

impl VerifiedSecrets {
    /// Whether the secret was verified a short time ago.
    pub fn contains(&self, digest: &[u8; 32], now: Instant) -> bool {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets
            .get(digest)
            .is_some_and(|at| now.saturating_duration_since(*at) < REMEMBERED)
    }

    /// Forgets a secret that opens nothing any more.
    pub fn remove(&self, digest: &[u8; 32]) {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.remove(digest);
    }

    /// Remembers a secret that was verified.
    pub fn insert(&self, digest: [u8; 32], now: Instant) {
        let mut secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.len() >= MAX_SECRETS && !secrets.contains_key(&digest) {
            secrets.retain(|_, at| now.saturating_duration_since(*at) < REMEMBERED);
            if secrets.len() >= MAX_SECRETS {
                secrets.clear();
            }
        }
        secrets.insert(digest, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            refusals_per_second: 2,
            refusal_burst: 3,
            ..Limits::default()
        }
    }

    fn attempt(address: &str, key: Option<&'static str>) -> Attempt<'static> {
        Attempt {
            address: address.parse().unwrap(),
            key,
        }
    }

    fn fail(limiter: &RefusalLimiter, attempt: Attempt<'_>, times: usize, now: Instant) {
        for _ in 0..times {
            limiter.count(attempt, now, &limits());
        }
    }

    #[test]
    fn address_that_failed_too_often_is_refused_until_its_bucket_fills() {
        let (limiter, start) = (RefusalLimiter::default(), Instant::now());
        let one = attempt("192.0.2.1", None);
        fail(&limiter, one, 2, start);
        assert!(limiter.check_address(one, start, &limits()).is_ok());
        fail(&limiter, one, 1, start);
        let problem = limiter.check_address(one, start, &limits()).unwrap_err();
        assert_eq!(problem.code(), Code::TooManyRequests);
        let response = problem.to_response("", None);
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "1");
        assert!(
            limiter
                .check_address(attempt("192.0.2.2", None), start, &limits())
                .is_ok()
        );
        let later = start + Duration::from_millis(500);
        assert!(limiter.check_address(one, later, &limits()).is_ok());
    }

    #[test]
    fn network_of_ipv6_counts_as_one_address() {
        let (limiter, now) = (RefusalLimiter::default(), Instant::now());
        for host in 1..=3 {
            fail(&limiter, attempt(&format!("2001:db8::{host}"), None), 1, now);
        }
        assert!(
            limiter
                .check_address(attempt("2001:db8::9", None), now, &limits())
                .is_err()
        );
        assert!(
            limiter
                .check_address(attempt("2001:db8:0:1::9", None), now, &limits())
                .is_ok()
        );
    }

    #[test]
    fn site_of_ipv6_has_a_limit_for_all_its_networks() {
        let (limiter, now) = (RefusalLimiter::default(), Instant::now());
        for network in 1..=30 {
            fail(
                &limiter,
                attempt(&format!("2001:db8:0:{network}::1"), None),
                1,
                now,
            );
        }
        let check = |address| limiter.check_address(attempt(address, None), now, &limits());
        assert!(check("2001:db8:0:9999::1").is_err());
        assert!(check("2001:db8:1:1::1").is_ok());
    }

    #[test]
    fn many_guessing_addresses_do_not_lock_out_an_address_that_has_not_failed() {
        let (limiter, now) = (RefusalLimiter::default(), Instant::now());
        for host in 0..150 {
            fail(&limiter, attempt(&format!("192.0.2.{host}"), None), 2, now);
        }
        let check = |address| limiter.check_address(attempt(address, None), now, &limits());
        assert!(check("192.0.2.1").is_err(), "the bucket of all attempts is empty");
        assert!(check("198.51.100.1").is_ok());
        for number in 0..1_500_u32 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(number));
            limiter.count(Attempt { address, key: None }, now, &limits());
        }
        assert!(
            check("198.51.100.1").is_err(),
            "the bucket of first attempts is empty"
        );
    }

    #[test]
    fn guessed_key_still_works_from_an_address_that_has_not_failed() {
        let (limiter, now) = (RefusalLimiter::default(), Instant::now());
        for host in 1..=20 {
            fail(&limiter, attempt(&format!("192.0.2.{host}"), Some("k")), 2, now);
        }
        // The bucket of the key is empty, and that of each address is not.
        let check = |attempt| limiter.check_key(attempt, now, &limits());
        assert!(check(attempt("192.0.2.1", Some("k"))).is_err());
        assert!(check(attempt("198.51.100.1", Some("k"))).is_ok());
        assert!(check(attempt("192.0.2.1", Some("another"))).is_ok());
    }

    #[test]
    fn key_is_refused_from_the_address_that_guessed_it() {
        let (limiter, now) = (RefusalLimiter::default(), Instant::now());
        fail(&limiter, attempt("192.0.2.1", Some("k")), 3, now);
        let check = |attempt| limiter.check_key(attempt, now, &limits());
        assert!(check(attempt("192.0.2.1", Some("k"))).is_err());
        assert!(check(attempt("192.0.2.1", Some("another"))).is_ok());
        assert!(check(attempt("192.0.2.2", Some("k"))).is_ok());
    }

    #[test]
    fn many_addresses_do_not_fill_the_memory_and_end_no_limit() {
        let (limiter, now) = (RefusalLimiter::default(), Instant::now());
        let first = attempt("203.0.113.1", None);
        fail(&limiter, first, 3, now);
        for number in 0..MAX_BUCKETS as u32 + 100 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from(number));
            limiter.count(Attempt { address, key: None }, now, &limits());
        }
        assert!(limiter.lock().by_subject.len() <= MAX_BUCKETS + 1);
        assert!(limiter.check_address(first, now, &limits()).is_err());
    }

    #[test]
    fn verified_secret_is_remembered_for_minutes() {
        let (secrets, start) = (VerifiedSecrets::default(), Instant::now());
        secrets.insert([1; 32], start);
        assert!(secrets.contains(&[1; 32], start + REMEMBERED - Duration::from_secs(1)));
        assert!(!secrets.contains(&[1; 32], start + REMEMBERED));
        assert!(!secrets.contains(&[2; 32], start));
    }
}
