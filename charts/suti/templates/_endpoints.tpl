{{- /* Where NATS and the store are, embedded or not. All take the root. */}}
{{- define "suti.nats.url" -}}
{{- if .Values.nats.embedded.enabled }}nats://{{ include "suti.fullname" . }}-nats:4222{{ else }}{{ .Values.nats.url }}{{ end }}
{{- end }}

{{- define "suti.nats.secret" -}}
{{- .Values.nats.existingSecret | default (printf "%s-nats-users" (include "suti.fullname" .)) }}
{{- end }}

{{- /* Whether the chart makes the users' passwords. */}}
{{- define "suti.nats.generates" -}}
{{- if and .Values.nats.embedded.enabled (eq .Values.nats.users "perService") (not .Values.nats.existingSecret) }}true{{ end }}
{{- end }}

{{- define "suti.store.url" -}}
{{- if .Values.minio.embedded.enabled }}s3://{{ .Values.minio.embedded.bucket }}{{ else }}{{ .Values.store.url }}{{ end }}
{{- end }}

{{- define "suti.store.endpoint" -}}
{{- if .Values.minio.embedded.enabled }}http://{{ include "suti.fullname" . }}-minio:9000{{ else }}{{ .Values.store.endpoint }}{{ end }}
{{- end }}

{{- define "suti.store.plain" -}}
{{- if or .Values.minio.embedded.enabled .Values.store.allowHttp }}true{{ end }}
{{- end }}

{{- define "suti.store.secret" -}}
{{- .Values.store.existingSecret | default (printf "%s-store-users" (include "suti.fullname" .)) }}
{{- end }}

{{- /* Whether the chart makes the users' keys: where it may make the users as well. */}}
{{- define "suti.store.generates" -}}
{{- if and (eq .Values.store.users "perService") .Values.bootstrap.enabled .Values.bootstrap.storeUsers (not .Values.store.existingSecret) }}true{{ end }}
{{- end }}

{{- define "suti.minio.secret" -}}
{{- .Values.minio.embedded.existingSecret | default (printf "%s-minio-root" (include "suti.fullname" .)) }}
{{- end }}

{{- define "suti.tokens.secret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-tokens" (include "suti.fullname" .)) }}
{{- end }}

{{- define "suti.tls.secret" -}}
{{- if eq .Values.tls.mode "certManager" }}{{ include "suti.fullname" . }}-tls{{ else }}{{ .Values.tls.secretName }}{{ end }}
{{- end }}

{{- define "suti.models.path" -}}
{{- $path := list }}
{{- if .Values.models.volume }}{{ $path = append $path "/models" }}{{ end }}
{{- if .Values.models.toy }}{{ $path = append $path "/opt/suti/toy-models" }}{{ end }}
{{- with .Values.models.path }}{{ $path = append $path . }}{{ end }}
{{- join ":" $path }}
{{- end }}
