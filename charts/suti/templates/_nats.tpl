{{- /* The embedded server's configuration: a user per service with the rights of docs/security.md. Passwords come from
       the environment. */}}
{{- define "suti.nats.config" -}}
server_name: {{ include "suti.fullname" . }}-nats
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
max_payload: 1MB
jetstream {
  store_dir: /data
  max_file_store: {{ .Values.nats.embedded.persistence.size | replace "i" "" }}
  {{- if .Values.nats.embedded.syncAlways }}
  sync_interval: always
  {{- end }}
}
authorization {
  users: [
    {{- range $user, $rights := include "suti.nats.rights" . | fromYaml }}
    {
      user: {{ $user }}
      password: $NATS_{{ upper $user }}
      permissions: {
        publish: {{ toRawJson $rights.publish }}
        subscribe: {{ toRawJson (append $rights.subscribe (printf "_INBOX_%s.>" $user)) }}
      }
    }
    {{- end }}
  ]
}
{{- end }}

{{- /* What each user may publish and subscribe to; everybody has an inbox of its own besides. As in suti.infra.rights. */}}
{{- define "suti.nats.rights" -}}
{{- $all := dict }}
{{- range $user, $stages := dict "clustering" (list "grouping") "selection" (list "selection") "captioning" (list "captioning") "experts" (list "experts") "filtering" (list "filtering") "apprentice" (list "apprentice") "generation" (list "generation") }}
{{- $publish := list "$JS.API.STREAM.INFO.SUTI_WORK" "suti.v1.events.>" }}
{{- range $stage := $stages }}
{{- $durable := printf "suti-%s" $stage }}
{{- $publish = concat $publish (list (printf "suti.v1.%s.shard.>" $stage) (printf "$JS.ACK.SUTI_WORK.%s.>" $durable) (printf "$JS.API.CONSUMER.CREATE.SUTI_WORK.%s.suti.v1.%s.shard.>" $durable $stage) (printf "$JS.API.CONSUMER.INFO.SUTI_WORK.%s" $durable) (printf "$JS.API.CONSUMER.MSG.NEXT.SUTI_WORK.%s" $durable)) }}
{{- end }}
{{- if eq $user "generation" }}{{ $publish = append $publish "$JS.API.STREAM.PURGE.SUTI_WORK" }}{{ end }}
{{- $_ := set $all $user (dict "publish" $publish "subscribe" (list "suti.v1.events.>")) }}
{{- end }}
{{- $making := list "$JS.API.STREAM.CREATE.SUTI_WORK" "$JS.API.STREAM.INFO.SUTI_WORK" "$JS.API.STREAM.UPDATE.SUTI_WORK" }}
{{- $_ := set $all "pipeline" (dict "publish" (concat $making (list "$JS.API.STREAM.PURGE.SUTI_WORK" "$JS.API.CONSUMER.INFO.SUTI_WORK.*" "suti.v1.*.shard.>" "suti.v1.events.>")) "subscribe" (list "suti.v1.events.>")) }}
{{- $_ := set $all "bootstrap" (dict "publish" $making "subscribe" list) }}
{{- $_ := set $all "probe" (dict "publish" (list "suti.v1.events.probe") "subscribe" (list "suti.v1.events.probe")) }}
{{- toYaml $all }}
{{- end }}

{{- define "suti.nats.container" -}}
name: nats
image: {{ .Values.nats.embedded.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [--config, /etc/nats/nats.conf]
env:
  {{- range $user := keys (include "suti.nats.rights" . | fromYaml) | sortAlpha }}
  - name: NATS_{{ upper $user }}
    valueFrom: {secretKeyRef: {name: {{ include "suti.nats.secret" $ }}, key: {{ $user }}}}
  {{- end }}
ports: [{name: client, containerPort: 4222}, {name: monitor, containerPort: 8222}]
startupProbe: {httpGet: {path: /healthz, port: monitor}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 120}
readinessProbe: {httpGet: {path: "/healthz?js-server-only=true", port: monitor}, periodSeconds: 5, timeoutSeconds: 5}
livenessProbe: {httpGet: {path: "/healthz?js-enabled-only=true", port: monitor}, periodSeconds: 15, timeoutSeconds: 5, failureThreshold: 4}
volumeMounts: [{name: data, mountPath: /data}, {name: config, mountPath: /etc/nats}]
{{- end }}
