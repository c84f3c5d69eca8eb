//! A file of a folder of manifests: any bytes are read, and what is wrong with them has a place.

#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use stationkeeper::manifest;

fuzz_target!(|bytes: &[u8]| {
    let file: Arc<Path> = Arc::from(Path::new("fuzz.yaml"));
    let read = manifest::read(&file, bytes, "default");
    for problem in read.all_problems() {
        assert!(
            !problem.to_string().is_empty(),
            "a problem says what is wrong"
        );
    }
});
