/// What an object publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A static credential, sealed. First, because others refer to it: what is published is written in this order and
    /// removed in the opposite one.
    Credential,
    /// The settings of the installation.
    Gateway,
    /// An origin.
    Origin,
    /// A virtual MCP.
    Route,
    /// A team.
    Team,
    /// What is wrong with the resources, for the portal.
    Diagnostics,
}

impl DocumentKind {
    /// All of them, in the order in which they are written.
    pub const ALL: [Self; 6] =
        [Self::Credential, Self::Gateway, Self::Origin, Self::Route, Self::Team, Self::Diagnostics];

    /// The value of the [label](crate::LABEL).
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Gateway => "gateway",
            Self::Origin => "origin",
            Self::Route => "route",
            Self::Team => "team",
            Self::Diagnostics => "diagnoses",
        }
    }

    /// The kind that a label's value names.
    #[must_use]
    pub fn from_label(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == value)
    }

    /// The kind of the Kubernetes object: `ConfigMap` or `Secret`.
    #[must_use]
    pub fn object_kind(self) -> &'static str {
        match self {
            Self::Credential => "Secret",
            _ => "ConfigMap",
        }
    }

    /// The plural that a watch of such objects goes by, and that a [report](crate::Report) uses: `configmaps` or `secrets`.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Credential => "secrets",
            _ => "configmaps",
        }
    }
}
