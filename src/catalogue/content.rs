//! A content: what a client writes of it and what it reads back (product text, section 5).

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Place};
use crate::base::form::{Form, one_of, short_text};
use crate::base::ids::ContentId;
use crate::base::json::{self, Node};
use crate::base::merge_patch;
use crate::directory::{Keyed, identity};
use crate::record::{CalendarDuration, Duration, Iri};

use super::demands::{CertificateRule, Demands};
use super::types::{ContentFormat, LearningType};

/// The longest title, in characters.
pub const MAX_TITLE: usize = 1_000;
/// The longest tag, label, source or certificate's name, in characters.
pub const MAX_TERM: usize = 255;
/// The tags, and the CPD labels, of one content at most.
pub const MAX_TERMS: usize = 200;
/// The longest IRI or address, in characters.
pub const MAX_IRI: usize = 2_000;

/// A content of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "fire-safety",
    "iri": "https://rollbook.invalid/acme/contents/fire-safety",
    "title": "Fire Safety",
    "type": "quiz",
    "content_type": null,
    "tags": ["safety"],
    "cpd_labels": ["Health"],
    "source": null,
    "url": "https://learn.example.org/fire-safety",
    "archived_at": null,
    "pass_mark": 80,
    "time_limit": "PT30M",
    "expires_after": "P1Y",
    "certificate": {"name": "Fire warden", "expires_after": "P2Y"},
    "registered": true,
    "reprojecting": false
}))]
pub struct Content {
    /// The platform's own id, or the IRI while nobody has registered it.
    pub id: String,
    /// The IRI that statements name it by.
    pub iri: String,
    /// The title.
    #[schema(required = true)]
    pub title: Option<String>,
    /// The type.
    #[serde(rename = "type")]
    #[schema(required = true)]
    pub learning_type: Option<LearningType>,
    /// How an item is consumed.
    #[schema(required = true)]
    pub content_type: Option<ContentFormat>,
    /// Tags.
    pub tags: Vec<String>,
    /// Labels for continuing professional development.
    pub cpd_labels: Vec<String>,
    /// The content library that it comes from.
    #[schema(required = true)]
    pub source: Option<String>,
    /// Where it is: http or https.
    #[schema(required = true, format = "uri")]
    pub url: Option<String>,
    /// When it was archived.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub archived_at: Option<Timestamp>,
    /// The least score that passes, in percent, as it is demanded now.
    #[schema(required = true)]
    pub pass_mark: Option<f64>,
    /// How long an attempt may take, as it is demanded now: an ISO 8601 duration.
    #[schema(value_type = Option<String>, required = true)]
    pub time_limit: Option<Duration>,
    /// How long a completion counts, as it is demanded now: an ISO 8601 duration.
    #[schema(value_type = Option<String>, required = true)]
    pub expires_after: Option<CalendarDuration>,
    /// The certificate that a completion earns, as it is now.
    #[schema(required = true)]
    pub certificate: Option<Certificate>,
    /// Whether somebody has registered it; else only statements name it.
    #[schema(read_only)]
    pub registered: bool,
    /// Whether rows of the log are still being read anew after its type, content type or demands changed.
    #[schema(read_only)]
    pub reprojecting: bool,
}

/// The certificate that a completion of a content earns.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ContentCertificate)]
pub struct Certificate {
    /// What it is called.
    #[schema(max_length = 255)]
    pub name: Option<String>,
    /// How long it is valid: an ISO 8601 duration; `null` is for ever.
    #[schema(value_type = Option<String>, example = "P2Y")]
    pub expires_after: Option<CalendarDuration>,
}

impl From<CertificateRule> for Certificate {
    fn from(CertificateRule { name, expires_after }: CertificateRule) -> Self {
        Self { name, expires_after }
    }
}

/// What a client writes of a content. PUT sets every member: one that is left out is empty, or what it is
/// by default.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentDraft {
    /// The platform's own id.
    pub id: ContentId,
    /// The IRI that statements name it by; `None` where the client leaves it to Rollbook.
    pub iri: Option<Iri>,
    /// The title.
    pub title: String,
    /// The type.
    pub learning_type: LearningType,
    /// How an item is consumed.
    pub content_type: Option<ContentFormat>,
    /// Tags, in the client's order.
    pub tags: Vec<String>,
    /// CPD labels, in the client's order.
    pub cpd_labels: Vec<String>,
    /// The content library that it comes from.
    pub source: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
    /// What it demands.
    pub demands: Demands,
    /// From when on it demands that; `None` is now.
    pub effective_from: Option<Timestamp>,
}

