//! A content of the catalogue, as clients write and read it (`docs/specification.md#contents`).

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use utoipa::ToSchema;

use crate::base::clock::Timestamp;
use crate::base::fault::{Fault, Faults, Place};
use crate::base::form::{Form, Members, one_of, read_name, short_text};
use crate::base::ids::ContentId;
use crate::base::json::{self, Node};
use crate::base::keyed::{KeyedDraft, KeyedEntity, read_id};
use crate::base::sort::SortField;
use crate::record::{CalendarDuration, Duration, Iri};

use super::demands::{CertificateRule, DemandFields, Demands};
use super::types::{ContentFormat, LearningType};

/// The longest title, in characters.
pub const MAX_TITLE: usize = 1_000;
/// The longest tag, label, source or certificate's name, in characters.
pub const MAX_TERM: usize = 255;
/// The maximum number of tags, and of CPD labels, of one content.
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
    /// The platform's own id, or the IRI of an unregistered content.
    pub id: String,
    /// The IRI by which statements name it.
    pub iri: String,
    /// The title.
    #[schema(required = true)]
    pub title: Option<String>,
    /// The type.
    #[serde(rename = "type")]
    #[schema(required = true)]
    pub learning_type: Option<LearningType>,
    /// The format of an item.
    #[schema(required = true)]
    pub content_type: Option<ContentFormat>,
    /// Tags.
    pub tags: Vec<String>,
    /// Labels for continuing professional development.
    pub cpd_labels: Vec<String>,
    /// The content library that it comes from.
    #[schema(required = true)]
    pub source: Option<String>,
    /// Its address: http or https.
    #[schema(required = true, format = "uri")]
    pub url: Option<String>,
    /// When it was archived.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    pub archived_at: Option<Timestamp>,
    /// The lowest score that passes, in percent, as it is demanded now.
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
    /// Whether a client has registered it. Otherwise only statements name it.
    #[schema(read_only)]
    pub registered: bool,
    /// Whether rows of the log are still being updated after its type, content type or demands changed.
    #[schema(read_only)]
    pub reprojecting: bool,
}

/// The certificate that a completion of a content earns.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ContentCertificate)]
pub struct Certificate {
    /// The name.
    #[schema(max_length = 255)]
    pub name: Option<String>,
    /// How long it is valid: an ISO 8601 duration. `null`: without end.
    #[schema(value_type = Option<String>, example = "P2Y")]
    pub expires_after: Option<CalendarDuration>,
}

impl From<CertificateRule> for Certificate {
    fn from(CertificateRule { name, expires_after }: CertificateRule) -> Self {
        Self { name, expires_after }
    }
}

/// A content as a client writes it. PUT sets every member: one that is left out is empty or has its default.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentDraft {
    /// The platform's own id.
    pub id: ContentId,
    /// The IRI by which statements name it; `None` for the default.
    pub iri: Option<Iri>,
    /// The title.
    pub title: String,
    /// The type.
    pub learning_type: LearningType,
    /// The format of an item.
    pub content_type: Option<ContentFormat>,
    /// Tags, in the client's order.
    pub tags: Vec<String>,
    /// CPD labels, in the client's order.
    pub cpd_labels: Vec<String>,
    /// The content library that it comes from.
    pub source: Option<String>,
    /// Its address.
    pub url: Option<String>,
    /// When it was archived.
    pub archived_at: Option<Timestamp>,
    /// The demands.
    pub demands: Demands,
    /// Which of the demands are set. Those that a patch does not contain stay as they were at each time.
    pub demand_fields: DemandFields,
    /// When the demands begin; `None`: now.
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
    /// is an IRI itself is the content's `iri` too, and has at most 2,000 characters.
    #[schema(max_length = 2000)]
    pub id: Option<String>,
    /// The IRI by which statements name it. Default: `<account_home_page>/contents/<id>`. An IRI that only statements have
    /// named so far is adopted with its history. It cannot change afterwards.
    #[schema(format = "uri", max_length = 2000)]
    pub iri: Option<String>,
    /// The title, at most 1,000 characters. A content whose id is an IRI has that as its title if none is sent; for others
    /// it is needed.
    #[schema(min_length = 1, max_length = 1000)]
    pub title: Option<String>,
    /// The type. Default: `item`.
    #[schema(rename = "type")]
    pub learning_type: Option<LearningType>,
    /// The format of an item.
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
    /// Its address: http or https.
    #[schema(format = "uri", max_length = 2000)]
    pub url: Option<String>,
    /// When it was archived.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub archived_at: Option<Timestamp>,
    /// The lowest score that passes, in percent.
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
    /// When the pass mark, time limit, expiry and certificate begin: they count from then on only. Default: now, and a
    /// first value then also covers the past. Earlier results stay as they are.
    #[schema(value_type = Option<String>, format = DateTime, write_only)]
    pub effective_from: Option<Timestamp>,
}

