//! The publication: how the contract travels from the operator to the replicas of the data plane, through objects in one
//! dedicated namespace that only the operator writes.
//!
//! ```text
//! Contract --documents--> one document per source --publish--> data of a ConfigMap or Secret (document, hash, mac)
//! data --verify, Piece::read--> Piece --Pieces::join--> Contract
//! ```
//!
//! What comes back are a replica's [`Report`] of what it serves, and on [`Inquiry`] its [`Observations`].
//!
//! Every object carries a hash and a MAC over its kind, name and document, so that nobody else can inject a route: an object
//! that does not verify is refused, and the last good version of it stays. Static credentials travel sealed.
//!
//! Pure: no Kubernetes client, no I/O, no clock.

mod credential;
mod documents;
mod identities;
mod inquiry;
mod kind;
mod observed;
mod pieces;
mod report;
mod seal;

pub use credential::CredentialDoc;
pub use documents::{Document, documents};
pub use identities::{IDENTITIES_NAME, Identities, publish_identities, verify_identities};
pub use inquiry::{Disbelieved, Inquiry, LONGEST_ANSWER, MAC_HEADER, NONCE_HEADER, OBSERVED_PATH};
pub use kind::Kind;
pub use observed::{Definition, ListKind, Observations, Observed as ObservedCatalog};
pub use pieces::{Missing, Piece, Pieces};
pub use report::{Observed, REPORT_ANNOTATION, REPORT_FRESH_SECONDS, REPORT_LABEL, Rejection, Report};
pub use seal::{PublishError, Refused, Sealed, content_hash, object_name, publish, verify};

pub use portcullis_keys::MacRing;

use serde::{Deserialize, Serialize};

/// The label that every published object carries; its value is the object's [`Kind`], or one of the other `*_VALUE`s here.
pub const LABEL: &str = "portcullis.dev/publication";
/// Label value of the Secret with the key rings.
pub const KEYS_VALUE: &str = "keys";
/// Label value of the ConfigMap that owns all others.
pub const OWNER_VALUE: &str = "owner";
/// The Secret with the key rings: made once, never overwritten, never pruned; it survives an uninstall.
pub const KEYS_NAME: &str = "portcullis-keys";
/// The key of the rings in that Secret.
pub const KEYS_DATA: &str = "keys.json";
/// The ConfigMap that owns every published object, so that they go with it.
pub const OWNER_NAME: &str = "portcullis-owner";
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
pub struct DiagnosisDoc {
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