/// The shape of [`ContentDraft`] in the API's description.
#[derive(Debug, ToSchema)]
#[schema(as = ContentInput, example = json!({
    "title": "Fire Safety",
    "type": "quiz",
    "tags": ["safety"],
    "pass_mark": 80,
    "time_limit": "PT30M",
    "expires_after": "P1Y",
    "certificate": {"name": "Fire warden", "expires_after": "P2Y"}
}))]
pub struct ContentInput {
    /// The platform's own id, 1 to 255 characters. Needed in a batch; elsewhere the address gives it. An id that
    /// is an IRI itself is the content's `iri` too.
    #[schema(max_length = 255)]
    pub id: Option<String>,
    /// The IRI that statements name it by: `<account_home_page>/contents/<id>` unless given. One that only
    /// statements have named so far is adopted with its history; it can't change afterwards.
    #[schema(format = "uri", max_length = 2000)]
    pub iri: Option<String>,
    /// The title, at most 1,000 characters.
    #[schema(min_length = 1, max_length = 1000)]
    pub title: String,
    /// The type; `item` unless given.
    #[schema(rename = "type")]
    pub learning_type: Option<LearningType>,
    /// How an item is consumed.
    pub content_type: Option<ContentFormat>,
    /// Tags, at most 200 of at most 255 characters.
    #[schema(max_items = 200)]
    pub tags: Option<Vec<String>>,
    /// Labels for continuing professional development, at most 200 of at most 255 characters.
    #[schema(max_items = 200)]
    pub cpd_labels: Option<Vec<String>>,
    /// The content library that it comes from.
    #[schema(max_length = 255)]
    pub source: Option<String>,
    /// Where it is: http or https.
    #[schema(format = "uri", max_length = 2000)]
    pub url: Option<String>,
    /// When it was archived.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub archived_at: Option<Timestamp>,
    /// The least score that passes, in percent.
    #[schema(minimum = 0, maximum = 100)]
    pub pass_mark: Option<f64>,
    /// How long an attempt may take: an ISO 8601 duration.
    #[schema(example = "PT30M")]
    pub time_limit: Option<String>,
    /// How long a completion counts: an ISO 8601 duration.
    #[schema(example = "P1Y")]
    pub expires_after: Option<String>,
    /// The certificate that a completion earns.
    pub certificate: Option<Certificate>,
    /// From when on the pass mark, time limit, expiry and certificate count: now unless given. Results from
    /// before stay as they are; the first value ever set covers the time before it.
    #[schema(value_type = Option<String>, format = DateTime, write_only)]
    pub effective_from: Option<Timestamp>,
}

/// What a client may send; the last two are read only and passed over, so that what is read can be sent.
const MEMBERS: [&str; 17] = [
    "id",
    "iri",
    "title",
    "type",
    "content_type",
    "tags",
    "cpd_labels",
    "source",
    "url",
    "archived_at",
    "pass_mark",
    "time_limit",
    "expires_after",
    "certificate",
    "effective_from",
    "registered",
    "reprojecting",
];

impl Keyed for ContentDraft {
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut form = Form::from_node(node, place, "a content", &MEMBERS, faults)?;
        let id: Option<ContentId> = identity::read_id(&mut form, id);
        let iri = form.read("iri", iri);
        if let (Some(id), Some(iri)) = (&id, &iri)
            && iri.as_str() != id.as_str()
            && Iri::parse(id.as_str()).is_ok()
        {
            form.add_fault(
                "iri",
                "the id is an IRI itself and names the content; leave `iri` out, or choose another id",
            );
        }
        let demands = Demands {
            pass_mark: form.read("pass_mark", percent),
            time_limit: form.read("time_limit", time_limit),
            expires_after: form.read("expires_after", span),
            certificate: form.read("certificate", certificate),
        };
        let draft = Self {
            iri,
            learning_type: form
                .read("type", |node, place| {
                    one_of(node, place, LearningType::ALL, |kind| kind.key())
                })
                .unwrap_or(LearningType::Item),
            content_type: form.read("content_type", |node, place| {
                one_of(node, place, ContentFormat::ALL, |kind| kind.key())
            }),
            tags: form.list("tags", MAX_TERMS, term),
            cpd_labels: form.list("cpd_labels", MAX_TERMS, term),
            source: form.text("source", MAX_TERM),
            url: form.read("url", url).flatten(),
            archived_at: form.timestamp("archived_at"),
            demands,
            effective_from: form.timestamp("effective_from"),
            title: form.required_text("title", MAX_TITLE)?,
            id: id?,
        };
        Some(draft)
    }

    fn id_text(&self) -> &str {
        self.id.as_str()
    }
}

