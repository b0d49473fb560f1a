{{- /* Values that were renamed, or that other charts call otherwise: their old path, and what to write instead.
       The schema lets them through (see `renamed` in scripts/chart_docs.py), so that this message is what people read. */}}
{{- define "suti.renamed" -}}
imagePullSecrets: image.pullSecrets
replicaCount: replicas under the component, or defaults.replicas
nodeSelector: defaults.nodeSelector
tolerations: defaults.tolerations
extraObjects: extraManifests
nats.enabled: nats.embedded.enabled
minio.enabled: minio.embedded.enabled
store.existingSecretName: store.existingSecret
{{- end }}

{{- define "suti.checkRenamed" -}}
{{- range $old, $new := include "suti.renamed" . | fromYaml }}
{{- $at := $.Values }}
{{- range $step := splitList "." $old }}
{{- $at = ternary (get $at $step) "" (and (kindIs "map" $at) (hasKey (ternary $at dict (kindIs "map" $at)) $step)) }}
{{- end }}
{{- if not (kindIs "string" $at | and (eq (toString $at) "")) }}
{{- fail (printf "the value `%s` is called `%s`: rename it (see UPGRADING.md)" $old $new) }}
{{- end }}
{{- end }}
{{- end }}
