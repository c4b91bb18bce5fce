//! Fuzz tests of the parser of statements.
//!
//! From valid statements of every kind (`fuzz/seeds/good`), [`mutate`] makes invalid ones: missing,
//! repeated, renamed or reordered members, other types, deep nesting, huge numbers, unusual characters, and
//! text that ends early. For each body and both versions, [`checks`] checks that nothing panics, that each
//! fault has the pointer of an existing place, and that an accepted statement is stored unchanged, can be
//! parsed again and equals itself.
//!
//! Every run uses the same seeds. `ROLLBOOK_TEST_RUNS=1000000` sets the number of bodies, and
//! `ROLLBOOK_TEST_SEED=7` the first seed. A failure shows the smallest body that still fails. Add it to
//! `fuzz/seeds/found`, with a name that begins with `good_` or `bad_`: these bodies are checked in every
//! run.

mod checks;
mod mutate;
mod tree;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rollbook::base::fault::Faults;
use rollbook::base::json::MAX_VALUES;
use rollbook::record::{Limits, Statement, Version, format, parse_statements};

use self::checks::{SERVER_FIELDS, Verdict};
use self::tree::Tree;
use crate::support::random::Random;

/// The number of bodies of a usual run.
const RUNS: u64 = 3_000;
/// The longest time for one body, also on a slow machine.
const MAX_DURATION: Duration = Duration::from_secs(5);

fn read_number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The files of a folder of seeds, with their names.
fn read_seeds(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz/seeds").join(folder);
    let files = std::fs::read_dir(folder).expect("the folder of seeds is there");
    let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), std::fs::read(file).expect("the seed can be read"))).collect()
}

/// The statements of the valid seeds.
fn valid_statements() -> Vec<Tree> {
    read_seeds("good")
        .into_iter()
        .flat_map(|(_, body)| match Tree::parse(std::str::from_utf8(&body).expect("a good seed is text")) {
            Tree::Array(elements) => elements,
            one => vec![one],
        })
        .collect()
}

/// Checks a body. A panic is a failure too.
fn check_body(body: &[u8], tree: Option<&Tree>) -> Result<Verdict, String> {
    let started = Instant::now();
    let verdict =
        catch_unwind(AssertUnwindSafe(|| checks::check_statements(body, tree))).unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<String>().cloned();
            Err(format!("panicked: {}", message.unwrap_or_else(|| "no words".to_owned())))
        });
    match started.elapsed() {
        long if long > MAX_DURATION => Err(format!("the check took {long:?}")),
        _ => verdict,
    }
}

