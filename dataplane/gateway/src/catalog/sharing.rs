//! Why a section of a catalog may be shown to every user.

use portcullis_policy::Origin;

/// Why a section may be shown to users whose account did not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SharingBasis {
    /// All users reach the origin with the same credential.
    Credential,
    /// The origin's owner declares the catalog shared.
    Owner,
    /// The origin declares the section public.
    Origin,
}

impl SharingBasis {
    /// The basis for sharing a response of this origin; `None` if it is private. `public` is what the origin
    /// says of the response.
    pub(super) fn of(origin: &Origin, public: bool) -> Option<Self> {
        if !origin.is_personal() {
            Some(Self::Credential)
        } else if public {
            Some(Self::Origin)
        } else {
            (!origin.has_private_catalog()).then_some(Self::Owner)
        }
    }

    /// Whether the basis still holds under the origin's current config.
    pub(super) fn holds(self, origin: &Origin) -> bool {
        match self {
            Self::Credential => !origin.is_personal(),
            Self::Owner => origin.is_personal() && !origin.has_private_catalog(),
            Self::Origin => true,
        }
    }

    /// The basis of a list of which one part has this basis and another part has the other.
    pub(super) fn and(self, other: Self) -> Self {
        if self == Self::Origin { other } else { self }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Credential => "credential",
            Self::Owner => "owner",
            Self::Origin => "origin",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Credential, Self::Owner, Self::Origin].into_iter().find(|basis| basis.name() == name)
    }
}
