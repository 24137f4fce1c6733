//! Writes the CustomResourceDefinitions into `crds/manifests/`:
//! `cargo run -p portcullis-crds --example crdgen`.

use std::error::Error;
use std::path::Path;

use portcullis_crds::manifests;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    for definition in manifests::definitions() {
        std::fs::write(folder.join(manifests::file_name(&definition)), manifests::yaml(&definition)?)?;
    }
    Ok(())
}
