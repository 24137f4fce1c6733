//! The publication: how the contract travels from the operator to the replicas of the data plane, through objects in one
//! dedicated namespace that only the operator writes.
//!
//! ```text
//! Contract --documents--> one document per source --publish--> data of a ConfigMap or Secret (document, hash, mac)
//! data --verify, Piece::read--> Piece --Pieces::join--> Contract
//! ```
//!
//! What comes back are a replica's [`ReplicaReport`] of what it serves, and on [`CatalogRequest`] its [`ObservedCatalogs`].
//!
//! Every object carries a hash and a MAC over its kind, name and document, so that nobody else can inject a route: an object
//! that does not verify is refused, and the last good version of it stays. Static credentials travel sealed.
//!
//! Pure: no Kubernetes client, no I/O, no clock.

mod catalog_request;
mod credential;
mod document_kind;
mod documents;
mod observed_catalog;
mod report;
mod restored_uids;
mod sign;
mod verified;

pub use catalog_request::{
    CATALOGS_PATH, CatalogReplyError, CatalogRequest, MAC_HEADER, MAX_REPLY_BYTES, NONCE_HEADER,
};
pub use credential::SealedCredential;
pub use document_kind::DocumentKind;
pub use documents::{ConfigDocument, documents};
pub use observed_catalog::{ListKind, ObservedCatalog, ObservedCatalogs, ObservedItem};
pub use report::{
    REPLICA_OF_LABEL, REPORT_ANNOTATION, REPORT_MAX_AGE_SECONDS, Rejection, ReplicaReport, RolloutState,
};
pub use restored_uids::{RESTORED_UIDS_CONFIG_MAP, RestoredUids, sign_restored_uids, verify_restored_uids};
pub use sign::{
    SignError, SignedDocument, VerifyError, content_hash, object_name, sign_document, verify_document,
};
pub use verified::{MissingDependency, VerifiedDocument, VerifiedDocuments};

pub use portcullis_keyring::MacRing;

use serde::{Deserialize, Serialize};

/// The label that every published object carries; its value is the object's [`DocumentKind`], or one of the other `*_VALUE`s here.
pub const OBJECT_KIND_LABEL: &str = "portcullis.dev/publication";
/// Label value of the Secret with the key rings.
pub const KEYS_LABEL_VALUE: &str = "keys";
/// Label value of the ConfigMap that owns all others.
pub const OWNER_LABEL_VALUE: &str = "owner";
/// The Secret with the key rings: made once, never overwritten, never pruned; it survives an uninstall.
pub const KEYS_SECRET: &str = "portcullis-keys";
/// The key of the rings in that Secret.
pub const KEYS_SECRET_ENTRY: &str = "keys.json";
/// The ConfigMap that owns every published object, so that they go with it.
pub const OWNER_CONFIG_MAP: &str = "portcullis-owner";
/// The namespace where nothing else is said.
pub const DEFAULT_NAMESPACE: &str = "portcullis-publication";
/// Value of `app.kubernetes.io/managed-by` on all that the operator writes.
pub const MANAGED_BY: &str = "portcullis-operator";
/// Annotation: the resource that an object was made from, `VirtualMcp namespace/name`.
pub const SOURCE_ANNOTATION: &str = "portcullis.dev/source";
/// Annotation: the generation of that resource.
pub const GENERATION_ANNOTATION: &str = "portcullis.dev/source-generation";

/// Something that is wrong with a resource, as the portal shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedDiagnostic {
    /// `error` or `warning`.
    pub severity: String,
    /// `OriginMcp namespace/name`; absent for what concerns the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Path of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// One CamelCase word.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}
