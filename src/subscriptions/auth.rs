//! The authorization at another record store. It is stored so that it can be used, and never shown again.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::base::fault::{Faults, Place};
use crate::base::form::{Form, one_of};
use crate::base::json::Node;
use crate::store::{StoreError, StoredSecret};

/// The longest key, secret or token, in characters.
const MAX_TEXT: usize = 4_000;

/// How a subscription authenticates at the other record store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionAuthScheme)]
pub enum Scheme {
    /// HTTP Basic with a key and a secret.
    Basic,
    /// A Bearer token.
    Bearer,
}

impl Scheme {
    const ALL: [Self; 2] = [Self::Basic, Self::Bearer];

    fn key(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        }
    }
}

/// The authorization that a client writes.
#[derive(Debug, ToSchema)]
#[allow(
    dead_code,
    reason = "describes a part of a body; it is parsed as the stored form"
)]
#[schema(as = NewSubscriptionAuth, example = json!({"scheme": "basic", "key": "rk_other", "secret": "the secret of that key"}))]
pub struct AuthForm {
    /// How it authenticates.
    scheme: Scheme,
    /// The key, for `basic`.
    #[schema(required = false, min_length = 1, max_length = 4000)]
    key: String,
    /// The secret, for `basic`. It can be left out to keep the stored one of the same key.
    #[schema(required = false, min_length = 1, max_length = 4000)]
    secret: String,
    /// The token, for `bearer`. It can be left out to keep the stored one.
    #[schema(required = false, min_length = 1, max_length = 4000)]
    token: String,
}

/// A change of the authorization. Members that are left out stay.
#[derive(Debug, ToSchema)]
#[allow(
    dead_code,
    reason = "describes a part of a body; it is parsed as the stored form"
)]
#[schema(as = SubscriptionAuthPatch, example = json!({"secret": "the new secret of the same key"}))]
pub struct AuthPatch {
    /// How it authenticates.
    #[schema(nullable = false)]
    scheme: Option<Scheme>,
    /// The key, for `basic`.
    #[schema(required = false, min_length = 1, max_length = 4000)]
    key: String,
    /// The secret, for `basic`. It can be left out to keep the stored one of the same key.
    #[schema(required = false, min_length = 1, max_length = 4000)]
    secret: String,
    /// The token, for `bearer`. It can be left out to keep the stored one.
    #[schema(required = false, min_length = 1, max_length = 4000)]
    token: String,
}

/// The authorization as clients read it: without the secret or token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SubscriptionAuth, example = json!({"scheme": "basic", "key": "rk_other"}))]
pub struct AuthView {
    /// How it authenticates.
    pub scheme: Scheme,
    /// The key, for `basic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The stored form.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scheme", rename_all = "snake_case")]
pub enum Auth {
    /// HTTP Basic.
    Basic {
        /// The key.
        key: String,
        /// The secret.
        secret: String,
    },
    /// A Bearer token.
    Bearer {
        /// The token.
        token: String,
    },
}

/// Shows no secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}

impl Auth {
    /// Parses the member `auth`. The secret of `stored` stays if the member has none.
    ///
    /// # Errors
    ///
    /// Every fault, with its pointer.
    pub fn parse(node: &Node<'_>, place: &Place<'_>, stored: Option<&Self>) -> Result<Self, Faults> {
        let mut faults = Faults::new();
        let known = ["scheme", "key", "secret", "token"];
        let auth = Form::from_node(node, place, "an authorization", &known, &mut faults)
            .and_then(|mut form| Self::parse_form(&mut form, stored));
        match auth {
            Some(auth) if faults.is_empty() => Ok(auth),
            _ => Err(faults),
        }
    }