const MEMBERS: Members = Members {
    written: &[
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
    ],
    read_only: &["registered", "reprojecting"],
};

impl KeyedDraft for ContentDraft {
    fn read(node: &Node<'_>, place: &Place<'_>, id: Option<&str>, faults: &mut Faults) -> Option<Self> {
        let mut form = Form::from_resource(node, place, "a content", &MEMBERS, faults)?;
        let id: Option<ContentId> = read_content_id(&mut form, id);
        let iri = form.read("iri", read_iri);
        if let (Some(id), Some(iri)) = (&id, &iri)
            && iri.as_str() != id.as_str()
            && is_iri(id.as_str())
        {
            form.add_fault(
                "iri",
                "the id is an IRI, so it is the IRI of the content; leave `iri` out, or choose another id",
            );
        }
        let demands = Demands {
            pass_mark: form.read("pass_mark", read_percent),
            time_limit: form.read("time_limit", read_time_limit),
            expires_after: form.read("expires_after", read_expiry),
            certificate: form.read("certificate", read_certificate),
        };
        let draft = Self {
            iri,
            learning_type: form
                .read("type", |node, place| {
                    one_of(node, place, LearningType::ALL, LearningType::key)
                })
                .unwrap_or(LearningType::Item),
            content_type: form.read("content_type", |node, place| {
                one_of(node, place, ContentFormat::ALL, ContentFormat::key)
            }),
            tags: form.list("tags", MAX_TERMS, read_term),
            cpd_labels: form.list("cpd_labels", MAX_TERMS, read_term),
            source: form.text("source", MAX_TERM),
            url: form.read("url", read_url).flatten(),
            archived_at: form.timestamp("archived_at"),
            demands,
            demand_fields: DemandFields::ALL,
            effective_from: form.timestamp("effective_from"),
            title: read_title(&mut form, id.as_ref())?,
            id: id?,
        };
        Some(draft)
    }

    fn id_text(&self) -> &str {
        self.id.as_str()
    }

    fn note_patch(&mut self, patch: &serde_json::Value) {
        let has = |member: &str| patch.get(member).is_some();
        self.demand_fields = DemandFields {
            pass_mark: has("pass_mark"),
            time_limit: has("time_limit"),
            expires_after: has("expires_after"),
            certificate: has("certificate"),
        };
    }
}

impl ContentDraft {
    /// The IRI that a content has by default: its id if that is an IRI, or else an address below the organisation's
    /// account home page.
    pub fn default_iri(id: &ContentId, account_home_page: &str) -> String {
        if Iri::parse(id.as_str()).is_ok() {
            return id.to_string();
        }
        // Form encoding writes a space as `+`. In a path, `+` is a plus sign.
        let id: String = form_urlencoded::byte_serialize(id.as_str().as_bytes()).collect();
        format!(
            "{}/contents/{}",
            account_home_page.trim_end_matches('/'),
            id.replace('+', "%20")
        )
    }

    /// The id that has this IRI as its [`ContentDraft::default_iri`].
    pub fn id_of_default_iri(iri: &str, account_home_page: &str) -> Option<ContentId> {
        let rest = iri
            .strip_prefix(account_home_page.trim_end_matches('/'))?
            .strip_prefix("/contents/")?;
        let (id, _) = form_urlencoded::parse(rest.as_bytes()).next()?;
        let id = ContentId::new(id.into_owned()).ok()?;
        // An IRI with other characters, such as `=` or `&`, is not the default of any id.
        (Self::default_iri(&id, account_home_page) == iri).then_some(id)
    }
}

/// Reads the id. The IRI of a content that only statements have named is its id, and may be longer than other ids.
fn read_content_id(form: &mut Form<'_, '_, '_>, address: Option<&str>) -> Option<ContentId> {
    let sent = form.get("id").and_then(Node::as_str);
    let iri = address
        .or(sent)
        .filter(|text| is_iri(text) && text.chars().count() <= MAX_IRI);
    match iri {
        Some(iri) if sent.is_none_or(|sent| sent == iri) => Some(ContentId::from_stored(iri)),
        _ => read_id(form, address),
    }
}

/// Reads the title. A content whose id is an IRI has it as its title if no title is sent. The log shows it like this, too.
fn read_title(form: &mut Form<'_, '_, '_>, id: Option<&ContentId>) -> Option<String> {
    match id {
        Some(id) if form.get("title").is_none() && is_iri(id.as_str()) => Some(id.to_string()),
        _ => form.required_name("title", MAX_TITLE),
    }
}

fn is_iri(text: &str) -> bool {
    Iri::parse(text).is_ok()
}

fn read_iri(node: &Node<'_>, place: &Place<'_>) -> Result<Iri, Fault> {
    short_text(node, place, MAX_IRI)?;
    Iri::from_node(node, place)
}

