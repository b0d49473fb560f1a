{{- /* What the schema cannot say. Each message ends with what to do. Included by templates/shared/checks.yaml. */}}
{{- define "suti.check" -}}
{{- include "suti.checkRenamed" . }}
{{- $v := .Values }}
{{- if and (eq $v.tls.mode "secret") (not $v.tls.secretName) }}{{ fail "tls.secretName is empty: name a secret with tls.crt and tls.key, or choose tls.mode=certManager, or (in a network that you trust) tls.mode=plaintext" }}{{ end }}
{{- if and (eq $v.tls.mode "certManager") (not $v.tls.issuerRef.name) }}{{ fail "tls.issuerRef.name is empty: name the cert-manager issuer that signs" }}{{ end }}
{{- if and $v.tls.mutual (eq $v.tls.mode "plaintext") }}{{ fail "tls.mutual needs certificates: set tls.mode to secret or certManager" }}{{ end }}
{{- if not (or $v.nats.embedded.enabled $v.nats.url) }}{{ fail "nats.url is empty: set it to nats://host:4222, or (for trial) nats.embedded.enabled=true" }}{{ end }}
{{- if and $v.nats.embedded.enabled $v.nats.url }}{{ fail "nats.url is set and nats.embedded.enabled is on: choose one" }}{{ end }}
{{- if and $v.nats.embedded.enabled (ne $v.nats.users "perService") }}{{ fail "nats.users must be perService with nats.embedded.enabled: leave it out" }}{{ end }}
{{- if and (not $v.nats.embedded.enabled) (ne $v.nats.users "none") (not $v.nats.existingSecret) }}{{ fail "nats.existingSecret is empty: name a secret with the passwords (docs/security.md), or set nats.users=none" }}{{ end }}
{{- if not (or $v.minio.embedded.enabled $v.store.url) }}{{ fail "store.url is empty: set it to s3://bucket/prefix, or (for trial) minio.embedded.enabled=true" }}{{ end }}
{{- if and $v.minio.embedded.enabled $v.store.url }}{{ fail "store.url is set and minio.embedded.enabled is on: choose one" }}{{ end }}
{{- if and $v.minio.embedded.enabled (not $v.bootstrap.enabled) }}{{ fail "minio.embedded.enabled needs bootstrap.enabled: it makes bucket and users" }}{{ end }}
{{- if and (ne $v.store.users "ambient") (not $v.store.existingSecret) (not (include "suti.store.generates" .)) }}{{ fail "store.existingSecret is empty: name a secret with the keys, let bootstrap.storeUsers make them (MinIO), or set store.users=ambient" }}{{ end }}
{{- if and (include "suti.bootstrap.signsIn" .) (not $v.bootstrap.adminSecret) }}{{ fail "bootstrap.adminSecret is empty: name a secret with access-key and secret-key of whoever may make buckets and users, or set bootstrap.bucket=false and bootstrap.storeUsers=false" }}{{ end }}
{{- if and (hasPrefix "http://" $v.crawls.endpoint) (not $v.crawls.allowHttp) }}{{ fail "crawls.endpoint is http:// and crawls.allowHttp is off: use https://, or allow it" }}{{ end }}
{{- if hasPrefix "http://" $v.store.endpoint }}{{ if not $v.store.allowHttp }}{{ fail "store.endpoint is http:// and store.allowHttp is off: use https://, or allow it" }}{{ end }}{{ end }}
{{- if $v.networkPolicy.enabled }}
{{- $implied := ternary 80 443 (hasPrefix "http://" $v.store.endpoint) }}
{{- include "suti.checkPort" (dict "url" "store.endpoint" "urls" $v.store.endpoint "implied" $implied "value" "store.port" "port" $v.store.port "usual" 443) }}
{{- include "suti.checkPort" (dict "url" "nats.url" "urls" $v.nats.url "implied" 4222 "value" "nats.port" "port" $v.nats.port "usual" 4222) }}
{{- include "suti.checkPort" (dict "url" "telemetry.otlpEndpoint" "urls" $v.telemetry.otlpEndpoint "implied" 443 "value" "telemetry.otlpPort" "port" $v.telemetry.otlpPort "usual" 4317) }}
{{- end }}
{{- if not $v.generateCredentials }}
{{- $missing := list }}
{{- if and $v.auth.enabled (not $v.auth.existingSecret) }}{{ $missing = append $missing "auth.existingSecret" }}{{ end }}
{{- if include "suti.nats.generates" . }}{{ $missing = append $missing "nats.existingSecret" }}{{ end }}
{{- if include "suti.store.generates" . }}{{ $missing = append $missing "store.existingSecret" }}{{ end }}
{{- if and $v.minio.embedded.enabled (not $v.minio.embedded.existingSecret) }}{{ $missing = append $missing "minio.embedded.existingSecret" }}{{ end }}
{{- with $missing }}{{ fail (printf "generateCredentials is off, and nobody gives %s: make these secrets and name them" (join ", " .)) }}{{ end }}
{{- end }}
{{- include "suti.checkComponents" . }}
{{- include "suti.checkCluster" . }}
{{- end }}

