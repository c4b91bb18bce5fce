//! Compares the reader with a naive reader of the complete body, on mutated bodies.
//!
//! `ROLLBOOK_TEST_RUNS` is the number of bodies of a run. Bodies that showed a fault are in [`SEEDS`].

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use super::*;

/// Bodies that were once read wrongly, and similar ones. The boundary is `b`.
const SEEDS: &[&[u8]] = &[
    b"",
    b"\r",
    b"\r\n",
    b"--b",
    b"\r\n\r\n--b--",
    b"--b\r\n\r\n--b--",
    b"--b\r\n\r\n\r\n--b--",
    b"--b\r\n\r\n\r\r\n--b--",
    b"--b\r\n\r\n\r\n\r\n--b--",
    b"--b\r\n\r\n\r\n--\r\n--b--",
    b"--b\r\n\r\n\r\n-\r\n--b--",
    b"--b\r\nA:\r\n\r\n--b\r\n\r\n--b--",
    b"--b\r\nA:\r\n--b--\r\n\r\n",
    b"--b \r",
    b"--b-\r\n",
    b"--b\r\n\r\n\r\n--b-\r\n--b--",
    b"--b--\r\n--b\r\n\r\nx\r\n--b--",
    b"--b\r\n\r\nx--b\r\n\r\ny--b--",
    b"--b\r\n\r\nx--b \t\r\n\r\n--b\r\n\r\n\r\n--b--",
    b"--b\r\n\r\nx--b--\r\n--b--",
    b"--b\r\n\r\nx--b\r\n--b--",
    b"--b\r\n\r\nx--b-\r\n--b--",
    b"--b\r\n\r\nx--b -- --b\n--b\r--b\r\n--b--",
    b"--b\r\n\r\nx---b--",
    b"--b\r\n\r\nx\r--b--",
    b"--b\r\n\r\nx\r\n--bx--b--",
    b"--b\r\n\r\nx--b \r",
    b"x--b\r\n\r\n--b--",
    b"--b\r\nA:--b--\r\n\r\n--b--",
];

type Outcome = Result<Vec<(PartHead, Vec<u8>)>, MultipartError<()>>;

/// Reads a complete body in a simple way.
fn read_naively(boundary: &str, body: &[u8]) -> Outcome {
    let own_line = format!("\r\n--{boundary}").into_bytes();
    let body = [LINE_END, body].concat();
    let mut parts = Vec::new();
    let mut next = find_delimiter(boundary, &body, 0, false);
    // A body that ends within its first boundary has the beginning of it.
    let ends_with_part = |length: &usize| body.ends_with(&own_line[..*length]);
    let preamble = match next {
        Some((at, _)) => at,
        None => body.len() - (0..own_line.len()).rev().find(ends_with_part).unwrap_or(0),
    };
    if preamble > MAX_IGNORED_BYTES + LINE_END.len() {
        return Err(MultipartError::LongPreamble);
    }
    while let Some((_, line)) = next {
        let start = match line? {
            (after, true) if body.len() - after > MAX_IGNORED_BYTES => {
                return Err(MultipartError::LongEpilogue);
            }
            (_, true) => return Ok(parts),
            (after, false) => after,
        };
        let (lines, bytes) = if body[start..].starts_with(LINE_END) {
            (&body[start..start], start)
        } else {
            let windows = &mut body[start..].windows(HEAD_END.len());
            match windows.position(|window| window == HEAD_END) {
                Some(length) if length <= MAX_HEAD_BYTES => {
                    (&body[start..start + length], start + length + 2)
                }
                None if body.len() - start < MAX_HEAD_BYTES + HEAD_END.len() => {
                    return Err(MultipartError::Incomplete);
                }
                _ => return Err(MultipartError::LongHead),
            }
        };
        let head = PartHead::parse(lines).ok_or(MultipartError::MalformedHead)?;
        next = find_delimiter(boundary, &body, bytes, true);
        let Some((end, _)) = next else { break };
        parts.push((head, body[(bytes + 2).min(end)..end].to_vec()));
    }
    Err(MultipartError::Incomplete)
}

/// The position after a delimiter, and whether the delimiter closes the body.
type DelimiterEnd = Result<(usize, bool), MultipartError<()>>;

/// Finds the first delimiter at or after a position. With `bare`, a delimiter without a line break before it counts if
/// it is complete.
fn find_delimiter(boundary: &str, body: &[u8], from: usize, bare: bool) -> Option<(usize, DelimiterEnd)> {
    let [own_line, hyphens] = ["\r\n--", "--"].map(|before| format!("{before}{boundary}").into_bytes());
    (from..body.len()).find_map(|at| {
        let after_line_break = body[at..].strip_prefix(&own_line[..]);
        let rest = match after_line_break {
            Some(rest) => rest,
            None if bare => body[at..].strip_prefix(&hyphens[..])?,
            None => return None,
        };
        let after = body.len() - rest.len();
        let padding = rest.iter().take_while(|byte| b" \t".contains(byte)).count();
        if rest.starts_with(b"--") {
            return Some((at, Ok((after + 2, true))));
        }
        let line = match &rest[padding..] {
            _ if padding > MAX_PADDING_BYTES => Err(MultipartError::BoundaryLine),
            [b'\r', b'\n', ..] => Ok((after + padding + 2, false)),
            [] | [b'\r'] => Err(MultipartError::Incomplete),
            [b'-'] if padding == 0 => Err(MultipartError::Incomplete),
            _ => Err(MultipartError::BoundaryLine),
        };
        (after_line_break.is_some() || line.is_ok()).then_some((at, line))
    })
}

