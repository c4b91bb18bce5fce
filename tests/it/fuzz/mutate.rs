//! Random changes of statements: members, types, nesting, numbers, characters, and the text itself.

use super::tree::{Tree, parse_string, quote};
use crate::support::random::Random;

/// Names of members, valid and invalid.
const NAMES: &[&str] = &[
    "id",
    "actor",
    "verb",
    "object",
    "result",
    "context",
    "timestamp",
    "stored",
    "authority",
    "version",
    "attachments",
    "objectType",
    "name",
    "mbox",
    "mbox_sha1sum",
    "openid",
    "account",
    "homePage",
    "member",
    "display",
    "definition",
    "description",
    "type",
    "moreInfo",
    "interactionType",
    "correctResponsesPattern",
    "choices",
    "scale",
    "source",
    "target",
    "steps",
    "extensions",
    "score",
    "scaled",
    "raw",
    "min",
    "max",
    "success",
    "completion",
    "response",
    "duration",
    "registration",
    "instructor",
    "team",
    "contextActivities",
    "parent",
    "grouping",
    "category",
    "other",
    "revision",
    "platform",
    "language",
    "statement",
    "contextAgents",
    "contextGroups",
    "agent",
    "group",
    "relevantTypes",
    "usageType",
    "contentType",
    "length",
    "sha2",
    "fileUrl",
    "en",
    "en-US",
    "de",
    "x-",
    "zz-zz-zz",
    "https://example.org/e",
    "",
    "Id",
    "ACTOR",
    "a/b",
    "~",
    "~1",
    "\u{0}",
    "\u{feff}id",
    "ıd",
    "é",
    "e\u{301}",
    "😀",
    "__proto__",
    "0",
    "-",
];

/// Strings that are valid in some place, or nearly.
const STRINGS: &[&str] = &[
    "Activity",
    "Agent",
    "Group",
    "StatementRef",
    "SubStatement",
    "contextAgent",
    "contextGroup",
    "Person",
    "mailto:a@b.c",
    "mailto:A@B.C",
    "mailto:",
    "mailto:a@b",
    "mailto:\"a b\"@x.org",
    "mailto:a@[::1]",
    "MAILTO:a@b.c",
    "http://adlnet.gov/expapi/verbs/voided",
    "http://x",
    "urn:x",
    "x",
    "://",
    "http://[",
    "http://a b",
    "HTTP://X#é",
    "http://x/%zz",
    "a:b",
    "urn:\u{202e}x",
    "http://😀",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "00000000-0000-0000-0000-000000000000",
    "{01890a5d-ac96-774b-bcce-b302099a8057}",
    "01890a5dac96774bbcceb302099a8057",
    "cd9b00a5611f94eaa7b1661edab976068e364975",
    "495395e777cd98da653df9615d09c0fd6bb2f8d4788394cd53c56a3bfdcd848a",
    "PT1S",
    "P1Y",
    "PT",
    "P",
    "P4W",
    "P4W1D",
    "PT0.001S",
    "PT1.5M",
    "P0.5Y",
    "-PT1S",
    "PT99999999999999999999S",
    "P1Y2M3DT4H5M6.789012345678901234567890S",
    "P0001-02-03T04:05:06",
    "2026-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00-00:00",
    "2026-01-01T23:59:60Z",
    "0000-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999999-14:00",
    "2026-01-01",
    "20260101T000000Z",
    "2026-01-01T00:00:00,5Z",
    "2026-W01-1T00:00:00Z",
    "+012026-01-01T00:00:00Z",
    "en",
    "EN-us",
    "i-klingon",
    "x-a",
    "a-b",
    "de-1996-1996",
    "en-a-aa-a-bb",
    "1.0.0",
    "1.0.3",
    "2.0.0",
    "1.0",
    "1.0.",
    "0.95",
    "text/plain",
    "text",
    "a/b; c=\"d;e\"",
    "/",
    "choice",
    "true-false",
    "Choice",
    "",
    " ",
    "\u{0}",
    "\t",
    "\u{7f}",
    "\u{feff}",
    "\u{202e}",
    "e\u{301}",
    "\u{fffd}",
    "\u{10ffff}",
    "😀",
    "ǅ",
    "ﬁ",
    "I\u{307}",
    "K",
];