{{- /* Services go by a URL, network policies by the value of a port. One that is not the default was chosen, and may differ: a
       Service hands on to the port of its pods, which is what policies look at. */}}
{{- define "suti.checkPort" -}}
{{- range $one := splitList "," .urls }}
{{- $host := regexReplaceAll "^[a-z]+://" (trim $one) "" | regexFind "^[^/]+" }}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default $.implied | int }}
{{- if and $host (ne $port (int $.port)) (eq (int $.port) $.usual) }}{{ fail (printf "%s leads to port %d, and the network policies allow %s=%d: set it to %d or, where a Service hands on to another port, to that one" $.url $port $.value (int $.port) $port) }}{{ end }}
{{- end }}
{{- end }}

{{- /* What each component is told when everything is merged. */}}
{{- define "suti.checkComponents" -}}
{{- range $name := include "suti.components" . | trim | splitList " " }}
{{- $c := dict "root" $ "name" $name }}{{ include "suti.component" $c }}
{{- if ge (add (int $c.values.preStopSeconds) 10) (int $c.values.terminationGracePeriodSeconds) }}{{ fail (printf "%s.terminationGracePeriodSeconds (%d) must be more than ten seconds above its preStopSeconds (%d): raise it, there or in defaults" $name (int $c.values.terminationGracePeriodSeconds) (int $c.values.preStopSeconds)) }}{{ end }}
{{- if and (eq (trimSuffix "%" (toString $c.values.strategy.maxUnavailable)) "0") (eq (trimSuffix "%" (toString $c.values.strategy.maxSurge)) "0") }}{{ fail (printf "%s.strategy: with maxUnavailable and maxSurge both 0 no pod can be replaced: raise one of them, there or in defaults" $name) }}{{ end }}
{{- if and (eq $name "generation") $c.values.enabled $c.values.autoscaling.enabled $c.values.autoscaling.cpu }}
{{- $cpu := toString $c.values.resources.requests.cpu }}
{{- if lt (ternary (trimSuffix "m" $cpu | float64) (mulf $cpu 1000) (hasSuffix "m" $cpu)) 500.0 }}
{{- fail (printf "generation.autoscaling.cpu is a percentage of generation.resources.requests.cpu, which is %s: a pod that draws takes a core, and there would be maxReplicas at once: set the request to 500m or more, or autoscaling.cpu to 0" $cpu) }}
{{- end }}
{{- end }}
{{- if and (eq $name "experts") $c.values.enabled (not $c.jobs.podsAtOnce) (not (hasKey $c.values.settings "JOB_PARALLELISM")) }}
{{- if hasKey $c.values.settings "JOB_DEADLINE_S" }}
{{- fail "experts.settings.JOB_DEADLINE_S needs jobs.podsAtOnce: a job of many shards has one shard's time for each round, and only podsAtOnce says how many a round has" }}
{{- end }}
{{- if and $c.jobs.queueName (not (hasKey $c.jobs.jobAnnotations "kueue.x-k8s.io/job-min-parallelism")) }}
{{- fail "jobs.queueName needs jobs.podsAtOnce: Kueue admits a job whole, up to 1,000 pods, and one larger than its quota waits for ever: set jobs.podsAtOnce to what the quota holds, or jobs.jobAnnotations with kueue.x-k8s.io/job-min-parallelism" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "suti.checkCluster" -}}
{{- range $value, $it := include "suti.neededSecrets" . | fromYaml }}
{{- include "suti.needSecret" (dict "root" $ "value" $value "secret" $it.secret "keys" $it.keys) }}
{{- end }}
{{- range $value, $class := include "suti.neededClasses" . | fromYaml }}
{{- include "suti.needStorageClass" (dict "root" $ "value" $value "class" $class) }}
{{- end }}
{{- end }}

