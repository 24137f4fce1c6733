//! Slugs that no published document shows: freed ones, and those of virtual MCPs that are not published.

use std::collections::BTreeMap;

use portcullis_keyring::MacRing;
use serde::{Deserialize, Serialize};

use crate::sign::{SignError, SignedDocument, VerifyError, sign, verify_in_context};

/// The ConfigMap of [`SlugRecords`]. It has no [label](crate::OBJECT_KIND_LABEL) and no owner: only the
/// operator reads it, and like the keys it survives an uninstall.
pub const SLUGS_CONFIG_MAP: &str = "portcullis-slugs";

/// Records by slug.
pub type SlugRecords = BTreeMap<String, SlugRecord>;

/// Who a slug belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlugRecord {
    /// Namespace of its virtual MCP.
    pub namespace: String,
    /// UID of its virtual MCP; for restored resources, the original one.
    pub uid: String,
    /// When the virtual MCP gave it up, in Unix milliseconds; absent while it has the slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freed_at: Option<i64>,
}

const CONTEXT: [&str; 3] = ["ConfigMap", SLUGS_CONFIG_MAP, "slugs"];

/// Serializes and signs the records.
///
/// # Errors
/// When the MAC ring has no key.
pub fn sign_slugs(ring: &MacRing, records: &SlugRecords) -> Result<SignedDocument, SignError> {
    sign(ring, CONTEXT, records)
}

/// Verifies and decodes the records.
///
/// # Errors
/// When they were not signed with one of these keys or cannot be decoded.
pub fn verify_slugs(ring: &MacRing, data: &BTreeMap<String, String>) -> Result<SlugRecords, VerifyError> {
    verify_in_context(ring, CONTEXT, data)
}