impl ContentDraft {
    /// The IRI that the content gets where the client names none: its id where that is an IRI, else a
    /// name below the organisation's account home page.
    pub fn default_iri(id: &ContentId, account_home_page: &str) -> String {
        if Iri::parse(id.as_str()).is_ok() {
            return id.to_string();
        }
        // Form encoding writes a space as `+`, which a path takes literally.
        let id: String = form_urlencoded::byte_serialize(id.as_str().as_bytes()).collect();
        format!(
            "{}/contents/{}",
            account_home_page.trim_end_matches('/'),
            id.replace('+', "%20")
        )
    }

    /// The id whose [`ContentDraft::default_iri`] this is, where it is one.
    pub fn id_of_default_iri(iri: &str, account_home_page: &str) -> Option<ContentId> {
        let rest = iri
            .strip_prefix(account_home_page.trim_end_matches('/'))?
            .strip_prefix("/contents/")?;
        let (id, _) = form_urlencoded::parse(rest.as_bytes()).next()?;
        let id = ContentId::new(id.into_owned()).ok()?;
        // Only what leads back: `=` and `&` would have been encoded, so nothing of the text is lost.
        (Self::default_iri(&id, account_home_page) == iri).then_some(id)
    }
}

fn iri(node: &Node<'_>, place: &Place<'_>) -> Result<Iri, Fault> {
    short_text(node, place, MAX_IRI)?;
    Iri::from_node(node, place)
}

/// An address that a browser can follow safely: `javascript:` and the like never reach a frontend.
fn url(node: &Node<'_>, place: &Place<'_>) -> Result<Option<String>, Fault> {
    let text = short_text(node, place, MAX_IRI)?;
    if text.is_empty() {
        return Ok(None);
    }
    let web = |url: &oxiri::IriRef<&str>| {
        let scheme = url
            .scheme()
            .is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"));
        scheme && url.authority().is_some_and(|host| !host.is_empty())
    };
    match oxiri::IriRef::parse(text.as_str()) {
        Ok(url) if web(&url) => Ok(Some(text)),
        _ => Err(place.fault("an address with http or https is needed here, such as https://example.org/x")),
    }
}

fn term(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    match short_text(node, place, MAX_TERM)? {
        text if text.trim().is_empty() => Err(place.fault("an empty one means nothing; leave it out")),
        text => Ok(text),
    }
}

fn percent(node: &Node<'_>, place: &Place<'_>) -> Result<f64, Fault> {
    let number = json::number(node, place)?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(place.fault("a percentage lies between 0 and 100"))
    }
}

fn time_limit(node: &Node<'_>, place: &Place<'_>) -> Result<Duration, Fault> {
    let limit = Duration::from_node(node, place)?;
    if limit.hundredths() > 0 {
        Ok(limit)
    } else {
        Err(place.fault("a time limit is longer than nothing"))
    }
}

fn span(node: &Node<'_>, place: &Place<'_>) -> Result<CalendarDuration, Fault> {
    let span = CalendarDuration::from_node(node, place)?;
    let start = Timestamp::default();
    if span.add_to(start) > start {
        Ok(span)
    } else {
        Err(place.fault("what expires does so later than at once"))
    }
}

fn certificate(node: &Node<'_>, place: &Place<'_>) -> Result<CertificateRule, Fault> {
    let mut faults = Vec::new();
    let rule = Form::from_node(
        node,
        place,
        "a certificate",
        &["name", "expires_after"],
        &mut faults,
    )
    .map(|mut form| CertificateRule {
        name: form.text("name", MAX_TERM),
        expires_after: form.read("expires_after", span),
    });
    match (rule, faults.into_iter().next()) {
        (Some(rule), None) => Ok(rule),
        (_, Some(fault)) => Err(fault),
        // A form that isn't there has said why.
        (None, None) => Err(place.fault("a certificate is an object")),
    }
}