{{- /* The given secrets that pods take, with their keys, by the value that names each. */}}
{{- define "suti.neededSecrets" -}}
{{- $v := .Values }}{{ $needed := dict }}{{ $admin := list "access-key" "secret-key" }}
{{- if $v.auth.enabled }}{{ $_ := set $needed "auth.existingSecret" (dict "secret" $v.auth.existingSecret "keys" (list "tokens")) }}{{ end }}
{{- if eq $v.tls.mode "secret" }}{{ $_ := set $needed "tls.secretName" (dict "secret" $v.tls.secretName "keys" (concat (list "tls.crt" "tls.key") (ternary (list "ca.crt") list $v.tls.mutual))) }}{{ end }}
{{- $_ := set $needed "nats.caSecret" (dict "secret" $v.nats.caSecret "keys" (list "ca.crt")) }}
{{- $_ := set $needed "store.caSecret" (dict "secret" $v.store.caSecret "keys" (list "ca.crt")) }}
{{- if has "clustering" (include "suti.enabled" . | fromYamlArray) }}{{ $_ := set $needed "crawls.existingSecret" (dict "secret" $v.crawls.existingSecret "keys" $admin) }}{{ end }}
{{- if ne $v.nats.users "none" }}{{ $_ := set $needed "nats.existingSecret" (dict "secret" $v.nats.existingSecret "keys" (include "suti.nats.keys" . | fromYamlArray)) }}{{ end }}
{{- if ne $v.store.users "ambient" }}{{ $_ := set $needed "store.existingSecret" (dict "secret" $v.store.existingSecret "keys" (include "suti.store.keys" . | fromYamlArray)) }}{{ end }}
{{- if include "suti.bootstrap.signsIn" . }}{{ $_ := set $needed "bootstrap.adminSecret" (dict "secret" $v.bootstrap.adminSecret "keys" $admin) }}{{ end }}
{{- if $v.minio.embedded.enabled }}{{ $_ := set $needed "minio.embedded.existingSecret" (dict "secret" $v.minio.embedded.existingSecret "keys" (list "root-user" "root-password")) }}{{ end }}
{{- range $value, $it := $needed }}{{ if not $it.secret }}{{ $_ := unset $needed $value }}{{ end }}{{ end }}
{{- toYaml $needed }}
{{- end }}

{{- /* The storage classes that claims name, by their values. */}}
{{- define "suti.neededClasses" -}}
{{- $needed := dict }}
{{- range $server := list "nats" "minio" }}
{{- with (index $.Values $server).embedded }}
{{- if and $.Values.checkStorageClasses .enabled .persistence.enabled .persistence.storageClass }}{{ $_ := set $needed (printf "%s.embedded.persistence.storageClass" $server) .persistence.storageClass }}{{ end }}
{{- end }}
{{- end }}
{{- toYaml $needed }}
{{- end }}

{{- /* The keys that pods take from the secret of NATS. The embedded server itself reads every user's. */}}
{{- define "suti.nats.keys" -}}
{{- $keys := list "user" "password" }}
{{- if eq .Values.nats.users "perService" }}{{ $keys = append (include "suti.enabled" . | fromYamlArray) "probe" }}
{{- if and .Values.bootstrap.enabled .Values.bootstrap.streams }}{{ $keys = append $keys "bootstrap" }}{{ end }}
{{- if .Values.nats.embedded.enabled }}{{ $keys = keys (include "suti.nats.rights" . | fromYaml) }}{{ end }}
{{- end }}
{{- toYaml (sortAlpha $keys) }}
{{- end }}

{{- /* The keys that pods take from the secret of the store. */}}
{{- define "suti.store.keys" -}}
{{- $keys := list "access-key" "secret-key" }}
{{- if eq .Values.store.users "perService" }}{{ $keys = list }}
{{- range $user := append (include "suti.enabled" . | fromYamlArray) "probe" }}{{ $keys = concat $keys (list (printf "%s-access-key" $user) (printf "%s-secret-key" $user)) }}{{ end }}
{{- end }}
{{- toYaml $keys }}
{{- end }}

{{- define "suti.enabled" -}}
{{- $names := list }}
{{- range $name := include "suti.components" . | trim | splitList " " }}
{{- $c := dict "root" $ "name" $name }}{{ include "suti.component" $c }}
{{- if $c.values.enabled }}{{ $names = append $names $name }}{{ end }}
{{- end }}
{{- toYaml $names }}
{{- end }}
