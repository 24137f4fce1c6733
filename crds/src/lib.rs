//! The vocabulary: the four kinds of Portcullis as Kubernetes custom resources, and the words that they share.
//!
//! A manifest means the same in a cluster and in a folder: the API server validates it by the schema and the CEL rules
//! that are generated from these types ([`manifests`]), a folder by the same schema and the compiler. The types themselves
//! ignore unknown fields, so that one field from a newer version does not stop an operator's watch.

#![allow(clippy::duplicated_attributes, reason = "printer columns have types in common")]
#![allow(unreachable_pub, reason = "KubeSchema copies each type into a function, `pub` included")]

pub mod kinds;
pub mod manifests;
pub mod values;

pub use kinds::{McpGateway, OriginMcp, Team, VirtualMcp};

/// API group of all kinds.
pub const GROUP: &str = "portcullis.dev";
/// API version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// A Secret takes part only with this label at `"true"`; the operator sees no other.
pub const CREDENTIAL_LABEL: &str = "portcullis.dev/credential";
/// On a Secret: the hosts that its values may be sent to, separated by commas; `*` stands for any run of characters.
pub const ALLOWED_HOSTS_ANNOTATION: &str = "portcullis.dev/allowed-hosts";
