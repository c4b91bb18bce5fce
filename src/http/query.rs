//! The query of a request: its decoded pairs, and a reader that names every fault.
//!
//! If a query has another parser (the filter of the log), the handler passes [`QueryPairs::as_slice`] to it. Every
//! other handler reads its parameters with a [`QueryReader`]. A parameter that the handler did not read is unknown.
//! All faults are answered together.

use std::cell::{Cell, RefCell};
use std::future::{Ready, ready};
use std::ops::RangeInclusive;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::problem::{Code, Problem, ProblemError};
use crate::base::fault::Faults;
use crate::base::flag::parse_flag;

/// The most pairs of a query or a form.
pub const MAX_PAIRS: usize = 2_000;

/// The decoded pairs of a query, in their order, with repeated keys. A percent escape that is not UTF-8 and U+0000 are
/// refused (400), and so are more than [`MAX_PAIRS`] pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryPairs(Vec<(String, String)>);

impl QueryPairs {
    /// Parses a query without its `?`.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        // They are counted before they are collected.
        let parts = || query.split('&').filter(|part| !part.is_empty());
        if parts().nth(MAX_PAIRS).is_some() {
            let detail = format!("more than {MAX_PAIRS} parameters; send fewer");
            return Err(Problem::bad_request(detail));
        }
        let mut pairs = Vec::new();
        let mut faults = Faults::new();
        for part in parts() {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match (decode(key), decode(value)) {
                (Ok(key), Ok(value)) => pairs.push((key, value)),
                (Err(detail), _) => {
                    faults.push_with(|| ProblemError::in_parameter(shorten_name(key), detail));
                }
                (Ok(key), Err(detail)) => faults.push_with(|| ProblemError::in_parameter(key, detail)),
            }
        }
        if faults.is_empty() {
            Ok(Self(pairs))
        } else {
            Err(Problem::with_errors(Code::BadParameter, faults))
        }
    }

    /// Returns all pairs.
    pub fn as_slice(&self) -> &[(String, String)] {
        &self.0
    }

    /// Takes all pairs, so that a long value need not be copied.
    pub fn into_vec(self) -> Vec<(String, String)> {
        self.0
    }

    /// Returns the values of one parameter, and the other pairs.
    pub fn split(self, name: &str) -> (Vec<String>, Self) {
        let (named, others): (Vec<_>, Vec<_>) = self.0.into_iter().partition(|(key, _)| key == name);
        (named.into_iter().map(|(_, value)| value).collect(), Self(others))
    }

    /// Returns a reader of the parameters.
    pub fn reader(&self) -> QueryReader<'_> {
        QueryReader {
            pairs: &self.0,
            was_read: (0..self.0.len()).map(|_| Cell::new(false)).collect(),
            known: RefCell::default(),
            faults: RefCell::default(),
        }
    }

    /// Refuses every parameter, for resources that have none.
    pub fn refuse_any(&self) -> Result<(), Problem> {
        self.reader().finish()
    }
}

impl FromRequest for QueryPairs {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::parse(request.query_string()))
    }
}

/// The beginning of a name that cannot be decoded. The problem cuts a longer one anyway.
fn shorten_name(name: &str) -> &str {
    name.get(..name.floor_char_boundary(300)).unwrap_or_default()
}

/// Decodes a key or value: `+` is a space and `%XX` a byte (WHATWG URL, application/x-www-form-urlencoded). A value can be
/// a body of many megabytes, so it is copied once.
pub fn decode(text: &str) -> Result<String, &'static str> {
    // The crate `percent-encoding` accepts a `%` without two digits; here that is a fault.
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => {
                    return Err(
                        "a `%` must be followed by two hexadecimal digits (write `%` itself as `%25`)",
                    );
                }
            },
            other => other,
        });
    }
    let decoded = String::from_utf8(decoded).map_err(|_| "the value must be UTF-8, percent-encoded")?;
    if decoded.contains('\0') {
        Err("U+0000 is not allowed")
    } else {
        Ok(decoded)
    }
}

/// Reads parameters by name and collects their faults; [`QueryReader::finish`] answers all of them.
///
/// A parameter with a fault reads as if it were missing, so that the handler can go on to the next one.
#[derive(Debug)]
pub struct QueryReader<'a> {
    pairs: &'a [(String, String)],
    /// Whether each pair was read.
    was_read: Vec<Cell<bool>>,
    /// The names that the handler read.
    known: RefCell<Vec<String>>,
    faults: RefCell<Faults<ProblemError>>,
}