    fn parse_form(form: &mut Form<'_, '_, '_>, stored: Option<&Self>) -> Option<Self> {
        let scheme = form.read("scheme", |node, place| {
            one_of(node, place, &Scheme::ALL, Scheme::key)
        });
        let Some(scheme) = scheme else {
            if form.get("scheme").is_none() {
                form.add_fault("scheme", "an authorization needs this: `basic` or `bearer`");
            }
            return None;
        };
        let text =
            |form: &mut Form<'_, '_, '_>, name| form.text(name, MAX_TEXT).filter(|text| is_sendable(text));
        let (key, secret, token) = (text(form, "key"), text(form, "secret"), text(form, "token"));
        match scheme {
            Scheme::Basic => {
                if key.as_ref().is_none_or(|key| key.contains(':')) {
                    form.add_fault(
                        "key",
                        "`basic` needs this: a text without `:` and control characters",
                    );
                    return None;
                }
                let kept = match stored {
                    Some(Self::Basic { key: before, secret }) if Some(before) == key.as_ref() => {
                        Some(secret.clone())
                    }
                    _ => None,
                };
                match secret.or(kept) {
                    Some(secret) => Some(Self::Basic { key: key?, secret }),
                    None => {
                        form.add_fault("secret", "`basic` needs this: a text without control characters");
                        None
                    }
                }
            }
            Scheme::Bearer => {
                let kept = match stored {
                    Some(Self::Bearer { token }) => Some(token.clone()),
                    _ => None,
                };
                match token.or(kept) {
                    Some(token) => Some(Self::Bearer { token }),
                    None => {
                        form.add_fault("token", "`bearer` needs this: a text without control characters");
                        None
                    }
                }
            }
        }
    }

    /// The stored authorization.
    ///
    /// # Errors
    ///
    /// The stored text can't be read.
    pub fn from_stored(stored: &StoredSecret) -> Result<Self, StoreError> {
        // The error could quote the secret.
        serde_json::from_str(&stored.0)
            .map_err(|_| StoreError::corrupt("authorization of a subscription", "no JSON"))
    }

    /// The text for storage.
    pub fn to_stored(&self) -> StoredSecret {
        StoredSecret(serde_json::to_string(self).unwrap_or_default()) // texts always have a JSON form
    }

    /// The authorization without its secret.
    pub fn view(&self) -> AuthView {
        match self {
            Self::Basic { key, .. } => AuthView {
                scheme: Scheme::Basic,
                key: Some(key.clone()),
            },
            Self::Bearer { .. } => AuthView {
                scheme: Scheme::Bearer,
                key: None,
            },
        }
    }

    /// The value of the header `Authorization`.
    pub fn header_value(&self) -> String {
        match self {
            Self::Basic { key, secret } => format!("Basic {}", STANDARD.encode(format!("{key}:{secret}"))),
            Self::Bearer { token } => format!("Bearer {token}"),
        }
    }
}

/// Whether a header can carry the text.
fn is_sendable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json;

    fn parse(text: &str, stored: Option<&Auth>) -> Result<Auth, Vec<String>> {
        let node = json::parse(text, 4).expect("JSON");
        let parsed = Auth::parse(&node, &Place::Root, stored);
        parsed.map_err(|faults| faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn secret_of_the_same_key_is_kept() {
        let stored = parse(r#"{"scheme":"basic","key":"a","secret":"s"}"#, None).ok();
        assert_eq!(
            parse(r#"{"scheme":"basic","key":"a"}"#, stored.as_ref()).ok(),
            stored
        );
        assert_eq!(
            parse(r#"{"scheme":"basic","key":"b"}"#, stored.as_ref()).err(),
            Some(vec!["/secret".to_owned()])
        );
        assert_eq!(
            parse(r#"{"scheme":"bearer"}"#, stored.as_ref()).err(),
            Some(vec!["/token".to_owned()])
        );
    }

    #[test]
    fn each_fault_has_its_place() {
        for (text, pointer) in [
            ("[]", ""),
            ("{}", "/scheme"),
            (r#"{"scheme":"digest"}"#, "/scheme"),
            (r#"{"scheme":"basic","secret":"s"}"#, "/key"),
            (r#"{"scheme":"basic","key":"a:b","secret":"s"}"#, "/key"),
            (r#"{"scheme":"basic","key":"a","secret":"s\n"}"#, "/secret"),
            (r#"{"scheme":"bearer","token":"a\r\nX: y"}"#, "/token"),
        ] {
            assert_eq!(parse(text, None).err(), Some(vec![pointer.to_owned()]), "{text}");
        }
    }

    #[test]
    fn view_has_no_secret() {
        let auth = Auth::Basic {
            key: "a".to_owned(),
            secret: "s".to_owned(),
        };
        let view = serde_json::to_string(&auth.view()).expect("JSON");
        assert_eq!(view, r#"{"scheme":"basic","key":"a"}"#);
        assert_eq!(auth.header_value(), "Basic YTpz");
        assert!(Auth::from_stored(&auth.to_stored()).is_ok_and(|stored| stored == auth));
    }
}