/// Reads a body that arrives in pieces of these lengths. Returns the outcome and the most bytes in the buffer.
fn read_streamed(boundary: &str, body: &[u8], cuts: &[usize]) -> (Outcome, usize) {
    let mut rest = Bytes::copy_from_slice(body);
    let mut pieces = Vec::new();
    for cut in cuts {
        pieces.push(Ok(rest.split_to((*cut).min(rest.len()))));
    }
    pieces.push(Ok(rest));
    let longest = pieces.iter().flatten().map(Bytes::len).max().unwrap_or(0);
    let mut reader = Multipart::new(&Boundary(boundary.to_owned()), futures_util::stream::iter(pieces));
    let mut most = 0;
    let outcome = futures_util::FutureExt::now_or_never(async {
        let mut parts = Vec::new();
        while let Some(head) = reader.next_part().await? {
            let mut bytes = Vec::new();
            while let Some(piece) = reader.next_piece().await? {
                most = most.max(reader.buffer.len());
                bytes.extend_from_slice(&piece);
            }
            most = most.max(reader.buffer.len());
            parts.push((head, bytes));
        }
        Ok(parts)
    });
    let held = most.max(reader.buffer.len()).saturating_sub(longest);
    (outcome.expect("the stream is always ready"), held)
}

fn compare(boundary: &str, body: &[u8], cuts: &[usize]) -> Result<(), TestCaseError> {
    let (outcome, held) = read_streamed(boundary, body, cuts);
    // `prop_assert_eq` would print every byte of both outcomes.
    prop_assert!(
        outcome == read_naively(boundary, body),
        "{:?}",
        outcome.map(|parts| parts.len())
    );
    prop_assert!(
        held <= MAX_HEAD_BYTES + HEAD_END.len() + MAX_PADDING_BYTES + MAX_BOUNDARY_BYTES,
        "{} bytes in the buffer",
        held
    );
    Ok(())
}

/// The pieces of a body: words with a meaning, and other bytes.
fn word(boundary: String) -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "\r",
        "\n",
        "\r\n",
        "\r\n\r\n",
        "-",
        "--",
        " ",
        "\t",
        ":",
        "\0",
        "A: b\r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type:application/json\r\n\r\n{}",
        "Content-Transfer-Encoding: binary\r\n",
        "X-Experience-API-Hash: 77\r\n",
        "Content-Length: 5\r\n\r\n",
    ];
    let lines = [
        "--{}",
        "--{}--",
        "--{}\r\n",
        "--{}\t\r\n\r\n",
        "--{}\r\n--{}",
        "\r\n--{}",
        "\r\n--{}\r\n",
        "\r\n--{}--",
        "\r\n--{} \r\n",
        "{}",
        "\r--{}",
        "\n--{}",
    ];
    let mut all: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    all.extend(lines.map(|line| line.replace("{}", &boundary).into_bytes()));
    all.push(boundary.as_bytes()[..boundary.len() / 2].to_vec());
    prop_oneof![
        4 => prop::sample::select(all),
        2 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (any::<u8>(), prop_oneof![Just(MAX_PADDING_BYTES), Just(MAX_HEAD_BYTES - 3), Just(MAX_IGNORED_BYTES - 1)], 0..6_usize)
            .prop_map(|(byte, near, more)| vec![byte; near + more]),
        1 => (prop_oneof![Just(MAX_PADDING_BYTES), Just(MAX_HEAD_BYTES - 3), Just(MAX_IGNORED_BYTES - 1)], 0..6_usize)
            .prop_map(|(near, more)| vec![b' '; near + more]),
    ]
}