/// Unusual JSON values.
const TOKENS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "-1",
    "1.0",
    "1e0",
    "0.1E+2",
    "1e308",
    "1e309",
    "-1e999",
    "1e-999",
    "4.9e-324",
    "9007199254740993",
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "1e99999999999999999999",
    "\"\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "{\"\":null}",
    "{\"en\":\"\"}",
    "{\"id\":\"urn:x\"}",
    "{\"mbox\":\"mailto:a@b.c\"}",
    "[{\"id\":\"urn:x\"},{\"id\":\"urn:x\"}]",
    "{\"objectType\":\"Group\",\"member\":[]}",
    "{\"a\":1,\"a\":2}",
    "{\"\\u0061\":1,\"a\":2}",
];

/// Tokens that are not JSON.
const BROKEN: &[&str] = &[
    "nul",
    "True",
    "01",
    "+1",
    ".5",
    "1.",
    "1e",
    "-",
    "NaN",
    "Infinity",
    "0x10",
    "'a'",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\n\"",
    "//",
    "/**/",
    "undefined",
    "\u{feff}",
    "\u{a0}",
    "1 2",
    "{",
    "]",
    "\"a\" \"b\"",
];

/// Changes one value of a tree. Parts may come from `others`.
pub fn mutate(tree: &mut Tree, random: &mut Random, others: &[Tree]) {
    let number = random.below(tree.count());
    let Some(at) = tree.nth_mut(number) else { return };
    match at {
        Tree::Object(members) if random.percent(70) => mutate_object(members, random, others),
        Tree::Array(elements) if random.percent(70) => mutate_array(elements, random, others),
        Tree::Scalar(token) if random.percent(60) => mutate_scalar(token, random),
        at => *at = random_replacement(at, random, others),
    }
}

fn mutate_object(members: &mut Vec<(String, Tree)>, random: &mut Random, others: &[Tree]) {
    let size = members.len();
    match random.below(8) {
        0 | 1 if size > 0 => {
            members.remove(random.below(size));
        }
        2 if size > 0 => {
            let (key, value) = members[random.below(size)].clone();
            let value = if random.percent(50) { value } else { random_replacement(&value, random, others) };
            members.insert(random.below(size + 1), (key, value));
        }
        3 if size > 0 => members[random.below(size)].0 = random_name(random),
        4 if size > 0 => {
            let at = random.below(size);
            members[at].0 = rewrite_escapes(&members[at].0, random);
        }
        5 => random.shuffle(members),
        6 if size > 0 && random.percent(20) => {
            // Enough members for a lookup table.
            let (_, value) = members[random.below(size)].clone();
            members
                .extend((0..random.below(40)).map(|n| (quote(&format!("https://x.org/{n}")), value.clone())));
        }
        _ => {
            let value = random_replacement(&Tree::Scalar("null".to_owned()), random, others);
            members.insert(random.below(size + 1), (random_name(random), value));
        }
    }
}

fn mutate_array(elements: &mut Vec<Tree>, random: &mut Random, others: &[Tree]) {
    let size = elements.len();
    match random.below(4) {
        0 if size > 0 => {
            elements.remove(random.below(size));
        }
        1 if size > 0 => {
            let twin = elements[random.below(size)].clone();
            elements.insert(random.below(size + 1), twin);
        }
        2 => random.shuffle(elements),
        _ => {
            let one = random_replacement(&Tree::Scalar("null".to_owned()), random, others);
            elements.insert(random.below(size + 1), one);
        }
    }
}

fn mutate_scalar(token: &mut String, random: &mut Random) {
    *token = match parse_string(token) {
        Some(text) if random.percent(40) => quote(&edit_text(&text, random)),
        Some(_) if random.percent(30) => rewrite_escapes(token, random),
        Some(_) => quote(random.pick::<&str>(STRINGS)),
        None if random.percent(50) && token.parse::<f64>().is_ok() => {
            // The same or a near number in another spelling.
            match random.below(4) {
                0 => format!("{token}{}", if token.contains(['e', 'E', '.']) { "" } else { ".000" }),
                1 if !token.contains(['e', 'E']) => format!("{token}e{}", random.between(-30, 30)),
                2 if !token.contains(['e', 'E', '.']) => format!("{token}{}", "0".repeat(random.below(400))),
                _ => format!("-{}", token.trim_start_matches('-')),
            }
        }
        None => (*random.pick(&TOKENS[..28])).to_owned(),
    };
}

