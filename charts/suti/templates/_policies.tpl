{{- /* Who may talk to whom. docs/security.md has the same as a table; a test compares them. */}}
{{- define "suti.to" -}}
- to: [{podSelector: {matchLabels: {{ include "suti.selectorJson" (dict "root" .root "name" .name) }}}}]
  ports: [{port: {{ .port }}}]
{{- end }}

{{- define "suti.outside" -}}
- {{ with .peers }}to: {{- toYaml . | nindent 4 }}
  {{ end }}ports: [{{ range $i, $port := .ports }}{{ if $i }}, {{ end }}{port: {{ $port }}}{{ end }}]
{{- end }}

{{- define "suti.dnsEgress" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}

{{- define "suti.storeEgress" -}}
{{- if .root.Values.minio.embedded.enabled }}{{ include "suti.to" (dict "root" .root "name" "minio" "port" 9000) }}
{{- else }}{{ include "suti.outside" (dict "peers" .root.Values.networkPolicy.store "ports" (list .root.Values.store.port)) }}{{ end }}
{{- end }}

{{- define "suti.natsEgress" -}}
{{- if .root.Values.nats.embedded.enabled }}{{ include "suti.to" (dict "root" .root "name" "nats" "port" 4222) }}
{{- else }}{{ include "suti.outside" (dict "peers" .root.Values.networkPolicy.nats "ports" (list .root.Values.nats.port)) }}{{ end }}
{{- end }}

{{- /* The hub that models come from, for pods that load models. */}}
{{- define "suti.hubEgress" -}}
{{- if .root.Values.models.downloads }}
{{ include "suti.outside" (dict "peers" .root.Values.networkPolicy.hub "ports" (list 443)) }}
{{- end }}
{{- end }}

{{- define "suti.collectorEgress" -}}
{{- if .root.Values.telemetry.otlpEndpoint }}
{{ include "suti.outside" (dict "peers" .root.Values.networkPolicy.collector "ports" (list .root.Values.telemetry.otlpPort)) }}
{{- end }}
{{- end }}

{{- define "suti.monitoringIngress" -}}
{{- with .root.Values.networkPolicy.monitoring }}
- from: {{- toYaml . | nindent 4 }}
  ports: [{port: {{ $.port }}}]
{{- end }}
{{- end }}

{{- define "suti.servicePolicy" -}}
{{- $n := .root.Values.networkPolicy -}}
podSelector: {matchLabels: {{ include "suti.selectorJson" . }}}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      - podSelector: {matchLabels: {suti.dev/client: "true"}}
      {{- with $n.clients }}{{ toYaml . | nindent 6 }}{{ end }}
    ports: [{port: 50051}]
  {{- include "suti.monitoringIngress" (dict "root" .root "port" .root.Values.telemetry.metricsPort) | nindent 2 }}
egress:
  {{- include "suti.dnsEgress" . | nindent 2 }}
  {{- include "suti.natsEgress" . | nindent 2 }}
  {{- include "suti.storeEgress" . | nindent 2 }}
  {{- include "suti.collectorEgress" . | nindent 2 }}
  {{- if eq .fact.image "models" }}{{ include "suti.hubEgress" . | nindent 2 }}{{ end }}
  {{- if .fact.launches }}{{ include "suti.outside" (dict "peers" $n.kubernetesApi "ports" $n.kubernetesApiPorts) | nindent 2 }}{{ end }}
  {{- if eq .name "captioning" }}{{ with $n.captioningEgress }}{{ toYaml . | nindent 2 }}{{ end }}{{ end }}
  {{- if eq .name "clustering" }}{{ with $n.clusteringEgress }}{{ toYaml . | nindent 2 }}{{ end }}{{ end }}
{{- end }}

{{- /* Jobs reach the store, and nobody reaches them. A gang's pods reach one another by a policy of their own. */}}
{{- define "suti.jobPolicy" -}}
{{- $job := printf "%s-job" .name -}}
podSelector: {matchLabels: {{ include "suti.selectorJson" (dict "root" .root "name" $job) }}}
policyTypes: [Ingress, Egress]
egress:
  {{- include "suti.dnsEgress" . | nindent 2 }}
  {{- include "suti.storeEgress" . | nindent 2 }}
  {{- include "suti.collectorEgress" . | nindent 2 }}
  {{- include "suti.hubEgress" . | nindent 2 }}
{{- end }}

{{- /* A server of the release: `name` is reached on `port` by the components `from`, and reaches nobody. */}}
{{- define "suti.serverPolicy" -}}
podSelector: {matchLabels: {{ include "suti.selectorJson" . }}}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      - podSelector:
          matchLabels: {app.kubernetes.io/name: suti, app.kubernetes.io/instance: {{ .root.Release.Name }}}
          matchExpressions: [{key: app.kubernetes.io/component, operator: In, values: [{{ join ", " .from }}]}]
    ports: [{port: {{ .port }}}]
  {{- include "suti.monitoringIngress" (dict "root" .root "port" .metricsPort) | nindent 2 }}
  {{- if and (eq .name "nats") (include "suti.scaledByKeda" .root) }}{{ with .root.Values.networkPolicy.keda }}
  - from: {{- toYaml . | nindent 6 }}
    ports: [{port: {{ $.metricsPort }}}]
  {{- end }}{{ end }}
{{- end }}

{{- /* Whether KEDA asks for the length of any component's queue. */}}
{{- define "suti.scaledByKeda" -}}
{{- range $name := list "captioning" "filtering" }}
{{- $c := dict "root" $ "name" $name }}{{ include "suti.component" $c }}
{{- if and $c.values.enabled $c.values.keda.enabled }}true{{ end }}
{{- end }}
{{- end }}

{{- define "suti.nats.callers" -}}
{{ include "suti.components" . | trim }} bootstrap probe
{{- end }}

{{- define "suti.minio.callers" -}}
{{ include "suti.components" . | trim }} experts-job apprentice-job bootstrap probe
{{- end }}
