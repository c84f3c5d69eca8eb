//! Reads of Secrets, counted where they leave: a source of Secrets around another one.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::connector::Pending;
use crate::source::{SecretData, Secrets, SecretsError};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// Reads by what came of them.
#[derive(Clone)]
pub(crate) struct Reads(Family<ResultLabels, Counter>);

impl Reads {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let reads = Self(Family::default());
        registry.register(
            "stationkeeper_secret_reads",
            "Reads of Secrets, by result: found, absent, or failed, which leaves in use what was read before",
            reads.0.clone(),
        );
        for result in ["found", "absent", "failed"] {
            drop(reads.0.get_or_create(&ResultLabels { result }));
        }
        reads
    }
}

/// A source of Secrets whose reads are counted.
pub(crate) struct CountedSecrets {
    pub(crate) source: Arc<dyn Secrets>,
    pub(crate) reads: Reads,
}

impl Secrets for CountedSecrets {
    fn get<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> Pending<'a, Result<Option<SecretData>, SecretsError>> {
        Box::pin(async move {
            let read = self.source.get(namespace, name).await;
            let result = match &read {
                Ok(Some(_)) => "found",
                Ok(None) => "absent",
                Err(_) => "failed",
            };
            self.reads.0.get_or_create(&ResultLabels { result }).inc();
            read
        })
    }
}
