//! The container image: its Dockerfile, its file system from the real release program, started as Kubernetes starts it; its
//! licences and its bill of materials.
//!
//! What has no part here, since it takes a container engine and a registry: layers, the base's own files, the other
//! architecture, and that two builders make the same bytes. `docs/release.md` says how a release checks them.

mod dockerfile;
mod fits;
mod materials;
mod started;

use std::sync::Mutex;

use anyhow::Result;
use stationkeeper_image::root::Image;

/// The image, built once in this test process, or before it by `cargo xtask check`.
fn image() -> Result<Image> {
    static BUILT: Mutex<Option<Image>> = Mutex::new(None);
    let mut built = BUILT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(image) = &*built {
        return Ok(image.clone());
    }
    let image = stationkeeper_image::build()?;
    *built = Some(image.clone());
    Ok(image)
}
