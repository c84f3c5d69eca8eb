//! `catalogue`: what is known of keys, as data and as pages, and a check of what a user adds to it.

pub mod check;
pub mod export;
pub mod page;
pub(crate) mod telling;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use stationkeeper_core::catalogue::Catalogue;

/// The catalogue of keys: export it, check a file of your own, write the reference pages.
#[derive(Clone, Debug, clap::Args)]
pub struct CatalogueArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: CatalogueVerb,
}

/// What to do with the catalogue.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum CatalogueVerb {
    /// Prints what each reference says of each key, unmerged, with its source; absent facts are null.
    Export(export::ExportArgs),
    /// Checks a catalogue file or KeyCatalogue objects: schema, sources, values, and what the built-in catalogue says.
    Check(check::CheckArgs),
    /// Writes one reference page a vendor into a folder.
    Pages(PagesArgs),
}

/// Writes one reference page a vendor, from the built-in catalogue.
#[derive(Clone, Debug, clap::Args)]
pub struct PagesArgs {
    /// The folder; it has to be there.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Runs one of the verbs.
pub fn catalogue(args: CatalogueArgs) -> anyhow::Result<ExitCode> {
    match args.verb {
        CatalogueVerb::Export(args) => export::export(&args),
        CatalogueVerb::Check(args) => check::check(&args),
        CatalogueVerb::Pages(args) => pages(&args),
    }
}

fn pages(args: &PagesArgs) -> anyhow::Result<ExitCode> {
    for page in page::pages(&Catalogue::built_in()) {
        let file = args.dir.join(&page.file);
        std::fs::write(&file, &page.text).with_context(|| format!("failed to write {file:?}"))?;
    }
    Ok(ExitCode::SUCCESS)
}