impl<'a> QueryReader<'a> {
    /// Reads all values of a parameter that may be repeated.
    pub fn all(&self, name: &str) -> Vec<&'a str> {
        self.known.borrow_mut().push(name.to_owned());
        let mut values = Vec::new();
        for ((key, value), was_read) in self.pairs.iter().zip(&self.was_read) {
            if key == name {
                was_read.set(true);
                values.push(value.as_str());
            }
        }
        values
    }

    /// Reads the value of a parameter that may be sent once.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let values = self.all(name);
        if values.len() > 1 {
            self.add_fault(name, "must be sent once");
        }
        values.first().copied()
    }

    /// Reads `true` or `false`, in any case: some languages write `True`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let text = self.text(name)?;
        let flag = parse_flag(text);
        if flag.is_none() {
            self.add_fault(name, "must be `true` or `false`");
        }
        flag
    }

    /// Reads a whole number within a range.
    pub fn number(&self, name: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (start, end) = (range.start(), range.end());
            self.add_fault(name, format!("must be a whole number from {start} to {end}"));
        }
        number
    }

    /// Reads a value that `T` parses (an id, a role, a date), sent once.
    pub fn value<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Option<T> {
        self.parse(name, self.text(name)?)
    }

    /// Reads values that `T` parses, which may be repeated.
    pub fn values<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Vec<T> {
        self.all(name)
            .into_iter()
            .filter_map(|text| self.parse(name, text))
            .collect()
    }

    fn parse<T: FromStr<Err: std::fmt::Display>>(&self, name: &str, text: &str) -> Option<T> {
        text.parse()
            .map_err(|error: T::Err| self.add_fault(name, error.to_string()))
            .ok()
    }

    /// Adds a fault that the handler found.
    pub fn add_fault(&self, name: &str, detail: impl Into<String>) {
        self.faults
            .borrow_mut()
            .push_with(|| ProblemError::in_parameter(name, detail));
    }

    /// Refuses (400) the request if a parameter has a fault or was not read; names each.
    pub fn finish(self) -> Result<(), Problem> {
        let mut faults = self.faults.into_inner();
        let known = self.known.into_inner();
        for ((key, _), was_read) in self.pairs.iter().zip(&self.was_read) {
            if !was_read.get() && !faults.iter().any(|fault| fault.parameter.as_deref() == Some(key)) {
                faults.push_with(|| {
                    let detail = match known.as_slice() {
                        [] => "unknown parameter; this resource has none".to_owned(),
                        names => format!("unknown parameter; known are {}", names.join(", ")),
                    };
                    ProblemError::in_parameter(key, detail)
                });
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::with_errors(Code::BadParameter, faults))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::base::ids::UserId;

    fn pairs(query: &str) -> QueryPairs {
        QueryPairs::parse(query).expect("a valid query")
    }

    #[test]
    fn repeated_keys_and_escapes_are_decoded() {
        let expected = [("a", "1 2"), ("a", "ü&"), ("custom[x]", ""), ("b", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs("a=1+2&a=%C3%BC%26&custom%5Bx%5D=&&b").as_slice(), expected);
    }

    #[test]
    fn bad_escapes_and_nul_are_refused_by_name() {
        for (query, name) in [
            ("ok=1&q=%zz", "q"),
            ("q=%4", "q"),
            ("q=%FF", "q"),
            ("q=%00", "q"),
            ("q=%+1", "q"),
            ("q=%\u{fc}", "q"),
        ] {
            let problem = QueryPairs::parse(query).expect_err(query);
            assert_eq!(problem.errors()[0].parameter.as_deref(), Some(name), "{query}");
        }
    }

    #[test]
    fn pairs_are_counted_before_they_are_decoded() {
        let longest = ["a"; MAX_PAIRS].join("&&");
        assert_eq!(pairs(&longest).as_slice().len(), MAX_PAIRS);
        for query in [format!("{longest}&a"), "%&".repeat(MAX_PAIRS + 1)] {
            let problem = QueryPairs::parse(&query).expect_err("too many");
            assert_eq!((problem.code(), problem.errors().len()), (Code::BadRequest, 0));
        }
        let problem = QueryPairs::parse(&"%&".repeat(MAX_PAIRS)).expect_err("faults");
        assert_eq!(problem.to_document("", None).more_errors, MAX_PAIRS - 50);
    }

    #[test]
    fn all_faults_are_named_together() {
        let pairs = pairs("limit=0&active=yes&user=a&user=b&nonsense=1&q=x&q=y");
        let query = pairs.reader();
        assert_eq!(query.number("limit", 1..=1000), None);
        assert_eq!(query.flag("active"), None);
        assert_eq!(query.values::<UserId>("user").len(), 2);
        assert_eq!(query.text("q"), Some("x"));
        let problem = query.finish().expect_err("faults");
        let names: Vec<_> = problem
            .errors()
            .iter()
            .filter_map(|error| error.parameter.as_deref())
            .collect();
        assert_eq!(names, ["limit", "active", "q", "nonsense"]);
    }

    #[test]
    fn value_that_does_not_parse_is_a_fault() {
        let pairs = pairs("user=");
        let query = pairs.reader();
        assert_eq!(query.value::<UserId>("user"), None);
        assert!(query.finish().is_err());
    }

    #[test]
    fn resource_without_parameters_refuses_any() {
        assert!(pairs("").refuse_any().is_ok());
        assert!(pairs("x=1").refuse_any().is_err());
    }
}
