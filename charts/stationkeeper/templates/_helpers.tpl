{{/* The chart's name, or what replaces it. */}}
{{- define "stationkeeper.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The name of most objects: the release's, with the chart's if it is not in it. Room is left for endings. A release's name
may have dots, the name of a Service may not.
*/}}
{{- define "stationkeeper.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $release := .Release.Name | replace "." "-" }}
{{- if contains $name $release }}
{{- $release | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" $release $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* The name of objects that have no namespace: two releases may have one name in two namespaces. */}}
{{- define "stationkeeper.clusterName" -}}
{{- printf "%s-%s" (include "stationkeeper.fullname" .) .Release.Namespace }}
{{- end }}

{{- define "stationkeeper.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "stationkeeper.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* What tells our Pods from others; never changes in the life of a release. */}}
{{- define "stationkeeper.selectorLabels" -}}
app.kubernetes.io/name: {{ include "stationkeeper.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "stationkeeper.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: stationkeeper
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "stationkeeper.labels" -}}
{{ include "stationkeeper.selectorLabels" . }}
{{ include "stationkeeper.commonLabels" . }}
{{- end }}

{{- define "stationkeeper.image" -}}
{{- $image := .Values.image.repository }}
{{- if or .Values.image.tag (not .Values.image.digest) }}
{{- $image = printf "%s:%s" $image (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- with .Values.image.digest }}
{{- $image = printf "%s@%s" $image . }}
{{- end }}
{{- $image }}
{{- end }}

{{/* The Secret with the gateway's certificate. */}}
{{- define "stationkeeper.tlsSecret" -}}
{{- if .Values.gateway.tls.certManager.enabled }}
{{- printf "%s-gateway-tls" (include "stationkeeper.fullname" .) }}
{{- else }}
{{- .Values.gateway.tls.existingSecret }}
{{- end }}
{{- end }}

{{/* The namespace for stations that nobody declared. */}}
{{- define "stationkeeper.registerNamespace" -}}
{{- default .Release.Namespace .Values.registerUnknown.namespace }}
{{- end }}

{{/* The claim with the journal. */}}
{{- define "stationkeeper.journalClaim" -}}
{{- default (printf "%s-journal" (include "stationkeeper.fullname" .)) .Values.charging.journal.existingClaim }}
{{- end }}

{{/* What the operator does with our objects and with what belongs to them, in each namespace that it watches. */}}
{{- define "stationkeeper.watchRules" -}}
- apiGroups: [stationkeeper.dev]
  resources: [chargestations, chargestationconfigs, keycatalogues]
  verbs: [get, list, watch]
# Status, by server-side apply. Never spec, labels or annotations.
- apiGroups: [stationkeeper.dev]
  resources: [chargestations/status, chargestationconfigs/status, keycatalogues/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
# By name, when a station or a setting refers to one. Never listed or watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- end }}

{{/* A duration such as 1m30s, in milliseconds. */}}
{{- define "stationkeeper.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h)" . -1 }}
{{- $sum = addf $sum (mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[a-z]+$" .))) }}
{{- end }}
{{- int64 $sum }}
{{- end }}

{{/* What no schema can say. */}}
{{- define "stationkeeper.validate" -}}
{{- $values := .Values }}
{{- range $labels := list "commonLabels" "podLabels" }}
{{- range list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "stationkeeper.dev/leader" }}
{{- if hasKey (get $values $labels | default dict) . }}
{{- fail (printf "%s may not set the label %s, by which Services and the Deployment find their Pods: choose another label" $labels .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq (int $values.gateway.port) (int $values.admin.port) }}
{{- fail (printf "gateway.port and admin.port are both %d: give one of them another port" (int $values.admin.port)) }}
{{- end }}
{{- with $values.leaderElection }}
{{- $lease := include "stationkeeper.milliseconds" .leaseDuration | int64 }}
{{- $renew := include "stationkeeper.milliseconds" .renewDeadline | int64 }}
{{- if or (ge $renew $lease) (ge (include "stationkeeper.milliseconds" .retryPeriod | int64) $renew) }}
{{- fail (printf "leaderElection: retryPeriod (%s) must be shorter than renewDeadline (%s), and that shorter than leaseDuration (%s)" .retryPeriod .renewDeadline .leaseDuration) }}
{{- end }}
{{- end }}
{{- $needed := add (int $values.drainSeconds) 15 }}
{{- if gt $needed (int64 $values.terminationGracePeriodSeconds) }}
{{- fail (printf "drainSeconds (%d) does not fit: Kubernetes would kill the operator in the middle. Set terminationGracePeriodSeconds to at least %d, or drainSeconds to less" (int $values.drainSeconds) $needed) }}
{{- end }}
{{- if and (gt (int $values.replicas) 1) (not $values.gateway.followLeader) }}
{{- fail "gateway.followLeader is off, and with more than one replica stations would meet a standby, which answers 503: set it to true, or replicas to 1" }}
{{- end }}
{{- with $values.gateway.tls }}
{{- if and .enabled (not .existingSecret) (not .certManager.enabled) }}
{{- fail "gateway.tls.enabled needs a certificate: set gateway.tls.existingSecret, or gateway.tls.certManager.enabled" }}
{{- end }}
{{- if and .enabled .existingSecret .certManager.enabled }}
{{- fail "gateway.tls.existingSecret and gateway.tls.certManager.enabled are both set: choose one" }}
{{- end }}
{{- if and .certManager.enabled (not .enabled) }}
{{- fail "gateway.tls.certManager.enabled without gateway.tls.enabled has no effect: set both" }}
{{- end }}
{{- if and .certManager.enabled (or (not .certManager.issuerRef.name) (not .certManager.dnsNames)) }}
{{- fail "gateway.tls.certManager needs issuerRef.name and at least one of dnsNames" }}
{{- end }}
{{- end }}
{{- with $values.charging }}
{{- if and .authorize (gt (int $values.replicas) 1) }}
{{- fail "charging.authorize stores transactions in a file, which two replicas cannot share: set replicas to 1" }}
{{- end }}
{{- $sources := 0 }}
{{- if .idTags.existingSecret }}{{- $sources = add $sources 1 }}{{- end }}
{{- if .idTags.existingConfigMap }}{{- $sources = add $sources 1 }}{{- end }}
{{- if and (eq .authorize "file") (ne (int $sources) 1) }}
{{- fail "charging.authorize: file needs the id tags: set one of charging.idTags.existingSecret and charging.idTags.existingConfigMap" }}
{{- end }}
{{- end }}
{{- if and $values.registerUnknown.enabled $values.watchNamespaces }}
{{- if not (has (include "stationkeeper.registerNamespace" .) $values.watchNamespaces) }}
{{- fail (printf "registerUnknown would make stations in namespace %q, which is not among watchNamespaces: add it there, or set registerUnknown.namespace to one of them" (include "stationkeeper.registerNamespace" .)) }}
{{- end }}
{{- end }}
{{- if and $values.gateway.ingress.enabled (not $values.gateway.ingress.hosts) }}
{{- fail "gateway.ingress.enabled needs gateway.ingress.hosts" }}
{{- end }}
{{- end }}
