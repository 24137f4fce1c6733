//! Config document of an origin (`OriginMcp`).

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::OriginAuth;

/// An upstream MCP server (`OriginMcp`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginConfig {
    /// UID of the resource. Connections refer to it, not to the name.
    pub uid: String,
    /// Opaque, URL-safe identifier for `/connect/{id}`, derived from the UID.
    pub id: String,
    /// `namespace/name`.
    pub name: String,
    /// Display name.
    pub display_name: String,
    /// The Streamable HTTP endpoint.
    pub url: Url,
    /// Kill switch: requests fail and open streams end.
    pub suspended: bool,
    /// How the gateway authenticates to the origin.
    pub auth: OriginAuth,
    /// Networks that the origin may be in, and its CA certificates.
    pub network: Network,
    /// Limits of one request.
    pub limits: OriginLimits,
    /// Who may see what the origin shows to a user's account. Absent means private, in every version.
    #[serde(default, skip_serializing_if = "CatalogSharing::is_private")]
    pub catalog_sharing: CatalogSharing,
}

impl OriginConfig {
    /// Whether what the origin shows to one user's account must not be shown to other users.
    #[must_use]
    pub fn has_private_catalog(&self) -> bool {
        self.auth.is_personal() && self.catalog_sharing.is_private()
    }
}

/// Who may see what an origin shows to a user's account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CatalogSharing {
    /// Only that user, unless the origin declares it public.
    #[default]
    Private,
    /// All users.
    Shared,
}

impl CatalogSharing {
    /// Whether only the user may see it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        *self == Self::Private
    }
}

/// Networks that an origin may be in, and its CA certificates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// Private networks that tenancy allows for it.
    pub private_networks: Vec<IpNet>,
    /// Additional CA certificates, PEM.
    pub ca_bundle_pem: Option<String>,
}

/// Limits of one request to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginLimits {
    /// Maximum time until the response headers arrive, in milliseconds. Streams have no idle timeout.
    pub request_timeout_ms: u64,
    /// Maximum size of one response, in bytes; on a stream, of one event.
    pub response_bytes: u64,
}