#[test]
fn valid_seeds_are_accepted_unchanged() {
    for (name, body) in read_seeds("good") {
        let tree = Tree::parse(std::str::from_utf8(&body).expect("a good seed is text"));
        match check_body(&body, Some(&tree)) {
            Ok(Verdict::Valid(_)) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn former_failures_stay_fixed() {
    for (name, body) in read_seeds("found") {
        let verdict = check_body(&body, None).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let good = matches!(verdict, Verdict::Valid(_));
        assert_eq!(good, name.starts_with("good_"), "{name}: {verdict:?}");
        assert!(good || name.starts_with("bad_"), "the name of {name} must begin with good_ or bad_");
    }
}

#[test]
fn every_body_is_accepted_or_refused() {
    let runs = read_number("ROLLBOOK_TEST_RUNS").unwrap_or(RUNS);
    let seed = read_number("ROLLBOOK_TEST_SEED").unwrap_or(1);
    let good = valid_statements();
    let mut accepted = 0;
    // Each run has a separate random stream, so that it can be repeated alone.
    for run in seed..seed + runs {
        let mut random = Random::new(run.wrapping_mul(0x9e37_79b9));
        let case = Case::new(&mut random, &good);
        match case.check() {
            Ok(verdict) => accepted += u64::from(matches!(verdict, Verdict::Valid(1..))),
            Err(_) => {
                let (body, fault) = case.minimise();
                panic!(
                    "{fault}\n\n{}\n\nRepeat with ROLLBOOK_TEST_SEED={run} ROLLBOOK_TEST_RUNS=1",
                    String::from_utf8_lossy(&body)
                );
            }
        }
    }
    // The test needs enough valid and enough invalid bodies.
    assert!(runs < 100 || accepted * 100 > runs * 15, "only {accepted} of {runs} bodies were taken");
    assert!(runs < 100 || accepted * 100 < runs * 85, "{accepted} of {runs} bodies were taken");
    println!("{runs} bodies, {accepted} of them taken");
}

/// A body.
struct Case {
    tree: Tree,
    /// The random stream for changes of the text.
    random: Random,
    /// The text is broken, so that it is not JSON any more.
    broken: bool,
}

impl Case {
    fn new(random: &mut Random, good: &[Tree]) -> Self {
        let mut tree = if random.percent(70) {
            random.pick(good).clone()
        } else {
            Tree::Array((0..random.below(5)).map(|_| random.pick(good).clone()).collect())
        };
        let mutations = [0, 1, 1, 1, 2, 2, 3, 5, 8][random.below(9)];
        for _ in 0..mutations {
            mutate::mutate(&mut tree, random, good);
        }
        let broken = random.percent(10);
        Self { tree, random: random.clone(), broken }
    }

    fn check(&self) -> Result<Verdict, String> {
        let mut random = self.random.clone();
        if self.broken {
            let mut bytes = self.tree.text().into_bytes();
            for _ in 0..1 + random.below(3) {
                mutate::break_bytes(&mut bytes, &mut random);
            }
            return check_body(&bytes, None);
        }
        let text = self.tree.text();
        let verdict = check_body(text.as_bytes(), Some(&self.tree))?;
        self.check_equal_meaning(&text, &mut random)?;
        Ok(verdict)
    }

    /// White space does not matter, and the order of members matters only for the returned text.
    fn check_equal_meaning(&self, text: &str, random: &mut Random) -> Result<(), String> {
        let limits = Limits::default();
        let read = |text: &str| parse_statements(text.as_bytes(), Version::V2, &limits);
        let mut spaced = String::new();
        self.tree.write(&mut spaced, &mut |out| {
            for _ in 0..[0, 0, 0, 1, 2][random.below(5)] {
                out.push(*random.pick(&[' ', '\n', '\r', '\t']));
            }
        });
        let (one, other) = (read(text), read(&spaced));
        // Only faults in the JSON syntax contain a line and a column.
        let places = |read: &Result<Vec<Statement>, Faults>| match read {
            Ok(statements) => Ok(statements.clone()),
            Err(faults) => Err(faults
                .iter()
                .map(|fault: &rollbook::base::Fault| fault.pointer.clone())
                .collect::<Vec<_>>()),
        };
        if places(&one) != places(&other) {
            return Err(format!("with white space {other:?}, without {one:?}"));
        }
        let mut tree = self.tree.clone();
        mutate::shuffle_members(&mut tree, random);
        match (one, read(&tree.text())) {
            (Ok(one), Ok(other)) => {
                let stored = other
                    .iter()
                    .map(|statement| Statement::parse_stored(&statement.canonicalise(&SERVER_FIELDS)));
                let same = one
                    .iter()
                    .zip(stored)
                    .all(|(one, stored)| stored.is_ok_and(|stored| one.same_as(&stored)));
                if same {
                    Ok(())
                } else {
                    Err(format!("another order of members changes the statement:\n{}", tree.text()))
                }
            }
            (Err(_), Err(_)) => Ok(()),
            (one, other) => {
                Err(format!("with another order of members {other:?}, not {one:?}:\n{}", tree.text()))
            }
        }
    }

    /// The smallest body that still fails.
    fn minimise(mut self) -> (Vec<u8>, String) {
        let mut fault = self.check().expect_err("the body failed before");
        'again: loop {
            for number in 0..self.tree.count() {
                let parts = match self.tree.nth(number) {
                    Some(Tree::Array(elements)) => elements.len(),
                    Some(Tree::Object(members)) => members.len(),
                    _ => 0,
                };
                for part in 0..parts {
                    let mut smaller = self.tree.clone();
                    match smaller.nth_mut(number) {
                        Some(Tree::Array(elements)) => drop(elements.remove(part)),
                        Some(Tree::Object(members)) => drop(members.remove(part)),
                        _ => {}
                    }
                    let case = Case { tree: smaller, random: self.random.clone(), ..self };
                    if let Err(still) = case.check() {
                        (self, fault) = (case, still);
                        continue 'again;
                    }
                }
            }
            let mut bytes = self.tree.text().into_bytes();
            let mut random = self.random.clone();
            if self.broken {
                for _ in 0..1 + random.below(3) {
                    mutate::break_bytes(&mut bytes, &mut random);
                }
            }
            return (bytes, fault);
        }
    }
}

/// A statement with the maximum number of values can be stored and parsed again, although it has more
/// values then.
#[test]
fn statement_with_the_maximum_of_values_can_be_stored() {
    let before = concat!(
        r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"urn:v"},"object":{"id":"urn:o"},"#,
        r#""context":{"contextActivities":{"parent":{"id":"urn:p"}},"extensions":{"urn:x":["#
    );
    let body = |values: usize| format!("{before}{}1]}}}}}}", "1,".repeat(values - 14));
    let (limits, one_more) = (Limits::default(), body(MAX_VALUES + 1));
    let faults = parse_statements(one_more.as_bytes(), Version::V1, &limits).expect_err("one value more");
    assert_eq!(faults.len(), 1);
    assert!(
        faults.listed()[0].pointer.is_empty() && faults.listed()[0].detail.contains("1000000 values"),
        "{}",
        faults.listed()[0]
    );
    let read =
        parse_statements(body(MAX_VALUES).as_bytes(), Version::V1, &limits).expect("as many as may be");
    let stored_text = read[0].canonicalise(&SERVER_FIELDS);
    let stored = Statement::parse_stored(&stored_text).expect("the stored text is valid");
    assert!(read[0].same_as(&stored));
    assert!(
        format::to_ids(&stored_text).expect("the stored text can be formatted").len() > 2 * (MAX_VALUES - 20)
    );
}

/// Very long parts are parsed in linear time.
#[test]
fn long_body_is_parsed_in_linear_time() {
    const LENGTH: usize = 128 * 1024;
    let around = |before: &str, piece: &dyn Fn(usize) -> String, after: &str| {
        let mut text = before.to_owned();
        for number in 0.. {
            if text.len() >= LENGTH {
                break;
            }
            text.push_str(&piece(number));
        }
        text + after
    };
    let statement =
        |rest: &str| format!(r#"{{"actor":{{"mbox":"mailto:a@b.c"}},"verb":{{"id":"urn:v"}},{rest}"#);
    let about = statement(r#""object":{"id":"urn:o"},"#);
    let defined = |member: &str| {
        statement(&format!(r#""object":{{"id":"urn:o","definition":{{"interactionType":"choice",{member}"#))
    };
    let bodies = [
        around("", &|_| "[".into(), ""),
        around("", &|_| r#"{"a":"#.into(), ""),
        around("[", &|_| "[],".into(), "1]"),
        around("{", &|n| format!(r#""{n}":1,"#), r#""a":1}"#),
        around("{", &|_| r#""a":1,"#.into(), r#""a":1}"#),
        around("[", &|_| r#"{"id":1},"#.into(), "1]"),
        around("\"", &|_| r"\ud83d\ude00".into(), "\""),
        around(&(about.clone() + r#""result":{"score":{"raw":1"#), &|_| "1".into(), "}}}"),
        around(&(about.clone() + r#""result":{"score":{"raw":0."#), &|_| "1".into(), "}}}"),
        around(&(about.clone() + r#""result":{"score":{"raw":1e-"#), &|_| "1".into(), "}}}"),
        around(&(about.clone() + r#""result":{"duration":"PT0."#), &|_| "1".into(), r#"S"}}"#),
        around(&(about.clone() + r#""result":{"duration":"P"#), &|_| "1".into(), r#"Y"}}"#),
        around(
            &(about.clone() + r#""result":{"extensions":{"#),
            &|n| format!(r#""urn:{n}":{n}e{n},"#),
            r#""urn:x":[]}}}"#,
        ),
        around(&(about.clone() + r#""result":{"extensions":{"urn:x":["#), &|_| "1000e-3,".into(), "1]}}}"),
        around(&(about.clone() + r#""result":{"response":""#), &|_| r"\u00e9".into(), r#""}}"#),
        around(&(about.clone() + r#""timestamp":"2026-01-01T00:00:00."#), &|_| "1".into(), r#"Z"}"#),
        around(&(about.clone() + r#""version":"1.0."#), &|_| "1".into(), r#""}"#),
        around(&(about.clone() + r#""context":{"language":"en"#), &|_| "-abcde".into(), r#""}}"#),
        around(
            &(about.clone() + r#""context":{"language":"en"#),
            &|n| format!("-{}-aa", char::from(b'a' + (n % 23) as u8)),
            r#""}}"#,
        ),
        around(
            &(about.clone() + r#""context":{"contextActivities":{"other":["#),
            &|n| format!(r#"{{"id":"urn:{n}"}},"#),
            r#"{"id":"urn:x"}]}}}"#,
        ),
        around(
            &(about.clone() + r#""context":{"team":{"objectType":"Group","member":["#),
            &|n| format!(r#"{{"mbox":"mailto:{n}@x.org"}},"#),
            r#"{"mbox":"mailto:x@x.org"}]}}}"#,
        ),
        around(&statement(r#""object":{"id":"urn:"#), &|_| "%41".into(), r#""}}"#),
        around(&statement(r#""object":{"id":"http://"#), &|_| "a:b@".into(), r#""}}"#),
        around(
            &statement(r#""object":{"objectType":"Agent","mbox":"mailto:"#),
            &|_| "a@".into(),
            r#"b.c"}}"#,
        ),
        around(
            &statement(r#""object":{"objectType":"Agent","mbox":"mailto:a@b"#),
            &|_| ".b".into(),
            r#""}}"#,
        ),
        around(
            &statement(r#""object":{"objectType":"Agent","account":{"homePage":"urn:x","name":""#),
            &|_| r"\n".into(),
            r#""}}}"#,
        ),
        around(&defined(r#""name":{"#), &|n| format!(r#""x-{n}":"","#), r#""en":""}}}}"#),
        around(&defined(r#""name":{"#), &|n| format!(r#""en-x-{n:06}":"","#), r#""fr":""}}}}"#),
        around(&defined(r#""choices":["#), &|n| format!(r#"{{"id":"{n}"}},"#), r#"{"id":"x"}]}}}"#),
        around(&defined(r#""correctResponsesPattern":["#), &|_| r#""","#.into(), r#"""]}}}"#),
        around("[", &|n| format!(r#"{{"id":"00000000-0000-4000-8000-{n:012}","actor":1}},"#), "1]"),
        around("", &|_| " ".into(), &(about.clone() + r#""timestamp":"2026-01-01T00:00:00Z"}"#)),
    ];
    let mut accepted = 0;
    for body in &bodies {
        let started = Instant::now();
        let verdict = check_body(body.as_bytes(), None);
        let excerpt: String = body.chars().take(120).collect();
        let verdict = verdict.unwrap_or_else(|fault| panic!("{excerpt}…: {:.300}", fault));
        accepted += usize::from(verdict != Verdict::Invalid);
        if std::env::var_os("ROLLBOOK_TEST_RUNS").is_some() {
            println!("{:?} {verdict:?} {excerpt}", started.elapsed());
        }
    }
    assert!(accepted >= 8, "only {accepted} of {} are good", bodies.len());
}
