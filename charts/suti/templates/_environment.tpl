{{- /* The environment of a service: lists of EnvVar, as YAML. */}}
{{- define "suti.secretEnv" -}}
{{- if .key }}
- name: {{ .env }}
  valueFrom: {secretKeyRef: {name: {{ .secret }}, key: {{ .key }}}}
{{- end }}
{{- end }}

{{- /* How to reach the store as `user`: root, prefix, user. */}}
{{- define "suti.storeEnv" -}}
{{- $secret := include "suti.store.secret" .root }}
{{- $keys := get (dict "perService" (printf "%s-" .user) "shared" "") .root.Values.store.users }}
- {name: {{ .prefix }}_STORE_URL, value: {{ include "suti.store.url" .root | quote }}}
{{- with include "suti.store.endpoint" .root }}
- {name: {{ $.prefix }}_STORE_ENDPOINT, value: {{ . | quote }}}
{{- end }}
- {name: {{ .prefix }}_STORE_REGION, value: {{ .root.Values.store.region | quote }}}
{{- if include "suti.store.plain" .root }}
- {name: {{ .prefix }}_STORE_ALLOW_HTTP, value: "true"}
{{- end }}
{{- include "suti.storeCaEnv" . }}
{{- if ne .root.Values.store.users "ambient" }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_STORE_ACCESS_KEY" .prefix) "secret" $secret "key" (printf "%saccess-key" $keys)) }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_STORE_SECRET_KEY" .prefix) "secret" $secret "key" (printf "%ssecret-key" $keys)) }}
{{- end }}
{{- end }}

{{- /* The store's own authority, beside the public ones. */}}
{{- define "suti.storeCaEnv" -}}
{{- if .root.Values.store.caSecret }}
- {name: SSL_CERT_FILE, value: /etc/suti/store/ca.crt}
- {name: SSL_CERT_DIR, value: /etc/ssl/certs}
{{- end }}
{{- end }}

{{- /* Crawls in buckets that are not the store's. */}}
{{- define "suti.crawlEnv" -}}
{{- with .root.Values.crawls.existingSecret }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_CRAWL_ACCESS_KEY" $.prefix) "secret" . "key" "access-key") }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_CRAWL_SECRET_KEY" $.prefix) "secret" . "key" "secret-key") }}
{{- end }}
{{- end }}

{{- /* How to reach NATS as `user`: root, prefix, user. */}}
{{- define "suti.natsEnv" -}}
{{- $secret := include "suti.nats.secret" .root }}
- {name: {{ .prefix }}_NATS_URL, value: {{ include "suti.nats.url" .root | quote }}}
- {name: {{ .prefix }}_NATS_REPLICAS, value: {{ .root.Values.nats.replicas | quote }}}
{{- if eq .root.Values.nats.users "perService" }}
- {name: {{ .prefix }}_NATS_USER, value: {{ .user }}}
- {name: {{ .prefix }}_NATS_INBOX, value: _INBOX_{{ .user }}}
{{- include "suti.secretEnv" (dict "env" (printf "%s_NATS_PASSWORD" .prefix) "secret" $secret "key" .user) }}
{{- else if eq .root.Values.nats.users "shared" }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_NATS_USER" .prefix) "secret" $secret "key" "user") }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_NATS_PASSWORD" .prefix) "secret" $secret "key" "password") }}
{{- end }}
{{- if .root.Values.nats.caSecret }}
- {name: {{ .prefix }}_NATS_CA, value: /etc/suti/nats/ca.crt}
{{- end }}
{{- end }}