/// Reads an address with http or https. Others, such as `javascript:`, would be dangerous in a frontend. An empty text is no
/// address.
///
/// # Errors
///
/// The node is not a text, is too long, or is another address.
pub fn read_url(node: &Node<'_>, place: &Place<'_>) -> Result<Option<String>, Fault> {
    let text = short_text(node, place, MAX_IRI)?;
    if text.is_empty() {
        return Ok(None);
    }
    match is_web_address(&text) {
        true => Ok(Some(text)),
        false => Err(place.fault("write an address with http or https, for example `https://example.org/x`")),
    }
}

/// Whether the text is an address with http or https and a host.
pub fn is_web_address(text: &str) -> bool {
    oxiri::IriRef::parse(text).is_ok_and(|url| {
        let is_web = url
            .scheme()
            .is_some_and(|s| s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https"));
        is_web && url.authority().is_some_and(|host| !host.is_empty())
    })
}

fn read_term(node: &Node<'_>, place: &Place<'_>) -> Result<String, Fault> {
    match read_name(node, place, MAX_TERM)? {
        text if text.is_empty() => Err(place.fault("a text must not be empty; leave it out")),
        text => Ok(text),
    }
}

fn read_percent(node: &Node<'_>, place: &Place<'_>) -> Result<f64, Fault> {
    let number = json::number(node, place)?;
    if (0.0..=100.0).contains(&number) {
        Ok(number)
    } else {
        Err(place.fault("a percentage is a number from 0 to 100"))
    }
}

fn read_time_limit(node: &Node<'_>, place: &Place<'_>) -> Result<Duration, Fault> {
    let limit = Duration::from_node(node, place)?;
    if limit.hundredths() > 0 {
        Ok(limit)
    } else {
        Err(place.fault("a time limit must be longer than zero"))
    }
}

fn read_expiry(node: &Node<'_>, place: &Place<'_>) -> Result<CalendarDuration, Fault> {
    let span = CalendarDuration::from_node(node, place)?;
    let start = Timestamp::default();
    if span.add_to(start) > start {
        Ok(span)
    } else {
        Err(place.fault("this duration must be longer than zero"))
    }
}

fn read_certificate(node: &Node<'_>, place: &Place<'_>) -> Result<CertificateRule, Fault> {
    let mut faults = Faults::new();
    let rule = Form::from_node(
        node,
        place,
        "a certificate",
        &["name", "expires_after"],
        &mut faults,
    )
    .map(|mut form| CertificateRule {
        name: form.name("name", MAX_TERM),
        expires_after: form.read("expires_after", read_expiry),
    });
    match (rule, faults.into_iter().next()) {
        (Some(rule), None) => Ok(rule),
        (_, Some(fault)) => Err(fault),
        (None, None) => Err(place.fault("a certificate is an object")),
    }
}

impl KeyedEntity for Content {
    fn id_text(&self) -> &str {
        &self.id
    }
}

/// A field by which contents can be ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ContentSortField {
    /// The id.
    #[default]
    Id,
    /// The title.
    Title,
    /// The type, in the order of [`LearningType`].
    Type,
}

impl SortField for ContentSortField {
    const SCHEMA: &'static str = "ContentSort";
    const ALL: &'static [Self] = Self::VARIANTS;

    fn key(self) -> &'static str {
        self.into()
    }
}

/// The conditions of a list of contents. An empty list is no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentFilter {
    /// Folded words. The title contains each of them.
    pub words: Vec<String>,
    /// Contents with any of these ids.
    pub ids: Vec<String>,
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
    use crate::base::keyed::parse_one;

    fn read(text: &str) -> ContentDraft {
        parse_one(text, 8, "c").unwrap_or_else(|faults| panic!("{text}: {faults:?}"))
    }

    fn pointers(id: &str, text: &str) -> Vec<String> {
        match parse_one::<ContentDraft>(text, 8, id) {
            Err(faults) => faults.into_iter().map(|fault| fault.pointer).collect(),
            Ok(draft) => panic!("{text}: {draft:?}"),
        }
    }

    #[test]
    fn content_with_only_a_title_is_an_item() {
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
    fn client_can_send_what_it_read() {
        let text = r#"{"id":"c","title":"T","registered":false,"reprojecting":true,"content_type":null,"tags":["b","a","b"]}"#;
        assert_eq!(read(text).tags, ["b", "a"]);
    }

    #[test]
    fn every_fault_has_its_pointer() {
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
    fn url_must_be_http_or_https() {
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
    fn id_that_is_an_iri_is_the_default_iri() {
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
    fn default_iri_is_a_valid_iri() {
        let id = ContentId::new("ü %\"<>`{}|\\^[]?#&=+").unwrap();
        assert!(Iri::parse(&ContentDraft::default_iri(&id, "https://rollbook.invalid/acme")).is_ok());
    }
}
