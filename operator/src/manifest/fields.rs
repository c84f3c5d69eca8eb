//! Fields: where each field of an object stands in its file, for whoever has more to say of them than the reader.

use std::path::Path;
use std::sync::Arc;

use super::Place;
use super::node::Node;

/// The fields of one object, with their places.
#[derive(Clone, Debug)]
pub struct Fields {
    file: Arc<Path>,
    root: Arc<Node>,
}

impl Fields {
    pub(super) fn new(file: &Arc<Path>, root: &Arc<Node>) -> Self {
        Self {
            file: Arc::clone(file),
            root: Arc::clone(root),
        }
    }

    /// Where a field such as `spec.settings[2].value` stands; where it is not given, the nearest that is.
    pub fn place(&self, field: &str) -> Place {
        let at = self.root.nearest(field).at;
        Place {
            file: Arc::clone(&self.file),
            line: at.line,
            column: at.column,
        }
    }

    /// The text at a path of maps such as `status.hardware.vendor`, if it is a string.
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        let mut node = &self.root;
        for step in path {
            node = node.get(step)?;
        }
        node.string()
    }
}
