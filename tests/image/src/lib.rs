//! What is in the container image, without a container engine.
//!
//! In: `operator/Dockerfile`, which says how the image is made, and the graph of crates that cargo resolved. Out: the
//! image's file system as a folder, built by the Dockerfile's own steps; the licences of everything in the program; a bill
//! of materials in CycloneDX. Nothing of the Dockerfile is said a second time here, so that the two cannot differ.
//!
//! Deliberately absent: layers, registries, signatures. A container engine does those, and `docs/release.md` says how.

pub mod dockerfile;
pub mod graph;
pub mod licences;
pub mod materials;
pub mod root;
pub mod stage;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use xtask::cargo::{target_folder, workspace};

use crate::root::Image;

/// Where the image's parts are made.
pub fn folder() -> PathBuf {
    target_folder().join("image")
}

/// Runs the Dockerfile, as far as that goes without a container engine.
pub fn build() -> Result<Image> {
    let stages = dockerfile::read(&workspace())?;
    let [stage, last] = stages.as_slice() else {
        return None.context("the Dockerfile has other than two stages");
    };
    let built = stage::run(stage, &workspace(), &folder())?;
    root::assemble(last, &built, &folder().join("root"))
}
