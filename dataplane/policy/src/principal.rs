use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Identifies a principal: a digest of (identity provider, `sub`). It is the `sub` of access tokens and the key of everything
/// that is stored for the person, and tells an outsider nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalId(Arc<str>);

impl PrincipalId {
    /// The id of a subject at an identity provider.
    #[must_use]
    pub fn of(identity_provider: &str, subject: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update((identity_provider.len() as u64).to_be_bytes());
        digest.update(identity_provider);
        digest.update(subject);
        let digest = digest.finalize();
        Self(URL_SAFE_NO_PAD.encode(digest.get(..18).unwrap_or_default()).into())
    }

    /// Who holds what is nobody's own: the gateway's tokens, and accounts that are shared. No person and no program is called so.
    #[must_use]
    pub fn shared() -> Self {
        Self::of(SHARED_PROVIDER, "")
    }

    /// Takes an id back from a token or a row.
    #[must_use]
    pub fn from_stored(id: &str) -> Self {
        Self(id.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const NO_GROUPS: [&str; 0] = [];
/// What workloads have in place of an identity provider. No provider is called so: their names are DNS labels.
const WORKLOAD_PROVIDER: &str = "system:workload";
/// The same for service accounts: with it, their subjects are the user names that Kubernetes gives them.
const SERVICE_ACCOUNT_PROVIDER: &str = "system:serviceaccount";

/// What whatever belongs to everybody alike has in place of an identity provider.
const SHARED_PROVIDER: &str = "system:everybody";

/// What sort of principal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// Somebody who signs in at an identity provider.
    Person,
    /// A program that is registered with the gateway.
    Workload,
    /// A Kubernetes service account.
    ServiceAccount,
}

/// Who is calling, as the identity provider last described them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Stable identifier.
    pub id: PrincipalId,
    /// Name of the identity provider.
    pub identity_provider: Arc<str>,
    /// `identity provider:sub`, as events show it.
    pub subject: Arc<str>,
    /// Only where the provider says that it is verified (or is trusted to).
    pub email: Option<Arc<str>>,
    /// For people.
    pub name: Option<Arc<str>>,
    /// As the provider names them.
    pub groups: Vec<Arc<str>>,
}

impl Principal {
    /// A principal with its id and subject derived.
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

    /// A Kubernetes service account. Its subject is the user name that Kubernetes gives it.
    #[must_use]
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let shown = format!("{namespace}/{name}");
        Self::new(SERVICE_ACCOUNT_PROVIDER, &format!("{namespace}:{name}"), None, Some(&shown), NO_GROUPS)
    }

    /// What sort of principal it is.
    #[must_use]
    pub fn kind(&self) -> PrincipalKind {
        match &*self.identity_provider {
            WORKLOAD_PROVIDER => PrincipalKind::Workload,
            SERVICE_ACCOUNT_PROVIDER => PrincipalKind::ServiceAccount,
            _ => PrincipalKind::Person,
        }
    }

    /// What a page calls this person: name, else email, else subject.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject)
    }
}
