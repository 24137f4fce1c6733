use serde::{Deserialize, Serialize};

use crate::Selection;

/// A team and what it may use (`Team`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeamConfig {
    /// The resource's UID.
    pub uid: String,
    /// `namespace/name`.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// Who belongs to it.
    pub members: Members,
    /// What they may use.
    pub access: Vec<TeamAccess>,
}

/// People and workloads. Emails match only where they are verified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Members {
    /// Groups, as the identity provider names them.
    pub groups: Vec<String>,
    /// Email addresses, compared without regard to case.
    pub users: Vec<String>,
    /// Programs, as [`WorkloadConfig::name`](crate::WorkloadDoc::name) names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Kubernetes service accounts, `namespace/name`.
    pub service_accounts: Vec<String>,
}

/// A team's use of one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TeamAccess {
    /// UID of the virtual MCP.
    pub route: String,
    /// Exposed tool names. Teams add up; exclude wins within a team.
    pub tools: Selection,
}
