//! Kinds of published documents and their Kubernetes objects.

/// Kind of a published document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A sealed static credential. It comes first because other documents refer to it: documents are written
    /// in this order and removed in reverse order.
    Credential,
    /// Settings of the installation.
    Gateway,
    /// An origin.
    Origin,
    /// A virtual MCP.
    Route,
    /// A team.
    Team,
    /// Diagnostics of the resources, for the portal.
    Diagnostics,
}

impl DocumentKind {
    /// All kinds, in the order in which they are written.
    pub const ALL: [Self; 6] =
        [Self::Credential, Self::Gateway, Self::Origin, Self::Route, Self::Team, Self::Diagnostics];

    /// The kind of the object with this name ([`object_name`](crate::object_name)).
    #[must_use]
    pub fn of_object(name: &str) -> Option<Self> {
        Self::from_label(name.split_once('-').map_or(name, |(label, _)| label))
    }

    /// Value of the [label](crate::OBJECT_KIND_LABEL).
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

    /// The kind with this label value.
    #[must_use]
    pub fn from_label(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.label() == value)
    }

    /// Kind of the Kubernetes object: `ConfigMap` or `Secret`.
    #[must_use]
    pub fn object_kind(self) -> &'static str {
        match self {
            Self::Credential => "Secret",
            _ => "ConfigMap",
        }
    }

    /// Plural name of the Kubernetes resource, as in watches and in a
    /// [`ReplicaReport`](crate::ReplicaReport): `configmaps` or `secrets`.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Credential => "secrets",
            _ => "configmaps",
        }
    }
}