{{- /* Everything that a service is told, the plain part of which rolls its pods when it changes. */}}
{{- define "suti.environment" -}}
{{- $p := .fact.prefix }}{{ $v := .root.Values }}{{ $told := dict }}
{{- $_ := set $told "LISTEN" "0.0.0.0:50051" }}
{{- $_ := set $told "HEALTH_LISTEN" "0.0.0.0:50052" }}
{{- $_ := set $told "DRAIN_S" (sub (sub .values.terminationGracePeriodSeconds .values.preStopSeconds) 5 | toString) }}
{{- $_ := set $told "PATIENCE_S" (div (mul .values.startupSeconds 4) 5 | toString) }}
{{- $_ := set $told "MODELS_PATH" (include "suti.models.path" .root) }}
{{- $_ := set $told "LOG_LEVEL" $v.telemetry.logLevel }}
{{- $_ := set $told "LOG_JSON" "true" }}
{{- $_ := set $told "PROMETHEUS_PORT" (toString $v.telemetry.metricsPort) }}
{{- with $v.telemetry.otlpEndpoint }}{{ $_ := set $told "OTLP_ENDPOINT" . }}{{ end }}
{{- if eq $v.tls.mode "plaintext" }}{{ $_ := set $told "ALLOW_PLAINTEXT" "true" }}
{{- else }}
{{- $_ := set $told "TLS_CERTIFICATE" "/etc/suti/tls/tls.crt" }}{{ $_ := set $told "TLS_KEY" "/etc/suti/tls/tls.key" }}
{{- if $v.tls.mutual }}{{ $_ := set $told "TLS_CLIENT_CA" "/etc/suti/tls/ca.crt" }}{{ end }}
{{- end }}
{{- if $v.models.downloads }}{{ $_ := set $told "MODEL_DOWNLOADS" "true" }}{{ end }}
{{- with .fact.stages }}{{ $_ := set $told "STAGES" . }}{{ end }}
{{- if eq .name "pipeline" }}{{ with $v.crawls.roots }}{{ $_ := set $told "CRAWL_ROOTS" (join "," .) }}{{ end }}{{ end }}
{{- if eq .name "clustering" }}
{{- with $v.crawls.endpoint }}{{ $_ := set $told "CRAWL_ENDPOINT" . }}{{ end }}
{{- with $v.crawls.region }}{{ $_ := set $told "CRAWL_REGION" . }}{{ end }}
{{- if $v.crawls.allowHttp }}{{ $_ := set $told "CRAWL_ALLOW_HTTP" "true" }}{{ end }}
{{- end }}
{{- if eq .fact.image "models" }}{{ $_ := set $told "DEVICE" .accelerator.device }}{{ end }}
{{- if .fact.launches }}{{ $_ := set $told "JOBS_BACKEND" "kubernetes" }}{{ $_ := set $told "JOB_TEMPLATE" "/etc/suti/jobs/template.json" }}{{ $_ := set $told "DEVICE" .jobAccelerator.device }}{{ end }}
{{- if eq .name "experts" }}{{ with .jobs.podsAtOnce }}{{ $_ := set $told "JOB_PARALLELISM" (toString .) }}{{ end }}{{ end }}
{{- if include "suti.gang" . }}{{ range $name, $value := .values.gang }}{{ $_ := set $told (upper $name) (toString $value) }}{{ end }}{{ end }}
{{- range $name, $value := .values.settings }}{{ $_ := set $told $name (toString $value) }}{{ end }}
{{- range $name := keys $told | sortAlpha }}
- {name: {{ $p }}_{{ $name }}, value: {{ get $told $name | quote }}}
{{- end }}
{{- include "suti.storeEnv" (dict "root" .root "prefix" $p "user" .name) }}
{{- include "suti.natsEnv" (dict "root" .root "prefix" $p "user" .name) }}
{{- if eq .name "clustering" }}{{ include "suti.crawlEnv" (dict "root" .root "prefix" $p) }}{{ end }}
{{- if $v.auth.enabled }}
{{- include "suti.secretEnv" (dict "env" (printf "%s_TOKENS" $p) "secret" (include "suti.tokens.secret" .root) "key" "tokens") }}
{{- end }}
{{- with .values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