impl Content {
    /// What the content's PATCH is applied to: the representation.
    pub fn patched(&self, patch: &Value) -> Value {
        // A content is texts, lists and finite numbers, which always have a JSON form.
        merge_patch(serde_json::to_value(self).unwrap_or_default(), patch)
    }
}

/// What a list of contents is asked for; what is empty filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentFilter {
    /// Folded words, each of which stands in the title.
    pub words: Vec<String>,
    /// Contents of any of these types.
    pub types: Vec<LearningType>,
    /// Contents of any of these content types.
    pub content_types: Vec<ContentFormat>,
    /// Contents with any of these tags.
    pub tags: Vec<String>,
    /// Archived contents only, or those that are not.
    pub archived: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::{Refusal, read_one};

    fn read(text: &str) -> ContentDraft {
        read_one(text, 8, "c").unwrap_or_else(|refusal| panic!("{text}: {refusal}"))
    }

    fn pointers(id: &str, text: &str) -> Vec<String> {
        match read_one::<ContentDraft>(text, 8, id) {
            Err(Refusal::Faults(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_title_makes_an_item() {
        let content = read(r#"{"title":"Fire Safety"}"#);
        assert_eq!(
            (content.learning_type, content.content_type),
            (LearningType::Item, None)
        );
        assert_eq!(content.demands, Demands::default());
        assert_eq!(pointers("c", "{}"), ["/title"]);
        assert_eq!(pointers("c", r#"{"title":"  "}"#), ["/title"]);
    }

    #[test]
    fn what_is_read_can_be_sent_again() {
        let text = r#"{"id":"c","title":"T","registered":false,"reprojecting":true,"content_type":null,"tags":["b","a","b"]}"#;
        assert_eq!(read(text).tags, ["b", "a"]);
    }

    #[test]
    fn every_fault_has_its_place() {
        let text = r#"{"title":"T","type":"film","content_type":"dvd","url":"javascript:alert(1)","pass_mark":101,
            "time_limit":"PT0S","expires_after":"1 year","certificate":{"expires_after":"P1Y","valid":1},
            "iri":"no iri","tags":["a",""],"archived_at":"yesterday","colour":"red","source":["x"]}"#;
        let mut found = pointers("c", text);
        found.sort_unstable();
        let expected = [
            "/archived_at",
            "/certificate/valid",
            "/colour",
            "/content_type",
            "/expires_after",
            "/iri",
            "/pass_mark",
            "/source",
            "/tags/1",
            "/time_limit",
            "/type",
            "/url",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn addresses_are_of_the_web() {
        for url in ["https://example.org/ä?x=1", "HTTP://example.org"] {
            assert_eq!(
                read(&format!(r#"{{"title":"T","url":"{url}"}}"#)).url.as_deref(),
                Some(url)
            );
        }
        for url in [
            "//example.org",
            "/x",
            "ftp://example.org",
            "https://",
            "data:text/html,x",
            "http:x",
        ] {
            assert_eq!(
                pointers("c", &format!(r#"{{"title":"T","url":"{url}"}}"#)),
                ["/url"],
                "{url}"
            );
        }
    }

    #[test]
    fn an_id_that_is_an_iri_is_the_iri() {
        let id = ContentId::new("http://example.org/a b".replace(' ', "")).unwrap();
        assert_eq!(
            ContentDraft::default_iri(&id, "https://home.example"),
            "http://example.org/ab"
        );
        let id = ContentId::new("fire safety/1").unwrap();
        let expected = "https://home.example/contents/fire%20safety%2F1";
        assert_eq!(ContentDraft::default_iri(&id, "https://home.example"), expected);
        assert_eq!(
            ContentDraft::id_of_default_iri(expected, "https://home.example"),
            Some(id.clone())
        );
        assert_eq!(
            ContentDraft::id_of_default_iri(expected, "https://other.example"),
            None
        );
        assert_eq!(ContentDraft::default_iri(&id, "https://home.example/"), expected);
        assert_eq!(
            pointers("http://a.example/", r#"{"title":"T","iri":"http://b.example/"}"#),
            ["/iri"]
        );
    }

    #[test]
    fn the_default_iri_is_one() {
        let id = ContentId::new("ü %\"<>`{}|\\^[]?#&=+").unwrap();
        assert!(Iri::parse(&ContentDraft::default_iri(&id, "https://rollbook.invalid/acme")).is_ok());
    }
}
