//! The four Kubernetes custom resources of Portcullis and the value types that they share.
//!
//! A manifest means the same in a cluster and in a folder. The API server validates it with the schema and
//! CEL rules that are generated from these types ([`manifests`]); folder mode uses the same schema and the
//! compiler. The types ignore unknown fields, because a field from a newer version must not stop an
//! operator's watch.

#![allow(clippy::duplicated_attributes, reason = "printer columns have types in common")]
#![allow(unreachable_pub, reason = "KubeSchema copies each type into a function, `pub` included")]

pub mod kinds;
pub mod manifests;
pub mod values;

pub use kinds::{McpGateway, OriginMcp, Team, VirtualMcp};

/// API group of all four kinds.
pub const GROUP: &str = "portcullis.dev";
/// API version of all four kinds.
pub const VERSION: &str = "v1alpha1";
/// Opt-in label: the operator reads only Secrets that have this label with the value `"true"`.
pub const CREDENTIAL_LABEL: &str = "portcullis.dev/credential";
/// Annotation of a Secret: comma-separated hosts that its values may be sent to. `*` matches any number of
/// characters.
pub const ALLOWED_HOSTS_ANNOTATION: &str = "portcullis.dev/allowed-hosts";
