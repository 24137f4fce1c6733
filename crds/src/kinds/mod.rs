//! The four kinds, one file each, and the status that `McpGateway` and `Team` share.

pub mod mcp_gateway;
pub mod origin_auth;
pub mod origin_mcp;
pub mod team;
pub mod virtual_mcp;
pub mod workload;

pub use mcp_gateway::{McpGateway, McpGatewaySpec};
pub use origin_mcp::{OriginMcp, OriginMcpSpec};
pub use team::{Team, TeamSpec};
pub use virtual_mcp::{VirtualMcp, VirtualMcpSpec};

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::values::Condition;

/// State that the operator last reported for this resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Generation of the resource that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, and their summary `Ready`.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
