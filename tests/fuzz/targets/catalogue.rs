//! A catalogue document, as a user may write one: any text is read or refused with its mistakes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stationkeeper_core::catalogue::CatalogueDocument;

fuzz_target!(|text: &str| {
    if let Ok(document) = CatalogueDocument::from_yaml("fuzz.yaml", text) {
        // A document that is read holds none: they are why others are refused.
        assert!(document.mistakes().is_empty());
    }
});
