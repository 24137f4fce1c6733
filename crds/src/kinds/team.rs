//! `Team`: which users and workloads may use which virtual MCPs and tools.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::values::{VisibleTools, syntax};

/// Members and their access. The access of several teams adds up; within one team, exclude wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "portcullis.dev",
    version = "v1alpha1",
    kind = "Team",
    plural = "teams",
    shortname = "mcpteam",
    category = "mcp",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "Users and workloads, and the virtual MCPs and tools that they may use.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Groups", type_ = "string", json_path = ".spec.members.groups"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[cfg_attr(test, kube(cel))]
#[serde(rename_all = "camelCase")]
pub struct TeamSpec {
    /// Display name. Default: the resource's name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Members of the team.
    pub members: Members,
    /// Virtual MCPs that the members may use.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["virtualMcp".into()]))]
    pub access: Vec<TeamAccess>,
}

/// Members of a team: everyone who matches an entry in one of the lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Groups, as the identity provider names them.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Verified email addresses. Case is ignored.
    #[schemars(length(max = 1024), inner(length(min = 3, max = 254)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Names of workloads in `spec.clients.workloads` of the gateway.
    #[schemars(length(max = 256), inner(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Kubernetes service accounts, `namespace/name`. The cluster that the gateway runs in verifies their
    /// tokens, so no secret is stored.
    #[schemars(length(max = 256), inner(length(min = 3, max = 317), regex(pattern = syntax::SERVICE_ACCOUNT)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
}

/// A virtual MCP and the tools of it that the team may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamAccess {
    /// Name of a VirtualMcp in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub virtual_mcp: String,
    /// Tools that the team may use. Default: all tools that the virtual MCP offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<VisibleTools>,
}
