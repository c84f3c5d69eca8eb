//! The project's Markdown says what is: links lead somewhere, flags exist, the API reference is what the CRDs say.

mod flags;
mod links;
mod markdown;
mod reference;
