use std::sync::Arc;

use portcullis_compiler::Catalog;
use portcullis_config::OriginConfig;
use portcullis_crds::kinds::origin_mcp as kind;

/// What an origin answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DiscoveryOutcome {
    /// What it offers.
    Offers(DiscoveredCatalog),
    /// It wants to know which person asks.
    NeedsAccount,
    /// It does not take the gateway's credential, or wants one.
    Refused(String),
    /// It answers, but not as an MCP server does.
    NotMcp(String),
    /// It does not answer.
    Unreachable(String),
}

/// What an origin offers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DiscoveredCatalog {
    pub(crate) protocol_version: String,
    pub(crate) counts: kind::Catalog,
    pub(crate) names: Catalog,
}

/// What an origin answered, and to which question.
#[derive(Clone)]
pub(crate) struct Discovery {
    pub(crate) document: Arc<OriginConfig>,
    pub(crate) outcome: DiscoveryOutcome,
}
