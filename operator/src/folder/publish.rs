//! Publish: status into the state directory, events into the log; and Secrets out of the manifests.

use std::path::Path;
use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::table::Kept;
use super::{FolderSource, Inner, id_of};
use crate::clock;
use crate::connector::Pending;
use crate::manifest::{Kind, ObjectId};
use crate::objects::{
    ChargeStation, ChargeStationConfig, ChargeStationConfigStatus, ChargeStationStatus,
    KeyCatalogue, KeyCatalogueStatus,
};
use crate::source::{About, PublishError, Publisher, SecretData, Secrets, SecretsError, TellEvent};

impl Publisher for FolderSource {
    fn station<'a>(
        &'a self,
        station: &'a ObjectRef<ChargeStation>,
        resource_version: &'a str,
        status: ChargeStationStatus,
    ) -> Pending<'a, Result<Arc<ChargeStation>, PublishError>> {
        Box::pin(self.publish(id_of(Kind::Station, station), resource_version, status))
    }

    fn config<'a>(
        &'a self,
        config: &'a ObjectRef<ChargeStationConfig>,
        resource_version: &'a str,
        status: ChargeStationConfigStatus,
    ) -> Pending<'a, Result<Arc<ChargeStationConfig>, PublishError>> {
        Box::pin(self.publish(id_of(Kind::Config, config), resource_version, status))
    }

    fn catalogue<'a>(
        &'a self,
        catalogue: &'a ObjectRef<KeyCatalogue>,
        resource_version: &'a str,
        status: KeyCatalogueStatus,
    ) -> Pending<'a, Result<Arc<KeyCatalogue>, PublishError>> {
        Box::pin(self.publish(id_of(Kind::Catalogue, catalogue), resource_version, status))
    }

    fn event<'a>(&'a self, about: About<'a>, event: TellEvent) -> Pending<'a, ()> {
        let (kind, namespace, name) = match about {
            About::Station(station) => ("ChargeStation", station.namespace(), station.name_any()),
            About::Config(config) => ("ChargeStationConfig", config.namespace(), config.name_any()),
        };
        let object = format!("{kind} {}/{name}", namespace.unwrap_or_default());
        let TellEvent {
            warning,
            reason,
            action,
            note,
        } = event;
        if warning {
            tracing::warn!(object, reason, action, "{note}");
        } else {
            tracing::info!(object, reason, action, "{note}");
        }
        Box::pin(std::future::ready(()))
    }

    fn create<'a>(&'a self, station: &'a ChargeStation) -> Pending<'a, Result<(), PublishError>> {
        Box::pin(self.register(station))
    }
}

impl Secrets for FolderSource {
    fn get<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> Pending<'a, Result<Option<SecretData>, SecretsError>> {
        let id = ObjectId {
            kind: Kind::Secret,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let found = {
            let inner = self.lock();
            // Not declared for all that can be read is not absent while there is something that cannot.
            let unreadable = || {
                let bad = inner
                    .bad_files
                    .first()
                    .and_then(|file| inner.parsed.get(file));
                bad.map(|(_, manifests)| manifests.problems[0].to_string())
            };
            match inner.secrets.get(&id) {
                Some((data, _)) => Ok(Some(data.clone())),
                None => match inner.bad_secrets.get(&id).cloned().or_else(unreadable) {
                    Some(reason) => Err(reason),
                    None if inner.loaded.is_none() => {
                        Err("the manifests are not read yet".to_owned())
                    }
                    None => Ok(None),
                },
            }
        };
        let found = found.map_err(|reason| SecretsError {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            source: reason.into(),
        });
        Box::pin(std::future::ready(found))
    }
}

impl FolderSource {
    async fn publish<K: Kept>(
        &self,
        id: ObjectId,
        version: &str,
        status: K::Status,
    ) -> Result<Arc<K>, PublishError> {
        let metadata = {
            let mut inner = self.lock();
            let next = inner.version + 1;
            let metadata = K::table(&mut inner).begin(&id, version, next)?;
            inner.version = next;
            metadata
        };
        // Lets the next one begin, also when this future is dropped in the middle.
        let _busy = Busy {
            source: self,
            id: &id,
            end: |inner: &mut Inner, id| K::table(inner).end(id),
        };
        let written = self.state.write_status(&id, &metadata, &status).await;
        if let Err(error) = written {
            return Err(PublishError::Unavailable {
                what: format!("the status of {id}"),
                source: Box::new(error),
            });
        }
        let published = {
            let mut inner = self.lock();
            let next = inner.version + 1;
            let published =
                K::table(&mut inner).publish(&id, metadata.uid.as_deref(), status, next);
            if published.is_ok() {
                inner.version = next;
            }
            published
        };
        if published.is_err() {
            self.forget(vec![id.clone()]).await;
        }
        published
    }

    async fn register(&self, station: &ChargeStation) -> Result<(), PublishError> {
        let mut station = station.clone();
        station
            .metadata
            .namespace
            .get_or_insert_with(|| self.options.default_namespace.clone());
        let id = ObjectId {
            kind: Kind::Station,
            namespace: station.namespace().unwrap_or_default(),
            name: station.name_any(),
        };
        if self.lock().stations.contains(&id) {
            return Err(PublishError::Conflict);
        }
        let unavailable = |error: std::io::Error| PublishError::Unavailable {
            what: format!("the new {id}"),
            source: Box::new(error),
        };
        let path: Arc<Path> = Arc::from(
            self.state
                .write_registered(&station)
                .await
                .map_err(unavailable)?,
        );
        {
            let mut inner = self.lock();
            inner.registrations += 1;
            let mut changed = Vec::new();
            let Inner {
                stations, version, ..
            } = &mut *inner;
            if !stations.contains(&id) {
                stations.put(&id, station, path, clock::now(), version, &mut changed);
                stations.tell(&changed, false);
            }
        }
        self.remember().await;
        Ok(())
    }
}

/// A publication under way.
struct Busy<'a> {
    source: &'a FolderSource,
    id: &'a ObjectId,
    end: fn(&mut Inner, &ObjectId),
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        (self.end)(&mut self.source.lock(), self.id);
    }
}
