{{- /* Bodies of objects that several components have alike. */}}
{{- define "suti.serviceSpec" -}}
type: {{ .values.serviceType }}
selector: {{- include "suti.selectorLabels" . | nindent 2 }}
ports:
  - {name: grpc, port: 50051, targetPort: grpc{{ if eq .root.Values.tls.mode "plaintext" }}, appProtocol: kubernetes.io/h2c{{ end }}}
  - {name: metrics, port: {{ .root.Values.telemetry.metricsPort }}, targetPort: metrics}
{{- end }}

{{- /* What a launcher may do, in its own namespace alone. docs/security.md lists the same. */}}
{{- define "suti.launcherRules" -}}
- {apiGroups: [batch], resources: [jobs], verbs: [create, delete, get, list, patch, watch]}
- {apiGroups: [""], resources: [pods], verbs: [delete, list, watch]}
- {apiGroups: [""], resources: [events], verbs: [list]}
- {apiGroups: [apps], resources: [deployments], resourceNames: [{{ include "suti.name" . }}], verbs: [get]}
{{- end }}

{{- define "suti.scaledObjectSpec" -}}
{{- $k := .values.keda }}
{{- if not .root.Values.nats.embedded.enabled }}{{ $_ := required (printf "%s.keda.enabled with a NATS of yours: set %s.keda.monitoringEndpoint to host:8222 of it" .name .name) $k.monitoringEndpoint }}{{ end }}
scaleTargetRef: {name: {{ include "suti.name" . }}}
minReplicaCount: {{ $k.minReplicas }}
maxReplicaCount: {{ $k.maxReplicas }}
cooldownPeriod: 300
triggers:
  - type: nats-jetstream
    metadata:
      natsServerMonitoringEndpoint: {{ $k.monitoringEndpoint | default (printf "%s-nats.%s:8222" (include "suti.fullname" .root) .root.Release.Namespace) }}
      account: "$G"
      stream: SUTI_WORK
      consumer: suti-{{ .name }}
      lagThreshold: {{ $k.ticketsPerReplica | quote }}
      activationLagThreshold: "0"
{{- end }}
