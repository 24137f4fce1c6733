//! The identity of an installation, stored with its keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_clock::{NoRandomness, Random};
use serde::{Deserialize, Serialize};

/// The installation that a key document belongs to. Published documents name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// Random id.
    pub id: String,
    /// Whether every published document has a serial. Documents without one are then rejected. False while
    /// documents of a version without serials may still be published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub serials_required: bool,
}

impl Installation {
    /// A new installation. It has published nothing yet, so serials are required from the start.
    pub(crate) fn new(random: &Random) -> Result<Self, NoRandomness> {
        Ok(Self { id: URL_SAFE_NO_PAD.encode(random.bytes::<16>()?), serials_required: true })
    }
}
