{{- /* What the cluster has of this kind and name; without a name, a list. Asked once in a rendering. Needs root, kind, name. */}}
{{- define "suti.found" -}}
{{- $found := get .root "found" | default dict }}{{ $_ := set .root "found" $found }}{{ $it := printf "%s/%s" .kind .name }}
{{- if not (hasKey $found $it) }}{{ $_ := set $found $it (lookup "v1" .kind .root.Release.Namespace .name) }}{{ end }}
{{- toYaml (get $found $it) }}
{{- end }}

{{- /* What a secret holds already (base64 by key). Needs root and name. */}}
{{- define "suti.held" -}}
{{- $found := include "suti.found" (dict "root" .root "kind" "Secret" "name" .name) | fromYaml }}
{{- toYaml ($found.data | default dict) }}
{{- end }}

{{- /* Whether a cluster is asked. With `--create-namespace` there is no namespace yet, and still a list of what is in it. */}}
{{- define "suti.asksCluster" -}}
{{- $namespace := dict "root" . "kind" "Namespace" "name" .Release.Namespace }}{{ $secrets := dict "root" . "kind" "Secret" "name" "" }}
{{- if or (include "suti.found" $namespace | fromYaml) (include "suti.found" $secrets | fromYaml) }}true{{ end }}
{{- end }}

{{- /* The secrets that the chart makes: their data (base64 by key) by name. What is there is kept. Random, so made once in a rendering:
       the checksum of the first installation is then that of the next upgrade. */}}
{{- define "suti.madeSecrets" -}}
{{- if not (hasKey . "madeSecrets") }}{{ $_ := set . "madeSecrets" (include "suti.makeSecrets" . | fromYaml) }}{{ end }}
{{- toYaml .madeSecrets }}
{{- end }}

{{- define "suti.makeSecrets" -}}
{{- $services := include "suti.components" . | trim | splitList " " }}
{{- if and .Values.auth.enabled (not .Values.auth.existingSecret) }}
{{- $name := include "suti.tokens.secret" . }}{{ $had := include "suti.held" (dict "root" . "name" $name) | fromYaml }}
{{ $name }}:
  tokens: {{ get $had "tokens" | default (randAlphaNum 48 | b64enc) }}
{{- end }}
{{- if include "suti.nats.generates" . }}
{{- $name := include "suti.nats.secret" . }}{{ $had := include "suti.held" (dict "root" . "name" $name) | fromYaml }}
{{ $name }}:
  {{- range $user := concat $services (list "bootstrap" "probe") }}
  {{ $user }}: {{ get $had $user | default (printf "s%s" (randAlphaNum 40) | b64enc) }}
  {{- end }}
{{- end }}
{{- if include "suti.store.generates" . }}
{{- $name := include "suti.store.secret" . }}{{ $had := include "suti.held" (dict "root" . "name" $name) | fromYaml }}
{{ $name }}:
  {{- range $user := concat $services (list "probe" "crawls") }}
  {{ $user }}-access-key: {{ printf "%s-%s" $.Values.store.userPrefix $user | b64enc }}
  {{ $user }}-secret-key: {{ get $had (printf "%s-secret-key" $user) | default (randAlphaNum 40 | b64enc) }}
  {{- end }}
{{- end }}
{{- if and .Values.minio.embedded.enabled (not .Values.minio.embedded.existingSecret) }}
{{- $name := include "suti.minio.secret" . }}{{ $had := include "suti.held" (dict "root" . "name" $name) | fromYaml }}
{{ $name }}:
  root-user: {{ get $had "root-user" | default (printf "suti-%s" (randAlphaNum 8) | b64enc) }}
  root-password: {{ get $had "root-password" | default (randAlphaNum 40 | b64enc) }}
{{- end }}
{{- end }}

{{- /* What rolls a pod when a secret changes that it reads once, as it starts: into its environment, or as an authority. Nothing where
       no cluster is asked: each rendering makes other secrets there. Needs root and spec. */}}
{{- define "suti.secretsChecksum" -}}
{{- if include "suti.asksCluster" .root }}
{{- $read := list }}{{ $data := list }}
{{- range $container := .spec.containers }}
{{- range $container.env }}{{ with .valueFrom }}{{ with .secretKeyRef }}{{ $read = append $read . }}{{ end }}{{ end }}{{ end }}
{{- range $container.envFrom }}{{ with .secretRef }}{{ $read = append $read . }}{{ end }}{{ end }}
{{- end }}
{{- range .spec.volumes }}{{ if has .name (list "nats-ca" "store-ca") }}{{ with .secret }}{{ $read = append $read (dict "name" .secretName "key" "ca.crt") }}{{ end }}{{ end }}{{ end }}
{{- $made := include "suti.madeSecrets" .root | fromYaml }}
{{- range $one := $read }}
{{- $held := get $made $one.name | default (include "suti.held" (dict "root" $.root "name" $one.name) | fromYaml) }}
{{- $data = append $data (ternary (pick $held (toString $one.key)) $held (hasKey $one "key")) }}
{{- end }}
checksum/secrets: {{ toJson $data | sha256sum }}
{{- end }}
{{- end }}

{{- /* Fails if a secret that values name is not there, or lacks a key. Silent where no cluster is asked (helm template). */}}
{{- define "suti.needSecret" -}}
{{- if and .secret (include "suti.found" (dict "root" .root "kind" "Namespace" "name" .root.Release.Namespace) | fromYaml) }}
{{- $found := include "suti.found" (dict "root" .root "kind" "Secret" "name" .secret) | fromYaml }}
{{- if not $found }}{{ fail (printf "%s: there is no secret %q in namespace %s: create it with the keys %s, or correct its name" .value .secret .root.Release.Namespace (join ", " .keys)) }}{{ end }}
{{- range $key := .keys }}
{{- if not (hasKey ($found.data | default dict) $key) }}{{ fail (printf "%s: the secret %q has no key %q: add it (needed: %s)" $.value $.secret $key (join ", " $.keys)) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "suti.needStorageClass" -}}
{{- if and (lookup "v1" "Namespace" "" .root.Release.Namespace) (not (lookup "storage.k8s.io/v1" "StorageClass" "" .class)) }}
{{- fail (printf "%s: the cluster has no storage class %q: name one of `kubectl get storageclass`, or leave it empty for the default" .value .class) }}
{{- end }}
{{- end }}
