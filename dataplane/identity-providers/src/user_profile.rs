//! Reads a user's profile from the claims of a provider.

use std::borrow::Cow;

use portcullis_config::ProviderClient;
use portcullis_policy::Principal;
use serde_json::{Map, Value};

/// Claims about a user, from a token or from userinfo.
pub type UserClaims = Map<String, Value>;

/// The claims lack the subject claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it sent no {0:?} claim; check the gateway's claims.subject setting")]
pub struct MissingSubject(String);

/// The email address, and whether the provider verified it (OpenID Connect Core, section 5.1).
const EMAIL: &str = "email";
const EMAIL_VERIFIED: &str = "email_verified";

/// Whether a configured claim is missing from the id_token. Userinfo may have it.
pub(crate) fn is_incomplete(claims: &UserClaims, provider: &ProviderClient) -> bool {
    let names = &provider.claims;
    [&names.subject, &names.email, &names.name, &names.groups].iter().any(|name| !claims.contains_key(*name))
}

/// Adds the claims that only userinfo has. `email_verified` must come from the same source as `email`.
pub(crate) fn merge_userinfo(claims: &mut UserClaims, userinfo: UserClaims) {
    if !claims.contains_key(EMAIL) {
        claims.remove(EMAIL_VERIFIED);
    } else if !claims.contains_key(EMAIL_VERIFIED) && claims.get(EMAIL) != userinfo.get(EMAIL) {
        claims.insert(EMAIL_VERIFIED.to_owned(), Value::Bool(false));
    }
    for (name, value) in userinfo {
        claims.entry(name).or_insert(value);
    }
}

/// A user's profile. Claims may be missing, for example in an assertion; a missing claim means that the value
/// is unknown, not that it is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserProfile {
    subject: String,
    email: Option<Option<String>>,
    name: Option<String>,
    groups: Option<Vec<String>>,
}

impl UserProfile {
    /// Reads claims by the claim names in the provider's settings.
    ///
    /// # Errors
    /// When the subject claim is missing or invalid.
    pub fn read(claims: &UserClaims, provider: &ProviderClient) -> Result<Self, MissingSubject> {
        let names = &provider.claims;
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let subject = claims.get(&names.subject).and_then(identifier);
        let subject = subject.ok_or_else(|| MissingSubject(names.subject.clone()))?.into_owned();
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
        Ok(Self { subject, email, name, groups })
    }

