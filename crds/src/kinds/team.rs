//! `Team`: who may use which virtual MCPs, and which of their tools.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::Status;
use crate::values::{VisibleTools, syntax};

/// People, and what they may use. Teams add up; within a team, exclude wins.
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
    doc = "Who may use which virtual MCPs, and which of their tools.",
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
    /// For people. Default: the name.
    #[schemars(length(max = 256))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Who belongs to it.
    pub members: Members,
    /// What its members may use.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["virtualMcp".into()]))]
    pub access: Vec<TeamAccess>,
}

/// Who belongs to a team: whoever is named in any of the lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Groups, as the identity provider names them.
    #[schemars(length(max = 512), inner(length(min = 1, max = 256)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Verified email addresses, compared without regard to case.
    #[schemars(length(max = 1024), inner(length(min = 3, max = 254)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Programs, as `spec.clients.workloads` of the gateway names them.
    #[schemars(length(max = 256), inner(length(min = 1, max = 63), regex(pattern = syntax::DNS_LABEL)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Kubernetes service accounts, `namespace/name`. Their tokens are verified by the cluster that the gateway runs in, so that
    /// no secret is stored anywhere.
    #[schemars(length(max = 256), inner(length(min = 3, max = 317), regex(pattern = syntax::SERVICE_ACCOUNT)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_accounts: Vec<String>,
}

/// A virtual MCP, and which of its tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TeamAccess {
    /// Name of a `VirtualMcp` in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub virtual_mcp: String,
    /// Which of its tools. Default: all that it offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<VisibleTools>,
}
