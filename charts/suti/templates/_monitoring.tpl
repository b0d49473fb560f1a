{{- /* The alerts of files/alerts.yaml, each with the address of its runbook. */}}
{{- define "suti.alerts" -}}
{{- $text := .Files.Get "files/alerts.yaml" | replace "RELEASE" (include "suti.fullname" .) | replace "NAMESPACE" .Release.Namespace }}
{{- $rules := list }}
{{- range $rule := fromYamlArray $text }}
{{- $_ := set $rule.annotations "runbook_url" (printf "%s/%s.md" $.Values.monitoring.prometheusRule.runbookUrl $rule.alert) }}
{{- $rules = append $rules $rule }}
{{- end }}
{{- toYaml $rules }}
{{- end }}
