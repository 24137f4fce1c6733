//! The outcome of probing an origin.

use std::sync::Arc;

use portcullis_compiler::Catalog;
use portcullis_config::OriginConfig;
use portcullis_crds::kinds::origin_mcp as kind;

/// The outcome of one probe. Messages become condition messages.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DiscoveryOutcome {
    /// The origin listed its capabilities.
    Offers(DiscoveredCatalog),
    /// The origin requires a token, which only the data plane has.
    NeedsAccount,
    /// The origin rejected the credential, or requires one and none is configured.
    Refused(String),
    /// The origin responds, but not as an MCP server.
    NotMcp(String),
    /// The origin cannot be reached, or responds with a server error.
    Unreachable(String),
}

/// The capabilities that an origin listed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DiscoveredCatalog {
    pub(crate) protocol_version: String,
    pub(crate) counts: kind::Catalog,
    pub(crate) names: Catalog,
}

/// The outcome of a probe, and the origin's config document at that time.
#[derive(Clone)]
pub(crate) struct Discovery {
    pub(crate) document: Arc<OriginConfig>,
    pub(crate) outcome: DiscoveryOutcome,
}
