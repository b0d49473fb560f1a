{{- /* The alerts of files/alerts.yaml, each with the address of its runbook. */}}
{{- define "suti.alerts" -}}
{{- $text := .Files.Get "files/alerts.yaml" | replace "RELEASE" (include "suti.fullname" .) | replace "NAMESPACE" .Release.Namespace | replace "ABSENT" (include "suti.absent" .) }}
{{- /* Callers have no rights of their own: it is a service to whom the store, NATS or Kubernetes denies something. A screen alone
       denies pictures to callers, with the same code. */}}
{{- $c := dict "root" $ "name" "generation" }}{{ include "suti.component" $c }}
{{- if $c.values.settings.SCREEN }}{{ $text = $text | replace "|PERMISSION_DENIED" "" }}{{ end }}
{{- $rules := list }}
{{- range $rule := fromYamlArray $text }}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s/%s.md" $.Values.monitoring.prometheusRule.runbookUrl $rule.alert) }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- toYaml $rules }}
{{- end }}

{{- /* A service none of whose pods ever started has no `up` that could be 0. Those that may have no pods are left out. */}}
{{- define "suti.absent" -}}
{{- if .Values.monitoring.serviceMonitor.enabled }}
{{- range $name := include "suti.components" . | trim | splitList " " }}
{{- $c := dict "root" $ "name" $name }}{{ include "suti.component" $c }}
{{- $idle := and $c.values.keda $c.values.keda.enabled (eq (int $c.values.keda.minReplicas) 0) }}
{{- if and $c.values.enabled (gt (int $c.values.replicas) 0) (not $idle) }} or absent(up{namespace="{{ $.Release.Namespace }}", service="{{ include "suti.name" $c }}"}){{ end }}
{{- end }}
{{- end }}
{{- end }}
