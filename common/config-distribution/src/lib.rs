//! Published config: how config documents get from the operator to the replicas of the data plane. They are
//! stored as objects in one dedicated namespace that only the operator writes.
//!
//! ```text
//! ConfigDocument, one per source --sign_stamped--> data of an object (document, hash, mac)
//! data --VerifiedDocument::from_object--> VerifiedDocument, which the route table is built from
//! ```
//!
//! In the other direction a replica sends a [`ReplicaReport`] of the config that it serves and, on a
//! [`CatalogRequest`], its [`ObservedCatalogs`].
//!
//! Every object has a hash and a MAC over its kind, name and document, so a route cannot be added without the
//! installation's keys. The document contains the installation's id and a serial ([`Stamp`]), so an older
//! version of an object cannot replace a newer one. An object that fails verification is rejected, and its
//! last valid version stays in use. Static credentials are sealed.
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
mod slugs;
mod stamp;
mod verified;

pub use catalog_request::{
    CATALOGS_PATH, CatalogReplyError, CatalogRequest, MAC_HEADER, MAX_REPLY_BYTES, NONCE_HEADER,
};
pub use credential::SealedCredential;
pub use document_kind::DocumentKind;
pub use documents::ConfigDocument;
pub use observed_catalog::{ListKind, ObservedCatalog, ObservedCatalogs, ObservedItem};
pub use report::{
    REPLICA_OF_LABEL, REPORT_ANNOTATION, REPORT_MAX_AGE_SECONDS, Rejection, ReplicaReport, RolloutState,
};
pub use restored_uids::{RESTORED_UIDS_CONFIG_MAP, RestoredUids, sign_restored_uids, verify_restored_uids};
pub use sign::{
    SignError, SignedDocument, VerifyError, content_hash, object_name, sign_document, sign_stamped,
    verify_document, verify_stamped,
};
pub use slugs::{SLUGS_CONFIG_MAP, SlugRecord, SlugRecords, sign_slugs, verify_slugs};
pub use stamp::Stamp;
pub use verified::VerifiedDocument;

pub use portcullis_keyring::MacRing;

use serde::{Deserialize, Serialize};

/// Label of every published object. Its value is the object's [`DocumentKind`], [`KEYS_LABEL_VALUE`] or
/// [`OWNER_LABEL_VALUE`].
pub const OBJECT_KIND_LABEL: &str = "portcullis.dev/publication";
/// Label value of the Secret with the key rings.
pub const KEYS_LABEL_VALUE: &str = "keys";
/// Label value of the ConfigMap that owns all others.
pub const OWNER_LABEL_VALUE: &str = "owner";
/// The Secret with the key rings. It is created once, never overwritten and never pruned, and it survives an
/// uninstall.
pub const KEYS_SECRET: &str = "portcullis-keys";
/// Key of that Secret's data that contains the key rings.
pub const KEYS_SECRET_ENTRY: &str = "keys.json";
/// The ConfigMap that owns every published object. Deleting it deletes them.
pub const OWNER_CONFIG_MAP: &str = "portcullis-owner";
/// Default namespace of published objects.
pub const DEFAULT_NAMESPACE: &str = "portcullis-publication";
/// Value of the label `app.kubernetes.io/managed-by` on all objects that the operator writes.
pub const MANAGED_BY: &str = "portcullis-operator";
/// Annotation: the resource that an object was compiled from, `VirtualMcp namespace/name`.
pub const SOURCE_ANNOTATION: &str = "portcullis.dev/source";
/// Annotation: the generation of that resource.
pub const GENERATION_ANNOTATION: &str = "portcullis.dev/source-generation";

/// The document with the diagnostics of all resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedDiagnostics {
    /// Errors first.
    pub diagnostics: Vec<PublishedDiagnostic>,
}

/// One problem of a resource, as the portal shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishedDiagnostic {
    /// `error` or `warning`.
    pub severity: String,
    /// The resource, `OriginMcp namespace/name`; absent if the problem concerns the whole installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Path of the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Machine-readable reason: one CamelCase word.
    pub reason: String,
    /// The problem, and what to do.
    pub message: String,
}
