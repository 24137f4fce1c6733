//! Principals: the callers of the gateway.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Identifies a principal: a digest of (identity provider, `sub`). It is the `sub` of access tokens and the
/// key of all data stored for the principal. It reveals neither of its inputs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId(Arc<str>);

impl PrincipalId {
    /// Id of a subject at an identity provider.
    #[must_use]
    pub fn of(identity_provider: &str, subject: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update((identity_provider.len() as u64).to_be_bytes());
        digest.update(identity_provider);
        digest.update(subject);
        let digest = digest.finalize();
        Self(URL_SAFE_NO_PAD.encode(digest.get(..18).unwrap_or_default()).into())
    }

    /// Holder of shared credentials: the gateway's own tokens and shared accounts. No user and no program has
    /// this id.
    #[must_use]
    pub fn shared() -> Self {
        Self::of(SHARED_PROVIDER, "")
    }

    /// Restores an id from a token or a database row.
    #[must_use]
    pub fn from_stored(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const NO_GROUPS: [&str; 0] = [];
/// Stands for the identity provider of workloads. No provider can have this name: provider names are DNS
/// labels.
const WORKLOAD_PROVIDER: &str = "system:workload";
/// Stands for the identity provider of service accounts. With it, their subjects equal their Kubernetes user
/// names.
const SERVICE_ACCOUNT_PROVIDER: &str = "system:serviceaccount";

/// Stands for the identity provider of shared credentials.
const SHARED_PROVIDER: &str = "system:everybody";

/// The kind of principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A user who signs in at an identity provider.
    Person,
    /// A program that is registered with the gateway.
    Workload,
    /// A Kubernetes service account.
    ServiceAccount,
}

/// The caller, as last described by the identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Stable identifier.
    pub id: PrincipalId,
    /// Name of the identity provider.
    pub identity_provider: Arc<str>,
    /// `{identity provider}:{sub}`, as shown in events.
    pub subject: Arc<str>,
    /// Set only if the provider marks it as verified, or is trusted to provide verified addresses.
    pub email: Option<Arc<str>>,
    /// Display name.
    pub name: Option<Arc<str>>,
    /// Group names of the provider.
    pub groups: Vec<Arc<str>>,
}

impl Principal {
    /// Creates a principal; id and subject are derived.
    #[must_use]
    pub fn new(
        identity_provider: &str,
        sub: &str,
        email: Option<&str>,
        name: Option<&str>,
        groups: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Self {
        Self {
            id: PrincipalId::of(identity_provider, sub),
            identity_provider: identity_provider.into(),
            subject: format!("{identity_provider}:{sub}").into(),
            email: email.map(Into::into),
            name: name.map(Into::into),
            groups: groups.into_iter().map(|group| group.as_ref().into()).collect(),
        }
    }

    /// A program that is registered with the gateway.
    #[must_use]
    pub fn workload(name: &str, display_name: &str) -> Self {
        Self::new(WORKLOAD_PROVIDER, name, None, Some(display_name), NO_GROUPS)
    }

    /// A Kubernetes service account. Its subject is its Kubernetes user name.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let shown = format!("{namespace}/{name}");
        Self::new(SERVICE_ACCOUNT_PROVIDER, &format!("{namespace}:{name}"), None, Some(&shown), NO_GROUPS)
    }

    /// The kind of principal.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        match &*self.identity_provider {
            WORKLOAD_PROVIDER => PrincipalKind::Workload,
            SERVICE_ACCOUNT_PROVIDER => PrincipalKind::ServiceAccount,
            _ => PrincipalKind::Person,
        }
    }

    /// Label for pages: name, else email, else subject.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the store and issued tokens contain ids: another digest would be another user.
    #[test]
    fn given_a_subject_then_its_id_never_changes() {
        assert_eq!(PrincipalId::of("company", "ana").as_str(), "hpTwiQWseP0V6d5CVGLmSOG7");
    }

    #[test]
    fn given_an_id_when_restored_from_text_then_it_is_the_same() {
        let id = PrincipalId::of("company", "ana");
        assert_eq!(PrincipalId::from_stored(id.as_str()), id);
        let others = [("company", "bob"), ("customers", "ana"), ("companya", "na"), ("compan", "yana")];
        for (provider, subject) in others {
            assert_ne!(PrincipalId::of(provider, subject), id, "{provider} {subject}");
        }
    }

    #[test]
    fn given_a_principal_then_its_label_is_its_name_else_email_else_subject() {
        for (email, name, label) in [
            (Some("ana@example.com"), Some("Ana"), "Ana"),
            (None, Some("Ana"), "Ana"),
            (Some("ana@example.com"), None, "ana@example.com"),
            (None, None, "company:7"),
        ] {
            assert_eq!(Principal::new("company", "7", email, name, NO_GROUPS).label(), label);
        }
        assert_eq!(Principal::workload("reporter", "The reporter").label(), "The reporter");
        assert_eq!(Principal::service_account("mcp", "indexer").label(), "mcp/indexer");
    }
}
