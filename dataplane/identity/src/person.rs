use portcullis_contract::OidcProvider;
use portcullis_policy::Principal;
use serde_json::{Map, Value};

/// The address, and the claim that vouches for it (OpenID Connect Core, section 5.1).
const EMAIL: &str = "email";
const VERIFIED: &str = "email_verified";

/// What a provider's claims say of a person. An assertion may say less than a sign-in does: what it leaves out is not known, and
/// that is something else than nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    subject: String,
    email: Option<Option<String>>,
    name: Option<String>,
    groups: Option<Vec<String>>,
}

impl Description {
    /// Reads claims by the names that the provider's settings give them. `None` where they name nobody.
    pub(crate) fn read(claims: &Map<String, Value>, provider: &OidcProvider) -> Option<Self> {
        let names = &provider.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let email = claims.contains_key(&names.email).then(|| {
            let email = text(&names.email).filter(|email| provider.trust_email || is_verified(claims, email));
            email.map(ToOwned::to_owned)
        });
        let groups = claims.get(&names.groups).map(|groups| match groups {
            Value::Array(groups) => groups.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
            Value::String(group) if !group.is_empty() => vec![group.clone()],
            _ => Vec::new(),
        });
        let name = text(&names.name).map(ToOwned::to_owned);
        Some(Self { subject: text(&names.subject)?.to_owned(), email, name, groups })
    }

    /// The stable identifier.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// The person, where somebody who signs in with this subject is the same one.
    pub(crate) fn principal(&self, identity_provider: &str, known: Option<&Principal>) -> Principal {
        let email = match &self.email {
            Some(email) => email.as_deref(),
            None => known.and_then(|known| known.email.as_deref()),
        };
        let name = self.name.as_deref().or_else(|| known?.name.as_deref());
        let groups: Vec<&str> = match (&self.groups, known) {
            (Some(groups), _) => groups.iter().map(String::as_str).collect(),
            (None, Some(known)) => known.groups.iter().map(AsRef::as_ref).collect(),
            (None, None) => Vec::new(),
        };
        Principal::new(identity_provider, &self.subject, email, name, groups)
    }
}

/// `email_verified` speaks of `email`. Where the settings name another claim for the address, it says nothing of that one.
fn is_verified(claims: &Map<String, Value>, email: &str) -> bool {
    let verified = match claims.get(VERIFIED) {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(verified)) => verified.eq_ignore_ascii_case("true"),
        _ => false,
    };
    verified && claims.get(EMAIL).and_then(Value::as_str) == Some(email)
}
