//! Config document of a team (`Team`).

use serde::{Deserialize, Serialize};

use crate::Selection;

/// A team: its members and their access (`Team`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamConfig {
    /// UID of the resource.
    pub uid: String,
    /// `namespace/name`.
    pub name: String,
    /// Display name.
    pub display_name: String,
    /// Members of the team.
    pub members: Members,
    /// Routes that the members may use.
    pub access: Vec<TeamAccess>,
}

/// Users and workloads. Only verified email addresses match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Members {
    /// Groups, as the identity provider names them.
    pub groups: Vec<String>,
    /// Email addresses. Case is ignored.
    pub users: Vec<String>,
    /// Workloads, by [`WorkloadConfig::name`](crate::WorkloadConfig::name).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Kubernetes service accounts, `namespace/name`.
    pub service_accounts: Vec<String>,
}

/// A team's access to one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TeamAccess {
    /// UID of the virtual MCP.
    pub route: String,
    /// Exposed names of the tools that the team may use. Teams add up; within one team, exclude wins.
    pub tools: Selection,
}