    /// The user's stable identifier at the provider.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The principal with this subject. Unknown values are taken from `known`.
    #[must_use]
    pub fn principal(&self, identity_provider: &str, known: Option<&Principal>) -> Principal {
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

/// A subject: a non-empty string, or an unsigned integer as some APIs use.
fn identifier(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Number(number) if number.is_u64() => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// Whether `email` is verified. `email_verified` refers to the `email` claim only; an address from another
/// configured claim counts as verified only if it is equal to that.
fn is_verified(claims: &UserClaims, email: &str) -> bool {
    let verified = match claims.get(EMAIL_VERIFIED) {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(verified)) => verified.eq_ignore_ascii_case("true"),
        _ => false,
    };
    verified && claims.get(EMAIL).and_then(Value::as_str) == Some(email)
}

#[cfg(test)]
mod tests {
    use portcullis_config::ClaimNames;
    use serde_json::json;

    use super::*;

    fn principal(claims: &UserClaims, provider: &ProviderClient) -> Result<Principal, MissingSubject> {
        UserProfile::read(claims, provider).map(|description| description.principal("company", None))
    }

    fn provider() -> ProviderClient {
        ProviderClient {
            issuer: "https://idp.example.com".to_owned(),
            client_id: "portcullis".to_owned(),
            client_secret: None,
            scopes: vec!["openid".to_owned()],
            claims: ClaimNames {
                subject: "sub".to_owned(),
                email: "email".to_owned(),
                name: "name".to_owned(),
                groups: "groups".to_owned(),
            },
            trust_email: false,
            renew: true,
            id_jag: false,
            private_networks: Vec::new(),
            ca_bundle_pem: None,
        }
    }

    fn claims(value: Value) -> UserClaims {
        value.as_object().cloned().unwrap()
    }

    fn email(value: Value, provider: &ProviderClient) -> Option<String> {
        principal(&claims(value), provider).unwrap().email.map(|email| email.to_string())
    }

    /// Requirements: idp.email
    #[test]
    fn given_an_email_when_the_provider_does_not_vouch_for_it_then_it_is_not_taken() {
        let ana = "ana@example.com";
        for verified in [json!(true), json!("true"), json!("True")] {
            let found = email(json!({"sub": "1", "email": ana, "email_verified": verified}), &provider());
            assert_eq!(found.as_deref(), Some(ana));
        }
        for verified in [json!(false), json!("false"), json!(1), Value::Null] {
            let said = json!({"sub": "1", "email": ana, "email_verified": verified});
            assert_eq!(email(said, &provider()), None);
        }
        let trusting = ProviderClient { trust_email: true, ..provider() };
        assert_eq!(email(json!({"sub": "1", "email": ana}), &trusting).as_deref(), Some(ana));
    }

    /// Requirements: idp.email
    #[test]
    fn given_another_claim_for_the_address_when_email_is_verified_then_that_says_nothing_of_it() {
        let mut provider = provider();
        provider.claims.email = "upn".to_owned();
        let said = json!({"sub": "1", "upn": "boss@example.com", "email": "eve@example.com", "email_verified": true});
        assert_eq!(email(said, &provider), None);
    }

    #[test]
    fn given_groups_as_a_list_or_a_string_then_both_are_read() {
        let groups = |value| principal(&claims(value), &provider()).unwrap().groups;
        assert_eq!(groups(json!({"sub": "1", "groups": ["a", 1, "b"]})), ["a".into(), "b".into()]);
        assert_eq!(groups(json!({"sub": "1", "groups": "a"})), ["a".into()]);
        for none in [json!({"sub": "1"}), json!({"sub": "1", "groups": ""}), json!({"sub": "1", "groups": 1})]
        {
            assert!(groups(none.clone()).is_empty(), "{none}");
        }
    }

    #[test]
    fn given_a_subject_from_another_claim_when_it_is_not_there_then_nobody_signs_in() {
        let mut provider = provider();
        provider.claims.subject = "oid".to_owned();
        assert!(principal(&claims(json!({"sub": "1"})), &provider).is_err());
        assert!(principal(&claims(json!({"sub": "1", "oid": ""})), &provider).is_err());
        assert!(principal(&claims(json!({"sub": "1", "oid": 1.5})), &provider).is_err());
        let numbered = principal(&claims(json!({"oid": 583_231})), &provider).unwrap();
        assert_eq!(&*numbered.subject, "company:583231");
        let known = principal(&claims(json!({"sub": "1", "oid": "o"})), &provider).unwrap();
        assert_eq!(&*known.subject, "company:o");
    }

    /// Requirements: idp.email
    #[test]
    fn given_userinfo_when_it_vouches_for_another_address_then_the_id_tokens_stays_unverified() {
        let mut known = claims(json!({"sub": "1", "email": "boss@example.com"}));
        let userinfo =
            claims(json!({"sub": "1", "email": "eve@example.com", "email_verified": true, "groups": ["a"]}));
        merge_userinfo(&mut known, userinfo);
        let person = principal(&known, &provider()).unwrap();
        assert_eq!(person.email, None);
        assert_eq!(person.groups, ["a".into()]);

        let mut known = claims(json!({"sub": "1", "email_verified": true}));
        let userinfo = claims(json!({"sub": "1", "email": "eve@example.com"}));
        merge_userinfo(&mut known, userinfo);
        assert_eq!(principal(&known, &provider()).unwrap().email, None);
    }
}