/// A complete body with this boundary. The line break before a boundary can be missing.
fn complete_body(boundary: String) -> impl Strategy<Value = Vec<u8>> {
    let heads = prop::collection::vec(
        prop::sample::select(vec![
            "Content-Type: application/json\r\n",
            "Content-Transfer-Encoding:binary\r\n",
            "X-Experience-API-Hash: 77\r\n",
            "X-Other: a\r\n b\r\n",
        ]),
        0..3,
    );
    let ends = prop::sample::select(vec!["\r\n", "\r\n", ""]);
    let part = (heads, prop::collection::vec(word(boundary.clone()), 0..4), ends);
    let around = (
        prop::sample::select(vec!["", "\r\n", "This is MIME.\r\n"]),
        prop::sample::select(vec!["", "\r\n", "\r\nbye"]),
    );
    (prop::collection::vec(part, 0..4), around).prop_map(move |(parts, (before, after))| {
        let mut body = before.as_bytes().to_vec();
        for (heads, words, end) in &parts {
            body.extend_from_slice(b"--");
            body.extend_from_slice(boundary.as_bytes());
            body.extend_from_slice(LINE_END);
            body.extend(heads.concat().bytes());
            body.extend_from_slice(LINE_END);
            body.extend(words.concat());
            body.extend_from_slice(end.as_bytes());
        }
        body.extend_from_slice(b"--");
        body.extend_from_slice(boundary.as_bytes());
        body.extend_from_slice(b"--");
        body.extend_from_slice(after.as_bytes());
        body
    })
}

#[derive(Debug, Clone)]
enum Mutation {
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Swap(prop::sample::Index, prop::sample::Index),
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
}

impl Mutation {
    fn any_mutation(boundary: String) -> impl Strategy<Value = Self> {
        let place = any::<prop::sample::Index>;
        prop_oneof![
            place().prop_map(Self::Cut),
            (place(), 1..40_usize).prop_map(|(at, length)| Self::Remove(at, length)),
            (place(), 1..60_usize).prop_map(|(at, length)| Self::Repeat(at, length)),
            (place(), place()).prop_map(|(one, other)| Self::Swap(one, other)),
            (
                place(),
                prop_oneof![any::<u8>(), prop::sample::select(b"\r\n-: \t".to_vec())]
            )
                .prop_map(|(at, byte)| Self::Set(at, byte)),
            (place(), word(boundary)).prop_map(|(at, word)| Self::Insert(at, word)),
        ]
    }

    fn apply(&self, body: &mut Vec<u8>) {
        if body.is_empty() {
            return;
        }
        let length = body.len();
        match self {
            Self::Cut(at) => body.truncate(at.index(length)),
            Self::Remove(at, count) => {
                let at = at.index(length);
                body.drain(at..(at + count).min(length));
            }
            Self::Repeat(at, count) => {
                let at = at.index(length);
                let repeated = body[at..(at + count).min(length)].to_vec();
                body.splice(at..at, repeated);
            }
            Self::Swap(one, other) => body.swap(one.index(length), other.index(length)),
            Self::Set(at, byte) => body[at.index(length)] = *byte,
            Self::Insert(at, word) => {
                let at = at.index(length);
                body.splice(at..at, word.iter().copied());
            }
        }
    }
}

/// A boundary, a mutated body, and the lengths of its pieces.
fn any_case() -> impl Strategy<Value = (String, Vec<u8>, Vec<usize>)> {
    let boundary = prop_oneof![
        Just("b".to_owned()),
        Just("--".to_owned()),
        "[-a-zA-Z0-9'()+_,./:=?]{1,12}"
    ];
    boundary.prop_flat_map(|boundary| {
        let body = (
            complete_body(boundary.clone()),
            prop::collection::vec(Mutation::any_mutation(boundary.clone()), 0..4),
        );
        let body = body.prop_map(|(mut body, mutations)| {
            for mutation in &mutations {
                mutation.apply(&mut body);
            }
            body
        });
        let cuts = prop_oneof![
            prop::collection::vec(0..12_usize, 0..80),
            prop::collection::vec(0..5_000_usize, 0..8),
            Just(vec![1; 400]),
        ];
        (Just(boundary), body, cuts)
    })
}

fn number_of_runs() -> u32 {
    let runs = std::env::var("ROLLBOOK_TEST_RUNS").ok();
    runs.map_or(512, |runs| runs.parse().expect("ROLLBOOK_TEST_RUNS is a number"))
}

#[test]
fn seeds_are_read_like_the_naive_reader_does() {
    let mut seeds: Vec<Vec<u8>> = SEEDS.iter().map(|seed| seed.to_vec()).collect();
    // Bodies that end at the limit, within the beginning of a boundary.
    for more in 0..4 {
        seeds.push([vec![0; MAX_IGNORED_BYTES + more - 2], b"\r\r".to_vec()].concat());
    }
    for seed in seeds {
        for cuts in [
            vec![],
            vec![1; seed.len()],
            vec![2; seed.len()],
            vec![3; seed.len()],
        ] {
            compare("b", &seed, &cuts).unwrap_or_else(|error| panic!("{}: {error}", seed.escape_ascii()));
        }
    }
}

#[test]
fn mutated_bodies_are_read_like_the_naive_reader_does() {
    let config = Config {
        cases: number_of_runs(),
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&any_case(), |(boundary, body, cuts)| {
        compare(&boundary, &body, &cuts)
    });
    if let Err(TestError::Fail(reason, (boundary, body, cuts))) = outcome {
        panic!(
            "add it to SEEDS: {boundary:?}, {}, {cuts:?}: {reason}",
            body.escape_ascii()
        );
    }
    outcome.expect("every body can be generated");
}