/// A random value instead of this one.
fn random_replacement(at: &Tree, random: &mut Random, others: &[Tree]) -> Tree {
    match random.below(10) {
        0 | 1 => Tree::parse(random.pick::<&str>(TOKENS)),
        2 | 3 => Tree::string(random.pick::<&str>(STRINGS)),
        4 => nest(at.clone(), random),
        5 => Tree::Array(vec![at.clone()]),
        6 if random.percent(20) => Tree::Scalar((*random.pick(BROKEN)).to_owned()),
        7 if random.percent(5) => Tree::string(&random.pick::<&str>(STRINGS).repeat(random.below(2_000))),
        _ => {
            let other = random.pick(others);
            other.nth(random.below(other.count())).cloned().unwrap_or_else(|| at.clone())
        }
    }
}

/// The tree within many levels of arrays and objects.
fn nest(mut tree: Tree, random: &mut Random) -> Tree {
    let levels = match random.below(4) {
        0 => random.below(4),
        1 => 60 + random.below(8),
        2 => 126 + random.below(6),
        _ => 250 + random.below(12),
    };
    let name = random_name(random);
    for _ in 0..levels {
        tree = if random.percent(50) {
            Tree::Array(vec![tree])
        } else {
            Tree::Object(vec![(name.clone(), tree)])
        };
    }
    tree
}

fn random_name(random: &mut Random) -> String {
    if random.percent(2) {
        return (*random.pick(&[
            "\"\\ud800\"",
            "\"\\u0000\"",
            "\"\\u0069d\"",
            "\"a\\ud83d\\ude00\"",
            "\"\\ude00\"",
        ]))
        .to_owned();
    }
    quote(random.pick::<&str>(NAMES))
}

/// The same text with other escapes.
fn rewrite_escapes(token: &str, random: &mut Random) -> String {
    let Some(text) = parse_string(token) else {
        return token.to_owned();
    };
    let mut out = String::from("\"");
    for character in text.chars() {
        if random.percent(30) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&if random.percent(50) {
                    format!("\\u{unit:04x}")
                } else {
                    format!("\\u{unit:04X}")
                });
            }
        } else {
            let written = quote(&character.to_string());
            out.push_str(&written[1..written.len() - 1]);
        }
    }
    out + "\""
}

/// The text with one character added, removed or changed, or in another case.
fn edit_text(text: &str, random: &mut Random) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = random.below(characters.len() + 1);
    let character = *random.pick(&[
        'a', 'Z', '0', '-', '.', ':', '/', '@', ' ', '\u{0}', '\n', '%', '#', '?', '"', '\\', 'é', '\u{301}',
        '\u{202e}', '😀', ',', 'T', '+', '_',
    ]);
    match random.below(5) {
        0 => characters.insert(at, character),
        1 if at < characters.len() => characters[at] = character,
        2 => characters.truncate(at),
        3 => {
            return if random.percent(50) { text.to_uppercase() } else { text.to_lowercase() };
        }
        _ if at < characters.len() => {
            characters.remove(at);
        }
        _ => characters.push(character),
    }
    characters.into_iter().collect()
}

/// Shuffles the members of every object.
pub fn shuffle_members(tree: &mut Tree, random: &mut Random) {
    match tree {
        Tree::Scalar(_) => {}
        Tree::Array(elements) => elements.iter_mut().for_each(|element| shuffle_members(element, random)),
        Tree::Object(members) => {
            random.shuffle(members);
            members.iter_mut().for_each(|(_, value)| shuffle_members(value, random));
        }
    }
}

/// Breaks the text: truncates it or inserts other bytes.
pub fn break_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    let pieces: &[&[u8]] = &[
        b"",
        b"\"",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\\",
        b"null",
        b"\0",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf5\x80\x80\x80",
        b"\xef\xbb\xbf",
        b" ",
        b"\r\n",
        b"\\u0000",
        b"\\ud800",
        b"1e999",
        b"\xc2\xa0",
        b"\"id\":1,",
    ];
    let at = random.below(bytes.len() + 1);
    if random.percent(30) {
        bytes.truncate(at);
    } else {
        let end = (at + random.below(8)).min(bytes.len());
        bytes.splice(at..end, random.pick(pieces).iter().copied());
    }
}
