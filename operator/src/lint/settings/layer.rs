//! Layer: a config as it applies to one station, with what is known of its Secrets offline.

use secrecy::ExposeSecret;
use stationkeeper_core::catalogue::StationCatalogue;
use stationkeeper_core::layer::{Layer, Setting, SettingValue, Standing};
use stationkeeper_core::words::{Key, SecretVersion};

use super::{Fleet, Prepared};
use crate::lint::stations::Station;
use crate::objects::SettingSpec;

impl Fleet<'_> {
    pub(super) fn layer(
        &self,
        config: &Prepared<'_>,
        station: &Station,
        catalogue: &StationCatalogue,
    ) -> Layer {
        let spec = &config.object.body.spec;
        let settings = config.settings.iter().map(|(_, setting)| Setting {
            key: Key::new(setting.key.as_str()),
            value: self.value(setting, station, catalogue),
            mode: setting.mode,
        });
        Layer {
            config: config.config(),
            generation: 0,
            priority: spec.priority,
            // Whether it is suspended today says nothing about whether it is right.
            standing: Standing::Active,
            mode: spec.mode,
            settings: settings.collect(),
            consent: spec.consent.iter().copied().collect(),
            when_removed: spec.when_removed,
        }
    }

    fn value(
        &self,
        setting: &SettingSpec,
        station: &Station,
        catalogue: &StationCatalogue,
    ) -> SettingValue {
        let Some(from) = &setting.value_from else {
            return SettingValue::Plain(setting.value.as_deref().unwrap_or_default().into());
        };
        let (name, key) = match (&from.secret_key_ref, &from.station_secret) {
            (Some(one), _) => (one.name.as_str(), &one.key),
            (None, Some(own)) => {
                match (&station.secret, station.is_named && station.labels_known) {
                    (Some(name), _) => (name.as_str(), &own.key),
                    (None, true) => {
                        return SettingValue::SecretMissing {
                            message: format!(
                                "ChargeStation {} names no Secret: set its spec.authentication.secretRef",
                                station.facts.name
                            ),
                        };
                    }
                    (None, false) => ("", &own.key),
                }
            }
            (None, None) => return SettingValue::Plain("".into()),
        };
        // Secrets that are not here, or lack the key, are told where they are named; here they are taken to fit.
        let fitting = || {
            let definition = catalogue.definition(&Key::new(setting.key.as_str()));
            let bounds = definition.length.as_ref().map(|fact| &fact.value);
            bounds
                .and_then(|length| usize::try_from(length.min?).ok())
                .unwrap_or(1)
        };
        let found = self
            .secrets
            .get(&(self.namespace.to_owned(), name.to_owned()))
            .and_then(|data| data.get(key))
            .map(|bytes| bytes.expose_secret().trim_ascii_end().len())
            .filter(|length| *length > 0);
        SettingValue::Secret {
            version: SecretVersion(format!("{name}/{key}")),
            length: found.unwrap_or_else(fitting),
        }
    }
}
